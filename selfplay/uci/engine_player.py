"""UCI engines as a player."""

from typing import Any

from games import consent
from games.game import Game, State
from selfplay.engines.lines import Lines
from selfplay.engines.pool import Dialect, pooled_player
from selfplay.engines.process import EngineFault
from selfplay.players import Player
from selfplay.uci.engine import Engine
from selfplay.uci.moves import find_move, move_name, variant_of
from selfplay.uci.spec import read_spec


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
    command, limits, go, wanted = read_spec(spec)
    try:
        variant = variant_of(game)
    except ValueError as error:
        raise ValueError(f"player {spec!r}: {error}") from None

    def choose(engine: Engine, state: State, line: tuple[str, ...]) -> int:
        name = engine.best_move(line, go)
        try:
            return find_move(game, state, name)
        except ValueError:
            engine.kill()  # what it thinks of the position is anyone's guess
            played = f"played {name[:40]!r} at ply {len(line)}, which is illegal"
            raise EngineFault(played) from None

    dialect = Dialect(
        start=lambda: Engine(command, wanted, variant, limits.seconds),
        lines=Lines(game, lambda state, action: move_name(game, state, action)),
        choose=choose,
    )
    return pooled_player(spec, game, dialect, limits)
