"""The search by mctx (the only file that imports it)."""

import functools

import jax
import jax.numpy as jnp
import mctx

from games.game import Game, S
from mcts import noise
from mcts.config import SearchConfig
from mcts.contract import Evaluate, Evaluation, SearchResult, Variables, judge


def search(
    game: Game[S],
    evaluate: Evaluate,
    variables: Variables,
    state: S,
    root: Evaluation,
    key: jax.Array,
    config: SearchConfig,
) -> SearchResult:
    """Searches by mctx; arguments and result as in `mcts.search`, `root` as `judge` returns it."""
    dirichlet_key, search_key = noise.split(key)
    legal = state.legal_action_mask
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
                prior_logits=root.prior_logits, value=root.value, embedding=state
            ),
            max_num_considered_actions=config.max_considered_actions,
            gumbel_scale=config.gumbel_scale,
            qtransform=functools.partial(
                mctx.qtransform_completed_by_mix_value,
                # The paper scales Q in [0, 1], ours is in [-1, 1]: hence the half.
                value_scale=config.c_scale / (1 if config.rescale_values else 2),
                maxvisit_init=config.c_visit,
                rescale_values=config.rescale_values,
                use_mixed_value=config.mixed_value,
            ),
            **common,
        )
        summary = found.search_tree.summary()
        action, action_weights = found.action, found.action_weights
    else:
        noised = noise.add_dirichlet(dirichlet_key, root.prior_logits, legal, config)
        found = mctx.muzero_policy(
            root=mctx.RootFnOutput(prior_logits=noised, value=root.value, embedding=state),
            dirichlet_fraction=0.0,  # mctx draws its noise over illegal actions too
            pb_c_init=config.pb_c_init,
            pb_c_base=config.pb_c_base,
            qtransform=_PUCT_VALUES[config.puct_values],
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
        prior=jax.nn.softmax(root.prior_logits),
        raw_value=root.value,
    )


def _plain_values(tree: mctx.Tree, node: jax.Array) -> jax.Array:
    return jnp.where(tree.children_visits[node] > 0, tree.qvalues(node), -1.0)


_PUCT_VALUES = {
    "parent_and_siblings": mctx.qtransform_by_parent_and_siblings,
    "min_max": functools.partial(mctx.qtransform_by_min_max, min_value=-1.0, max_value=1.0),
    "plain": _plain_values,
}


def _expand(game, evaluate, variables, key, action, parent):  # type: ignore[no-untyped-def]
    """Steps B nodes; mctx backs up `reward + discount * value` from child to parent."""
    del key  # the rules are deterministic
    child = jax.vmap(game.step)(parent, action)
    leaf = judge(game, evaluate, variables, child)
    ended = child.terminated
    # A result is a reward on the way to it, as mctx would search on below; there, all is 0.
    sign = jnp.where(child.to_play == parent.to_play, 1.0, -1.0).astype(leaf.value.dtype)
    output = mctx.RecurrentFnOutput(
        reward=jnp.where(ended & ~parent.terminated, sign * leaf.value, 0.0),
        discount=jnp.where(ended, 0.0, sign),
        prior_logits=leaf.prior_logits,
        value=jnp.where(ended, 0.0, leaf.value),
    )
    return output, child
