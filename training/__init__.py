"""Distil: network, replay, learner, checkpoints, and the loop that ties self-play to training."""

from training.players import checkpoint_steps, load_player

__all__ = ["checkpoint_steps", "load_player"]
