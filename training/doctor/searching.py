"""A check of a run's search: does it help, and does it look at enough?"""

import functools
import math
from typing import Any

import jax
import numpy as np

from games.game import State, cells_of
from mcts import SearchResult
from selfplay import positions
from selfplay.information import cross_entropy, kl_divergence
from selfplay.perfect import mistakes
from selfplay.players import Player
from selfplay.recorder import Sample
from training.doctor.evidence import JUDGED_EXAMPLES, Evidence, last_part
from training.doctor.findings import Case, Result, all_of
from training.doctor.weights import FEW_STEPS
from training.evaluation import solved_quality
from training.evaluation.solved_quality import SolvedQuality
from training.players import make_player

# Solved positions, at most and at least; what two cores of a CPU compute in a second.
MOST_SOLVED, LEAST_SOLVED, MULTIPLY_ADDS = 1024, 128, 20e9


def searching(evidence: Evidence) -> Result:
    """Compares the network with its search: entropies, KL, changed choices, and which are right.

    Thresholds: a search that makes 5% more mistakes than the raw policy and 3 standard errors (it
    must help: Danihelka et al. 2022 prove it for exact values); fewer than 1.2 actions valued where
    values differ (one: nothing is compared).
    """
    looked, simulations = actions_valued(evidence.examples), evidence.config.search.simulations
    quality = _solved(evidence)
    measured: dict[str, Any] = {"actions_valued": looked}
    cases, notes = [], []
    if quality is not None:
        measured |= _policies(quality.searched) | _mistakes(quality)
        measured["solved"] = solved_quality.as_json(quality)
        measured["limit_unjudged"] = _limit_unjudged(evidence, quality)
        notes = [solved_quality.in_words(quality)]
        if not measured["limit_unjudged"]:
            limit = solved_quality.limit(quality)
            measured["limit"] = limit._asdict()
            notes.append(limit.sentence)
        raw, search = measured["raw_mistakes"], measured["search_mistakes"]
        cases.append(
            Case(
                search - raw > max(0.05, 3 * np.sqrt((raw + 1e-4) / quality.positions)),
                "search-hurts",
                f"search makes play worse: {search:.1%} mistakes, the raw policy {raw:.1%}.",
            )
        )
    elif (states := _replayed(evidence)) is not None:
        measured |= _policies(_player(evidence, simulations)(states, jax.random.key(0)))
    cases.append(
        Case(
            simulations < 2 or (looked is not None and looked < 1.2),
            "search-too-small",
            f"search values {looked or 1:.1f} actions a position ({simulations} simulations): it "
            "compares nothing and has nothing to teach.",
        )
    )
    unjudged = "" if "kl" in measured else "no position could be played again"
    return Result(_summary(measured), measured, all_of(*cases), unjudged, tuple(notes))


def _summary(measured: dict[str, Any]) -> str:
    if "kl" not in measured:
        return "no positions to search from"
    said = (
        f"KL(search || network) {measured['kl']:.2f} nats, entropy "
        f"{measured['network_entropy']:.2f} -> {measured['search_entropy']:.2f} nats, changes "
        f"{measured['changed']:.0%} of the choices"
    )
    if "mended" in measured:
        said += (
            f", mends {measured['mended']:.1%} and spoils {measured['spoilt']:.1%} (mistakes "
            f"{measured['raw_mistakes']:.1%} -> {measured['search_mistakes']:.1%})"
        )
    return said


def _policies(result: SearchResult) -> dict[str, float]:
    """How the search's policy differs from the network's, in nats and in choices."""
    result = jax.device_get(result)
    return {
        "kl": float(kl_divergence(result.action_weights, result.prior).mean()),
        "network_entropy": float(cross_entropy(result.prior, result.prior).mean()),
        "search_entropy": float(cross_entropy(result.action_weights, result.action_weights).mean()),
        "changed": float((result.action != result.prior.argmax(axis=1)).mean()),
    }


def _mistakes(quality: SolvedQuality) -> dict[str, float]:
    """The mistakes before and after search, and what search mended and spoilt."""
    raw, search = quality.wrong[0], quality.wrong[quality.simulations]
    return {
        "raw_mistakes": float(raw.mean()),
        "search_mistakes": float(search.mean()),
        "mended": float((raw & ~search).mean()),
        "spoilt": float((~raw & search).mean()),
    }


def _limit_unjudged(evidence: Evidence, quality: SolvedQuality) -> str:
    """Why it cannot be said what limits the run, "" if it can."""
    if evidence.config.amplify != "search":
        return f"the network is taught by {evidence.config.amplify}, not by its search"
    if evidence.newest.step < FEW_STEPS:
        return "training has hardly begun"
    if max(quality.wrong) < max(solved_quality.budgets(quality.simulations)):
        return "larger searches would take longer than --seconds"
    return ""


def _player(evidence: Evidence, simulations: int) -> Player:
    game, network, config = evidence.game, evidence.network, evidence.config.search
    return make_player("run", game, network, evidence.newest_folded, config, simulations)


def _solved(evidence: Evidence) -> SolvedQuality | None:
    """The run on solved positions, if its game has any: as many as can be searched in the time.

    Counted, not timed, so that the same run has the same result on any machine.
    """
    if not mistakes.has_oracle(evidence.config.game):
        return None
    sets = mistakes.load_positions(evidence.config.game)
    own = evidence.config.search.simulations
    compared = solved_quality.budgets(own)
    each = sum(compared) * _multiply_adds(evidence)
    count = min(MOST_SOLVED, int(evidence.seconds * MULTIPLY_ADDS / each))
    if count < LEAST_SOLVED:  # those that were always searched, by the run's own search alone
        count, compared = MOST_SOLVED // 2, tuple(sorted({0, own}))
    chosen = solved_quality.first_of(sets, count)
    return solved_quality.measure(functools.partial(_player, evidence), own, chosen, compared)


def _multiply_adds(evidence: Evidence) -> int:
    """Those of one evaluation by the network: of each cell in convolutions."""
    cells = math.prod(cells_of(evidence.game.observation_shape))
    kernels = (leaf for leaf in jax.tree.leaves(evidence.newest_folded) if leaf.ndim > 1)
    return sum(leaf.size * (cells if leaf.ndim > 2 else 1) for leaf in kernels)


def _replayed(evidence: Evidence) -> State | None:
    """Positions of the run's games to search from."""
    count = len(evidence.replayed.examples)
    if count == 0:
        return None
    return positions.take(evidence.replayed.states, np.resize(np.arange(count), 256))


def actions_valued(examples: Sample) -> float | None:
    """How many actions a search looked at, where it looked at any.

    Those that it did not look at have one value: PUCT's root, or what Gumbel took for them. So an
    action counts whose value no other one has, and one that ends the game for sure.
    """
    recent = last_part(examples, JUDGED_EXAMPLES)
    q = recent.q.astype(np.float32)
    ordered = np.sort(np.where(recent.legal_action_mask, q, np.inf), axis=1)
    alike = np.pad(ordered[:, 1:] == ordered[:, :-1], ((0, 0), (1, 1)))
    alone = ~alike[:, 1:] & ~alike[:, :-1]
    counts = ((alone | (np.abs(ordered) == 1)) & np.isfinite(ordered)).sum(axis=1)
    choice = (recent.legal_action_mask.sum(axis=1) > 2) & (counts > 0)
    return float(counts[choice].mean()) if choice.any() else None
