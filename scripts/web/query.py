"""The query of a GET request: what a page asks to read, and the whole numbers in it."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from scripts.web.shelf import Shelf

Query: TypeAlias = Mapping[str, str]
Reader: TypeAlias = Callable[[Shelf, Query], dict[str, Any]]
MAX_NUMBER = 10**15  # a browser's numbers are exact up to here


def whole(args: Query, name: str) -> int | None:
    """An argument that is a whole number, 0 or more; None without it. Raises ValueError if not."""
    return _number(args[name], name) if args.get(name) else None


def wholes(args: Query, name: str) -> tuple[int, ...]:
    """An argument that is a list of whole numbers between commas. Raises ValueError if not."""
    return tuple(_number(word, name) for word in args.get(name, "").split(",") if word)


def _number(text: str, name: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 16 and int(text) < MAX_NUMBER):
        raise ValueError(f"{name!r} must be whole numbers, not negative, got {text[:40]!r}")
    return int(text)
