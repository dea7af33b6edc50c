"""The suite's parts: what each measures, by which command, and how long that may take.

Imports neither jax nor what needs it: a wrong name of a part is told at once.
"""

import pathlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from scripts.benchmarks import child, settings

MINUTES, LONG_MINUTES, SMALL_MINUTES = 4.0, 8.0, 1.0  # of training: Connect Four, Go, on a CPU
SAVES = 8  # of a run, evenly: one of them is its half
# Seconds on a card are guesses, for nobody has measured there. What was compiled before comes from
# the cache (scripts/terminal/compilation_cache.py).
RULES = ("connect_four", "othello", "go:size=9")
TRAINED = {"connect_four": 35, "go:size=9": 40}  # and the seconds of a dry run on a card
SEARCHED = {  # rows of searching.py, and the seconds of each on a card
    "go9-gumbel": 60,
    "go9-puct": 70,
    "connect-four": 50,
    "othello": 60,
    "go19-puct": 90,
    "go9-self-play": 45,
}
BUFFERED = "go9-gumbel"
ALL = "all"  # parts


class Measurement(NamedTuple):
    """One command, measured or trained in a process of its own."""

    name: str  # PART/WHAT
    words: Sequence[str]
    seconds: float  # that it takes, we think
    trains: bool = False  # it prints no figures, and saves when it is asked to stop
    stop_after: float = 0.0  # seconds after which it is asked; 0: it goes to its end


class Where(NamedTuple):
    """What the plan depends on."""

    shrunk: bool  # there is no accelerator
    out: pathlib.Path  # the suite's folder
    long: bool  # also what takes long

    def seconds(self, on_card: float, on_cpu: float) -> float:
        """Returns the estimate for this machine."""
        return on_cpu if self.shrunk else on_card


def search(where: Where) -> list[Measurement]:
    """Searches beside their network, and command buffers."""
    found = [
        Measurement(
            f"search/{row}",
            child.measuring("searching", row, where.shrunk),
            where.seconds(on_card, 45),
        )
        for row, on_card in SEARCHED.items()
    ]
    words = child.measuring("command_buffers", BUFFERED, where.shrunk)
    return [*found, Measurement("search/command-buffers", words, where.seconds(60, 10))]


def rules(where: Where) -> list[Measurement]:
    """Steps of the rules beside pgx's."""
    seconds = where.seconds(15, 35)
    return [
        Measurement(
            f"rules/{game}", child.measuring("rules_beside_pgx", game, where.shrunk), seconds
        )
        for game in RULES
    ]


def training(where: Where) -> list[Measurement]:
    """A training step, the loop, and what determinism costs."""
    found = [
        Measurement(
            f"training/step-{game}",
            child.measuring("training_cost", f"step-{game}", where.shrunk),
            where.seconds(on_card, 60),
        )
        for game, on_card in TRAINED.items()
    ]
    game = "connect_four"
    loop = child.measuring("training_cost", f"loop-{game}", where.shrunk)
    determinism = child.measuring("determinism", game, where.shrunk)
    return [
        *found,
        Measurement(f"training/loop-{game}", loop, where.seconds(45, 85)),
        Measurement(f"training/deterministic-{game}", determinism, where.seconds(85, 60)),
    ]


def learning(where: Where) -> list[Measurement]:
    """A run of Connect Four against perfect play; if long, one of Go against its half."""
    game, folder = "connect_four", str(where.out / "connect_four")
    minutes = SMALL_MINUTES if where.shrunk else MINUTES
    mistakes = child.measuring("learned", f"mistakes-{folder}", where.shrunk)
    found = [
        _train("learning/connect_four", where, game, folder, minutes),
        Measurement("learning/connect_four-mistakes", mistakes, where.seconds(30, 20)),
    ]
    return found + (_go(where) if where.long else [])


def _go(where: Where) -> list[Measurement]:
    """A run of Go in two measurements, for two calls, then its matches."""
    game, folder = "go:size=9", str(where.out / "go9")
    minutes = SMALL_MINUTES if where.shrunk else LONG_MINUTES
    # Its own measuring at the end would take longer than what a call has left.
    whole = _train("learning/go9", where, game, folder, minutes, "--evaluation.every", "0")
    half = whole._replace(
        name="learning/go9-first-half", stop_after=30 * minutes, seconds=30 * minutes + 30
    )
    rest = whole._replace(seconds=whole.seconds - 30 * minutes)
    matches = [
        Measurement(
            f"learning/go9-{kind}",
            child.measuring("learned", f"{kind}-{folder}", where.shrunk),
            where.seconds(seconds, 60),
        )
        for kind, seconds in (("half", 90), ("gnugo", 240))
    ]
    return [half, rest, *matches]


def _train(
    name: str, where: Where, game: str, folder: str, minutes: float, *more: str
) -> Measurement:
    words = ["train", folder, *settings.flags_of(game, where.shrunk, minutes)]
    words += ["--checkpoint.every-seconds", str(60 * minutes / SAVES)]
    words += ["--checkpoint.keep-every", "1", *more]  # all of them
    command = child.command("scripts.cli", *words)
    return Measurement(name, command, 60 * minutes + where.seconds(25, 30), trains=True)


def memory(where: Where) -> list[Measurement]:
    """Memory as predicted, and as used."""
    return [
        Measurement(
            f"memory/{game}",
            child.measuring("memory", game, where.shrunk),
            where.seconds(25, 30),
        )
        for game in TRAINED
    ]


PARTS: dict[str, Callable[[Where], list[Measurement]]] = {
    "search": search,
    "rules": rules,
    "training": training,
    "learning": learning,
    "memory": memory,
}


def chosen(text: str) -> list[str]:
    """Returns the parts that `--parts` names, in their order.

    Raises:
      ValueError: it names none, or one that there is not.
    """
    if text == ALL:
        return list(PARTS)
    asked = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in asked if name not in PARTS]
    if unknown:
        raise ValueError(
            f"--parts: unknown {', '.join(map(repr, unknown))}; known: {', '.join(PARTS)}"
        )
    if not asked:
        raise ValueError(f"--parts: names none; known: {ALL}, {', '.join(PARTS)}")
    return [name for name in PARTS if name in asked]
