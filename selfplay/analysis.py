"""Analysis of a position by a player: its search result, principal variation and move."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from games.game import Game, State
from mcts import SearchResult, win_draw_loss
from selfplay import positions
from selfplay.players import FORFEIT, RESIGN, Player

VARIATION_PLIES = 8
SHOWN_MOVES = 5
VARIED_PLIES = 8  # in which a player draws among its nearly equal moves
NEARLY = 0.1  # the value that such a move may be worse
FEW_VISITS = 4  # times fewer than the best move has: its value is a guess


class Analysis(NamedTuple):
    """What a player thinks of one position."""

    result: SearchResult  # in NumPy, without the batch axis
    # Actions, this position's best first; up to where a player outside the device gives up.
    principal_variation: tuple[int, ...]
    outcomes: list[float] | None = None  # see `outcomes`


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
    # The search of the position itself.
    first = think(player, state, jax.random.fold_in(key, 0), moves)
    variation = []
    if first.action >= 0:  # below, it gives up, which is no move
        best = int(first.action)
        after = positions.step(player.game, state, np.int32(best))
        variation = [best, *expected(player, after, key, [*moves, best], variation_plies - 1)]
    return Analysis(first, tuple(variation), outcomes(player, state, float(first.value)))


def think(player: Player, state: State, key: jax.Array, moves: Sequence[int] = ()) -> SearchResult:
    """Returns a player's result for one position, in NumPy, without the batch axis.

    Args:
      state: unbatched; play goes on in it.
      key: PRNG key, consumed.
      moves: the actions that led here, for players outside the device.

    Raises:
      ValueError: the game is over.
    """
    if state.terminated:
        raise ValueError("the game is over: there is nothing to analyse")
    # Players take batches: this is a batch of one.
    batch = jax.tree.map(lambda leaf: np.asarray(leaf)[None], state)
    history = np.array([list(moves) or [positions.NO_ACTION]], np.int32)
    answer = player(batch, key, history)
    return SearchResult(*(np.asarray(field)[0] for field in answer))


def outcomes(player: Player, state: State, value: float) -> list[float] | None:
    """Returns the probabilities of win, draw and loss for the seat to play.

    The draw's is what the player's network says, the others follow from the search's value. None of
    a player whose network does not tell draws.

    Args:
      state: unbatched.
    """
    draw = player.draw_probability(jax.tree.map(lambda leaf: np.asarray(leaf)[None], state))
    if draw is None:
        return None
    told: list[float] = np.asarray(win_draw_loss(jnp.float32(value), draw[0])).tolist()
    return told


def expected(
    player: Player, state: State, key: jax.Array, moves: Sequence[int], plies: int
) -> Iterator[int]:
    """Yields the player's moves from a position on, each by a search of its own.

    There are at most `plies`: fewer where the game ends, or where the player gives up.

    Args:
      key: numbers from 1 on are folded in.
    """
    line = list(moves)
    for number in range(1, plies + 1):
        if state.terminated:
            return
        # Each further move of the line has a search of its own: a tree is thin below its root.
        action = int(think(player, state, jax.random.fold_in(key, number), line).action)
        if action < 0:
            return
        yield action
        line.append(action)
        state = positions.step(player.game, state, np.int32(action))


def varied_move(
    result: SearchResult, legal: Any, ply: int, temperature: float, rng: np.random.Generator
) -> int:
    """Returns the move that a player makes in play: early ones by lot among nearly equal ones.

    After `VARIED_PLIES`, and at temperature 0, it is the best one. `RESIGN` and `FORFEIT` stay.

    Args:
      result: unbatched, in NumPy.
      legal: bool[A].
      temperature: weights are raised to its inverse.
    """
    action = int(result.action)
    if ply >= VARIED_PLIES or temperature == 0 or action in (RESIGN, FORFEIT):
        return action
    # Draw among moves of nearly the best value that were searched in earnest.
    weights = np.asarray(result.action_weights, float) ** (1 / temperature)
    near = result.q >= result.q[action] - NEARLY
    # By visits, else, for a player that does not search, by weight.
    liked = result.visit_counts if result.visit_counts.any() else result.action_weights
    near &= liked * FEW_VISITS >= liked[action]
    weights = np.where(near & np.asarray(legal), weights, 0.0)
    weights[action] = max(weights[action], np.finfo(float).tiny)
    return int(rng.choice(len(weights), p=weights / weights.sum()))


def has_value(result: SearchResult) -> np.ndarray:
    """Returns bool[A]: the actions whose `q` somebody looked for; others have what stands for it.

    Those are the visited ones. Of players that do not search, a raw policy has one value for all
    actions, which tells nothing about any; perfect play tells them apart.
    """
    if result.visit_counts.any():
        visited: np.ndarray = np.asarray(result.visit_counts) > 0
        return visited
    return np.full(np.shape(result.q), bool(np.ptp(np.asarray(result.q)) > 0))


def ranked(result: SearchResult, legal: Any) -> list[int]:
    """Returns the legal actions of an unbatched result, the played one first, then by weight."""
    actions = np.flatnonzero(np.asarray(legal)).tolist()

    # The move that is played first; then by visits, then by weight.
    def rank(action: int) -> tuple[bool, float, float]:
        weight, visits = result.action_weights[action], result.visit_counts[action]
        return action != int(result.action), -float(visits), -float(weight)

    return sorted(actions, key=rank)


class Candidate(NamedTuple):
    """What a player thinks of one legal action."""

    action: int
    name: str  # in the game's notation
    prior: float
    visits: int
    q: float  # for the seat to play, in [-1, 1]
    is_known: bool  # whether `q` was looked for, see `has_value`
    weight: float  # of the improved policy


def candidates(game: Game[Any], state: State, result: SearchResult) -> list[Candidate]:
    """Returns the legal actions of an unbatched result as all that show it have them, best first.

    A player that gives up has no action of its own: then the first one has the most visits.
    """
    known = has_value(result)
    return [
        Candidate(
            action=action,
            name=game.action_to_string(state, action),
            prior=float(result.prior[action]),
            visits=int(result.visit_counts[action]),
            q=float(result.q[action]),
            is_known=bool(known[action]),
            weight=float(result.action_weights[action]),
        )
        for action in ranked(result, state.legal_action_mask)
    ]


def considered(found: Sequence[Candidate]) -> list[Candidate]:
    """Returns the candidates that were searched, or the best one where no search took place."""
    return [one for place, one in enumerate(found) if one.visits or place == 0]


def winrate(value: float) -> float:
    """Returns the share of points in [0, 1] that a value in [-1, 1] stands for."""
    return float(np.clip((value + 1) / 2, 0, 1))


def by_move(game: Game[Any], state: State, result: SearchResult) -> dict[str, Any]:
    """Returns an unbatched result as JSON has it; numbers by move, in the game's notation."""
    found = candidates(game, state, result)
    best = int(result.action)
    return {
        "move": next((one.name for one in found if one.action == best), None),  # None: it gives up
        "policy": {one.name: one.weight for one in found},
        "value": float(result.value),
        "prior": {one.name: one.prior for one in found},
        "raw_value": float(result.raw_value),
        "visits": {one.name: one.visits for one in found},
        "q": {one.name: one.q for one in found},
    }


def analysis_text(game: Game[Any], state: State, analysis: Analysis) -> str:
    """Returns the network's and the search's analysis as a small table; `>` is what it plays."""
    result = analysis.result
    lines = [
        f"value for seat {int(state.to_play)}: network {float(result.raw_value):+.2f}, "
        f"search {float(result.value):+.2f}",
    ]
    if analysis.outcomes:
        lines.append("win {:.0%} draw {:.0%} loss {:.0%}".format(*analysis.outcomes))
    lines.append("    move  prior  visits  value  weight")
    for one in candidates(game, state, result)[:SHOWN_MOVES]:
        value = f"{one.q:+.2f}" if one.visits else ""
        lines.append(
            f"{'>' if one.action == int(result.action) else ' '}{one.name:>7}  {one.prior:5.1%}  "
            f"{one.visits:6}  {value:>5}  {one.weight:6.1%}"
        )
    if len(analysis.principal_variation) > 1:
        lines.append(
            "expects " + " ".join(positions.notation(game, state, analysis.principal_variation))
        )
    return "\n".join(lines)
