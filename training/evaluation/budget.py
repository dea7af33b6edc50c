"""How much evaluation a run may do: a share of its network evaluations.

They are counted, not timed: what a run decides must not depend on the machine's speed. What a
decision takes, and an example of a minibatch, is `training.flops`'s to say.
"""

from selfplay.arena.result import MatchResult
from training.config import RunConfig
from training.flops import Work
from training.progress import Progress

SHARE = 0.05  # of all that a run computes
LEAST_BATCH, MOST_BATCH = 16, 128


def batch_of(config: RunConfig) -> int:
    """Returns about how many positions at once a run asks players: an eighth of self-play's batch.

    All measurements of a run share this number, so that each player is compiled once. Larger
    batches would be filled by few of them, smaller ones would leave an accelerator idle.
    """
    return min(max(config.self_play.batch // 8, LEAST_BATCH), MOST_BATCH)


def of_match(result: MatchResult, first: int, second: int) -> int:
    """Returns the evaluations of a match: all its games are asked about until the last one ends.

    Args:
      first: evaluations of a decision of the first player; `second`: of the second.
    """
    longest = max(len(moves) for moves in result.moves)
    return result.games * longest * (first + second) // 2


def of_learning(config: RunConfig, work: Work, progress: Progress) -> float:
    """Returns the evaluations of a run's self-play and training so far, or what costs as much."""
    examples = progress.step * config.learner.batch
    return work.so_far(progress.positions, examples) / work.evaluation


def left(config: RunConfig, work: Work, progress: Progress, measured: int) -> float:
    """Returns the network evaluations that a rating may take now; below 0: it must wait.

    All measuring may take `SHARE` of what is computed. Where measurements of a fixed size alone
    take that, as with long games on a small machine, a rating still has a quarter of it.

    Args:
      measured: what measuring has taken so far.
    """
    allowed = SHARE * (of_learning(config, work, progress) + measured)
    return max(allowed - measured, allowed / 4 - progress.rated)
