"""The analysis of one position by a player, and how it expects the game to go on."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from games.game import Game, State
from mcts import SearchResult
from selfplay import positions
from selfplay.players import Player

VARIATION_PLIES = 8
SHOWN_MOVES = 5


class Analysis(NamedTuple):
    """What a player thinks of one position."""

    result: SearchResult  # in NumPy, without the batch axis
    # Actions, this position's best first; up to where a player outside the device gives up.
    principal_variation: tuple[int, ...]


def analyse(
    player: Player,
    state: State,
    key: jax.Array,
    moves: Sequence[int] = (),
    variation_plies: int = VARIATION_PLIES,
) -> Analysis:
    """Returns a player's analysis of an unbatched position in which play goes on.

    The principal variation is the best action of this position, then of the position after it, and
    so on, by a fresh search for each: deeper than the first tree's own line, and as much slower.

    Args:
      key: PRNG key, consumed.
      moves: the actions that led here, for players outside the device.
    """
    line = list(moves)
    first: SearchResult | None = None
    variation: list[int] = []
    while len(variation) < max(variation_plies, 1) and not state.terminated:
        batch = jax.tree.map(lambda leaf: np.asarray(leaf)[None], state)
        history = np.array([line or [positions.NO_ACTION]], np.int32)
        answer = player(batch, jax.random.fold_in(key, len(variation)), history)
        result = SearchResult(*(np.asarray(field)[0] for field in answer))
        first = first or result
        if result.action < 0:  # it gives up, which is no move
            break
        variation.append(int(result.action))
        line.append(variation[-1])
        state = positions.step(player.game, state, np.int32(variation[-1]))
    if first is None:
        raise ValueError("the game is over: there is nothing to analyse")
    return Analysis(first, tuple(variation))


def ranked(result: SearchResult, legal: Any) -> list[int]:
    """Returns the legal actions of an unbatched result, the played one first, then by weight."""
    actions = np.flatnonzero(np.asarray(legal)).tolist()

    def rank(action: int) -> tuple[bool, float, float]:
        weight, visits = result.action_weights[action], result.visit_counts[action]
        return action != int(result.action), -float(visits), -float(weight)

    return sorted(actions, key=rank)


def analysis_text(game: Game[Any], state: State, analysis: Analysis) -> str:
    """Returns the network's and the search's analysis as a small table; `>` is what it plays."""
    result = analysis.result
    lines = [
        f"value for seat {int(state.to_play)}: network {float(result.raw_value):+.2f}, "
        f"search {float(result.value):+.2f}",
        "    move  prior  visits  value  weight",
    ]
    for action in ranked(result, state.legal_action_mask)[:SHOWN_MOVES]:
        visits = int(result.visit_counts[action])
        value = f"{float(result.q[action]):+.2f}" if visits else ""
        lines.append(
            f"{'>' if action == int(result.action) else ' '}"
            f"{game.action_to_string(state, action):>7}  {float(result.prior[action]):5.1%}  "
            f"{visits:6}  {value:>5}  {float(result.action_weights[action]):6.1%}"
        )
    if len(analysis.principal_variation) > 1:
        lines.append(
            "expects " + " ".join(positions.notation(game, state, analysis.principal_variation))
        )
    return "\n".join(lines)
