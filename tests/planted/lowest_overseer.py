"""An overseer of tic-tac-toe that plays badly, and not alike where boards are alike; for tests."""

import jax
import jax.numpy as jnp

from mcts import SearchResult, mask_illegal


def lowest(variables, states, key, *, game, evaluate):
    """Takes the lowest legal action, and values none above another."""
    del key
    evaluation = evaluate(variables, jax.vmap(game.observe)(states))
    legal = states.legal_action_mask
    action = legal.argmax(axis=1).astype(jnp.int32)
    return SearchResult(
        action=action,
        action_weights=jax.nn.one_hot(action, game.num_actions),
        visit_counts=legal.astype(jnp.int32),
        value=evaluation.value,
        q=jnp.broadcast_to(evaluation.value[:, None], legal.shape),
        prior=jax.nn.softmax(mask_illegal(evaluation.prior_logits, legal)),
        raw_value=evaluation.value,
    )


lowest.on_device = True
