"""Rows and checkpoints that carry their own number."""

import numpy as np

from selfplay.recorder import Sample
from training.storage.checkpoint import Checkpoint


def rows(first, count):
    """Rows that carry their own number in `game_id`."""
    number = np.arange(first, first + count)
    return Sample(
        observation=np.repeat(number % 2 == 0, 4).reshape(count, 2, 2, 1),
        legal_action_mask=np.ones((count, 3), bool),
        policy_target=np.full((count, 3), 1 / 3, np.float16),
        action=(number % 3).astype(np.int16),
        q=np.zeros((count, 3), np.float16),
        outcome=np.ones(count, np.float32),
        root_value=np.zeros(count, np.float32),
        raw_value=np.zeros(count, np.float32),
        weight=np.ones(count, np.float32),
        ply=np.zeros(count, np.int32),
        game_id=number.astype(np.int64),
        weights_step=np.zeros(count, np.int64),
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
        counters={"step": step, "rows": total, "replay_oldest_kept": 0, "acting_step": 0},
    )
