"""Where an iteration's examples come from: the seam between self-play and the replay buffer."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from selfplay.self_play import SelfPlayState
from training.context import Context
from training.stages import amplify, record
from training.state import Actor, InFlight, State


class Source(Protocol):
    """Gives the loop the examples of finished games, one self-play rollout an iteration."""

    def start(self, context: Context, index: int, actor: Actor, games: SelfPlayState) -> InFlight:
        """Rollout `index`, perhaps still running, with which a process begins."""

    def next(
        self, context: Context, state: State, actor: Actor, stop: Callable[[], bool]
    ) -> dict[str, Any] | None:
        """Puts the examples of the next rollout into the replay of `state`, and counts them.

        Args:
          actor: the weights that play from now on.
          stop: asked while it waits for others; true: return without examples.

        Returns:
          Entries for metrics.jsonl; None without examples.
        """

    def should_yield(self, state: State) -> bool:
        """Whether to stop training early, since newer examples wait."""

    def close(self) -> None:
        """The loop ends."""


class LocalSource:
    """Self-play on the devices that learn: the next rollout runs while the last one is learned.

    To dispatch a rollout on a GPU takes as long as to play nearly all of it: it is tens of
    thousands of kernels, and a stream holds some thousand. So a thread does it, and the last
    rollout is recorded meanwhile.
    """

    def __init__(self) -> None:
        self._dispatcher = ThreadPoolExecutor(1, "dispatch")

    def start(self, context: Context, index: int, actor: Actor, games: SelfPlayState) -> InFlight:
        """Dispatches rollout `index`."""
        return amplify(context, index, actor, games)

    def next(
        self, context: Context, state: State, actor: Actor, stop: Callable[[], bool]
    ) -> dict[str, Any] | None:
        """Dispatches the rollout after the one in flight, then takes the examples of that one."""
        del stop  # a rollout takes seconds
        given = context, state.progress.iteration + 1, actor, state.in_flight.after
        if not context.amplifier.on_device:  # it asks people and programs: on this thread
            following = amplify(*given)
            monitors = record(context, state)
        else:
            dispatched = self._dispatcher.submit(amplify, *given)
            try:
                monitors = record(context, state)
            finally:  # a run that goes back to its last save dispatches the next one alone
                following = dispatched.result()
        state.in_flight = following
        return monitors

    def should_yield(self, state: State) -> bool:
        """No: this source's next examples wait for the training steps."""
        return False

    def close(self) -> None:
        """Does nothing."""


LOCAL = LocalSource()
