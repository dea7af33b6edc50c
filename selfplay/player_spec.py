"""Players from text: `random`, `gtp:COMMAND`, a run as `R@STEP:simulations=64,policy=puct`.

As in a game's spec, what follows a colon is settings if it holds a `=`. They are those of
`SearchConfig`, and `temperature`. Nothing here needs jax before a player is made.
"""

import contextlib
import dataclasses
import importlib
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from games.consent import ENGINES
from games.spelling import did_you_mean, near
from mcts.config import SearchConfig
from selfplay import shipped

if TYPE_CHECKING:
    from games.game import Game
    from selfplay.players import Player

# What makes each player that is not a run. As text: a room's modules are imported when a name asks
# for them, so that nobody who plays with networks alone depends on engines or solvers.
WORDS = {  # called with the game
    "random": "selfplay.players:random_player",
    "uniform": "selfplay.players:uniform_player",  # and with the settings of its search
    "perfect": "selfplay.perfect.player:perfect_player",
}
PREFIXES = {  # called with the whole text and the game
    "gtp:": "selfplay.gtp.engine_player:engine_player",
    "uci:": "selfplay.uci.engine_player:engine_player",
}
PLUG_IN = "selfplay.players:plug_in_player"  # `module:function`, called likewise
BOOLS = {"true": True, "false": False}


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
        game: "Game[Any] | None",
    ) -> "Player": ...


def parse_player(
    spec: str, game: "Game[Any] | None", simulations: int, load_run: LoadRun
) -> "Player":
    """Returns the player that `spec` names on a command line.

    Args:
      spec: a run folder `R`, `R@STEP`, `shipped:NAME`, `random`, `uniform`, `perfect`,
        `gtp:COMMAND`, `uci:COMMAND`, or `module:function`;
        players that search may have settings of their own, see above.
      game: what to play; None if no game is known. A run plays its own, or this on a board of
        another size where its network fits any.
      simulations: of each search; 0 for a run's raw policy.
      load_run: resolves run folders, which this layer knows nothing of.

    Raises:
      ValueError: no such player, or it needs a game and none is known.
    """
    bare, own = split_settings(spec)
    if own.simulations is not None:
        simulations = own.simulations
    # A run or a shipped player: its network, by a search or alone.
    run = run_of(bare)
    if run:
        player = load_run(
            run[0],
            simulations=simulations,
            checkpoint=run[1],
            temperature=own.temperature,
            search=own.search,
            game=game,
        )
        return dataclasses.replace(player, name=player.name + own.text)
    check(spec)
    if game is None:
        raise needs_game(spec)
    if bare == "uniform":
        if simulations < 1:
            raise ValueError("player 'uniform' searches: it needs at least 1 simulation, got 0")
        config = SearchConfig(**{**own.search, "simulations": simulations})
        uniform = _imported(WORDS[bare])(game, config)
        return dataclasses.replace(uniform, name=bare + own.text)
    if bare in WORDS:
        return _imported(WORDS[bare])(game)
    # An engine by its protocol, else the user's own function.
    kind = next((prefix for prefix in PREFIXES if spec.startswith(prefix)), "")
    return _imported(PREFIXES.get(kind, PLUG_IN))(spec, game)


def _imported(place: str) -> Callable[..., "Player"]:
    """Returns the factory of `module:function`."""
    module, _, function = place.partition(":")
    factory: Callable[..., Player] = getattr(importlib.import_module(module), function)
    return factory


def run_of(spec: str) -> tuple[str, int | None] | None:
    """Returns the folder and the step that `R` or `R@STEP` names; None for players of other kinds.

    Those of `shipped:NAME` are runs too.

    Raises:
      ValueError: the step is not a number, a setting is wrong, or no such player is shipped.
    """
    spec, _ = split_settings(spec)
    if folder := _folder(spec):
        return folder, None
    name, at, step = spec.rpartition("@")
    folder = _folder(name) if at else ""
    if not folder:
        return None
    if not step.isdecimal():
        raise ValueError(f"player {spec!r}: the step after @ must be a number, got {step!r}")
    return folder, int(step)


def _folder(text: str) -> str:
    """Returns the folder that a text names, if it is there; empty otherwise."""
    if shipped.is_name(text):
        return "" if "@" in text else shipped.folder_of(text)
    return text if os.path.isdir(text) else ""


class PlayerSettings(NamedTuple):
    """What a player's spec sets."""

    simulations: int | None = None
    temperature: float = 0.0
    search: dict[str, Any] = {}  # noqa: RUF012  # other fields of `SearchConfig`, never changed
    text: str = ""  # as it was written, with its colon, but for old names


def split_settings(spec: str) -> tuple[str, PlayerSettings]:
    """Returns a player's spec without its settings, and them.

    Raises:
      ValueError: a setting that does not exist, or a value that it cannot have.
    """
    name, colon, text = spec.rpartition(":")
    if not colon or "=" not in text or spec.startswith(ENGINES):  # a command may hold anything
        return spec, PlayerSettings()
    examples = dataclasses.asdict(SearchConfig()) | {"temperature": 0.0}
    settings: dict[str, Any] = {}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if not equals or key not in examples:
            raise ValueError(
                f"player {spec!r}: {part!r} is no setting{did_you_mean(key, examples)}; "
                f"known, as name=value: {', '.join(examples)}"
            )
        settings[key] = _parse_setting(spec, key, value, type(examples[key]))
    simulations, temperature = settings.pop("simulations", None), settings.pop("temperature", 0.0)
    if simulations is not None and simulations < 0:
        raise ValueError(f"player {spec!r}: simulations must be at least 0, got {simulations}")
    if not temperature >= 0:
        raise ValueError(f"player {spec!r}: temperature must be at least 0, got {temperature}")
    if problems := dataclasses.replace(SearchConfig(), **settings).problems():
        raise ValueError(f"player {spec!r}: {'; '.join(problems)}")
    return name, PlayerSettings(simulations, temperature, settings, colon + text)


def _parse_setting(spec: str, name: str, text: str, kind: type) -> Any:
    try:
        return BOOLS[text.lower()] if kind is bool else kind(text)
    except (KeyError, ValueError):
        wanted = "true or false" if kind is bool else f"a value of type {kind.__name__}"
        raise ValueError(f"player {spec!r}: {name} must be {wanted}, got {text!r}") from None


def needs_game(spec: str) -> ValueError:
    """The error where a player plays any game, and none is named."""
    return ValueError(f"player {spec!r} plays any game: say which with --game")


def check(spec: str) -> None:
    """Raises ValueError for the name of a player that cannot be, whatever the game."""
    bare, own = split_settings(spec)
    if run_of(bare):
        return
    if own.text and (bare != "uniform" or own.temperature):
        raise ValueError(f"player {spec!r}: only runs, and uniform without temperature, have these")
    if bare not in WORDS and ":" not in spec:
        raise ValueError(
            f"player {spec!r}: there is no such run folder{_meant(bare)}; a player is a run folder "
            "R, R@STEP, shipped:NAME, random, uniform, perfect, gtp:COMMAND, uci:COMMAND, or "
            "module:function"
        )


def no_such_run(path: str) -> ValueError:
    """The error where a run folder R, or that of R@STEP, is not there."""
    return ValueError(f"no such run folder: {path}{_folder_meant(path)}")


def _meant(spec: str) -> str:
    bare = {name: shipped.PREFIX + name for name in shipped.names()}
    return did_you_mean(spec, WORDS) or _folder_meant(spec) or did_you_mean(spec, (), bare)


def _folder_meant(path: str) -> str:
    """Returns the folder of nearly that name beside one that is not there, or in `runs/`."""
    folder, at, step = path.partition("@")
    parent, name = os.path.split(folder)
    for place in (parent,) if parent else ("", "runs"):
        with contextlib.suppress(OSError), os.scandir(place or ".") as entries:
            nearest = near(name, [entry.name for entry in entries if entry.is_dir()])
            if nearest:
                return f" (did you mean {os.path.join(place, nearest)}{at}{step}?)"
    return ""
