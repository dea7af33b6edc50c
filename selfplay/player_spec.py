"""Players made from their names on a command line (`player_name.py`)."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import jax

from games import plug_in
from games.game import Game, State
from mcts import SearchConfig, SearchResult, Variables
from selfplay import player_name
from selfplay.gtp.engine_player import engine_player as gtp_engine
from selfplay.perfect.player import perfect_player
from selfplay.player_name import run_of, split_settings
from selfplay.players import Act, Player, check_form, random_player, uniform_player
from selfplay.uci.engine_player import engine_player as uci_engine


class LoadRun(Protocol):
    """Makes a player from a run folder; raises ValueError if it cannot."""

    def __call__(
        self,
        path: str,
        *,
        simulations: int,
        checkpoint: int | None,
        temperature: float,
        search: Mapping[str, Any],
    ) -> Player: ...


def parse_player(spec: str, game: Game[Any] | None, simulations: int, load_run: LoadRun) -> Player:
    """Returns the player that `spec` names on a command line.

    Args:
      spec: a run folder `R`, `R@STEP`, `shipped:NAME`, `random`, `uniform`, `perfect`,
        `gtp:COMMAND`, `uci:COMMAND`, or `module:function`;
        players that search may have settings of their own, see `player_name.py`.
      game: what players that are not a run play; None if no game is known.
      simulations: of each search; 0 for a run's raw policy.
      load_run: resolves run folders, which this layer knows nothing of.

    Raises:
      ValueError: no such player, or it needs a game and none is known.
    """
    bare, own = split_settings(spec)
    if own.simulations is not None:
        simulations = own.simulations
    run = run_of(bare)
    if run:
        player = load_run(
            run[0],
            simulations=simulations,
            checkpoint=run[1],
            temperature=own.temperature,
            search=own.search,
        )
        return dataclasses.replace(player, name=player.name + own.text)
    player_name.check(spec)
    if game is None:
        raise player_name.needs_game(spec)
    if bare == "random":
        return random_player(game)
    if bare == "uniform":
        if simulations < 1:
            raise ValueError("player 'uniform' searches: it needs at least 1 simulation, got 0")
        config = SearchConfig(**{**own.search, "simulations": simulations})
        return dataclasses.replace(uniform_player(game, config), name=bare + own.text)
    if bare == "perfect":
        return perfect_player(game)
    if spec.startswith("gtp:"):
        return gtp_engine(spec, game)
    if spec.startswith("uci:"):
        return uci_engine(spec, game)
    return _plug_in(spec, game)


def _plug_in(spec: str, game: Game[Any]) -> Player:
    """Returns the player of `module:function`, the current folder last on the import path."""
    what = f"player {spec!r}"
    function = plug_in.import_function(spec, what)
    on_device = bool(getattr(function, "on_device", False))
    plug_in.check_call(
        function, ("states", "key") if on_device else ("states", "key", "history"), what
    )
    return Player(spec, game, _plug_in_act(function, what), on_device=on_device)


@functools.cache
def _plug_in_act(function: Callable[..., SearchResult], what: str) -> Act:
    def act(variables: Variables, states: State, key: jax.Array, *history: Any) -> SearchResult:
        del variables
        return check_form(what, function(states, key, *history), states)

    return act
