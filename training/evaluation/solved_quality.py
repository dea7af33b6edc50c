"""What a run's network and search make of solved positions, and which of the two limits them.

Of the same weights, without noise: mistakes of the bare network and of searches with more and more
simulations; values beside the truth; how much of the policies lies on moves that lose value. From
these, one sentence: is it the value, the policy or the search that limits the run?
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import numpy as np

from mcts import SearchResult
from selfplay import positions
from selfplay.perfect.solver import ILLEGAL, SolvedSet
from selfplay.players import Player
from training.evaluation import value_quality
from training.evaluation.value_quality import Agreement, agreement, agreements

BATCH = 256  # positions searched at once
BUDGETS = (0, 8, 32, 128)  # simulations; 0: the bare network
MORE = 4  # times the run's own simulations that the largest search has at least
# A network whose search mends three of four of its mistakes, or more, has yet to learn from it.
# Connect Four runs of 2 to 6 minutes: half.
LAGGING = 4.0
FEW_MISTAKES = 10  # positions, below which there is nothing to compare
SURE = 2.0  # standard errors by which the largest part leads the next

Name: TypeAlias = Literal["value", "policy", "search"]


class SolvedQuality(NamedTuple):
    """Networks and searches on N solved positions, each an observation."""

    simulations: int  # of the run's own search
    searched: SearchResult  # its answers, in NumPy
    wrong: dict[int, np.ndarray]  # bool[N] by simulations: whether the move is a mistake
    mass: dict[int, float]  # mean weight of the policy on moves that are mistakes, likewise
    values: dict[str, Agreement]  # with the truth: raw, and of the run's own search root
    misvalued: np.ndarray  # bool[N], mistakes of the largest search that its values prefer
    overruled: np.ndarray  # bool[N], its other ones: the policy outweighed or hid a right move

    @property
    def positions(self) -> int:
        """N."""
        return len(self.misvalued)

    @property
    def mistakes(self) -> dict[int, float]:
        """The mistake rate by simulations."""
        return {n: float(column.mean()) for n, column in self.wrong.items()}


class Limit(NamedTuple):
    """What limits a run."""

    parts: tuple[Name, ...]  # one; two that cannot be told apart; none without mistakes
    shares: dict[str, float]  # of the positions, by part: of the mistakes of the run's own search
    sentence: str


def budgets(own: int) -> tuple[int, ...]:
    """Returns the numbers of simulations that are compared, in order, for a run with its own."""
    return tuple(sorted({*BUDGETS, own, max(*BUDGETS, MORE * own)}))


def first_of(sets: Mapping[str, SolvedSet], count: int) -> SolvedSet:
    """`count` positions in all, equally many of each set, drawn once and for all."""
    share, parts = count // len(sets), []
    for solved in sets.values():
        examples = np.random.default_rng(0).permutation(len(solved.plies))[:share]
        states = positions.take(solved.states, examples)
        parts.append(SolvedSet(states, solved.outcomes[examples], solved.plies[examples]))
    joined: SolvedSet = jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)
    return joined


def measure(
    player: Callable[[int], Player], own: int, solved: SolvedSet, compared: tuple[int, ...]
) -> SolvedQuality:
    """Lets one network, with searches of several sizes, judge N solved positions.

    Args:
      player: makes the player of so many simulations, without noise.
      own: the run's own simulations, one of `compared`.
      compared: numbers of simulations, 0 first.
    """
    truth = solved.outcomes.max(axis=1).astype(np.float64)  # for the mover
    worse = (solved.outcomes < truth[:, None]) & (solved.outcomes != ILLEGAL)
    results = {n: _results(player(n), solved) for n in compared}
    examples = np.arange(len(truth))
    misvalued, overruled = _causes(results[compared[-1]], solved.outcomes)
    return SolvedQuality(
        simulations=own,
        searched=results[own],
        wrong={n: worse[examples, result.action] for n, result in results.items()},
        mass={
            n: float((result.action_weights * worse).sum(axis=1).mean())
            for n, result in results.items()
        },
        values={
            name: agreement(np.asarray(result.value, np.float64), truth, examples)
            for name, result in (("raw", results[0]), ("root", results[own]))
        },
        misvalued=misvalued,
        overruled=overruled,
    )


def _results(player: Player, solved: SolvedSet) -> SearchResult:
    """Returns a player's answers in NumPy; the last batch is filled up with the last position."""
    count = len(solved.plies)
    batch = min(BATCH, count)
    answers = []
    for start in range(0, count, batch):
        examples = np.minimum(np.arange(start, start + batch), count - 1)
        answers.append(
            jax.device_get(player(positions.take(solved.states, examples), jax.random.key(0)))
        )
    joined: SearchResult = jax.tree.map(lambda *x: np.concatenate(x)[:count], *answers)
    return joined


def _causes(result: SearchResult, outcomes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tells a search's mistakes apart by what its values of moves say: bool[N] of either kind.

    Misvalued: no right move that it looked at has a higher value than the move it chose. Else it
    was overruled by the policy: a right move has a higher value, or none was looked at.
    """
    right = outcomes == outcomes.max(axis=1, keepdims=True)
    q, chosen = np.asarray(result.q), (np.arange(len(right)), np.asarray(result.action))
    mistake, looked = ~right[chosen], right & (np.asarray(result.visit_counts) > 0)
    preferred = np.where(looked, q, -np.inf).max(axis=1) > q[chosen]
    overruled = mistake & (preferred | ~looked.any(axis=1))
    return mistake & ~overruled, overruled


def limit(measured: SolvedQuality) -> Limit:
    """Returns what limits a run, from its mistakes on solved positions.

    A run plays and teaches by its search of n simulations. Of the mistakes that this makes, a
    larger search mends some: these are the search's share. Those that are left are the value's
    where the larger search's own values of moves prefer the wrong one, and the policy's where they
    do not, or where it never looked at a right move. The largest share names the limit. But if
    search mends three of four of the bare network's mistakes, or more, the policy is the limit,
    because it has not learned what the search already knows.
    """
    raw, own, most = (measured.wrong[n] for n in (0, measured.simulations, max(measured.wrong)))
    columns: dict[Name, np.ndarray] = {
        "value": measured.misvalued.astype(float),
        "policy": measured.overruled.astype(float),
        "search": own.astype(float) - most,
    }
    shares: dict[str, float] = {name: float(column.mean()) for name, column in columns.items()}
    if max(raw.sum(), own.sum()) < FEW_MISTAKES:
        return Limit((), shares, _sentence("nothing that these positions show", measured, ""))
    if raw.sum() >= LAGGING * own.sum():
        why = ": the network has yet to learn what its search knows"
        return Limit(("policy",), shares, _sentence("policy", measured, why))
    (first, _), (second, next_share), _ = sorted(shares.items(), key=lambda pair: -pair[1])
    lead = columns[first] - columns[second]  # type: ignore[index]
    is_sure = lead.mean() > SURE * lead.std() / np.sqrt(len(lead))
    parts = (first,) if is_sure or next_share <= 0 else (first, second)
    said = parts[0] if len(parts) == 1 else f"{first} or {second}, which cannot be told apart yet"
    return Limit(parts, shares, _sentence(said, measured, ""))  # type: ignore[arg-type]


def _sentence(limited_by: str, measured: SolvedQuality, why: str) -> str:
    rates, own, most = measured.mistakes, measured.simulations, max(measured.wrong)
    return (
        f"limited by: {limited_by}. On {measured.positions:,} solved positions the network "
        f"alone errs in {rates[0]:.1%}, its search of {own} simulations in {rates[own]:.1%} "
        f"and one of {most} in {rates[most]:.1%}, of which {measured.misvalued.mean():.1%} "
        "where the search's values prefer the wrong move and "
        f"{measured.overruled.mean():.1%} where they do not but the policy does{why}."
    )


def in_words(measured: SolvedQuality) -> str:
    """Values beside the truth, and mistakes by simulations, as sentences."""
    rates = ", ".join(
        f"{n}: {rate:.1%} ({measured.mass[n]:.1%})" for n, rate in measured.mistakes.items()
    )
    return (
        f"values beside the truth of {measured.positions:,} solved positions, with "
        f"{measured.simulations} simulations: {agreements(measured.values)}. Mistakes by "
        f"simulations, and the weight of the policy on mistakes: {rates}"
    )


def as_json(measured: SolvedQuality) -> dict[str, Any]:
    """Rates by simulations, and agreements of the values with the truth."""
    return {
        "simulations": measured.simulations,
        "positions": measured.positions,
        "mistakes": {str(n): rate for n, rate in measured.mistakes.items()},
        "mass": {str(n): mass for n, mass in measured.mass.items()},
        "values": value_quality.as_json(measured.values),
    }
