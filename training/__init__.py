"""Distil: network, replay, learner, checkpoints, and the loop that ties self-play to training.

From Python: `train_run` trains, `load_player` gives the player that a run has trained, `preset` the
settings to begin with. They are imported when they are first asked for: settings and run folders
are read without jax.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from training.evaluation.train_run import train_run
    from training.players import checkpoint_steps, load_player
    from training.presets import preset

__all__ = ["checkpoint_steps", "load_player", "preset", "train_run"]


def __getattr__(name: str) -> Any:
    if name in ("checkpoint_steps", "load_player"):
        from training import players as module
    elif name == "preset":
        from training import presets as module  # type: ignore[no-redef]
    elif name == "train_run":
        from training.evaluation import train_run as module  # type: ignore[no-redef]
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(module, name)
