"""The maker of the files in `selfplay/perfect/data`, for `evaluate --against perfect`.

A script for developers, not a command; it takes the names of files to make. Those of Hex 5x5
(`hex_5x5`) and of endings of Othello 6x6 (`othello_6x6`) come from our own solvers:

    python -m scripts.developer.make_solved_positions hex_5x5 othello_6x6

Their positions come from uniformly random play, as many of each ply (Hex) or number of empty cells
(Othello) as there are, up to a limit, all distinct.

`connect_four` needs BitBully (PyPI `bitbully`, AGPL-3.0), a perfect Connect Four solver, which
nothing else here depends on, in an environment of its own:

    python3 -m venv /tmp/solver && /tmp/solver/bin/pip install bitbully --editable .

Its positions come from uniformly random play and are spread evenly over plies 0 to 34, as far as
there are enough; all in the file are distinct. Set `random` takes any of them, set `quiet` those
where neither side could win in one. The tests of `selfplay/perfect` check what was made without
BitBully: wins in one, and late positions by searching to the end.
"""

import gzip
import json
import pathlib
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from selfplay.perfect import hex as hex_game
from selfplay.perfect import othello
from selfplay.perfect.connect_four import BOTTOM, COLS, COLUMNS, winning_cells

SEED = 20_261
POSITIONS = 3_000  # in each set
LAST_PLY = 34
TRIES = 200_000  # random games for the positions of one set at one ply
FOLDER = pathlib.Path(__file__).parents[2] / "selfplay" / "perfect" / "data"
# Of the other files: positions of each ply of Hex, of each number of empty cells of Othello.
HEX_SIZE, HEX_PLIES, HEX_EACH = 5, range(7, 20), 50
OTHELLO_SIZE, OTHELLO_EMPTY, OTHELLO_EACH = 6, 10, 150

Moves = tuple[int, ...]  # columns
Stones = tuple[int, int]  # bits of the seat to move, and of the other
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
    solver, cells = hex_game.Solver(HEX_SIZE), HEX_SIZE**2
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
    return [
        {"set": name, "moves": list(moves), "outcomes": solve(moves)}
        for name, games in draw().items()
        for moves in games
    ]


def draw() -> dict[str, list[Moves]]:
    """Returns the move lists of both sets, spread over the plies as evenly as possible."""
    rng = np.random.default_rng(SEED)
    sets: dict[str, list[Moves]] = {"random": [], "quiet": []}
    seen: set[Stones] = set()
    for ply in range(LAST_PLY + 1):
        for name, games in sets.items():
            share = -(-(POSITIONS - len(games)) // (LAST_PLY + 1 - ply))
            before = len(games)
            for _ in range(TRIES):
                if len(games) == before + share:
                    break
                drawn = random_moves(rng, ply)
                if drawn is None or drawn[1] in seen:
                    continue
                moves, stones = drawn
                if name == "random" or not any(map(wins_in_one, (stones, stones[::-1]))):
                    seen.add(stones)
                    games.append(moves)
        print(f"ply {ply}: {[len(games) for games in sets.values()]}", file=sys.stderr)
    return sets


def random_moves(rng: np.random.Generator, plies: int) -> tuple[Moves, Stones] | None:
    """Returns uniformly random moves and where they lead, or None if they end the game."""
    stones: Stones = 0, 0
    moves: list[int] = []
    for _ in range(plies):
        cells = open_cells(stones)
        column = int(rng.choice([col for col in range(COLS) if cells & COLUMNS[col]]))
        if wins_in_one(stones) & COLUMNS[column]:
            return None
        stones = stones[1], stones[0] | cells & COLUMNS[column]
        moves.append(column)
    return tuple(moves), stones


def open_cells(stones: Stones) -> int:
    """Returns the cells, a bit each, into which a stone can fall."""
    return ((stones[0] | stones[1]) + BOTTOM) & sum(COLUMNS)


def wins_in_one(stones: Stones) -> int:
    """Returns the cells, a bit each, in which a stone of the first seat makes four."""
    own, other = stones
    return winning_cells(own, own | other) & open_cells(stones)


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


if __name__ == "__main__":
    main()
