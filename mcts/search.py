"""The public search: improves a network's policy at B positions."""

import jax
import jax.numpy as jnp

from games.game import Game, S
from mcts import tree
from mcts.config import SearchConfig
from mcts.contract import Evaluate, Evaluation, SearchResult, Variables, mask_illegal
from mcts.selection import Gumbel, Row, completed_values, halving_action, schedule

__all__ = ["Evaluate", "Evaluation", "SearchConfig", "SearchResult", "mask_illegal", "search"]


def search(
    game: Game[S],
    evaluate: Evaluate,
    variables: Variables,
    state: S,
    key: jax.Array,
    config: SearchConfig,
) -> SearchResult:
    """Improves the network's policy at each of B roots, one tree each; A is `game.num_actions`.

    Args:
      evaluate: maps `variables` and observations `[B, *game.observation_shape]` to an `Evaluation`.
      state: the roots, each leaf `[B, ...]`.
      key: PRNG key, consumed.

    Raises:
      ValueError: `state` has no batch axis.
    """
    if state.to_play.ndim != 1:
        raise ValueError(
            f"search needs a batch of roots, got to_play of shape {state.to_play.shape}"
        )
    if config.engine == "mctx":
        from mcts import reference  # only here: mctx takes a second to import

        return reference.search(game, evaluate, variables, state, key, config)
    root = evaluate(variables, jax.vmap(game.observe)(state))
    legal = state.legal_action_mask
    logits = mask_illegal(root.prior_logits, legal)
    prior = jax.nn.softmax(logits)
    gumbel = None
    if config.policy == "gumbel":
        noise = config.gumbel_scale * jax.random.gumbel(jax.random.split(jax.random.split(key)[1])[1], logits.shape, logits.dtype)
        considered = jnp.minimum(config.max_considered_actions, legal.sum(axis=-1, dtype=jnp.int32))
        gumbel = Gumbel(noise, considered, jnp.asarray(schedule(config)))
    else:
        from mcts.reference import _add_dirichlet_noise
        noised = _add_dirichlet_noise(jax.random.split(key)[0], prior, legal, config)
        logits = mask_illegal(jnp.log(jnp.maximum(noised, 1e-30)), legal)
    row = tree.grow(game, evaluate, variables, state, Evaluation(logits, root.value), gumbel, config)
    if gumbel:
        values = completed_values(config, row)
        action = halving_action(gumbel.noise, row, values, row.visits.max(axis=-1))
        weights = jax.nn.softmax(mask_illegal(row.prior + values, legal))
    else:
        action = row.visits.argmax(axis=-1)
        weights = row.visits / row.visits.sum(axis=-1, keepdims=True)
    value = row.value()
    return SearchResult(
        action=action.astype(jnp.int32),
        action_weights=weights,
        visit_counts=row.visits.astype(jnp.int32),
        value=value,
        q=jnp.where(row.visits > 0, row.q(), value[:, None]),
        prior=prior,
        raw_value=root.value,
    )
