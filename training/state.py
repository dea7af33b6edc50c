"""The state of a run: all that changes as it goes on, which is exactly what a checkpoint holds."""

import dataclasses
from typing import Any, NamedTuple

from selfplay.recorder import Recorder
from selfplay.self_play import SelfPlayState, Trajectory
from training.learner import TrainState
from training.network import Weights
from training.progress import Progress
from training.replay import ReplayBuffer


class Actor(NamedTuple):
    """Weights that play, and the training step that they are from."""

    weights: Weights
    step: int


class InFlight(NamedTuple):
    """One self-play call of our own, perhaps still running on the device."""

    actor: Actor
    before: SelfPlayState
    after: SelfPlayState
    trajectory: Trajectory | None  # None where workers play: these games wait


@dataclasses.dataclass
class State:
    """A run between two iterations. Of the call in flight a checkpoint holds what repeats it."""

    train: TrainState
    in_flight: InFlight
    replay: ReplayBuffer
    recorder: Recorder
    progress: Progress
    # The last iteration's line of metrics, whose `losses` may still be computed.
    line: dict[str, Any] | None = None
