"""The perfect player, of games that are solved here: it draws among the moves that keep the result.

Where all moves have the same result, as in lost positions, it draws among all of them. It plays
outside the device; what it has worked out it keeps.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import games
from games import registry
from games.game import Game, State
from games.hex import Hex
from mcts import SearchResult, Variables
from selfplay import positions
from selfplay.perfect import hex as perfect_hex
from selfplay.perfect import solver
from selfplay.perfect.solver import ILLEGAL
from selfplay.players import Player, without_search

# Of batched live positions, and until when: int8[N, A], see `SolvedSet`; may raise TooLongError.
Outcomes = Callable[[State, float], np.ndarray]


def perfect_player(game: Game[Any]) -> Player:
    """Returns the perfect player of a game.

    Raises:
      ValueError: perfect play is not known for this game.
    """
    outcomes = outcomes_of(game)

    def act(variables: Variables, states: State, key: jax.Array, history: Any) -> SearchResult:
        del variables, history
        states = positions.take(states, slice(None))
        return _draw(outcomes(states, float("inf")), states, key)

    return Player("perfect", game, act, on_device=False)


def outcomes_of(game: Game[Any]) -> Outcomes:
    """Returns what tells the outcome of every move in any position of a game.

    Raises:
      ValueError: perfect play is not known for this game.
    """
    if isinstance(game, Hex) and game.size <= perfect_hex.LARGEST:
        return functools.partial(perfect_hex.outcomes, game)
    if game == games.load("tic_tac_toe"):
        return _looked_up(game)  # type: ignore[arg-type]
    largest = perfect_hex.LARGEST
    raise ValueError(
        f"player 'perfect': perfect play is known for tic_tac_toe and hex up to size={largest}, "
        f"not for {registry.spec_of(game)}"
    )


@functools.cache
def _looked_up(game: Game[Any]) -> Outcomes:
    """Returns the outcomes of a game that is small enough for a table of all its positions."""
    solved = solver.solve(game)
    rows = {key.tobytes(): row for row, key in enumerate(positions.fingerprints(solved.states))}
    unknown = len(solved.outcomes)  # of finished games, where nothing is legal
    table = np.concatenate([solved.outcomes, np.full((1, game.num_actions), ILLEGAL, np.int8)])

    def outcomes(states: State, until: float) -> np.ndarray:
        del until  # it takes no time
        keys = positions.fingerprints(states)
        chosen: np.ndarray = table[[rows.get(key.tobytes(), unknown) for key in keys]]
        return chosen

    return outcomes


def _draw(outcomes: np.ndarray, states: State, key: jax.Array) -> SearchResult:
    """Returns a move of each position, drawn uniformly among the best ones."""
    legal = np.asarray(states.legal_action_mask)
    value = outcomes.max(axis=1, keepdims=True)
    best = (outcomes == value) & legal
    weights = best / np.maximum(best.sum(axis=1, keepdims=True), 1)
    lots = np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel().tolist())
    action = np.where(best, lots.random(best.shape), -1.0).argmax(axis=1)
    values = np.where(legal.any(axis=1), value[:, 0], 0).astype(np.float32)
    q = np.where(legal, outcomes, values[:, None])
    found = without_search(*map(jnp.asarray, (action, weights.astype(np.float32), values)))
    answer: SearchResult = jax.device_get(found._replace(q=jnp.asarray(q, jnp.float32)))
    return answer
