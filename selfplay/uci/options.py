"""The options that an engine offers by UCI, and values for them that it can take."""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from games.spelling import did_you_mean
from selfplay.engines.process import EngineFault
from selfplay.engines.spec import LIMITS

THINKING = ("nodes", "movetime", "depth")  # ours, which end an engine's thinking
OURS = (*LIMITS, *THINKING)
VARIANT, CHESS = "UCI_Variant", "chess"
ELO, LIMIT_STRENGTH, THREADS = "UCI_Elo", "UCI_LimitStrength", "Threads"
_LINE = re.compile(r"option\s+name\s+(.+?)\s+type\s+(\w+)(.*)")


class Option(NamedTuple):
    """One option."""

    name: str
    kind: str  # check, spin, combo, button, string
    low: int | None
    high: int | None
    choices: tuple[str, ...]


def read_options(text: str) -> dict[str, Option]:
    """Returns the options among an engine's lines, by name in lower case: UCI ignores case."""
    found = filter(None, (_LINE.fullmatch(line.strip()) for line in text.split("\n")))
    options = (_option(*match.groups()) for match in found)
    return {option.name.lower(): option for option in options}


def _option(name: str, kind: str, rest: str) -> Option:
    bounds = {key: int(value) for key, value in re.findall(r"\b(min|max)\s+(-?\d+)", rest)}
    choices = tuple(choice.strip() for choice in re.split(r"\s+var\s+", f"{rest} ")[1:])
    return Option(name, kind, bounds.get("min"), bounds.get("max"), choices)


def commands(
    offered: Mapping[str, Option], wanted: Mapping[str, str], variant: str
) -> Iterable[str]:
    """Returns the commands that set an engine up for a game.

    One thread, unless another number is wanted: there are several processes. An Elo asks for the
    limit of strength, too.

    Raises:
      EngineFault: it has no such option, or not that value, or does not play the variant.
    """
    settings = {THREADS: "1"} if THREADS.lower() in offered else {}
    given = {name.lower() for name in wanted}
    if ELO.lower() in given and LIMIT_STRENGTH.lower() not in given:
        settings[LIMIT_STRENGTH] = "true"
    settings |= wanted
    _check_variant(offered, wanted, variant)
    if VARIANT.lower() in offered:
        settings[VARIANT] = variant
    return [
        f"setoption name {option.name} value {_checked(option, value)}"
        for option, value in ((_find(offered, name), value) for name, value in settings.items())
    ]


def _check_variant(offered: Mapping[str, Option], wanted: Mapping[str, str], variant: str) -> None:
    if VARIANT.lower() in {name.lower() for name in wanted}:
        raise EngineFault(f"is told its {VARIANT} by us: leave that out, and name the game")
    plays = offered[VARIANT.lower()].choices if VARIANT.lower() in offered else (CHESS,)
    if variant not in plays:
        raise EngineFault(f"does not play {variant}, only {', '.join(plays)}")


def _find(offered: Mapping[str, Option], name: str) -> Option:
    if name.lower() in offered:
        return offered[name.lower()]
    known = [option.name for option in offered.values() if option.kind != "button"]
    raise EngineFault(
        f"has no option {name!r}{did_you_mean(name, [*known, *OURS])}; it has {', '.join(known)}; "
        f"and {', '.join(OURS)} are for us"
    )


def _checked(option: Option, value: str) -> str:
    """Returns a value that an option can have."""
    low, high = option.low, option.high
    if option.kind == "check" and value.lower() not in ("true", "false"):
        raise EngineFault(f"takes true or false as {option.name}, got {value!r}")
    if option.kind == "spin":
        number = int(value) if re.fullmatch(r"-?[0-9]{1,18}", value) else None
        too_low = number is not None and low is not None and number < low
        too_high = number is not None and high is not None and number > high
        if number is None or too_low or too_high:
            raise EngineFault(
                f"takes a whole number from {low} to {high} as {option.name}, got {value!r}"
            )
    if option.kind == "combo":
        same = [choice for choice in option.choices if choice.lower() == value.lower()]
        if not same:
            raise EngineFault(
                f"takes {' or '.join(option.choices)} as {option.name}, got {value!r}"
            )
        return same[0]
    if option.kind == "button":
        raise EngineFault(f"has a button {option.name}, which takes no value")
    return value.lower() if option.kind == "check" else value
