"""Examples and checkpoints that carry their own number."""

import numpy as np

from selfplay import example
from training import replay
from training.storage.checkpoint import Checkpoint


def examples(first, count):
    """Examples that carry their own number in `game_id`."""
    number = np.arange(first, first + count)
    return example.make(
        observation=np.repeat(number % 2 == 0, 4).reshape(count, 2, 2, 1),
        legal_action_mask=np.ones((count, 3), bool),
        policy_target=1 / 3,
        action=number % 3,
        outcome=1,
        game_id=number,
    )


def made(step, total=0):
    rng = np.random.default_rng(step)
    return Checkpoint(
        step=step,
        train_state={
            "state/step": np.asarray(step, np.int32),
            "state/params/policy/kernel": rng.random((4, 3), np.float32),
        },
        games={
            "games/board": rng.integers(-1, 2, (2, 9)).astype(np.int8),
            "pending/nothing": np.zeros((0, 3), np.float16),
        },
        counters={"step": step, "examples": total, "replay_oldest_kept": 0, "actor_step": 0},
    )


def read_chunk(path, run_id="", targets=replay.NO_TARGETS):
    """Returns all examples of a chunk."""
    return example.concatenate([part for _, part in replay.read_chunk(path, run_id, targets)])
