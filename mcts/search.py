"""The public search: its inputs, its settings, its result.

Viewpoint: a value is the expected return in [-1, 1] for the seat to play at that node; it changes
sign when the turn passes, which in some games is not every ply.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from games.game import Game, S

Variables: TypeAlias = Any  # what a network is evaluated with; any pytree


class Evaluation(NamedTuple):
    """A network's opinion of B positions."""

    prior_logits: jax.Array  # float32[B, A]; those of illegal actions are ignored
    value: jax.Array  # float32[B], in [-1, 1], for the seat to play


Evaluate: TypeAlias = Callable[[Variables, jax.Array], Evaluation]


class SearchResult(NamedTuple):
    """What B searches found; at a terminated root all fields are meaningless, but finite."""

    action: jax.Array  # int32[B], the action to play
    action_weights: jax.Array  # float32[B, A], the policy target: sums to 1, 0 on illegal actions
    visit_counts: jax.Array  # int32[B, A]
    value: jax.Array  # float32[B], the searched value of the root
    q: jax.Array  # float32[B, A], searched value of each action; the root's where unvisited
    prior: jax.Array  # float32[B, A], the network's policy over legal actions, without noise
    raw_value: jax.Array  # float32[B], the network's value of the root


@dataclasses.dataclass(frozen=True)
class SearchConfig:
    """How to search. Sources: Gumbel, Danihelka et al., ICLR 2022; PUCT, Silver et al. 2017."""

    policy: Literal["gumbel", "puct"] = "gumbel"
    """Gumbel improves the policy at any number of simulations; PUCT is AlphaGo Zero's."""
    simulations: int = 32
    """Network evaluations a move, the root's apart. Gumbel paper 2-200 (Go 9x9); AlphaZero 800."""
    max_considered_actions: int = 16
    """Gumbel: actions that sequential halving starts from. Paper: 16."""
    gumbel_scale: float = 1.0
    """Gumbel: scale of the root noise; 0 plays the best action. Paper: 1."""
    c_visit: float = 50.0
    """Gumbel: visits added to the largest count when values are scaled. Paper: 50."""
    c_scale: float = 1.0
    """Gumbel: scale of values in [0, 1] against logits. Paper: 1.0 for Go and chess, 0.1 Atari."""
    pb_c_init: float = 1.25
    """PUCT: weight of the prior. AlphaZero: 1.25."""
    pb_c_base: float = 19652.0
    """PUCT: visits over which the prior's weight grows. AlphaZero: 19652."""
    dirichlet_fraction: float = 0.25
    """PUCT: share of noise in the root's prior; 0 for none. AlphaGo Zero: 0.25."""
    dirichlet_alpha: float = 0.0
    """PUCT: concentration of the noise; 0 means 10 / (number of legal actions). AlphaGo Zero, 19x19
    Go: 0.03."""

    def problems(self) -> list[str]:
        """Returns what is wrong with these settings, a sentence each."""
        rules = [
            (self.policy in ("gumbel", "puct"), "policy", "gumbel or puct"),
            (self.simulations >= 1, "simulations", "at least 1"),
            (self.max_considered_actions >= 1, "max_considered_actions", "at least 1"),
            (self.gumbel_scale >= 0, "gumbel_scale", "at least 0"),
            (self.c_visit >= 0, "c_visit", "at least 0"),
            (self.c_scale > 0, "c_scale", "above 0"),
            (self.pb_c_init > 0, "pb_c_init", "above 0"),
            (self.pb_c_base > 0, "pb_c_base", "above 0"),
            (0 <= self.dirichlet_fraction <= 1, "dirichlet_fraction", "between 0 and 1"),
            (self.dirichlet_alpha >= 0, "dirichlet_alpha", "at least 0 (0: automatic)"),
        ]
        return [
            f"search.{name} must be {wanted}, got {getattr(self, name)!r}"
            for holds, name, wanted in rules
            if not holds
        ]

    def without_noise(self) -> "SearchConfig":
        """Returns the same search with its root noise off, as evaluation wants it."""
        return dataclasses.replace(self, gumbel_scale=0.0, dirichlet_fraction=0.0)


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
    from mcts import reference  # here, for `reference` names this file's types

    if state.to_play.ndim != 1:
        raise ValueError(
            f"search needs a batch of roots, got to_play of shape {state.to_play.shape}"
        )
    return reference.search(game, evaluate, variables, state, key, config)


def mask_illegal(logits: jax.Array, legal_action_mask: jax.Array) -> jax.Array:
    """Returns float[..., A]: the largest legal logit 0, illegal ones the least finite number.

    The maximum is subtracted first, so that no legal logit can fall below an illegal one; not -inf,
    because a softmax over a finished position, which has no legal action, would be NaN.
    """
    least = jnp.finfo(logits.dtype).min
    legal = jnp.where(legal_action_mask, logits, least)
    return jnp.where(legal_action_mask, logits - legal.max(axis=-1, keepdims=True), least)
