"""Win, draw, loss (WDL): three probabilities of a position, in place of one expected value.

All are of the seat to play, in the order win, draw, loss, on the last axis. Source: lc0's WDL head,
https://lczero.org/blog/2020/04/wdl-head/.
"""

import jax
import jax.numpy as jnp


def value_of(logits: jax.Array) -> jax.Array:
    """Returns float32[...], the expected value of logits [..., 3]: p(win) - p(loss)."""
    probabilities = jax.nn.softmax(logits)
    return probabilities[..., 0] - probabilities[..., 2]


def of_outcome(outcome: jax.Array) -> jax.Array:
    """Returns float32[..., 3] of results in [-1, 1]: what is neither won nor lost is drawn."""
    won, lost = jnp.maximum(outcome, 0), jnp.maximum(-outcome, 0)
    return jnp.stack([won, 1 - won - lost, lost], axis=-1)


def of_value(value: jax.Array, draw: jax.Array) -> jax.Array:
    """Returns float32[..., 3] with this expected value in [-1, 1], and `draw` where that fits it.

    A value near 1 or -1 leaves no room for draws: more than 1 - |value| cannot be.
    """
    value = jnp.clip(value, -1, 1)
    draw = jnp.clip(draw, 0, 1 - jnp.abs(value))
    return jnp.stack([(1 - draw + value) / 2, draw, (1 - draw - value) / 2], axis=-1)
