"""Moves of chess in standard algebraic notation (SAN), such as `Nbd7`, `exd6`, `e8=Q+`, `O-O`.

Format: section 8.2.3 of http://www.saremba.de/chessgml/standards/pgn/pgn-complete.htm (1994).
"""

import re

from games.pgx_chess_moves import Move, square_name
from selfplay.records.chess_position import (
    CASTLING,
    EMPTY,
    KINGS,
    Position,
    can_move,
    in_check,
    legal_origins,
    play,
)

NAMES = {"P": "pawn", "N": "knight", "B": "bishop", "R": "rook", "Q": "queen", "K": "king"}
# Check marks and what an annotator thinks say nothing of the move; the castling zeros are common.
_MOVE = re.compile(r"([KQRBN]?)([a-h]?)([1-8]?)[-x:]?([a-h][1-8])(?:=?([QRBN]))?[+#]*+[!?]*+")
_CASTLING = re.compile(r"[O0]-[O0](-[O0])?[+#]*+[!?]*+")


def read(position: Position, text: str) -> Move:
    """Returns the legal move that a text names.

    Raises:
      ValueError: it names none, or more than one; says which.
    """
    if castling := _CASTLING.fullmatch(text):
        return _castle(position, text, is_long=bool(castling[1]))
    found = _MOVE.fullmatch(text)
    if not found:
        raise ValueError(f"{text[:20]!r} is no move")
    piece, file, rank, name, promotion = found.groups()
    piece = piece or "P"
    target = _square(name)
    is_last = piece == "P" and target // 8 == (7 if position.seat == 0 else 0)
    if bool(promotion) != is_last:
        missing = "does not say what the pawn becomes" if is_last else "promotes where nothing can"
        raise ValueError(f"{text} {missing}")
    if piece == "P" and not file:
        file = name[0]  # a capture by a pawn names its file
    origins = [
        origin
        for origin in legal_origins(position, piece, target)
        if file in ("", square_name(origin)[0]) and rank in ("", square_name(origin)[1])
    ]
    if not origins:
        raise ValueError(f"{text} is illegal: no {NAMES[piece]} may go to {name}")
    if len(origins) > 1:
        where = " and ".join(map(square_name, origins))
        raise ValueError(f"{text} may be any of the moves of the {NAMES[piece]}s on {where}")
    return Move(origins[0], target, (promotion or "").lower())


def write(position: Position, move: Move) -> str:
    """Returns the shortest name that the standard allows for a legal move, with its check mark."""
    after = play(position, move)
    mark = "" if not in_check(after) else "+" if can_move(after) else "#"
    return _unmarked(position, move) + mark


def _unmarked(position: Position, move: Move) -> str:
    origin, target, promotion = move
    piece, name = position.board[origin].upper(), square_name(origin)
    if piece == "K" and origin == KINGS[position.seat] and abs(target - origin) == 2:
        return "O-O" if target > origin else "O-O-O"
    takes = position.board[target] != EMPTY or (piece == "P" and (target - origin) % 8 != 0)
    end = ("x" if takes else "") + square_name(target)
    if piece == "P":
        return (name[0] if takes else "") + end + (f"={promotion.upper()}" if promotion else "")
    others = [at for at in legal_origins(position, piece, target) if at != origin]
    if not others:
        return piece + end
    if all(at % 8 != origin % 8 for at in others):
        return piece + name[0] + end
    if all(at // 8 != origin // 8 for at in others):
        return piece + name[1] + end
    return piece + name + end


def _castle(position: Position, text: str, is_long: bool) -> Move:
    origin = KINGS[position.seat]
    target = origin + (-2 if is_long else 2)
    assert target in CASTLING
    if origin not in legal_origins(position, "K", target):
        raise ValueError(f"{text} is illegal: the king may not castle there")
    return Move(origin, target)


def _square(name: str) -> int:
    return (ord(name[1]) - ord("1")) * 8 + ord(name[0]) - ord("a")
