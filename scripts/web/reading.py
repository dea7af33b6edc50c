"""What the server reads for a page: run folders, records, matches. Nothing here needs jax."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from scripts.web import reading_match
from scripts.web.shelf import Shelf

Reader: TypeAlias = Callable[[Shelf, Mapping[str, str]], dict[str, Any]]


def runs(shelf: Shelf, args: Mapping[str, str]) -> dict[str, Any]:
    """Returns all runs and matches, the newest first."""
    return {
        "runs": [{"name": str(path)} for path in shelf.runs()],
        "matches": [{"name": str(path)} for path in shelf.matches()],
    }


READERS: dict[str, Reader] = {"runs": runs, **reading_match.READERS}
