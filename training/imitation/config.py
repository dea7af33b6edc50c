"""The settings of an imitation, read without jax."""

import dataclasses

from mcts.setting import problems, setting
from training.settings import distil_problems


@dataclasses.dataclass(frozen=True)
class ImitationConfig:
    """How an expert is imitated."""

    loss: str = "cloning"
    """What is learned from a game: cloning (its moves and its result), reinforce (the moves of the
    side that won), inferred (a reward that explains the moves, fitted first) or module:function."""
    epochs: int = setting(30, at_least=1)
    """Most passes over the games; in the last third, or once patience ends, the rate falls."""
    patience: int = setting(3, at_least=1)
    """Let the rate fall, and stop, after so many passes that did not make the held-out games more
    likely."""
    held_out: float = setting(0.1, above=0, below=1)
    """Share of the games that is tested on and not learned from."""
    augment: bool = True
    """Show each position through a random symmetry of the game. Off for an expert that does not
    decide alike in positions that are alike."""

    def problems(self) -> list[str]:
        """The faults of these settings, a sentence each."""
        wrong = problems(self)
        if self.loss == "action_values":
            wrong.append(
                "loss must be cloning, reinforce, inferred or module:function (records name moves, "
                "no values), got 'action_values'"
            )
        return wrong + ([] if self.loss == "inferred" else distil_problems(self.loss))
