"""Training examples from an overseer's decisions, mixed into every minibatch."""

import hashlib
from typing import Any, NamedTuple

import numpy as np

from selfplay import example
from selfplay.example import Sample
from training.settings import OverseerConfig


class DecisionExamples(NamedTuple):
    """Decisions to learn from, one a position, and what is to be known of their file."""

    examples: Sample | None  # None if there are none
    digests: tuple[str, ...]  # of the decisions, in their order
    problems: list[str]  # of lines that are left out
    whose: str = ""  # who made how many of them
    unlike: str = ""  # a sentence, if they are not alike where positions are
    pairs: int = 0  # of decisions in positions that are images of one another
    otherwise: int = 0  # of these pairs: they are not images of one another


NOTHING = DecisionExamples(None, (), [])


def mix(
    decision_examples: DecisionExamples,
    config: OverseerConfig,
    rows: np.ndarray,
    symmetry: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Puts decisions in the place of `weight` of a minibatch's examples.

    Args:
      rows: of the replay, [M].
      symmetry: int32[M], through which each example is shown.
    """
    count = round(config.weight * len(symmetry))
    if decision_examples.examples is None or not count:
        return
    drawn = rng.integers(0, len(decision_examples.examples.ply), count)
    # Spread evenly: each device norms by the statistics of its own share of the batch.
    places = np.arange(count) * len(symmetry) // count
    rows[places] = np.zeros(1, rows.dtype)  # decisions have no targets: 0, of weight 0
    example.fill_rows(rows, example.flat(example.take(decision_examples.examples, drawn)), places)
    if not config.augment:
        symmetry[places] = 0  # the first one is the identity


def policy_of_games(
    decision_examples: DecisionExamples, config: OverseerConfig
) -> tuple[float, float]:
    """Returns the weights of the policy's loss on examples of games, and on those of them that win.

    They are 1 where nobody decides.
    """
    if decision_examples.examples is None:
        return 1.0, 1.0
    return config.games_policy, config.wins_policy


def counters(decision_examples: DecisionExamples) -> dict[str, Any]:
    """The decisions in use, as a checkpoint notes them."""
    return {
        "decisions": len(decision_examples.digests),
        "decisions_sha256": _digest(decision_examples.digests),
    }


def changes(decision_examples: DecisionExamples, saved: dict[str, Any]) -> str:
    """Returns how the decisions differ from those of a checkpoint's counters; "" if they do not."""
    before, now = saved["decisions"], len(decision_examples.digests)
    if saved["decisions_sha256"] == _digest(decision_examples.digests[:before]):
        if before == now:
            return ""
        return f"{now - before} new decisions are learned from, beside {before}"
    return f"other decisions are learned from now: {now}, where there were {before}"


def _digest(digests: tuple[str, ...]) -> str:
    return hashlib.sha256("".join(digests).encode()).hexdigest()
