"""Where the rows of an iteration come from: the seam between self-play and what is learned."""

from collections.abc import Callable
from typing import Any, Protocol

from selfplay.self_play import SelfPlayState
from training.context import Context
from training.stages import amplify, record
from training.state import Behaviour, InFlight, State


class Source(Protocol):
    """Gives the loop the rows of finished games, one self-play call an iteration."""

    def start(
        self, context: Context, index: int, behaviour: Behaviour, games: SelfPlayState
    ) -> InFlight:
        """Returns what a process with the run begins with: call `index`, perhaps running."""

    def next(
        self, context: Context, state: State, behaviour: Behaviour, stop: Callable[[], bool]
    ) -> dict[str, Any] | None:
        """Puts the rows of the next call into the replay of `state`, and counts them.

        Args:
          behaviour: the weights that are to play from now on.
          stop: asked while it waits for others; true: return without rows.

        Returns:
          Entries for metrics.jsonl; None without rows.
        """

    def is_enough(self, state: State) -> bool:
        """Whether the training steps that are still due should wait for the next rows."""

    def close(self, finished: bool) -> None:
        """The loop ends; `finished`: the run has reached its limits."""


class LocalSource:
    """Self-play on the devices that learn: the next call runs while the last one is learned."""

    def start(
        self, context: Context, index: int, behaviour: Behaviour, games: SelfPlayState
    ) -> InFlight:
        """Dispatches call `index`."""
        return amplify(context, index, behaviour, games)

    def next(
        self, context: Context, state: State, behaviour: Behaviour, stop: Callable[[], bool]
    ) -> dict[str, Any] | None:
        """Dispatches the call after the one in flight, then takes the rows of that one."""
        del stop  # a call takes seconds
        index, games = state.progress.iteration + 1, state.in_flight.after
        following = amplify(context, index, behaviour, games)
        monitors = record(context, state)
        state.in_flight = following
        return monitors

    def is_enough(self, state: State) -> bool:
        """No: this source's next rows wait for the steps."""
        return False

    def close(self, finished: bool) -> None:
        """Does nothing."""


LOCAL = LocalSource()
