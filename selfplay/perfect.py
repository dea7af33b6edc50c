"""Perfect play as the yardstick: how often a player makes a mistake on solved positions.

A *mistake* is a move whose game-theoretic outcome (win, draw, loss) is worse than the best one
available.
"""

import functools
import gzip
import json
import os
import pathlib
from typing import Any, NamedTuple

import jax
import numpy as np

import games
from games.game import Game, State
from selfplay import positions, solver
from selfplay.players import Player
from selfplay.solver import ILLEGAL

BATCH = 1024  # positions that a player is asked at once, at most
SHUFFLE_SEED = 0
ORACLES = ("tic_tac_toe", "connect_four")
CONNECT_FOUR_FILE = pathlib.Path(__file__).parent / "data" / "connect_four.jsonl.gz"


class SolvedSet(NamedTuple):
    """N solved positions, each with a choice: play goes on in all of them."""

    states: State  # batched, [N, ...], in NumPy
    outcomes: np.ndarray  # int8[N, A], for the mover: win 1, draw 0, loss -1, `ILLEGAL`


def mistakes(
    player: Player, states: State, outcomes: np.ndarray, key: jax.Array, batch: int = BATCH
) -> np.ndarray:
    """Returns bool[N]: whether the player's move in each position is a mistake.

    Args:
      states: batched, [N, ...].
      outcomes: int8[N, A], as in `SolvedSet`.
      key: consumed; only players that draw lots look at it.
      batch: positions evaluated at once; the last batch is filled up with its last position.
    """
    count = len(outcomes)
    batch = min(batch, count)
    actions = []
    for number, start in enumerate(range(0, count, batch)):
        rows = np.minimum(np.arange(start, start + batch), count - 1)
        result = player(positions.take(states, rows), jax.random.fold_in(key, number))
        actions.append(np.asarray(result.action))
    chosen = np.concatenate(actions)[:count]
    wrong: np.ndarray = outcomes[np.arange(count), chosen] < outcomes.max(axis=1)
    return wrong


def measure(raw: Player, searching: Player, solved: SolvedSet) -> dict[str, float]:
    """Returns `{positions, raw, search}`: the mistake rates of a raw policy and of a search."""
    key = jax.random.key(0)  # neither player draws lots
    return {
        "positions": len(solved.outcomes),
        "raw": float(mistakes(raw, *solved, key).mean()),
        "search": float(mistakes(searching, *solved, key).mean()),
    }


def first(solved: SolvedSet, count: int) -> SolvedSet:
    """Returns the first `count` positions of a fixed shuffle, or all if there are fewer."""
    order = np.random.default_rng(SHUFFLE_SEED).permutation(len(solved.outcomes))
    rows = np.sort(order[:count])
    return SolvedSet(positions.take(solved.states, rows), solved.outcomes[rows])


def has_oracle(spec: str) -> bool:
    """Whether `load_positions` has sets of its own for a game."""
    return games.load(spec) in map(games.load, ORACLES)


def load_positions(spec: str, file: str | os.PathLike[str] | None = None) -> dict[str, SolvedSet]:
    """Returns the solved sets of a game by name: those we have, or those of a file.

    tic_tac_toe: `all`, its 4,520 live positions. connect_four: `random` and `quiet` (no side could
    win in one), made by `scripts/make_solved_positions.py`.

    Args:
      spec: the game, as for `games.load`.
      file: JSON lines, gzipped or not, `{"set": "random", "moves": [...], "outcomes": [1, ...]}`:
        one outcome per action for the mover, null where it is illegal.

    Raises:
      ValueError: no file and no set of our own, or a line that contradicts the game's rules.
    """
    if file is not None:
        return _read(games.load(spec), pathlib.Path(file))
    if not has_oracle(spec):
        raise ValueError(
            f"no perfect player is known for {spec!r}, only for {' and '.join(ORACLES)}; "
            "--positions takes a file of solved positions"
        )
    return dict(_own_sets(games.load(spec)))  # type: ignore[arg-type]


@functools.cache
def _own_sets(game: Game[Any]) -> dict[str, SolvedSet]:
    if game == games.load("tic_tac_toe"):
        return {"all": SolvedSet(*solver.solve(game))}
    return _read(game, CONNECT_FOUR_FILE)


def _read(game: Game[Any], path: pathlib.Path) -> dict[str, SolvedSet]:
    names, moves, outcomes, places = [], [], [], []
    for number, line in enumerate(_text(path).splitlines(), start=1):
        if line.strip():
            places.append(f"{path}, line {number}")
            name, line_moves, line_outcomes = _parse(line, game.num_actions, places[-1])
            names.append(name)
            moves.append(line_moves)
            outcomes.append(line_outcomes)
    if not names:
        raise ValueError(f"{path}: no solved position in it")
    table = np.array(outcomes, np.int8)
    states = _checked(game, moves, table, places)
    chosen = {name: np.flatnonzero(np.array(names) == name) for name in dict.fromkeys(names)}
    return {
        name: SolvedSet(positions.take(states, rows), table[rows]) for name, rows in chosen.items()
    }


def _text(path: pathlib.Path) -> str:
    data = path.read_bytes()
    try:
        return (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a text file of JSON lines: {error}") from None


def _parse(line: str, num_actions: int, place: str) -> tuple[str, list[int], list[int]]:
    try:
        fields = json.loads(line)
        name, moves, outcomes = fields["set"], fields["moves"], fields["outcomes"]
    except json.JSONDecodeError as error:
        raise ValueError(f"{place}: not JSON: {error}") from None
    except (KeyError, TypeError):
        raise ValueError(f"{place}: needs the keys set, moves and outcomes") from None
    if not isinstance(name, str):
        raise ValueError(f"{place}: 'set' must be a name, got {name!r}")
    if not (isinstance(moves, list) and all(type(action) is int for action in moves)):
        raise ValueError(f"{place}: 'moves' must be a list of action numbers, got {moves!r}")
    if not (
        isinstance(outcomes, list)
        and len(outcomes) == num_actions
        and all(value is None or (type(value) is int and abs(value) <= 1) for value in outcomes)
    ):
        raise ValueError(
            f"{place}: 'outcomes' must be {num_actions} values, each 1, 0, -1 or null, "
            f"got {outcomes!r}"
        )
    return name, moves, [ILLEGAL if value is None else value for value in outcomes]


def _checked(
    game: Game[Any], moves: list[list[int]], outcomes: np.ndarray, places: list[str]
) -> State:
    """Returns the positions after the moves; raises ValueError where the rules disagree."""
    replayed = positions.replay(game, moves)
    states = positions.take(replayed.states, slice(None))
    for i, place in enumerate(places):
        legal_plies = int(replayed.legal_plies[i])
        if legal_plies < len(moves[i]):
            raise ValueError(
                f"{place}: move {legal_plies + 1}, action {moves[i][legal_plies]}, is illegal"
            )
        if states.terminated[i]:
            raise ValueError(f"{place}: the game is over after these moves")
        legal = np.flatnonzero(states.legal_action_mask[i]).tolist()
        given = np.flatnonzero(outcomes[i] != ILLEGAL).tolist()
        if legal != given:
            raise ValueError(f"{place}: outcomes are given for actions {given}, legal are {legal}")
    return states
