"""The public search: improves a network's policy at B positions."""

import dataclasses

import jax
import jax.numpy as jnp

from games.game import Game, S
from mcts import noise
from mcts.config import SearchConfig
from mcts.contract import Evaluate, Evaluation, SearchResult, Variables, judge, mask_illegal
from mcts.selection import (
    Gumbel,
    Row,
    add_noise,
    candidates,
    completed_values,
    halving_action,
    halving_schedule,
)
from mcts.simulation import grow
from mcts.tree import Tree, empty_trees, plant, root_row

__all__ = ["Evaluate", "Evaluation", "SearchConfig", "SearchResult", "mask_illegal", "search"]


def search(
    game: Game[S],
    evaluate: Evaluate,
    variables: Variables,
    state: S,
    key: jax.Array,
    config: SearchConfig,
) -> SearchResult:
    """Improves the network's policy at each of B roots, one new tree each; A is `num_actions`.

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
    alone = dataclasses.replace(config, reuse=0)
    return search_on(game, evaluate, variables, state, key, alone, None)[0]


def search_on(
    game: Game[S],
    evaluate: Evaluate,
    variables: Variables,
    state: S,
    key: jax.Array,
    config: SearchConfig,
    kept: Tree[S] | None,
) -> tuple[SearchResult, Tree[S] | None]:
    """Searches on from what `mcts.keep` has kept of the last moves' trees.

    Args:
      kept: None to start anew, as one must with `config.reuse` 0.

    Returns:
      the result, in which visits, values and weights count inherited simulations too; and the
      trees, for `mcts.keep` (None with the engine mctx, which gives none away).
    """
    root = judge(game, evaluate, variables, state, config.symmetries)
    if config.engine == "mctx":
        from mcts import reference  # only here: mctx takes a second to import

        return reference.search(game, evaluate, variables, state, root, key, config), None
    legal = state.legal_action_mask
    dirichlet_key, gumbel_key = noise.split(key)
    noised = root
    if config.policy == "puct":
        logits = noise.add_dirichlet(dirichlet_key, root.prior_logits, legal, config)
        noised = root._replace(prior_logits=logits)
    kept = empty_trees(game, state, config) if kept is None else kept
    planted = plant(game, kept, state, noised, config)
    gumbel = None
    if config.policy == "gumbel":
        first = root_row(planted, len(legal))
        gumbel = Gumbel(
            logits=add_noise(noise.gumbel(gumbel_key, root.prior_logits, config), first.prior),
            considered=jnp.minimum(
                config.max_considered_actions, legal.sum(axis=-1, dtype=jnp.int32)
            ),
            schedule=jnp.asarray(halving_schedule(config)),
            inherited=first.visits,
        )
    grown = grow(game, evaluate, variables, state, planted, gumbel, config)
    row = root_row(grown, len(legal))
    action, action_weights = _most_visited(row) if gumbel is None else _decide(row, gumbel, config)
    value = row.value()
    result = SearchResult(
        action=action.astype(jnp.int32),
        action_weights=action_weights,
        visit_counts=row.visits.astype(jnp.int32),
        value=value,
        q=jnp.where(row.visits > 0, row.q(), value[:, None]),
        prior=jax.nn.softmax(root.prior_logits),
        raw_value=root.value,
    )
    return result, grown


def _decide(row: Row, gumbel: Gumbel, config: SearchConfig) -> tuple[jax.Array, jax.Array]:
    """Returns the best of the most visited actions, and the improved policy (the paper's pi')."""
    allowed = candidates(row)
    values = completed_values(config, row)
    visits = jnp.where(allowed, gumbel.own_visits(row).visits, -1)
    action = halving_action(gumbel.logits, row._replace(visits=visits), values, visits.max(axis=-1))
    return action, jax.nn.softmax(mask_illegal(row.prior + values, allowed))


def _most_visited(row: Row) -> tuple[jax.Array, jax.Array]:
    """Returns the most visited action, and the shares of the visits."""
    allowed = candidates(row)
    visits = jnp.where(allowed, row.visits, 0)
    # With few simulations all visits can have gone to proven losses: then the prior decides.
    none = visits.sum(axis=-1, keepdims=True) == 0
    weights = jnp.where(none, jnp.where(allowed, row.prior, 0), visits)
    total = weights.sum(axis=-1, keepdims=True)
    return weights.argmax(axis=-1), weights / jnp.where(total > 0, total, 1)
