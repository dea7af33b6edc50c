"""The names of what amplifies, as text: nothing here imports or starts anything."""

import dataclasses

from games import consent

FORMS = (
    "search, policy, committee, engine:COMMAND, human, human:PROGRAM, player:SPEC "
    "or module:function"
)


@dataclasses.dataclass(frozen=True)
class CommitteeConfig:
    """Who is on the committee."""

    members: int = 4  # of which each takes the next symmetry of the game, the first the identity
    considered: int = 0  # actions that a member's Gumbel search starts from; 0: as the search does


def parse_committee(options: str) -> CommitteeConfig:
    """Returns the committee of `key=value,...`; raises ValueError if it cannot be."""
    values = {}
    for item in filter(None, options.split(",")):
        name, _, value = item.partition("=")
        known = {field.name for field in dataclasses.fields(CommitteeConfig)}
        if name not in known or not value.isdecimal():
            raise ValueError(f"a committee has members=NUMBER and considered=NUMBER, got {item!r}")
        values[name] = int(value)
    config = CommitteeConfig(**values)
    if config.members < 2:
        raise ValueError(f"a committee needs at least 2 members, got {config.members}")
    return config


def problems(spec: str) -> list[str]:
    """Returns what is wrong with an amplifier's name, without importing anything."""
    kind, _, rest = spec.partition(":")
    if kind == "committee":
        try:
            parse_committee(rest)
        except ValueError as error:
            return [f"amplify {spec!r}: {error}"]
        return []
    if spec in ("search", "policy", "human") or (kind and rest):
        return []
    return [f"amplify must be {FORMS}, got {spec!r}"]


def code_in(spec: str) -> consent.Code | None:
    """Returns the code that an amplifier's name would run beside ours, if any."""
    kind, _, rest = spec.partition(":")
    if spec in ("search", "policy", "human") or kind == "committee":
        return None
    return consent.code_of_player(rest) if kind == "player" else consent.code_of(spec)
