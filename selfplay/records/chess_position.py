"""Chess in plain Python, as far as the notation of moves needs it: which pieces can go where.

Rules: FIDE Laws of Chess, articles 3 and 4, https://handbook.fide.com/chapter/E012023. When a game
ends, and whether a whole game is right, is for the rules of the game itself to say.

A square is `rank * 8 + file`, a1 being 0. White is seat 0.
"""

import functools
import re
from collections.abc import Iterator
from typing import NamedTuple

from games.pgx_chess_moves import Move

EMPTY = "."
OPENING = "RNBQKBNR" + "P" * 8 + EMPTY * 32 + "p" * 8 + "rnbqkbnr"
STRAIGHT = ((0, 1), (0, -1), (1, 0), (-1, 0))  # (ranks up, files right)
DIAGONAL = ((1, 1), (1, -1), (-1, 1), (-1, -1))
SLIDES = {"R": STRAIGHT, "B": DIAGONAL, "Q": STRAIGHT + DIAGONAL}
LEAPS = {
    "N": ((1, 2), (2, 1), (2, -1), (1, -2), (-1, -2), (-2, -1), (-2, 1), (-1, 2)),
    "K": STRAIGHT + DIAGONAL,
}
# The king's castling by its target: the rook's square, where the rook goes, the right to do so.
CASTLING = {6: (7, 5, "K"), 2: (0, 3, "Q"), 62: (63, 61, "k"), 58: (56, 59, "q")}
KINGS = (4, 60)  # where they begin, by seat
# A move from or to one of these squares ends these rights.
RIGHTS = {0: "Q", 4: "KQ", 7: "K", 56: "q", 60: "kq", 63: "k"}


class Position(NamedTuple):
    """A position, without the past that repetition asks for."""

    board: str = OPENING  # the piece on each square, white's in capitals, or EMPTY
    seat: int = 0  # who is to move
    rights: str = "KQkq"  # who may still castle, as in a FEN
    en_passant: int = -1  # the square that a pawn has just passed over, or -1


def legal_origins(position: Position, piece: str, target: int) -> list[int]:
    """Returns the squares from which a piece of the mover's may go to a target; `piece` as `N`."""
    own = piece if position.seat == 0 else piece.lower()
    return [
        origin
        for origin, found in enumerate(position.board)
        if found == own
        and _reaches(position, origin, target)
        and _is_safe(position, origin, target)
    ]


def play(position: Position, move: Move) -> Position:
    """Returns the position after a move, which is not looked at."""
    origin, target, promotion = move
    board, seat = list(position.board), position.seat
    piece = board[origin]
    board[origin], board[target] = EMPTY, piece
    passed = -1
    if piece in "Pp":
        if promotion:
            board[target] = promotion.upper() if seat == 0 else promotion.lower()
        if target == position.en_passant:
            board[target + (-8 if seat == 0 else 8)] = EMPTY
        if abs(target - origin) == 16:
            passed = (origin + target) // 2
    elif piece in "Kk" and origin == KINGS[seat] and abs(target - origin) == 2:
        corner, beside, _ = CASTLING[target]
        board[corner], board[beside] = EMPTY, board[corner]
    lost = RIGHTS.get(origin, "") + RIGHTS.get(target, "")
    rights = "".join(right for right in position.rights if right not in lost)
    return Position("".join(board), 1 - seat, rights, passed)


def in_check(position: Position) -> bool:
    """Returns whether the king of the side to move is attacked."""
    king = position.board.find("K" if position.seat == 0 else "k")
    return king >= 0 and _is_attacked(position.board, king, 1 - position.seat)


def waits_in_check(fen: str) -> bool:
    """Returns whether the king that is not to move is attacked: no move leads there.

    Args:
      fen: of a position, as `games.pgx_adapter.chess_position` takes it.
    """
    rows, to_move = fen.split()[:2]
    ranks = re.sub("[1-8]", lambda digit: EMPTY * int(digit[0]), rows).split("/")
    return in_check(Position("".join(reversed(ranks)), 1 - "wb".index(to_move)))


def can_move(position: Position) -> bool:
    """Returns whether the side to move has a legal move."""
    pieces = "PNBRQK"
    return any(legal_origins(position, piece, to) for to in range(64) for piece in pieces)


def _reaches(position: Position, origin: int, target: int) -> bool:
    """Returns whether a piece may go to a target, if its king did not matter."""
    board, piece = position.board, position.board[origin].upper()
    if board[target] != EMPTY and board[target].isupper() == (position.seat == 0):
        return False
    if piece == "P":
        return target in _pawn_targets(position, origin)
    if piece in LEAPS and target in _leaps(piece, origin):
        return True
    if piece == "K":
        return _castles(position, origin, target)
    return piece in SLIDES and target in _slides(board, piece, origin)


def _pawn_targets(position: Position, origin: int) -> Iterator[int]:
    board, seat = position.board, position.seat
    up = 8 if seat == 0 else -8
    if not 0 <= origin + up < 64:
        return
    if board[origin + up] == EMPTY:
        yield origin + up
        if origin // 8 == (1 if seat == 0 else 6) and board[origin + 2 * up] == EMPTY:
            yield origin + 2 * up
    for target in _leaps("P" if seat == 0 else "p", origin):
        if board[target] != EMPTY or target == position.en_passant:
            yield target


def _castles(position: Position, origin: int, target: int) -> bool:
    """Returns whether the king may castle; that it does not end in check is not asked."""
    board, seat = position.board, position.seat
    if origin != KINGS[seat] or target not in CASTLING or abs(target - origin) != 2:
        return False
    corner, beside, right = CASTLING[target]
    between = range(min(origin, corner) + 1, max(origin, corner))
    return (
        right in position.rights
        and all(board[square] == EMPTY for square in between)
        and not any(_is_attacked(board, square, 1 - seat) for square in (origin, beside))
    )


def _is_safe(position: Position, origin: int, target: int) -> bool:
    """Returns whether a move leaves the mover's king unattacked."""
    after = play(position, Move(origin, target))
    return not in_check(after._replace(seat=position.seat))


def _is_attacked(board: str, square: int, seat: int) -> bool:
    """Returns whether a piece of a seat's attacks a square."""
    by = str.upper if seat == 0 else str.lower
    # Looked at from the square: a pawn that could be taken from there by one of the other colour.
    if any(board[at] == by("P") for at in _leaps("p" if seat == 0 else "P", square)):
        return True
    if any(board[at] == by(piece) for piece in LEAPS for at in _leaps(piece, square)):
        return True
    return any(
        board[at] in (by(piece), by("Q")) for piece in "RB" for at in _slides(board, piece, square)
    )


@functools.cache
def _leaps(piece: str, origin: int) -> tuple[int, ...]:
    """Returns where a piece that does not slide attacks: `P` a white pawn, `p` a black one."""
    pawns = {"P": ((1, -1), (1, 1)), "p": ((-1, -1), (-1, 1))}
    steps = pawns.get(piece) or LEAPS[piece]
    return tuple(line[0] for ranks, files in steps if (line := _line(origin, ranks, files)))


def _slides(board: str, piece: str, origin: int) -> Iterator[int]:
    """Yields the squares up to the first piece on each line, that one too."""
    for ranks, files in SLIDES[piece]:
        for square in _line(origin, ranks, files):
            yield square
            if board[square] != EMPTY:
                break


@functools.cache
def _line(origin: int, ranks: int, files: int) -> tuple[int, ...]:
    """Returns the squares from one on in a direction, to the edge."""
    rank, file = divmod(origin, 8)
    line = []
    while 0 <= rank + ranks < 8 and 0 <= file + files < 8:
        rank, file = rank + ranks, file + files
        line.append(rank * 8 + file)
    return tuple(line)
