"""The rows of workers, as the ranks that do not hear the workers get them: by way of rank 0."""

from collections.abc import Callable
from typing import Any

from selfplay.self_play import SelfPlayState
from training import shares
from training.context import Context
from training.state import Behaviour, InFlight, State
from training.workers.pace import pass_over


class FollowingSource:
    """A `Source` that takes this rank's share of each batch that rank 0 has taken."""

    def start(
        self, context: Context, index: int, behaviour: Behaviour, games: SelfPlayState
    ) -> InFlight:
        """The run's own games wait."""
        del context, index
        return InFlight(behaviour, games, games, None)

    def next(
        self, context: Context, state: State, behaviour: Behaviour, stop: Callable[[], bool]
    ) -> dict[str, Any] | None:
        """Waits for the next batch."""
        del stop  # rank 0 is asked
        state.in_flight = state.in_flight._replace(behaviour=behaviour)
        batch = shares.next_batch(context.peers)
        if batch is None:
            return None
        rows, counts, told = batch
        progress = state.progress
        state.replay.add(rows, is_saved=True, counts=counts)
        progress.batches += 1
        progress.games += told["games"]
        progress.positions += told["plies"]
        pass_over(context, state)
        return dict(told["monitors"])

    def is_enough(self, state: State) -> bool:
        """Rank 0 says it."""
        del state
        return False

    def close(self, finished: bool) -> None:
        """Does nothing."""
