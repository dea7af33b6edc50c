"""UCI engines as a player."""

from typing import Any

from games import consent
from games.game import Game, State
from selfplay.engines.lines import Lines
from selfplay.engines.pool import Dialect, pooled_player
from selfplay.engines.spec import Spec, read_spec
from selfplay.players import Player
from selfplay.uci.engine import Engine
from selfplay.uci.moves import find_move, move_name, variant_of
from selfplay.uci.options import THINKING

NODES = 10_000  # of a move, where nothing else is said


def engine_player(spec: str, game: Game[Any]) -> Player:
    """Returns the player of `uci:COMMAND` or `uci:OPTION=VALUE,...:COMMAND`.

    Options of ours are `timeout`, seconds for an answer; `processes`, how many at most; and
    `nodes`, `movetime` (milliseconds) and `depth`, which end its thinking, the first of those that
    are given. All others are the engine's own, such as `Skill Level`.

    One process is started at once, the others when they are needed.

    Raises:
      ValueError: the engine may not run (`games/consent.py`), does not start, speaks no UCI, does
        not play this game, or has not these options.
    """
    consent.require(consent.code_of(spec), f"player {spec!r}")
    read = read_spec(spec)
    own = {name: value for name, value in read.options.items() if name not in THINKING}
    try:
        variant, go = variant_of(game), go_of(read)
    except ValueError as error:
        raise ValueError(f"player {spec!r}: {error}") from None

    def choose(engine: Engine, state: State, line: tuple[str, ...]) -> int:
        name = engine.best_move(line, go)
        try:
            return find_move(game, state, name)
        except ValueError:
            raise engine.illegal(name, line) from None

    dialect = Dialect(
        start=lambda: Engine(read.command, own, variant, read.seconds),
        lines=Lines(game, lambda state, action: move_name(game, state, action)),
        choose=choose,
    )
    return pooled_player(spec, game, dialect, read.processes)


def go_of(spec: Spec) -> str:
    """Returns how an engine thinks, as the command `go` takes it. ValueError for nonsense."""
    given, go = spec.options, []
    for name in THINKING:
        if (value := given.get(name)) is not None:
            if not (value.isascii() and value.isdigit() and int(value) >= 1):
                raise ValueError(f"{name} must be a whole number above 0, got {value!r}")
            go.append(f"{name} {int(value)}")
    if int(given.get("movetime", 0)) >= 1000 * spec.seconds:
        raise ValueError(
            f"movetime is in milliseconds and must be below timeout, {spec.seconds:g} s"
        )
    return " ".join(go) or f"nodes {NODES}"
