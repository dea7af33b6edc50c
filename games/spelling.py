"""Spelling suggestions: the known name that is nearest to an unknown one."""

import difflib
import re
from collections.abc import Iterable, Mapping

ALIKE = 0.65  # of difflib's ratio, which is 1 for equal words


def near(name: str, known: Iterable[str], others: Mapping[str, str] | None = None) -> str:
    """Returns the known name that `name` is nearest to, or an empty text.

    Case, hyphens and the like do not count.

    Args:
      others: further names that people use, and the known one that each means.
    """
    meant = dict(others or {}) | {word: word for word in known}
    plain = {_plain(word): known_name for word, known_name in meant.items()}
    [closest] = difflib.get_close_matches(_plain(name), plain, 1, ALIKE) or [""]
    return plain.get(closest, "")


def did_you_mean(name: str, known: Iterable[str], others: Mapping[str, str] | None = None) -> str:
    """Returns ` (did you mean X?)`, to stand behind the name in a sentence, or an empty text."""
    nearest = near(name, known, others)
    return f" (did you mean {nearest}?)" if nearest else ""


def _plain(name: str) -> str:
    return re.sub(r"[-_ .]", "", name.lower())
