"""Where an iteration's examples come from: the seam between self-play and the replay buffer."""

from collections.abc import Callable
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
    """Self-play on the devices that learn: the next rollout runs while the last one is learned."""

    def start(self, context: Context, index: int, actor: Actor, games: SelfPlayState) -> InFlight:
        """Dispatches rollout `index`."""
        return amplify(context, index, actor, games)

    def next(
        self, context: Context, state: State, actor: Actor, stop: Callable[[], bool]
    ) -> dict[str, Any] | None:
        """Dispatches the rollout after the one in flight, then takes the examples of that one."""
        del stop  # a rollout takes seconds
        following = amplify(context, state.progress.iteration + 1, actor, state.in_flight.after)
        monitors = record(context, state)
        state.in_flight = following
        return monitors

    def should_yield(self, state: State) -> bool:
        """No: this source's next examples wait for the training steps."""
        return False

    def close(self) -> None:
        """Does nothing."""


LOCAL = LocalSource()
