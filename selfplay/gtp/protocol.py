"""The text of the Go Text Protocol, version 2, as server and client write and read it.

Source: Farnebäck, "Specification of the Go Text Protocol, version 2, draft 2", 2002,
https://www.lysator.liu.se/~gunnar/gtp/. Colours stand for seats in every game: black moves first.
"""

import re
from typing import NamedTuple

COLOURS = ("black", "white")  # by seat
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class Request(NamedTuple):
    """One command."""

    id: str  # digits, or empty
    name: str  # empty if the line holds nothing but an id
    arguments: list[str]


def read_request(line: bytes) -> Request | None:
    """Returns the command in a line, None if there is none; any bytes will do."""
    text = line.decode("utf-8", errors="replace").replace("\t", " ")
    words = _CONTROL.sub("", text).partition("#")[0].split()
    if not words:
        return None
    number = words.pop(0) if words[0].isascii() and words[0].isdigit() else ""
    return Request(number, words[0] if words else "", words[1:])


def response(request_id: str, text: str, success: bool = True) -> str:
    """Returns an answer; an empty line ends it, so there is none inside."""
    lines = [line for line in _CONTROL.sub("", text).split("\n") if line.strip()]
    head = f"{'=' if success else '?'}{request_id} "
    if text.startswith("\n"):  # a picture, which begins on a line of its own
        head += "\n"
    return head + "\n".join(lines) + "\n\n"


def read_colour(text: str) -> int | None:
    """Returns the seat of `b`, `black`, `w` or `white` in any case; None for anything else."""
    return {"b": 0, "black": 0, "w": 1, "white": 1}.get(text.lower())
