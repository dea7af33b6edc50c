"""The same search by mctx, to compare ours with; the only file that imports mctx."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import mctx

from games.game import Game, S
from mcts import gumbel
from mcts.config import Policy, SearchConfig
from mcts.contract import Evaluate, Evaluation, SearchResult, Variables, evaluate_states
from mcts.node import NodeStats
from mcts.policy import POLICIES


def search(
    game: Game[S],
    evaluate: Evaluate,
    variables: Variables,
    state: S,
    root: Evaluation,
    key: jax.Array,
    config: SearchConfig,
) -> SearchResult:
    """Searches by mctx.

    Args and result are those of `mcts.search`; `root` is as `evaluate_states` returns it.
    """
    logits_key, search_key = jax.random.split(key)
    legal, illegal = state.legal_action_mask, ~state.legal_action_mask
    logits = POLICIES[config.policy].root_logits(config, logits_key, root.prior_logits, legal)
    action, action_weights, summary = _SEARCHES[config.policy](
        config,
        params=variables,
        rng_key=search_key,
        root=mctx.RootFnOutput(prior_logits=logits, value=root.value, embedding=state),
        recurrent_fn=functools.partial(_expand, game, evaluate),
        num_simulations=config.simulations,
        max_depth=config.depth(game.max_plies),
        invalid_actions=illegal,
    )
    # The root's value as ours has it: mctx reports the mean over visits, for Gumbel too.
    visits = summary.visit_counts
    if config.policy == "gumbel":
        q = gumbel.completed_q(config, _root_stats(logits, root.value, summary))
        value = gumbel.improved_value(action_weights, q)
    else:
        value = summary.value
        q = jnp.where(visits > 0, summary.qvalues, value[:, None])
    return SearchResult(
        action=action.astype(jnp.int32),
        action_weights=action_weights,
        visit_counts=visits.astype(jnp.int32),
        value=value,
        q=q,
        prior=jax.nn.softmax(root.prior_logits),
        raw_value=root.value,
    )


def _root_stats(masked_logits: jax.Array, raw_value: jax.Array, summary: Any) -> NodeStats:
    visits = summary.visit_counts.astype(raw_value.dtype)
    return NodeStats(gumbel.prior(masked_logits), visits, visits * summary.qvalues, raw_value)


def _gumbel(config: SearchConfig, **common: Any) -> tuple[jax.Array, jax.Array, Any]:
    """Returns action, action weights and summary of the search."""
    output = mctx.gumbel_muzero_policy(
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
    return output.action, output.action_weights, output.search_tree.summary()


def _puct(config: SearchConfig, **common: Any) -> tuple[jax.Array, jax.Array, Any]:
    """Returns action, action weights and summary of the search."""
    output = mctx.muzero_policy(
        dirichlet_fraction=0.0,  # mctx draws its noise over illegal actions too
        pb_c_init=config.pb_c_init,
        pb_c_base=config.pb_c_base,
        qtransform=_PUCT_VALUES[config.q_transform],
        **common,
    )
    summary = output.search_tree.summary()
    return summary.visit_counts.argmax(axis=-1), summary.visit_probs, summary


def _plain_values(tree: mctx.Tree, node: jax.Array) -> jax.Array:
    return jnp.where(tree.children_visits[node] > 0, tree.qvalues(node), -1.0)


_PUCT_VALUES = {
    "parent_and_siblings": mctx.qtransform_by_parent_and_siblings,
    "min_max": functools.partial(mctx.qtransform_by_min_max, min_value=-1.0, max_value=1.0),
    "plain": _plain_values,
}
_SEARCHES: dict[Policy, Callable[..., tuple[jax.Array, jax.Array, Any]]] = {
    "gumbel": _gumbel,
    "puct": _puct,
}


def _expand(game, evaluate, variables, key, action, parent):  # type: ignore[no-untyped-def]
    """Steps B nodes; mctx backs up `reward + discount * value` from child to parent."""
    del key  # the rules are deterministic
    child = jax.vmap(game.step)(parent, action)
    leaf = evaluate_states(game, evaluate, variables, child)
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
