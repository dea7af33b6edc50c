"""NaN and infinity: found where the numbers are fetched anyway, told with what brought them about.

A state with such a number in it is never saved (training/storage/checkpoint.py looks), so the
newest checkpoint is the last good state. `learner.on_nan` says what then happens.
"""

import pathlib
from typing import Any

import numpy as np

from selfplay import example
from selfplay.example import Sample
from selfplay.files import durable
from selfplay.self_play import Trajectory
from training.config import RunConfig
from training.storage.checkpoint import CheckpointStore, NonFiniteError
from training.storage.leaves import flatten

NETWORKS_OWN = ("search", "policy", "committee")  # amplifiers that only the network can spoil
MAX_ROLLBACKS = 3  # of a run; a rate that had to be lowered so often is not what is wrong


def check_plies(game: str, amplify: str, trajectory: Trajectory) -> None:
    """Raises if a game's rules, an amplifier, or the network, gave a number that is none.

    Raises:
      ValueError: the game's observations or returns are to blame, or a plug-in amplifier, which may
        also have chosen what is illegal.
      NonFiniteError: the network is.
    """
    if np.asarray(trajectory.sound).all():
        return
    if (seats := np.setdiff1d(trajectory.to_play, (0, 1))).size:
        raise ValueError(
            f"game {game!r}: seat {seats[0]} is to play, and there are 0 and 1; "
            f"`selfplay game check {game}` finds such mistakes"
        )
    for name in ("observation", "returns"):
        if not np.isfinite(getattr(trajectory, name)).all():
            raise ValueError(
                f"game {game!r}: {name} holds NaN or infinity; `selfplay game check {game}` finds "
                "such mistakes"
            )
    for name, values in ({**trajectory.targets, **trajectory.end_targets}).items():
        if not np.isfinite(values).all():
            raise ValueError(f"target {name!r} is computed as NaN or infinity")
    own, amplified = (
        all(np.isfinite(getattr(trajectory, name)).all() for name in names)
        for names in (("raw_value", "entropy"), ("kl", "action_weights", "q", "root_value"))
    )
    if not own or (not amplified and amplify.partition(":")[0] in NETWORKS_OWN):
        raise NonFiniteError("the network that plays gives NaN or infinity")
    if not amplified:
        raise ValueError(f"amplifier {amplify!r} gives NaN or infinity")
    raise ValueError(
        f"amplifier {amplify!r} chose an illegal action, or its action_weights do not sum to 1 "
        "over legal actions"
    )


def first_bad(losses: list[dict[str, Any]]) -> int | None:
    """Returns the index of the first training step with a measure that is not finite."""
    for i, measured in enumerate(losses):
        if not all(np.isfinite(value) for value in measured.values()):
            return i
    return None


def write_batch(path: pathlib.Path, examples: Sample, state: Any) -> None:
    """Writes a minibatch for inspection, with a summary of the weights.

    The file holds the columns of the examples, and for each array of the state `state/<name>`,
    float64[2]: its largest finite magnitude, and how many of its elements are not finite.
    """
    summary = {f"state/{name}": _summary(np.asarray(x)) for name, x in flatten(state).items()}
    content = example.flat(examples) | summary
    durable.write_whole(path, lambda file: np.savez(file, allow_pickle=False, **content))


def roll_back(
    error: NonFiniteError, config: RunConfig, store: CheckpointStore, rollbacks: int
) -> str:
    """The notice of the `rollbacks`-th rollback to the last save.

    Raises:
      NonFiniteError: the run is to stop; says what to do.
    """
    store.close()  # a good save may still be on its way
    step = store.steps()[-1]
    settings = config.learner
    if settings.on_nan == "stop":
        raise NonFiniteError(
            f"{error}; step {step} is the last good save: go on with --learner.on-nan rollback, "
            "or start anew from it (--from) with a lower --learner.learning-rate"
        ) from error
    if rollbacks > MAX_ROLLBACKS:
        raise NonFiniteError(
            f"{error}; it comes back after {MAX_ROLLBACKS} rollbacks to lower rates: "
            f"look at that file, and run `selfplay game check {config.game}`"
        ) from error
    rate = settings.learning_rate * settings.rollback_rate**rollbacks
    return f"{error}: going back to step {step} with a learning rate of {rate:g}"


def _summary(value: np.ndarray) -> np.ndarray:
    finite = np.isfinite(value)
    largest = np.abs(value, where=finite, out=np.zeros(value.shape)).max(initial=0.0)
    return np.array([largest, (~finite).sum()])
