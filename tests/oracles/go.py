"""Go in plain Python, by flood fill and a set of past boards; it shares no code with `games/`."""

import functools
import itertools
import random

COLOURS = "XO"  # seat 0, seat 1


class PlainGo:
    """One game; the board is a string of '.', 'X' and 'O', row 0 first, the pass is size * size."""

    def __init__(self, size: int, komi: float) -> None:
        self.size, self.komi, self.max_plies = size, komi, 2 * size * size
        self.board = "." * size**2
        self.past = {self.board}
        self.actions: list[int] = []
        self.bans = 0  # moves that `legal` has refused only because they repeat a board

    @property
    def to_play(self) -> int:
        return len(self.actions) % 2

    @property
    def ended(self) -> bool:
        passes = [self.size**2] * 2
        return self.actions[-2:] == passes or len(self.actions) >= self.max_plies

    def beside(self, point: int) -> list[int]:
        return neighbours(self.size, point)

    def flood(self, board: str, point: int) -> tuple[set[int], set[str]]:
        """Returns the points joined to `point` by its own symbol, and the symbols around them."""
        found, todo, border = {point}, [point], set()
        while todo:
            for other in self.beside(todo.pop()):
                if board[other] != board[point]:
                    border.add(board[other])
                elif other not in found:
                    found.add(other)
                    todo.append(other)
        return found, border

    def after(self, point: int) -> str | None:
        """Returns the board after the mover's stone on `point`, None if it is taken or suicide."""
        if self.board[point] != ".":
            return None
        mine, yours = COLOURS[self.to_play], COLOURS[1 - self.to_play]
        board = self.board[:point] + mine + self.board[point + 1 :]
        for other in self.beside(point):
            if board[other] == yours:
                chain, border = self.flood(board, other)
                if "." not in border:
                    board = "".join("." if i in chain else s for i, s in enumerate(board))
        return board if "." in self.flood(board, point)[1] else None

    def legal(self) -> dict[int, str]:
        """Returns the board after each legal action, the pass last."""
        if self.ended:
            return {}
        boards = {point: self.after(point) for point in range(self.size**2)}
        boards = {point: board for point, board in boards.items() if board}
        legal = {point: board for point, board in boards.items() if board not in self.past}
        self.bans += len(boards) - len(legal)
        return legal | {self.size**2: self.board}

    def play(self, action: int) -> None:
        if action != self.size**2:
            board = self.after(action)
            assert board is not None
            self.board = board
            self.past.add(board)
        self.actions.append(action)

    def area(self) -> list[int]:
        counts = [self.board.count(colour) for colour in COLOURS]
        for point in range(self.size**2):
            if self.board[point] == ".":
                _, border = self.flood(self.board, point)
                for seat, colour in enumerate(COLOURS):
                    counts[seat] += border == {colour}
        return counts

    def returns(self) -> list[float]:
        if not self.ended:
            return [0.0, 0.0]
        black, white = self.area()
        lead = black - white - self.komi
        return [float((lead > 0) - (lead < 0)), float((lead < 0) - (lead > 0))]

    def choose(self, rng: random.Random, legal: dict[int, str]) -> int:
        """Returns a random legal action: often a capture, hardly ever a pass before the end."""
        *points, a_pass = legal
        stones = self.size**2 - self.board.count(".")
        captures = [p for p in points if self.size**2 - legal[p].count(".") <= stones]
        if not points or rng.random() < 0.01:
            return a_pass
        return rng.choice(captures if captures and rng.random() < 0.6 else points)

    def is_eye(self, point: int) -> bool:
        """Returns whether an empty point is an eye of the mover's that cannot be taken from it."""
        row, col = divmod(point, self.size)
        corners = [(r, c) for r in (row - 1, row + 1) for c in (col - 1, col + 1)]
        corners = [(r, c) for r, c in corners if 0 <= r < self.size and 0 <= c < self.size]
        other = COLOURS[1 - self.to_play]
        lost = [self.board[r * self.size + c] for r, c in corners].count(other)
        own = {self.board[q] for q in self.beside(point)} == {COLOURS[self.to_play]}
        return own and lost <= (len(corners) == 4)

    def choose_to_finish(self, rng: random.Random) -> int:
        """Returns a random legal move that fills no eye of the mover; the pass if there is none."""
        points = [p for p in self.legal() if p < self.size**2 and not self.is_eye(p)]
        return rng.choice(points) if points else self.size**2

    def perft(self, depth: int) -> int:
        """Returns the number of ways to play `depth` more plies."""
        legal = self.legal()
        if depth == 1:
            return len(legal)
        count = 0
        for action, board in legal.items():
            child = PlainGo(self.size, self.komi)
            child.board, child.past = board, self.past | {board}
            child.actions = [*self.actions, action]
            count += child.perft(depth - 1)
        return count


@functools.cache
def neighbours(size: int, point: int) -> list[int]:
    row, col = divmod(point, size)
    sides = [(row - 1, col), (row, col - 1), (row, col + 1), (row + 1, col)]
    return [r * size + c for r, c in sides if 0 <= r < size and 0 <= c < size]


def moves_to(text: str, to_play: int) -> list[int]:
    """Returns actions from the empty board to a diagram (rows of symbols) with `to_play` to move.

    A seat that has too few stones passes early on, so no two passes follow each other, and the
    diagram appears just once: after the last stone.
    """
    symbols = "".join(text.split())
    black, white = ([i for i, s in enumerate(symbols) if s == colour] for colour in COLOURS)
    a_pass, lead = len(symbols), len(black) - len(white) - to_play
    black = [a_pass] * -lead + black
    white = [a_pass] * lead + white
    moves = itertools.chain.from_iterable(itertools.zip_longest(black, white))
    return [move for move in moves if move is not None]
