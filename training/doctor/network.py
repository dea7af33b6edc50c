"""Checks of what a run's network has become: its weights, its values, and its search."""

from typing import Any

import jax
import numpy as np

from games.game import State
from selfplay import perfect, positions
from selfplay.players import Player
from selfplay.record import Sample
from training.doctor.evidence import Evidence, correlation, last_part, mean_of
from training.doctor.findings import Finding, Result
from training.players import make_player

FEW_STEPS = 50  # below, weights have hardly moved
# How often larger than at first a kernel may be, beside a random walk by steps of the usual rate:
# what many small steps come to is no fault.
MOST_GROWTH, USUAL_RATE = 8.0, 2e-3
MOST_DEAD = 0.5  # of a layer's units
LEAST_FOLLOWED = 0.5  # of the way from the start to the trained weights, by the averages
JUDGED_ROWS = 4_096


def weights(found: Evidence) -> Result:
    """Measures gradients, how far weights have moved, how large they are, and dead units.

    Thresholds: kernels of healthy runs were 0.9 times as large as the walk allows, with a rate
    x1000 26 times (`MOST_GROWTH`); 0% to 12% of a layer's units were dead, then 100%
    (`MOST_DEAD`); no weight that trains stays as it was.
    """
    norm, rate = mean_of(found.iterations, "gradient_norm"), _highest_rate(found)
    dead = _dead_units(found)
    worst = max(dead, key=lambda name: dead[name])
    measured = {"gradient_norm": norm, "highest_rate": rate, "dead_units": dead}
    if found.initial is None or found.newest.step == 0:
        note = "training has not begun" if found.newest.step == 0 else "step 0 is not on disk"
        return Result("weights", _HEALTHY_WEIGHTS, note, measured, unjudged=note)
    moved, growth, followed = _movement(found)
    measured |= {"moved": moved, "growth": growth, "averages_followed": followed}
    findings = _bad_weights(found, moved, growth, followed, rate)
    if dead[worst] > MOST_DEAD:
        findings.append(
            Finding(
                "dead-units",
                f"{dead[worst]:.0%} of the units of {worst} never fire on the run's own positions.",
                "lower learner.learning_rate, or start afresh: dead units do not come back",
            )
        )
    return Result(
        "weights",
        _HEALTHY_WEIGHTS,
        f"gradient norm {norm or 0:.2f}, weights moved by {moved:.0%} and grew {growth:.1f} times, "
        f"{dead[worst]:.0%} of the units of {worst} are dead",
        measured,
        tuple(findings),
        "" if found.newest.step >= FEW_STEPS else f"only {found.newest.step} training steps",
    )


_HEALTHY_WEIGHTS = "Weights move without growing many times, averages follow, few units are dead."


def _bad_weights(
    found: Evidence, moved: float, growth: float, followed: float, rate: float | None
) -> list[Finding]:
    planned = found.config.learner.learning_rate
    lower = f"lower learner.learning_rate ({planned:g}); the default is 2e-3 with adamw"
    if not np.isfinite(growth) or growth > MOST_GROWTH:
        return [
            Finding(
                "learning-rate-too-high",
                f"the weights have grown {growth:.0f} times (nan: beyond all numbers) in "
                f"{found.newest.step} steps: the learning rate is too high"
                + (f" (up to {rate:g} was used)." if rate else "."),
                lower,
            )
        ]
    if rate is not None and rate > 1.5 * planned:
        return [
            Finding(
                "learning-rate-too-high",
                f"steps were taken at a learning rate of {rate:g}, the config says {planned:g}.",
                "look at the schedule (`learner.learning_rate`)",
            )
        ]
    if moved < 1e-6:
        return [
            Finding(
                "frozen-weights",
                f"the weights have not moved in {found.newest.step} training steps.",
                "learner.learning_rate must be above 0 and reach the parameters",
            )
        ]
    if followed < LEAST_FOLLOWED and found.newest.step >= FEW_STEPS:
        return [
            Finding(
                "stale-weights",
                f"the averaged weights, which play, have followed only {followed:.0%} of the way "
                "that the trained ones have gone: self-play acts with stale weights.",
                "a smaller learner.average_decay (0.99), and every step must move the averages",
            )
        ]
    return []


def _movement(found: Evidence) -> tuple[float, float, float]:
    """Returns how far weights moved, kernels grew beyond a random walk, and averages followed."""
    assert found.initial is not None
    start = _flat(found.initial.average[0])
    now, average = _flat(found.newest.params), _flat(found.newest.average[0])
    names = [name for name in start if name.endswith("kernel")]
    sizes = {name: float(np.linalg.norm(start[name])) for name in names}
    growth = max(
        float(np.linalg.norm(now[name]))
        / max(sizes[name] + USUAL_RATE * np.sqrt(found.newest.step * start[name].size), 1e-9)
        for name in names
    )
    whole = [
        np.concatenate([leaf.ravel() for leaf in tree.values()]) for tree in (start, now, average)
    ]
    way = float(np.linalg.norm(whole[1] - whole[0]))
    behind = float(np.linalg.norm(whole[1] - whole[2]))
    return way / float(np.linalg.norm(whole[0])), growth, 1 - behind / max(way, 1e-12)


def _flat(tree: object) -> dict[str, np.ndarray]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf, np.float64)
        for path, leaf in leaves
    }


def _highest_rate(found: Evidence) -> float | None:
    rates = [line["learning_rate"] for line in found.iterations if line.get("learning_rate")]
    return max(rates, default=None)


def _dead_units(found: Evidence) -> dict[str, float]:
    """Returns each layer's share of units that fire on none of the newest rows."""
    fired = jax.jit(found.network.fires)(
        found.newest_folded, last_part(found.rows, 512).observation
    )
    return {name: float(1 - np.asarray(units).mean()) for name, units in fired.items()}


def value(found: Evidence) -> Result:
    """Compares predicted with actual results, all told and by ply.

    Threshold: a correlation below -0.1 that is 4 standard errors from 0, a game's rows counted as
    one. Healthy runs: +0.23 (connect_four, 1,400 steps) to
    +0.50 (tic_tac_toe, 760 steps); with the sign flipped -0.54.
    """
    rows = last_part(found.rows, JUDGED_ROWS)
    _, predicted = found.judge(found.newest_folded, rows)
    sign, games = correlation(predicted, rows.outcome), len(np.unique(rows.game_id))
    error = float(np.square(predicted - rows.outcome).mean())
    measured = {
        "correlation": sign,
        "squared_error": error,
        "variance": float(rows.outcome.var()),
        "search_correlation": correlation(rows.root_value, rows.outcome),
        "by_ply": _calibration(rows, predicted),
    }
    findings = []
    if sign < -0.1 and sign * np.sqrt(games) < -4:
        findings.append(
            Finding(
                "value-sign",
                f"the network's value points the wrong way (correlation {sign:+.2f} with "
                "the results): the sign is flipped in the value target.",
                "a value target is for the seat to play at that row: look for a lost or doubled "
                "minus between the game's returns and the loss",
            )
        )
    too_early = "training has hardly begun" if found.newest.step < FEW_STEPS else ""
    return Result(
        "value",
        "The network foresees results: correlation well above 0, growing with the ply.",
        f"correlation {sign:+.2f} with the results, squared error {error:.2f} of "
        f"{measured['variance']:.2f}",
        measured,
        tuple(findings),
        "" if findings else too_early,
    )


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


def searching(found: Evidence) -> Result:
    """Compares the network with its search: entropies, KL, changed choices, and which are right.

    Thresholds: a search that makes 5% more mistakes than the raw policy and 3 standard errors (it
    must help: Danihelka et al. 2022 prove it for exact values); fewer than 1.2 actions valued where
    values differ (one: nothing is compared).
    """
    looked, simulations = _actions_valued(found.rows), found.config.search.simulations
    states, solved = _positions(found)
    measured: dict[str, Any] = {"actions_valued": looked}
    findings = []
    if states is not None:
        measured |= _opinions(_player(found, simulations), states)
    if solved is not None:
        measured |= _mistakes(found, solved)
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


def _opinions(player: Player, states: State) -> dict[str, float]:
    """Returns how the search's policy differs from the network's, in nats and in choices."""
    result = jax.device_get(player(states, jax.random.key(0)))
    return {
        "kl": float(_divergence(result.action_weights, result.prior).mean()),
        "network_entropy": float(_entropy(result.prior).mean()),
        "search_entropy": float(_entropy(result.action_weights).mean()),
        "changed": float((result.action != result.prior.argmax(axis=1)).mean()),
    }


def _mistakes(found: Evidence, solved: perfect.SolvedSet) -> dict[str, float]:
    """Returns the mistakes before and after search, and what search mended and spoilt."""
    raw, search = (
        perfect.mistakes(_player(found, n), solved.states, solved.outcomes, jax.random.key(0))
        for n in (0, found.config.search.simulations)
    )
    return {
        "raw_mistakes": float(raw.mean()),
        "search_mistakes": float(search.mean()),
        "mended": float((raw & ~search).mean()),
        "spoilt": float((~raw & search).mean()),
    }


def _player(found: Evidence, simulations: int) -> Player:
    game, network, config = found.game, found.network, found.config.search
    return make_player("run", game, network, found.newest_folded, config, simulations)


def _positions(found: Evidence) -> tuple[State | None, perfect.SolvedSet | None]:
    """Returns positions to search from, and the same with what is right, where that is known."""
    if perfect.has_oracle(found.config.game):
        sets = perfect.load_positions(found.config.game)
        solved = perfect.first(next(iter(sets.values())), 512)
        return solved.states, solved
    count = len(found.replayed.rows)
    if count == 0:
        return None, None
    chosen = np.resize(np.arange(count), 256)
    return positions.take(found.replayed.states, chosen), None


def _actions_valued(rows: Sample) -> float | None:
    """Returns how many actions a search valued, where it valued any otherwise than the root."""
    recent = last_part(rows, JUDGED_ROWS)
    gap = np.abs(recent.q.astype(np.float32) - recent.root_value[:, None]) > 2e-3
    counts = (gap & recent.legal_action_mask).sum(axis=1)
    choice = (recent.legal_action_mask.sum(axis=1) > 2) & (counts > 0)
    return float(counts[choice].mean()) if choice.any() else None


def _divergence(target: np.ndarray, policy: np.ndarray) -> np.ndarray:
    """Returns float[N], KL(target || policy) in nats."""
    terms = target * (np.log(np.maximum(target, 1e-30)) - np.log(np.maximum(policy, 1e-30)))
    total: np.ndarray = terms.sum(axis=1)
    return total


def _entropy(policy: np.ndarray) -> np.ndarray:
    total: np.ndarray = -(policy * np.log(np.maximum(policy, 1e-30))).sum(axis=1)
    return total
