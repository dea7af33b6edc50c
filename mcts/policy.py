"""Selection policies: the rules of each paper (Gumbel, PUCT) as a record of functions."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax

from mcts import gumbel, puct
from mcts.config import Policy, SearchConfig
from mcts.node import Decision, NodeStats

Plan: TypeAlias = Any  # what a root rule needs to know beforehand, a pytree; None without one


class RootRule(NamedTuple):
    """How the next action at the roots is chosen, where it differs from other nodes."""

    # (config, key, masked logits float[B, A], legal bool[B, A], roots): before any simulation
    plan: Callable[[SearchConfig, jax.Array, jax.Array, jax.Array, NodeStats], Plan]
    # (config, plan, roots, simulations done int32[]) to the next action, int32[B]
    action: Callable[[SearchConfig, Plan, NodeStats, jax.Array], jax.Array]


class SearchPolicy(NamedTuple):
    """The rules of one paper. All but those of the root take nodes with any leading axes."""

    # (config, key, masked logits float[B, A], legal bool[B, A]) to the logits that a search
    # starts from, masked likewise: with noise, if it belongs there
    root_logits: Callable[[SearchConfig, jax.Array, jax.Array, jax.Array], jax.Array]
    # Masked logits to the prior as nodes keep it, float[..., A], in the form that the other rules
    # need most. At illegal actions it must stay the least finite number, so that no legal action
    # can be mistaken for them.
    prior: Callable[[jax.Array], jax.Array]
    # The next action at an interior node, int32[...]. It must depend on nothing but
    # the node, for `simulation.py` caches it. In nodes without visits it must be the likeliest
    # action.
    interior_action: Callable[[SearchConfig, NodeStats], jax.Array]
    root: RootRule | None  # None: the root is a node like any other
    # (config, plan, roots) after all simulations
    decide: Callable[[SearchConfig, Plan, NodeStats], Decision]


POLICIES: dict[Policy, SearchPolicy] = {
    "gumbel": SearchPolicy(
        root_logits=gumbel.root_logits,
        prior=gumbel.prior,
        interior_action=gumbel.interior_action,
        root=RootRule(plan=gumbel.plan_root, action=gumbel.root_action),
        decide=gumbel.decide,
    ),
    "puct": SearchPolicy(
        root_logits=puct.root_logits,
        prior=puct.prior,
        interior_action=puct.interior_action,
        root=None,
        decide=puct.decide,
    ),
}
