"""The interface of an evaluator to the training loop, and one that measures nothing."""

from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeAlias

from training.context import Context
from training.state import Actor, State

Stop: TypeAlias = Callable[[], bool]  # whether the run was told to stop


class Decision(NamedTuple):
    """What follows from an iteration."""

    ended: bool  # the run is complete
    save: bool = False  # these weights must be saved: as the best, or to be compared with later


class StoppedError(Exception):
    """The run was told to stop while it measured: what was under way is done again at a resume."""


class Evaluator(Protocol):
    """Measures a run; `training/evaluation/evaluator.py` is the one that runs have.

    Of several processes, the first one alone is asked. It may change the progress of the state.
    """

    def choose_actor(self, context: Context, state: State, candidate: Actor, stop: Stop) -> Actor:
        """Returns the weights that play from now on: the candidate, or those that play now.

        Raises:
          StoppedError: `stop()` became true.
        """

    def after_iteration(self, context: Context, state: State, stop: Stop) -> Decision:
        """Measures what is due, and says what follows.

        Called before the first iteration of a process, too: for what a stop had left undone.

        Raises:
          StoppedError: `stop()` became true.
        """


MakeEvaluator: TypeAlias = Callable[[Context], Evaluator]


class NoEvaluation:
    """The evaluator of a run that measures nothing: it ends at its limits."""

    def __init__(self, context: Context) -> None:
        """Needs nothing."""

    def choose_actor(self, context: Context, state: State, candidate: Actor, stop: Stop) -> Actor:
        """Returns the candidate: the newest weights play, as in AlphaZero."""
        return candidate

    def after_iteration(self, context: Context, state: State, stop: Stop) -> Decision:
        """Ends the run at its limits."""
        return Decision(state.progress.finished(context.config))
