"""GTP engines as a player."""

from typing import Any

import numpy as np

from games import consent
from games.game import Game, State
from games.go import Go
from selfplay.engines.lines import Lines
from selfplay.engines.pool import Dialect, pooled_player
from selfplay.engines.spec import read_spec
from selfplay.gtp import protocol
from selfplay.gtp.engine import Engine
from selfplay.players import RESIGN, Player

PASSES = ("spoken", "silent")
PASS = "pass"  # what games with such a move call it, as GTP does


def engine_player(spec: str, game: Game[Any]) -> Player:
    """Returns the player of `gtp:COMMAND` or `gtp:OPTION=VALUE,...:COMMAND`.

    The options are `timeout`, seconds for an answer; `processes`, how many at most; and
    `passes=silent` for an engine that skips a side without moves by itself: a pass that is the only
    legal move is neither told it nor asked of it.

    One process is started at once, the others when they are needed.

    Raises:
      ValueError: the engine may not run (`games/consent.py`), does not start, speaks no GTP, or
        does not play on this board.
    """
    consent.require(consent.code_of(spec), f"player {spec!r}")
    command, seconds, processes, options = read_spec(spec)
    passes = options.pop("passes", PASSES[0])
    if options:
        raise ValueError(
            f"player {spec!r}: no option {next(iter(options))!r}, only timeout, processes and "
            "passes; a command that looks like options follows two colons: gtp::COMMAND"
        )
    if passes not in PASSES:
        raise ValueError(f"player {spec!r}: passes must be {' or '.join(PASSES)}, got {passes!r}")
    dialect = _dialect(command, game, seconds, passes == "silent")
    return pooled_player(spec, game, dialect, processes)


def _dialect(command: str, game: Game[Any], seconds: float, silent_passes: bool) -> Dialect:
    """Returns how engines are started, told positions and asked for moves."""
    setup = ["clear_board"]
    if isinstance(game, Go):
        setup = [f"boardsize {game.size}", "clear_board", f"komi {game.komi:g}"]

    def forced(state: State) -> int | None:
        return forced_pass(game, state) if silent_passes else None

    def text(state: State, action: int) -> str | None:
        return _play(game, state, action) if forced(state) is None else None

    def go_lines(moves: list[tuple[int, ...]]) -> list[tuple[str, ...]]:
        name = game.action_to_string  # which needs no position
        return [
            tuple(f"play {protocol.COLOURS[i % 2]} {name(None, a)}" for i, a in enumerate(row))
            for row in moves
        ]

    return Dialect(
        start=lambda: Engine(command, setup, seconds),
        lines=go_lines if isinstance(game, Go) and not silent_passes else Lines(game, text),
        choose=lambda engine, state, line: _choose(engine, game, state, line),
        forced=forced,
    )


def _choose(engine: Engine, game: Game[Any], state: State, line: tuple[str, ...]) -> int:
    engine.go_to(line)
    name = engine.ask(f"genmove {protocol.COLOURS[int(state.to_play)]}")
    if name.lower() == "resign":
        engine.go_to(())  # some engines take a game that they gave up for finished
        return RESIGN
    try:
        action = game.string_to_action(state, name)
    except ValueError:
        raise engine.illegal(name, line) from None
    engine.moves = (*line, _play(game, state, action))
    return action


def forced_pass(game: Game[Any], state: State) -> int | None:
    """Returns the action of the pass, where it is the only legal one, else None."""
    legal = np.flatnonzero(np.asarray(state.legal_action_mask))
    if len(legal) == 1 and game.action_to_string(state, int(legal[0])).lower() == PASS:
        return int(legal[0])
    return None


def _play(game: Game[Any], state: State, action: int) -> str:
    colour = protocol.COLOURS[int(state.to_play)]
    return f"play {colour} {game.action_to_string(state, action)}"
