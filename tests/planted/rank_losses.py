"""Losses that one rank of several cannot compute."""

from collections.abc import Callable
from typing import Any

import jax

from training.losses import imitation


def _failing(rank: int) -> Callable[..., Any]:
    def loss(*given: Any) -> Any:
        if jax.process_index() == rank:
            raise ValueError("no loss of mine")
        return imitation(*given)

    return loss


fails_on_0 = _failing(0)
fails_on_1 = _failing(1)
