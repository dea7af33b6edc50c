"""Go in plain Python, by flood fill and a set of past boards; it shares no code with `games/`."""

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

    @property
    def to_play(self) -> int:
        return len(self.actions) % 2

    @property
    def ended(self) -> bool:
        passes = [self.size**2] * 2
        return self.actions[-2:] == passes or len(self.actions) >= self.max_plies

    def beside(self, point: int) -> list[int]:
        row, col = divmod(point, self.size)
        sides = [(row - 1, col), (row, col - 1), (row, col + 1), (row + 1, col)]
        inside = range(self.size)
        return [r * self.size + c for r, c in sides if r in inside and c in inside]

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
        legal = {p: board for p, board in boards.items() if board and board not in self.past}
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


def diagram(text: str) -> tuple[list[int], list[int]]:
    """Returns the points of the X and of the O in rows of symbols, spaces ignored."""
    symbols = "".join(text.split())
    return tuple([i for i, s in enumerate(symbols) if s == colour] for colour in COLOURS)


def moves_to(text: str, last: int) -> list[int]:
    """Returns actions from the empty board to a diagram, the last one by seat `last`.

    The seat with fewer stones passes early on, so that no two passes follow each other; only if
    the other seat would have the last move does it end with a pass.
    """
    black, white = diagram(text)
    a_pass = len("".join(text.split()))
    black = [a_pass] * (len(white) - len(black)) + black
    white = [a_pass] * (len(black) - len(white)) + white
    moves = list(itertools.chain.from_iterable(zip(black, white, strict=True)))
    return moves if last == 1 else [*moves, a_pass]
