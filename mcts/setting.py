"""A setting of a configuration: a field whose definition says which values it may have."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple


class Bounds(NamedTuple):
    """The values that a setting may have."""

    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    even: bool = False
    choices: Sequence[str] = ()
    note: str = ""  # what a special value means

    def hold(self, value: Any) -> bool:
        """Returns whether a value lies within; NaN never does."""
        if self.choices:
            return value in self.choices
        return (
            (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
            and (self.at_most is None or value <= self.at_most)
            and (self.below is None or value < self.below)
            and not (self.even and value % 2)
        )

    def in_words(self) -> str:
        """The bounds of a value in words, such as `at least 0 and below 1`."""
        if self.choices:
            return f"{', '.join(self.choices[:-1])} or {self.choices[-1]}"
        words = ["even"] if self.even else []
        if self.at_least is not None and self.at_most is not None:
            words.append(f"between {self.at_least} and {self.at_most}")
        else:
            limits = {
                "at least": self.at_least,
                "above": self.above,
                "at most": self.at_most,
                "below": self.below,
            }
            said = [f"{word} {limit}" for word, limit in limits.items() if limit is not None]
            words.append(" and ".join(said))
        return ", ".join(words) + (f" ({self.note})" if self.note else "")


def setting(
    default: Any,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    even: bool = False,
    choices: Sequence[str] = (),
    note: str = "",
) -> Any:
    """Returns a dataclass field of this default, whose bounds `problems` checks."""
    bounds = Bounds(at_least, above, at_most, below, even, choices, note)
    return dataclasses.field(default=default, metadata={"bounds": bounds})


def problems(config: Any, section: str = "") -> list[str]:
    """Returns a sentence for each setting of a configuration that is out of its bounds.

    Args:
      section: what the configuration is called in the whole, such as `learner`.
    """
    prefix = f"{section}." if section else ""
    return [
        f"{prefix}{field.name} must be {bounds.in_words()}, got {getattr(config, field.name)!r}"
        for field in dataclasses.fields(config)
        if (bounds := field.metadata.get("bounds")) and not bounds.hold(getattr(config, field.name))
    ]
