"""Checks of what a run's network says: its values, and its search."""

from typing import Any

import jax
import numpy as np

from games.game import State
from selfplay import positions
from selfplay.information import cross_entropy, kl_divergence
from selfplay.perfect import mistakes
from selfplay.players import Player
from selfplay.recorder import Sample
from training.doctor.evidence import Evidence, correlation, last_part, take
from training.doctor.findings import Finding, Result
from training.doctor.weights import FEW_STEPS
from training.players import make_player

TAUGHT = 0.05  # radians by which a value's layers turn before it can be said to point anywhere
JUDGED_ROWS = 4_096


def value(evidence: Evidence) -> Result:
    """Compares predicted with actual results, all told and by ply.

    Threshold: a correlation below -0.1 that is 4 standard errors from 0, a game's rows counted as
    one. Healthy runs: +0.23 (connect_four, 1,400 steps) to +0.50 (tic_tac_toe, 760 steps); with the
    sign flipped -0.54. The same of either seat alone: +0.28 and more; with seat 0's outcome in all
    rows -0.28. An untrained value points anywhere (`TAUGHT`).
    """
    rows = last_part(evidence.rows, JUDGED_ROWS)
    _, predicted = evidence.predict(evidence.newest_folded, rows)
    sign, games = correlation(predicted, rows.outcome), len(np.unique(rows.game_id))
    by_seat = _by_seat(rows, predicted)
    error = float(np.square(predicted - rows.outcome).mean())
    measured = {
        "correlation": sign,
        "squared_error": error,
        "variance": float(rows.outcome.var()),
        "search_correlation": correlation(rows.root_value, rows.outcome),
        "by_seat": by_seat,
        "by_ply": _calibration(rows, predicted),
    }
    findings = _wrong_signs(evidence, sign, by_seat, games) or _wrong_search(evidence, rows)
    too_early = "training has hardly begun" if evidence.newest.step < FEW_STEPS else ""
    return Result(
        "value",
        "The network foresees results: correlation well above 0, growing with the ply.",
        f"correlation {sign:+.2f} with the results, squared error {error:.2f} of "
        f"{measured['variance']:.2f}",
        measured,
        tuple(findings),
        "" if findings else too_early,
    )


def _wrong_signs(
    evidence: Evidence, sign: float, by_seat: tuple[float, float], games: int
) -> list[Finding]:
    if _is_wrong(sign, games):
        return [
            Finding(
                "value-sign",
                f"the network's value points the wrong way (correlation {sign:+.2f} with "
                "the results): the sign is flipped in the value target.",
                "a value target is for the seat to play at that row: look for a lost or doubled "
                "minus between the game's returns and the loss, or for positions shown to training "
                "from the other seat's side",
            )
        ]
    turned = evidence.turned(evidence.newest.average.params)
    taught = all(angle > TAUGHT for name, angle in turned.items() if name.startswith("value"))
    if not (taught and _is_wrong(min(by_seat), games)):
        return []
    return [
        Finding(
            "value-sign",
            f"the network's value points the wrong way for one seat alone (correlation "
            f"{by_seat[0]:+.2f} with the results for the first to move, {by_seat[1]:+.2f} for "
            "the other): the sign is flipped in that seat's value target.",
            "a value target is for the seat to play at that row, not always for seat 0",
        )
    ]


def _wrong_search(evidence: Evidence, rows: Sample) -> list[Finding]:
    """Looks for stored search values of the wrong sign. Healthy runs: +0.26 to +0.59."""
    rows = take(rows, rows.weights_step >= FEW_STEPS)  # before, a value points anywhere
    replayed = evidence.replayed
    wrong_outcomes = np.abs(evidence.rows.outcome[replayed.rows] - replayed.outcome) > 1e-3
    if not len(rows.ply) or wrong_outcomes.any():  # the latter are for the check `rules` to name
        return []
    sign = correlation(rows.root_value, rows.outcome)
    if not _is_wrong(sign, len(np.unique(rows.game_id))):
        return []
    return [
        Finding(
            "value-sign",
            f"the search's values, as they are stored, point the wrong way (correlation {sign:+.2f}"
            " with the results): the sign is flipped, or they are those of the ply before or "
            "after.",
            "follow a row's root_value from the search to the replay",
        )
    ]


def _is_wrong(sign: float, games: int) -> bool:
    return bool(sign < -0.1 and sign * np.sqrt(games) < -4)


def _by_seat(rows: Sample, predicted: np.ndarray) -> tuple[float, float]:
    """Returns the correlations of either seat's rows, told by the ply: of turns that alternate."""
    even = rows.ply % 2 == 0
    first, second = (correlation(predicted[x], rows.outcome[x]) for x in (even, ~even))
    return first, second


def _calibration(rows: Sample, predicted: np.ndarray) -> list[dict[str, float]]:
    """Returns predicted and actual results by ply, in at most eight groups of plies."""
    edges = np.unique(np.quantile(rows.ply, np.linspace(0, 1, 9)).astype(int))
    table = []
    for low, high in zip(edges, [*edges[1:], edges[-1] + 1], strict=True):
        chosen = (rows.ply >= low) & (rows.ply < high)
        if chosen.any():
            table.append(
                {
                    "ply": int(low),
                    "rows": int(chosen.sum()),
                    "predicted": float(predicted[chosen].mean()),
                    "actual": float(rows.outcome[chosen].mean()),
                    "correlation": correlation(predicted[chosen], rows.outcome[chosen]),
                }
            )
    return table


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
    """Returns how many actions a search valued, where it valued any otherwise than the root."""
    recent = last_part(rows, JUDGED_ROWS)
    gap = np.abs(recent.q.astype(np.float32) - recent.root_value[:, None]) > 2e-3
    counts = (gap & recent.legal_action_mask).sum(axis=1)
    choice = (recent.legal_action_mask.sum(axis=1) > 2) & (counts > 0)
    return float(counts[choice].mean()) if choice.any() else None
