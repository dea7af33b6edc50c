"""A player's own settings on a command line: `R:simulations=64,policy=puct`.

As in a game's spec, what follows a colon is settings if it holds a `=`. They are those of
`SearchConfig`, and `temperature`.
"""

import dataclasses
from typing import Any, NamedTuple

from mcts import SearchConfig

WORDS = {"true": True, "false": False}


class PlayerSettings(NamedTuple):
    """What a player's spec sets."""

    simulations: int | None = None
    temperature: float = 0.0
    search: dict[str, Any] = {}  # noqa: RUF012  # other fields of `SearchConfig`, never changed
    text: str = ""  # as it was written, with its colon


def split_settings(spec: str) -> tuple[str, PlayerSettings]:
    """Returns a player's spec without its settings, and them.

    Raises:
      ValueError: a setting that does not exist, or a value that it cannot have.
    """
    name, colon, text = spec.rpartition(":")
    if not colon or "=" not in text or spec.startswith("gtp:"):  # a command may hold anything
        return spec, PlayerSettings()
    examples = dataclasses.asdict(SearchConfig()) | {"temperature": 0.0}
    found: dict[str, Any] = {}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if not equals or key not in examples:
            raise ValueError(
                f"player {spec!r}: {part!r} is no setting; known, as name=value: "
                f"{', '.join(examples)}"
            )
        found[key] = _parse(spec, key, value, type(examples[key]))
    simulations, temperature = found.pop("simulations", None), found.pop("temperature", 0.0)
    if simulations is not None and simulations < 0:
        raise ValueError(f"player {spec!r}: simulations must be at least 0, got {simulations}")
    if not temperature >= 0:
        raise ValueError(f"player {spec!r}: temperature must be at least 0, got {temperature}")
    if problems := dataclasses.replace(SearchConfig(), **found).problems():
        raise ValueError(f"player {spec!r}: {'; '.join(problems)}")
    return name, PlayerSettings(simulations, temperature, found, colon + text)


def _parse(spec: str, name: str, text: str, kind: type) -> Any:
    try:
        return WORDS[text.lower()] if kind is bool else kind(text)
    except (KeyError, ValueError):
        wanted = "true or false" if kind is bool else f"a value of type {kind.__name__}"
        raise ValueError(f"player {spec!r}: {name} must be {wanted}, got {text!r}") from None
