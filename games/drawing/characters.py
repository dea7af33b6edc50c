"""Text pictures as arrays of characters, and where two of them differ."""

import re
import unicodedata
from collections.abc import Collection

import numpy as np

MOST_ROWS, MOST_COLS = 200, 300  # of a picture; what lies beyond is cut off
COLOURS = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")  # what terminals take for colours and the like
BLANK = ord(" ")


def plain(picture: object) -> str:
    """Returns a picture as lines of characters, without colours and tabs; blanks end no line."""
    text = COLOURS.sub("", str(picture)).replace("\r\n", "\n").expandtabs()
    lines = [line[:MOST_COLS].rstrip() for line in text.split("\n")[:MOST_ROWS]]
    return "\n".join(lines).rstrip("\n")


def aligned(texts: list[str]) -> np.ndarray:
    """Returns uint32[N, H, W]: the code points of pictures, padded with blanks.

    A picture with more or fewer lines than the first may have them at its top or at its end:
    whichever leaves more of it as the first one is.
    """
    rows = [text.split("\n") for text in texts]
    first = rows[0]
    rows = [first, *(_beside(first, lines) for lines in rows[1:])]
    height = max(map(len, rows))
    width = max(1, max(len(line) for lines in rows for line in lines))
    padded = "".join(
        line.ljust(width) for lines in rows for line in [*lines, *[""] * (height - len(lines))]
    )
    points = np.frombuffer(padded.encode("utf-32-le", "surrogatepass"), np.uint32)
    return points.reshape(len(rows), height, width)


def padded(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """Returns uint32[..., H, W] with blanks below and on the right, at least as large as it is."""
    rows, cols = picture.shape[-2:]
    around = [(0, 0)] * (picture.ndim - 2) + [(0, max(0, height - rows)), (0, max(0, width - cols))]
    return np.pad(picture, around, constant_values=BLANK)


def stacked(pictures: list[np.ndarray]) -> np.ndarray:
    """Returns uint32[N, H, W]: the pictures of several such arrays, as large as the largest."""
    height, width = (max((some.shape[axis] for some in pictures), default=0) for axis in (1, 2))
    if not pictures:
        return np.zeros((0, 0, 0), np.uint32)
    return np.concatenate([padded(some, height, width) for some in pictures])


def is_any(points: np.ndarray, some: Collection[int]) -> np.ndarray:
    """Returns where code points are any of a few: faster than `np.isin`."""
    result = np.zeros(points.shape, bool)
    for point in some:
        result |= points == point
    return result


def length(row: np.ndarray) -> int:
    """Returns the length of uint32[W] without the blanks at its end."""
    return int(np.flatnonzero(row != BLANK).max(initial=-1)) + 1


def glyphs(row: np.ndarray) -> list[tuple[int, float, str]]:
    """Returns column, place and character of all in uint32[W] that show.

    The place is counted in characters of the usual width; wide ones take two, and what only
    changes the character before it, such as an accent, is one with it.
    """
    shown: list[tuple[int, float, str]] = []
    place = 0.0
    for column, point in enumerate(row.tolist()):
        character = chr(point)
        if _joins(character) and shown:
            shown[-1] = (*shown[-1][:2], shown[-1][2] + character)
            continue
        width = 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if point != BLANK:
            shown.append((column, place + (width - 1) / 2, character))
        place += width
    return shown


def _joins(character: str) -> bool:
    return not character.isascii() and unicodedata.category(character) in ("Mn", "Me", "Cf")


def _beside(first: list[str], lines: list[str]) -> list[str]:
    """Returns `lines`, moved so that more of them lie beside the same ones of `first`."""
    extra = len(lines) - len(first)
    if not extra:
        return lines
    moved = lines[extra:] if extra > 0 else [*[""] * -extra, *lines]
    return max((lines, moved), key=lambda some: _same(first, some))


def _same(first: list[str], lines: list[str]) -> int:
    pairs = zip(first, lines, strict=False)
    return sum(a == b for old, new in pairs for a, b in zip(old, new, strict=False) if a != " ")
