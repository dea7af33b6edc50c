"""The player of a question, its simulations, and whether it has to be compiled first."""

import functools
from typing import Any

from games import consent, registry
from games.game import Game
from scripts.web.ops.permission import require, require_run
from scripts.web.ops.question import Args, Tell, number, text
from selfplay.player_spec import parse_player, run_of, split_settings
from selfplay.players import Player
from training.players import load_player

MAX_SIMULATIONS = 20_000  # half a minute of Connect Four


def player_of(
    args: Args, game: Game[Any], name: str = "player", simulations: int | None = None
) -> Player:
    """Returns the player that a question names, with its simulations.

    Args:
      simulations: take these, whatever the question and the player's own settings say.

    Raises:
      ConsentError: it would run code that nobody has allowed.
      ValueError: no such player, or it plays another game.
    """
    spec = text(args, name)
    if simulations is None:
        simulations = simulations_of(args, name)
    spec = _without_simulations(spec)
    run = run_of(spec)
    if not run:
        if (named := consent.code_of_player(spec)) is not None:
            require(named, f"the player {spec!r}")
        return _player(spec, game, simulations)  # type: ignore[arg-type]
    require_run(run[0])
    load = functools.partial(load_player, search={"reuse_nodes": 0})
    player = parse_player(spec, game, simulations, load)
    if player.game != game:
        raise ValueError(f"{spec} plays another game: {registry.spec_of(player.game)}")
    return player


@functools.lru_cache(maxsize=8)
def _player(spec: str, game: Game[Any], simulations: int) -> Player:
    """Returns a player that is no run: an engine is started once, a solution found once."""
    return parse_player(spec, game, simulations, load_player)


def simulations_of(args: Args, name: str = "player") -> int:
    """Returns how many simulations a search of a question has: the player's own, else its number's.

    Of a player that does not search it is 0.
    """
    wanted = number(args, "simulations", 200, 0, MAX_SIMULATIONS)
    spec = text(args, name)
    bare, own = split_settings(spec)
    if not (run_of(bare) or bare == "uniform"):
        return 0
    return wanted if own.simulations is None else min(own.simulations, MAX_SIMULATIONS)


def _without_simulations(spec: str) -> str:
    bare, own = split_settings(spec)
    if own.simulations is None:
        return spec
    settings = {**own.search, **({"temperature": own.temperature} if own.temperature else {})}
    text = ",".join(f"{key}={value}" for key, value in settings.items())
    return f"{bare}:{text}" if text else bare


def note_compilation(player: Player, simulations: int, tell: Tell) -> None:
    """Tells the page if this player's first search of so many simulations lies before it."""
    if player.on_device and player.act not in _COMPILED:
        what = "the search" if simulations else "the network"
        tell.note(f"compiling {what} (some seconds, once)")
        _COMPILED.add(player.act)


_COMPILED: set[Any] = set()
