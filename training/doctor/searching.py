"""A check of a run's search: does it help, and does it look at enough?"""

from typing import Any

import jax
import numpy as np

from games.game import State
from selfplay import positions
from selfplay.information import cross_entropy, kl_divergence
from selfplay.perfect import mistakes
from selfplay.players import Player
from selfplay.recorder import Sample
from training.doctor.evidence import JUDGED_ROWS, Evidence, last_part
from training.doctor.findings import Finding, Result
from training.players import make_player


def searching(evidence: Evidence) -> Result:
    """Compares the network with its search: entropies, KL, changed choices, and which are right.

    Thresholds: a search that makes 5% more mistakes than the raw policy and 3 standard errors (it
    must help: Danihelka et al. 2022 prove it for exact values); fewer than 1.2 actions valued where
    values differ (one: nothing is compared).
    """
    looked, simulations = _actions_valued(evidence.rows), evidence.config.search.simulations
    states, solved = _positions(evidence)
    measured: dict[str, Any] = {"actions_valued": looked}
    findings = []
    if states is not None:
        measured |= _policies(_player(evidence, simulations), states)
    if solved is not None:
        measured |= _mistakes(evidence, solved)
        error = np.sqrt((measured["raw_mistakes"] + 1e-4) / len(solved.plies))
        if measured["search_mistakes"] - measured["raw_mistakes"] > max(0.05, 3 * error):
            findings.append(
                Finding(
                    "search-hurts",
                    f"search makes play worse: {measured['search_mistakes']:.1%} mistakes, the raw "
                    f"policy {measured['raw_mistakes']:.1%}.",
                    "a value or a turn has the wrong sign: `selfplay check` the game, and see "
                    "`value`",
                )
            )
    if simulations < 2 or (looked is not None and looked < 1.2):
        findings.append(
            Finding(
                "search-too-small",
                f"search values {looked or 1:.1f} actions a position ({simulations} simulations): "
                "it compares nothing and has nothing to teach.",
                "raise search.simulations: 16 or more, and at least two for each action that "
                "should be compared",
            )
        )
    return Result(
        "search",
        "Search changes some choices, for the better, and less as training goes on.",
        _search_summary(measured),
        measured,
        tuple(findings),
        "" if states is not None else "no position could be played again",
    )


def _search_summary(measured: dict[str, Any]) -> str:
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


def _policies(player: Player, states: State) -> dict[str, float]:
    """Returns how the search's policy differs from the network's, in nats and in choices."""
    result = jax.device_get(player(states, jax.random.key(0)))
    return {
        "kl": float(kl_divergence(result.action_weights, result.prior).mean()),
        "network_entropy": float(cross_entropy(result.prior, result.prior).mean()),
        "search_entropy": float(cross_entropy(result.action_weights, result.action_weights).mean()),
        "changed": float((result.action != result.prior.argmax(axis=1)).mean()),
    }


def _mistakes(evidence: Evidence, solved: mistakes.SolvedSet) -> dict[str, float]:
    """Returns the mistakes before and after search, and what search mended and spoilt."""
    raw, search = (
        mistakes.mistakes(_player(evidence, n), solved.states, solved.outcomes, jax.random.key(0))
        for n in (0, evidence.config.search.simulations)
    )
    return {
        "raw_mistakes": float(raw.mean()),
        "search_mistakes": float(search.mean()),
        "mended": float((raw & ~search).mean()),
        "spoilt": float((~raw & search).mean()),
    }


def _player(evidence: Evidence, simulations: int) -> Player:
    game, network, config = evidence.game, evidence.network, evidence.config.search
    return make_player("run", game, network, evidence.newest_folded, config, simulations)


def _positions(evidence: Evidence) -> tuple[State | None, mistakes.SolvedSet | None]:
    """Returns positions to search from, and the same with what is right, where that is known."""
    if mistakes.has_oracle(evidence.config.game):
        sets = mistakes.load_positions(evidence.config.game)
        solved = mistakes.first(next(iter(sets.values())), 512)
        return solved.states, solved
    count = len(evidence.replayed.rows)
    if count == 0:
        return None, None
    chosen = np.resize(np.arange(count), 256)
    return positions.take(evidence.replayed.states, chosen), None


def _actions_valued(rows: Sample) -> float | None:
    """Returns how many actions a search looked at, where it looked at any.

    Those that it did not look at have one value: PUCT's root, or what Gumbel took for them. So an
    action counts whose value no other one has, and one that ends the game for sure.
    """
    recent = last_part(rows, JUDGED_ROWS)
    q = recent.q.astype(np.float32)
    ordered = np.sort(np.where(recent.legal_action_mask, q, np.inf), axis=1)
    alike = np.pad(ordered[:, 1:] == ordered[:, :-1], ((0, 0), (1, 1)))
    alone = ~alike[:, 1:] & ~alike[:, :-1]
    counts = ((alone | (np.abs(ordered) == 1)) & np.isfinite(ordered)).sum(axis=1)
    choice = (recent.legal_action_mask.sum(axis=1) > 2) & (counts > 0)
    return float(counts[choice].mean()) if choice.any() else None
