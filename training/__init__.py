"""Distil: network, replay, learner, checkpoints, and the loop that ties self-play to training.

From Python: `train_run` trains, `load_player` gives the player that a run has trained, `preset` the
settings to begin with. They are imported when they are first asked for: settings and run folders
are read without jax.
"""

import importlib
from typing import Any

# Where each lies; `train_run` in a room, for it composes the loop with all that attaches to it.
OFFERED = {
    "checkpoint_steps": "training.players",
    "load_player": "training.players",
    "preset": "training.presets",
    "train_run": "training.evaluation.train_run",
}
__all__ = ["checkpoint_steps", "load_player", "preset", "train_run"]


def __getattr__(name: str) -> Any:
    if name not in OFFERED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(OFFERED[name]), name)
