"""The maker of the files in `selfplay/perfect/data`, for `evaluate --against perfect`.

A script for developers, not a command; it takes the names of files to make. Those of Hex 5x5
(`hex_5x5`) and of endings of Othello 6x6 (`othello_6x6`) come from our own solvers:

    python -m scripts.developer.make_solved_positions hex_5x5 othello_6x6

Their positions come from uniformly random play, as many of each ply (Hex) or number of empty cells
(Othello) as there are, up to a limit, all distinct.

`connect_four` needs BitBully (PyPI `bitbully`, AGPL-3.0), a perfect Connect Four solver, which
nothing else here depends on, in an environment of its own:

    python3 -m venv /tmp/solver && /tmp/solver/bin/pip install bitbully numpy
    PYTHONPATH=. /tmp/solver/bin/python scripts/developer/make_solved_positions.py connect_four

Its positions come from uniformly random play and are spread evenly over plies 0 to 34, as far as
there are enough; all in the file are distinct. Set `random` takes any of them, set `quiet` those
where neither side could win in one. Before it is written, the solver's word is checked without it:
wins in one, late positions by searching to the end, parents against children, mirrored boards.
"""

import functools
import gzip
import json
import pathlib
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

ROWS, COLS = 6, 7
SEED = 20_261
POSITIONS = 3_000  # in each set
LAST_PLY = 34
TRIES = 200_000  # random games for the positions of one set at one ply
SEARCHED_FROM = 31  # plies after which a position is searched to the end
SAMPLE = 300  # positions checked against their children and mirror image
FOLDER = pathlib.Path(__file__).parents[2] / "selfplay" / "perfect" / "data"
# Of the other files: positions of each ply of Hex, of each number of empty cells of Othello.
HEX_SIZE, HEX_PLIES, HEX_EACH = 5, range(7, 20), 50
OTHELLO_SIZE, OTHELLO_EMPTY, OTHELLO_EACH = 6, 10, 150

Moves = tuple[int, ...]  # columns
Board = tuple[Moves, ...]  # the seats of each column's stones, from below
Record = dict[str, Any]
Outcomes = list[int | None]  # by action, for the mover; None where it is illegal


def main() -> None:
    """Draws, solves, checks and writes the positions of the files named on the command line."""
    makers = {"connect_four": connect_four, "hex_5x5": hex_5x5, "othello_6x6": othello_6x6}
    if not sys.argv[1:] or set(sys.argv[1:]) - set(makers):
        raise SystemExit(f"name the files to make, of {', '.join(makers)}; got {sys.argv[1:]}")
    for name in sys.argv[1:]:
        records = makers[name]()
        lines = "".join(json.dumps(record, separators=(",", ":")) + "\n" for record in records)
        file = FOLDER / f"{name}.jsonl.gz"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(gzip.compress(lines.encode(), 9, mtime=0))  # the same bytes at any time
        print(f"{file}: {len(records)} positions, {file.stat().st_size} bytes", file=sys.stderr)


def hex_5x5() -> list[Record]:
    """Returns set `random` of Hex 5x5 without the swap."""
    from selfplay.perfect.hex import Solver

    solver, cells = Solver(HEX_SIZE), HEX_SIZE**2
    records: list[Record] = []
    for ply in reversed(HEX_PLIES):  # late ones first: they are quick, and their proofs help
        rng = np.random.default_rng([SEED, ply])
        seen: set[tuple[int, int]] = set()
        for _ in range(40 * HEX_EACH):
            if len(seen) == HEX_EACH:
                break
            moves = rng.permutation(cells)[:ply].tolist()
            first, second = (sum(1 << cell for cell in moves[seat::2]) for seat in range(2))
            if (first, second) in seen or solver.is_over((first, second)):
                continue
            seen.add((first, second))
            values: Outcomes = list(solver.outcomes((first, second), ply % 2))
            for cell in moves:
                values[cell] = None
            records.append({"set": "random", "moves": moves, "outcomes": values})
        print(f"ply {ply}: {len(seen)} positions", file=sys.stderr)
    return records[::-1]


def othello_6x6() -> list[Record]:
    """Returns set `endings` of Othello 6x6: positions with few empty cells."""
    from selfplay.perfect import othello

    size, rng = OTHELLO_SIZE, np.random.default_rng(SEED)
    seen: dict[int, set[tuple[int, int]]] = {n: set() for n in range(1, OTHELLO_EMPTY + 1)}
    records: list[Record] = []
    while sum(map(len, seen.values())) < OTHELLO_EACH * OTHELLO_EMPTY:
        own, other = othello.opening(size)
        moves: list[int] = []
        while legal := othello.legal(own, other, size):
            empty = size**2 - (own | other).bit_count()
            fresh = seen.get(empty, set())
            # One position of a game, so that they are as unlike as they can be.
            if empty in seen and len(fresh) < OTHELLO_EACH and rng.random() < 1 / empty:
                if (own, other) not in fresh and len(legal) > 1:
                    fresh.add((own, other))
                    values = othello.outcomes(own, other, size)
                    listed = [values.get(action) for action in range(size**2 + 1)]
                    records.append({"set": "endings", "moves": moves, "outcomes": listed})
                break
            action = int(rng.choice(legal))
            own, other = othello.play(own, other, action, size)
            moves = [*moves, action]
        if all(len(fresh) == OTHELLO_EACH for n, fresh in seen.items() if n > 1):
            break  # with one empty cell there is nothing to choose
    return sorted(records, key=lambda record: len(record["moves"]))


def connect_four() -> list[Record]:
    """Returns sets `random` and `quiet`."""
    solve = make_solver()
    records = []
    for name, games in draw().items():
        for i, moves in enumerate(games):
            if i % 500 == 0:
                print(f"{name}: {i} of {len(games)} solved", file=sys.stderr)
            records.append({"set": name, "moves": list(moves), "outcomes": solve(moves)})
    check(records, solve)
    return records


def draw() -> dict[str, list[Moves]]:
    """Returns the move lists of both sets, spread over the plies as evenly as possible."""
    rng = np.random.default_rng(SEED)
    sets: dict[str, list[Moves]] = {"random": [], "quiet": []}
    seen: set[Board] = set()
    for ply in range(LAST_PLY + 1):
        for name, games in sets.items():
            share = -(-(POSITIONS - len(games)) // (LAST_PLY + 1 - ply))
            before = len(games)
            for _ in range(TRIES):
                if len(games) == before + share:
                    break
                moves = random_moves(rng, ply)
                if moves is None or (board := board_after(moves)) in seen:
                    continue
                if name == "random" or not (wins_in_one(board, 0) or wins_in_one(board, 1)):
                    seen.add(board)
                    games.append(moves)
        print(f"ply {ply}: {[len(games) for games in sets.values()]}", file=sys.stderr)
    return sets


def random_moves(rng: np.random.Generator, plies: int) -> Moves | None:
    """Returns uniformly random moves, or None if they end the game."""
    board: Board = ((),) * COLS
    moves: list[int] = []
    for ply in range(plies):
        column = int(rng.choice(open_columns(board)))
        board = drop(board, column, ply % 2)
        moves.append(column)
        if has_line(board, column):
            return None
    return tuple(moves)


def make_solver() -> Callable[[Moves], Outcomes]:
    """Returns a function from move lists to outcomes, by BitBully."""
    import bitbully

    agent = bitbully.BitBully()

    def solve(moves: Moves) -> Outcomes:
        board = bitbully.Board()
        if moves and not board.play(list(moves)):
            raise ValueError(f"BitBully refuses the moves {moves}")
        scores = agent.score_all_moves(board)
        return [int(np.sign(scores[a])) if a in scores else None for a in range(COLS)]

    return solve


def check(records: list[dict[str, Any]], solve: Callable[[Moves], Outcomes]) -> None:
    """Raises AssertionError where the outcomes contradict the rules, a search, or each other."""
    searched = 0
    for record in records:
        moves, outcomes = tuple(record["moves"]), record["outcomes"]
        board, seat = board_after(moves), len(moves) % 2
        assert [a for a in range(COLS) if outcomes[a] is not None] == open_columns(board), record
        wins = wins_in_one(board, seat)
        assert all(outcomes[a] == 1 for a in wins), record
        threats = wins_in_one(board, 1 - seat)
        unstopped = [a for a in open_columns(board) if a not in wins and set(threats) - {a}]
        assert all(outcomes[a] == -1 for a in unstopped), record
        assert record["set"] == "random" or not (wins or threats), record
        if len(moves) >= SEARCHED_FROM:
            searched += 1
            assert outcomes == search(board, seat), record
    sample = np.random.default_rng(SEED).choice(len(records), SAMPLE, replace=False)
    for i in sample.tolist():
        moves, outcomes = tuple(records[i]["moves"]), records[i]["outcomes"]
        assert solve(tuple(COLS - 1 - a for a in moves)) == outcomes[::-1], moves
        for a in open_columns(board_after(moves)):
            after = board_after((*moves, a))
            if not has_line(after, a) and open_columns(after):
                replies = [v for v in solve((*moves, a)) if v is not None]
                assert outcomes[a] == -max(replies), (moves, a)
    print(f"checked; {searched} positions searched to the end", file=sys.stderr)


def board_after(moves: Moves) -> Board:
    """Returns the board; the moves are taken to be legal."""
    board: Board = ((),) * COLS
    for ply, column in enumerate(moves):
        board = drop(board, column, ply % 2)
    return board


def drop(board: Board, column: int, seat: int) -> Board:
    """Returns the board with one more stone."""
    return (*board[:column], (*board[column], seat), *board[column + 1 :])


def open_columns(board: Board) -> list[int]:
    """Returns the columns with room."""
    return [a for a in range(COLS) if len(board[a]) < ROWS]


def has_line(board: Board, column: int) -> bool:
    """Returns whether the top stone of a column is part of four in a line."""
    row = len(board[column]) - 1
    seat = board[column][row]

    def reach(down: int, right: int) -> int:
        for i in range(1, 4):
            a, r = column + i * right, row + i * down
            if not (0 <= a < COLS and 0 <= r < len(board[a]) and board[a][r] == seat):
                return i - 1
        return 3

    return any(
        reach(down, right) + reach(-down, -right) >= 3
        for down, right in ((0, 1), (1, 0), (1, 1), (1, -1))
    )


def wins_in_one(board: Board, seat: int) -> list[int]:
    """Returns the columns in which a stone of `seat` makes four."""
    return [a for a in open_columns(board) if has_line(drop(board, a, seat), a)]


def search(board: Board, seat: int) -> Outcomes:
    """Returns the outcome of each column by searching to the end."""
    return [
        outcome(drop(board, a, seat), a, seat) if len(board[a]) < ROWS else None
        for a in range(COLS)
    ]


@functools.cache
def outcome(board: Board, column: int, seat: int) -> int:
    """Returns the result for `seat`, which has just dropped the top stone of `column`."""
    if has_line(board, column):
        return 1
    return -max((value for value in search(board, 1 - seat) if value is not None), default=0)


if __name__ == "__main__":
    main()
