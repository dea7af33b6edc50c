"""Players by their names on a command line, with settings: `R@STEP:simulations=64,policy=puct`.

As in a game's spec, what follows a colon is settings if it holds a `=`. They are those of
`SearchConfig`, and `temperature`.
"""

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import jax

from games import plug_in
from games.game import Game, State
from mcts import (
    SearchConfig,
    SearchResult,
    Variables,
)
from selfplay import old_names
from selfplay.gtp.engine_player import engine_player
from selfplay.players import Act, Player, check_form, random_player, uniform_player

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
    ) -> Player: ...


def parse_player(spec: str, game: Game[Any] | None, simulations: int, load_run: LoadRun) -> Player:
    """Returns the player that `spec` names on a command line.

    Args:
      spec: a run folder `R`, `R@STEP`, `random`, `uniform`, `gtp:COMMAND`, or `module:function`;
        players that search may have settings of their own, see the top of this file.
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
    if own.text and (bare != "uniform" or own.temperature):
        raise ValueError(f"player {spec!r}: only runs, and uniform without temperature, have these")
    if bare not in ("random", "uniform") and ":" not in spec:
        raise ValueError(
            f"player {spec!r}: there is no such run folder; a player is a run folder R, R@STEP, "
            "random, uniform, gtp:COMMAND, or module:function"
        )
    if game is None:
        raise ValueError(f"player {spec!r} plays any game: say which with --game")
    if bare == "random":
        return random_player(game)
    if bare == "uniform":
        if simulations < 1:
            raise ValueError("player 'uniform' searches: it needs at least 1 simulation, got 0")
        config = SearchConfig(**{**own.search, "simulations": simulations})
        return dataclasses.replace(uniform_player(game, config), name=bare + own.text)
    if spec.startswith("gtp:"):
        return engine_player(spec, game)
    return _plug_in(spec, game)


def run_of(spec: str) -> tuple[str, int | None] | None:
    """Returns the folder and the step that `R` or `R@STEP` names; None for players of other kinds.

    Raises:
      ValueError: the step is not a number, or a setting is wrong.
    """
    spec, _ = split_settings(spec)
    if os.path.isdir(spec):
        return spec, None
    folder, at, step = spec.rpartition("@")
    if not (at and os.path.isdir(folder)):
        return None
    if not step.isdecimal():
        raise ValueError(f"player {spec!r}: the step after @ must be a number, got {step!r}")
    return folder, int(step)


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
    if not colon or "=" not in text or spec.startswith("gtp:"):  # a command may hold anything
        return spec, PlayerSettings()
    examples = dataclasses.asdict(SearchConfig()) | {"temperature": 0.0}
    settings: dict[str, Any] = {}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        key = old_names.current_search(key)
        if not equals or key not in examples:
            raise ValueError(
                f"player {spec!r}: {part!r} is no setting; known, as name=value: "
                f"{', '.join(examples)}"
            )
        settings[key] = _parse_setting(spec, key, value, type(examples[key]))
    simulations, temperature = settings.pop("simulations", None), settings.pop("temperature", 0.0)
    if simulations is not None and simulations < 0:
        raise ValueError(f"player {spec!r}: simulations must be at least 0, got {simulations}")
    if not temperature >= 0:
        raise ValueError(f"player {spec!r}: temperature must be at least 0, got {temperature}")
    if problems := dataclasses.replace(SearchConfig(), **settings).problems():
        raise ValueError(f"player {spec!r}: {'; '.join(problems)}")
    current = old_names.current_player(colon + text)
    return name, PlayerSettings(simulations, temperature, settings, current)


def _parse_setting(spec: str, name: str, text: str, kind: type) -> Any:
    try:
        return BOOLS[text.lower()] if kind is bool else kind(text)
    except (KeyError, ValueError):
        wanted = "true or false" if kind is bool else f"a value of type {kind.__name__}"
        raise ValueError(f"player {spec!r}: {name} must be {wanted}, got {text!r}") from None
