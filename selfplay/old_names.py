"""Old names of settings, accepted for ever: as flags, in players' names, and in files.

A setting that gets another name leaves its old one here, and nowhere else. Help and new files have
the new name only.
"""

from collections.abc import Sequence

from games.consent import ENGINES

SETTINGS = {
    "search.first_play": "search.fpu",
    "search.puct_values": "search.q_transform",
    "search.reuse": "search.reuse_nodes",
    "search.symmetries": "search.average_symmetries",
    "replay.reuse": "replay.samples_per_row",
    "learner.final_rate": "learner.final_rate_fraction",
    "learner.decay_from": "learner.decay_start_fraction",
    "learner.average_decay": "learner.ema_decay",
    "learner.symmetries": "learner.augment",
    "overseer.symmetries": "overseer.augment",
    "symmetries": "augment",  # of `selfplay imitate`
    "jobs": "workers",  # of `selfplay sweep`
}


def current(name: str) -> str:
    """Returns the name that a setting has now; `name` as in `learner.final_rate`."""
    return SETTINGS.get(name, name)


def current_search(name: str) -> str:
    """Returns the name that a field of `SearchConfig` has now."""
    return current(f"search.{name}").removeprefix("search.")


def current_flags(argv: Sequence[str]) -> list[str]:
    """Returns the words of a command line with the names that its flags have now."""
    return [_flag(word) if word.startswith("--") else word for word in argv]


def _flag(word: str) -> str:
    flag, equals, value = word.partition("=")
    section, dot, name = flag[2:].replace("-", "_").rpartition(".")
    negated = name.startswith("no_")
    old = section + dot + name.removeprefix("no_")
    if old not in SETTINGS:
        return word
    section, dot, name = SETTINGS[old].rpartition(".")
    new = section + dot + ("no_" if negated else "") + name
    return f"--{new.replace('_', '-')}{equals}{value}"


def current_player(name: str) -> str:
    """Returns a player's name, such as `R@5:leaves=2,reuse=0`, as its settings are called now.

    A command of an engine, and what is no list of settings, stays as it is.
    """
    head, colon, text = name.rpartition(":")
    parts = text.split(",")
    if not colon or name.startswith(ENGINES) or not all("=" in part for part in parts):
        return name
    pairs = (part.partition("=") for part in parts)
    return head + colon + ",".join(current_search(key) + "=" + value for key, _, value in pairs)
