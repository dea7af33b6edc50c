"""The search by mctx (the only file that imports it)."""

import functools

import jax
import jax.numpy as jnp
import mctx

from games.game import Game, S
from mcts.config import SearchConfig
from mcts.contract import Evaluate, SearchResult, Variables, mask_illegal


def search(
    game: Game[S],
    evaluate: Evaluate,
    variables: Variables,
    state: S,
    key: jax.Array,
    config: SearchConfig,
) -> SearchResult:
    """Searches by mctx; arguments and result as in `mcts.search`."""
    noise_key, search_key = jax.random.split(key)
    evaluation = evaluate(variables, jax.vmap(game.observe)(state))
    legal = state.legal_action_mask
    prior_logits = mask_illegal(evaluation.prior_logits, legal)
    prior = jax.nn.softmax(prior_logits)
    expand = functools.partial(_expand, game, evaluate)
    common = {
        "params": variables,
        "rng_key": search_key,
        "recurrent_fn": expand,
        "num_simulations": config.simulations,
        "max_depth": config.depth(game.max_plies),
        "invalid_actions": ~legal,
    }
    if config.policy == "gumbel":
        found = mctx.gumbel_muzero_policy(
            root=mctx.RootFnOutput(
                prior_logits=prior_logits, value=evaluation.value, embedding=state
            ),
            max_num_considered_actions=config.max_considered_actions,
            gumbel_scale=config.gumbel_scale,
            qtransform=functools.partial(
                mctx.qtransform_completed_by_mix_value,
                # The paper scales Q in [0, 1], ours is in [-1, 1]: hence the half.
                value_scale=config.c_scale / 2,
                maxvisit_init=config.c_visit,
                rescale_values=False,
            ),
            **common,
        )
        summary = found.search_tree.summary()
        action, action_weights = found.action, found.action_weights
    else:
        noised = jnp.log(jnp.maximum(_add_dirichlet_noise(noise_key, prior, legal, config), 1e-30))
        found = mctx.muzero_policy(
            root=mctx.RootFnOutput(
                prior_logits=mask_illegal(noised, legal), value=evaluation.value, embedding=state
            ),
            dirichlet_fraction=0.0,  # mctx draws its noise over illegal actions too
            pb_c_init=config.pb_c_init,
            pb_c_base=config.pb_c_base,
            **common,
        )
        summary = found.search_tree.summary()
        action, action_weights = summary.visit_counts.argmax(axis=-1), summary.visit_probs
    return SearchResult(
        action=action.astype(jnp.int32),
        action_weights=action_weights,
        visit_counts=summary.visit_counts.astype(jnp.int32),
        value=summary.value,
        q=jnp.where(summary.visit_counts > 0, summary.qvalues, summary.value[:, None]),
        prior=prior,
        raw_value=evaluation.value,
    )


def _expand(game, evaluate, variables, key, action, parent):  # type: ignore[no-untyped-def]
    """Steps B nodes; mctx backs up `reward + discount * value` from child to parent."""
    del key  # the rules are deterministic
    child = jax.vmap(game.step)(parent, action)
    leaf = evaluate(variables, jax.vmap(game.observe)(child))
    ended = child.terminated
    returns = jax.vmap(game.returns)(child)
    reward = jnp.take_along_axis(returns, parent.to_play.astype(jnp.int32)[:, None], axis=1)[:, 0]
    # The sign turns when the turn passes. Past the end of a game nothing is added.
    passed = jnp.where(child.to_play == parent.to_play, 1.0, -1.0)
    output = mctx.RecurrentFnOutput(
        reward=jnp.where(ended & ~parent.terminated, reward, 0.0),
        discount=jnp.where(ended, 0.0, passed),
        prior_logits=mask_illegal(
            jnp.where(ended[:, None], 0.0, leaf.prior_logits), child.legal_action_mask
        ),
        # `where`, not the zero discount alone: 0 * NaN is NaN.
        value=jnp.where(ended, 0.0, leaf.value),
    )
    return output, child


def _add_dirichlet_noise(
    key: jax.Array, prior: jax.Array, legal: jax.Array, config: SearchConfig
) -> jax.Array:
    """Returns float32[B, A] `prior` mixed with noise over legal actions only."""
    alpha = config.dirichlet_alpha or 10.0 / jnp.maximum(legal.sum(axis=-1, keepdims=True), 1)
    # Gamma in log space: at small alpha all draws of a row could underflow to 0.
    log_gamma = jax.random.loggamma(key, jnp.broadcast_to(alpha, prior.shape))
    noise = jax.nn.softmax(mask_illegal(log_gamma, legal))
    return (1 - config.dirichlet_fraction) * prior + config.dirichlet_fraction * noise
