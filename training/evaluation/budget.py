"""What measuring costs beside learning, in network evaluations, and what it may cost.

They are counted, not timed: what a run decides must not depend on the machine's speed. A search of
n simulations takes n + 1 evaluations, with its root; a row of a minibatch counts for 3, for its
gradient costs twice the way forward. An overseer that is no search of ours counts for as many as
the run's search.
"""

from selfplay.amplify.spec import parse_committee
from selfplay.arena.result import MatchResult
from training.config import RunConfig
from training.progress import Progress

SHARE = 0.05  # of all that a run computes
PER_ROW = 3


def of_amplifier(config: RunConfig) -> int:
    """Returns the evaluations of one decision of Amplify(A)."""
    kind, _, rest = config.amplify.partition(":")
    if kind == "policy":
        return 1
    members = parse_committee(rest).members if kind == "committee" else 1
    return members * (config.search.simulations + 1)


def of_match(result: MatchResult, first: int, second: int) -> int:
    """Returns the evaluations of a match: all its games are asked about until the last one ends.

    Args:
      first: evaluations of a decision of the first player; `second`: of the second.
    """
    longest = max(len(moves) for moves in result.moves)
    return result.games * longest * (first + second) // 2


def of_learning(config: RunConfig, progress: Progress) -> int:
    """Returns the evaluations of a run's self-play and training so far."""
    rows = progress.step * config.learner.batch
    return progress.positions * of_amplifier(config) + PER_ROW * rows


def left(config: RunConfig, progress: Progress, measured: int) -> float:
    """Returns the network evaluations that a rating may take now; below 0: it must wait.

    All measuring may take `SHARE` of what is computed. Where measurements of a fixed size alone
    take that, as with long games on a small machine, a rating still has a quarter of it.

    Args:
      measured: what measuring has taken so far.
    """
    allowed = SHARE * (of_learning(config, progress) + measured)
    return max(allowed - measured, allowed / 4 - progress.rated)
