"""Monte Carlo tree search (MCTS), batched: improves a network's policy at B positions."""

import dataclasses

import jax
import jax.numpy as jnp

from games.game import Game, S
from mcts import keys
from mcts.config import SearchConfig
from mcts.contract import Evaluate, SearchResult, Variables, evaluate_states
from mcts.policy import POLICIES
from mcts.simulation import SearchContext, simulate_all
from mcts.tree import Tree, empty_trees, init_tree, root_stats


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
      key: PRNG key, consumed; or B of them, one a root, so that the noise of a root is the same
        whatever is searched beside it (not with the engine mctx).

    Raises:
      ValueError: `state` has no batch axis.

    Example:
      >>> import games, jax, jax.numpy as jnp
      >>> from mcts import Evaluation, SearchConfig, search
      >>> game = games.load("tic_tac_toe")
      >>> def knows_nothing(variables, observation):
      ...     value = jnp.zeros(len(observation))
      ...     return Evaluation(jnp.zeros((len(value), game.num_actions)), value)
      >>> states = jax.vmap(game.init)(jax.random.split(jax.random.key(0), 2))
      >>> for moves in ([0, 3], [6, 2], [1, 5], [7, 4]):  # one of each game
      ...     states = jax.jit(jax.vmap(game.step))(states, jnp.array(moves))
      >>> config = SearchConfig(simulations=32)
      >>> searched = jax.jit(lambda *given: search(game, knows_nothing, (), *given, config))
      >>> searched(states, jax.random.key(1)).action.tolist()  # one wins, one must block
      [2, 6]
    """
    if state.to_play.ndim != 1:
        raise ValueError(
            f"search needs a batch of roots, got to_play of shape {state.to_play.shape}"
        )
    alone = dataclasses.replace(config, reuse_nodes=0)
    return search_on(game, evaluate, variables, state, key, alone, None)[0]


def search_on(
    game: Game[S],
    evaluate: Evaluate,
    variables: Variables,
    state: S,
    key: jax.Array,
    config: SearchConfig,
    kept: Tree | None,
) -> tuple[SearchResult, Tree | None]:
    """Searches on from what `mcts.keep` has kept of the last moves' trees.

    Args:
      kept: None to start anew, as one must with `config.reuse_nodes` 0.

    Returns:
      the result, in which visits, values and weights count inherited simulations too; and the
      trees, for `mcts.keep` (None with the engine mctx, which gives none away).
    """
    root = evaluate_states(game, evaluate, variables, state, config.average_symmetries)
    if config.engine == "mctx":
        if keys.by_position(key):
            raise ValueError("the engine mctx takes one key for all roots: use the engine tree")
        from mcts import reference  # only here: mctx takes a second to import

        return reference.search(game, evaluate, variables, state, root, key, config), None

    # Root: a prior with the policy's noise, in a new tree or the one that was kept.
    policy, legal = POLICIES[config.policy], state.legal_action_mask
    logits_key, plan_key = keys.split(key)
    logits = policy.root_logits(config, logits_key, root.prior_logits, legal)
    if kept is None:
        kept = empty_trees(game, state, config)
    tree = init_tree(game, policy, kept, state, root._replace(prior_logits=logits), config)
    # Plan: what the policy fixes beforehand, such as the schedule of sequential halving.
    plan = None
    if policy.root:
        stats = root_stats(tree, len(legal))
        plan = policy.root.plan(config, plan_key, root.prior_logits, legal, stats)
    # Simulate: select, expand, evaluate and back up, `config.simulations` times.
    context = SearchContext(game, evaluate, variables, state, config, policy, plan)
    tree = simulate_all(context, tree)

    # Decide: the improved policy, the move, and the value.
    stats = root_stats(tree, len(legal))
    decision = policy.decide(config, plan, stats)
    result = SearchResult(
        action=decision.action.astype(jnp.int32),
        action_weights=decision.action_weights,
        visit_counts=stats.visits.astype(jnp.int32),
        value=decision.value,
        q=decision.q,
        prior=jax.nn.softmax(root.prior_logits),
        raw_value=root.value,
    )
    return result, tree
