"""A committee as the overseer: the same search by several copies of a network, merged.

Each member sees every position through another symmetry of the game, so that what it errs in by
habit, its fellows do not. With fewer `considered` actions than are legal, each also looks at
candidates of its own, drawn by the noise of the Gumbel search. It costs as much as it has members.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from games.game import Game, State, Symmetry
from mcts import Evaluate, Evaluation, SearchConfig, SearchResult, Variables, search
from selfplay.amplify.spec import CommitteeConfig
from selfplay.players import Act


def committee_act(
    game: Game[Any], evaluate: Evaluate, config: SearchConfig, committee: CommitteeConfig
) -> Act:
    """Returns the committee's decision as `act(variables, states, key)`."""
    symmetries = game.symmetries()
    chosen = [symmetries[member % len(symmetries)] for member in range(committee.members)]
    view, rank = _stack(chosen), len(game.observation_shape)
    back = _stack([symmetry.inverse() for symmetry in chosen])
    if committee.considered:
        config = dataclasses.replace(config, max_considered_actions=committee.considered)

    def act(variables: Variables, states: State, key: jax.Array) -> SearchResult:
        def search_as_member(member: tuple[Symmetry, Symmetry, jax.Array]) -> SearchResult:
            view, back, search_key = member

            def evaluate_image(variables: Variables, observation: jax.Array) -> Evaluation:
                evaluation = evaluate(variables, view.on_observation(observation, rank))
                return evaluation._replace(prior_logits=back.on_actions(evaluation.prior_logits))

            return search(game, evaluate_image, variables, states, search_key, config)

        keys = jax.random.split(key, committee.members)
        # One member after the other: the memory of one tree is enough.
        results = jax.lax.map(search_as_member, (view, back, keys))
        return merge(results, states.legal_action_mask)

    return act


def _stack(symmetries: Sequence[Symmetry]) -> Symmetry:
    """Returns symmetries as one, with the members on axis 0 of its arrays."""
    return Symmetry(*(np.stack(parts) for parts in zip(*symmetries, strict=True)))


def merge(results: SearchResult, legal: jax.Array) -> SearchResult:
    """Returns the verdict of members, each field of `results` with the members on axis 0.

    Weights and values are averages, those of an action over the visits that it got. The move is the
    one that most members chose, of several the one with the larger weight. `prior` and `raw_value`
    are those of the network as it stands, the first member's.
    """
    weights, value = results.action_weights.mean(axis=0), results.value.mean(axis=0)
    visits = results.visit_counts.sum(axis=0)
    total = (results.q * results.visit_counts).sum(axis=0)
    votes = jax.nn.one_hot(results.action, legal.shape[1]).sum(axis=0)
    return SearchResult(
        action=jnp.where(legal, votes + weights, -1.0).argmax(axis=1).astype(jnp.int32),
        action_weights=weights,
        visit_counts=visits,
        value=value,
        q=jnp.where(visits > 0, total / jnp.maximum(visits, 1), value[:, None]),
        prior=results.prior[0],
        raw_value=results.raw_value[0],
    )
