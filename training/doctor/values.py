"""A check of a run's values: do they point the right way, and are they right on average?"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from games.game import State
from selfplay import positions, row
from selfplay.recorder import Sample
from training.doctor.evidence import JUDGED_ROWS, Evidence, correlation, last_part, take
from training.doctor.findings import Finding, Result
from training.doctor.games import repeats
from training.doctor.weights import FEW_STEPS
from training.evaluation import target_quality

FEW_GAMES = 100  # below, a mean is too uncertain to call it biased
FEW_ENDS = 10  # moves that end a game
MOST_STEPPED, SURE = 256, 0.99  # positions whose moves are tried, and a value that is certain
FOREKNOWN = 0.05  # of the results' variance: a value that explains less is too early to judge
# By how much values may lie below and above the results on average. A search values its best moves,
# so what it says is a little too high, the more the worse the network is.
LEAST_ROOT_BIAS, MOST_ROOT_BIAS = -0.05, 0.25
LEAST_RAW_BIAS, MOST_RAW_BIAS = -0.08, 0.1
# A mean over PUCT's visits, which explore, lies a little below.
LEAST_BIAS_OF_VISITS = -0.15
BIAS_ERRORS = 5.0  # standard errors, a game's rows counted as one
TAUGHT = 0.05  # radians by which a value's layers turn before it can be said to point anywhere


def value(evidence: Evidence) -> Result:
    """Compares predicted with actual results, all told and by ply.

    Thresholds: a correlation below -0.1 that is 4 standard errors from 0, a game's rows counted as
    one. Healthy runs: +0.23 (connect_four, 1,400 steps) to +0.50 (tic_tac_toe, 760 steps); with the
    sign flipped -0.54. The same of either seat alone: +0.28 and more; with seat 0's outcome in all
    rows -0.28. An untrained value points anywhere (`TAUGHT`). Bias: `_biased`.
    """
    rows = last_part(evidence.rows, JUDGED_ROWS)
    _, predicted = evidence.predict(evidence.newest_folded, rows)
    sign, games = correlation(predicted, rows.outcome), len(np.unique(rows.game_id))
    by_seat = _by_seat(rows, predicted)
    error = float(np.square(predicted - rows.outcome).mean())
    variance = float(rows.outcome.var())
    measured = {
        "correlation": sign,
        "squared_error": error,
        "variance": variance,
        "search_correlation": correlation(rows.root_value, rows.outcome),
        "by_seat": by_seat,
        "by_ply": _calibration(rows, predicted),
    }
    findings = _wrong_signs(evidence, sign, by_seat, games)
    quality = target_quality.of_rows(row.flat(evidence.rows), evidence.config.amplify == "search")
    measured["quality"] = target_quality.as_json(quality)
    biases = _biases(evidence)
    measured["bias"] = {name: bias._asdict() for name, bias in biases.items()}
    replayed = evidence.replayed
    wrong_outcomes = np.abs(evidence.rows.outcome[replayed.rows] - replayed.outcome) > 1e-3
    if not (findings or wrong_outcomes.any()):  # the latter are for the check `rules` to name
        findings = _wrong_search(evidence, rows) or _wrong_moves(evidence)
        findings = findings or _biased(evidence, biases)
    explained = 1 - error / max(variance, 1e-6)
    too_early = ""
    if evidence.newest.step < FEW_STEPS:
        too_early = "training has hardly begun"
    elif explained < FOREKNOWN:
        too_early = (
            f"the value explains {max(explained, 0):.0%} of the results: too little to judge"
        )
    return Result(
        "value",
        "The network foresees results: correlation well above 0, growing with the ply.",
        f"correlation {sign:+.2f} with the results, squared error {error:.2f} of {variance:.2f}",
        measured,
        tuple(findings),
        "" if findings else too_early,
        (target_quality.in_words(quality),),
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
    if not len(rows.ply):
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


def _wrong_moves(evidence: Evidence) -> list[Finding]:
    """Compares the search's value of the move played with what is then there.

    That is the network's value of the next position or, at the end of a game, its result, which a
    search knows exactly.
    """
    numbers, states = evidence.replayed.rows, evidence.replayed.states
    rows = take(evidence.rows, numbers)
    if not len(numbers) or evidence.config.amplify != "search":
        return []
    q = np.take_along_axis(rows.q.astype(np.float32), rows.action[:, None].astype(np.intp), 1)[:, 0]
    seat, looked = np.asarray(states.to_play), np.abs(q - rows.root_value) > 2e-3
    looked &= rows.weights_step >= FEW_STEPS
    last = np.append(np.diff(rows.game_id) != 0, True)
    results, certain = _ends(evidence)
    against = results == -certain
    what = ""
    if len(certain) >= FEW_ENDS and against.mean() > 0.5:
        what = f"takes {against.mean():.0%} of the moves that end a game for the opposite"
    here = np.flatnonzero(looked & ~last)
    here = here[seat[here] != seat[here + 1]]
    sign = correlation(q[here], -rows.raw_value[here + 1])
    if _is_wrong(sign, len(np.unique(rows.game_id[here]))):
        what = what or (
            "values moves against what the network says of the positions that they lead to "
            f"(correlation {sign:+.2f})"
        )
    if not what:
        return []
    return [
        Finding(
            "value-sign",
            f"the search {what}: the sign of a value is flipped inside the search.",
            "a value is for the seat to play at its node, and changes its sign with the turn",
        )
    ]


def _ends(evidence: Evidence) -> tuple[np.ndarray, np.ndarray]:
    """Returns the results, 1 or -1, of moves that end a game, and the search's values of them.

    Of those that it takes for a sure win or loss, whether they were played or not.
    """
    game, replayed = evidence.game, evidence.replayed
    chosen = np.resize(np.arange(len(replayed.rows)), MOST_STEPPED)
    states = positions.take(replayed.states, chosen)

    @jax.jit
    def results(states: State) -> tuple[jax.Array, jax.Array]:
        def after(action: jax.Array) -> tuple[jax.Array, jax.Array]:
            final = jax.vmap(game.step, in_axes=(0, None))(states, action)
            returns = jax.vmap(game.returns)(final)
            mine = jnp.take_along_axis(returns, states.to_play[:, None].astype(int), axis=1)
            return final.terminated, mine[:, 0]

        return jax.lax.map(after, jnp.arange(game.num_actions))

    ended, result = (np.asarray(x).T for x in jax.device_get(results(states)))
    rows = take(evidence.rows, replayed.rows[chosen])
    q, taught = rows.q.astype(np.float32), rows.weights_step >= FEW_STEPS
    sure = ended & rows.legal_action_mask & taught[:, None] & (np.abs(result) == 1)
    sure &= (np.abs(q) > SURE) & (np.arange(len(q)) < len(replayed.rows))[:, None]  # once each
    return result[sure], np.sign(q[sure])


class Bias(NamedTuple):
    """By how much values exceed results on average."""

    mean: float
    error: float  # standard error, a game's rows counted as one
    games: int

    def is_outside(self, least: float, most: float) -> bool:
        """Whether the mean is certainly not between the two."""
        certain = abs(self.mean) > BIAS_ERRORS * self.error and self.games >= FEW_GAMES
        return certain and not least <= self.mean <= most


def _biases(evidence: Evidence) -> dict[str, Bias]:
    """Returns the bias of the network's and the search's values, and of the policy's over moves.

    Of the rows of the run's later half, for a value that has hardly been taught is anywhere. Where
    moves are drawn against the search's advice, results are not those that it foresees.
    """
    least = max(2 * FEW_STEPS, int(evidence.rows.weights_step.max()) // 2)
    rows = take(evidence.rows, evidence.rows.weights_step >= least)
    settings = evidence.config.self_play
    if settings.temperature > 1:
        rows = take(rows, rows.ply >= settings.temperature_plies)
    # An overseer's decisions teach their own values too.
    if evidence.config.overseer.decisions or not len(rows.ply) or repeats(rows):
        return {}
    quality = target_quality.of_rows(row.flat(rows), evidence.config.amplify == "search")
    return {
        name: Bias(value.overall.bias, value.overall.bias_error, value.overall.groups)
        for name, value in quality.values.items()
        if name != "root" or evidence.config.amplify == "search"
    }


def _biased(evidence: Evidence, biases: dict[str, Bias]) -> list[Finding]:
    """Looks for values that are wrong on average, whatever they say of one position.

    Healthy runs of a Gumbel search: raw -0.03 to +0.03, root +0.06 to +0.14; where the root's value
    was the mean of its visits, -0.06 to -0.14 and -0.12 to -0.23.

    Source of the remedy: Danihelka et al. 2022, appendix D: a value of the root that the policy
    backs up, not its visits, which sequential halving hands out by a schedule.
    """
    root, raw, improved = (biases.get(name) for name in ("root", "raw", "improved"))
    of_visits = evidence.config.search.policy == "puct"
    least = LEAST_BIAS_OF_VISITS if of_visits else LEAST_ROOT_BIAS
    if root and improved and root.is_outside(least, MOST_ROOT_BIAS):
        own = abs(root.mean - improved.mean) > abs(root.mean) / 2
        why = (
            "the search reports another value than that of the policy it returns"
            if own
            else "the values that it is given, or backs up, are shifted"
        )
        return [
            Finding(
                "value-biased",
                f"the search's values are {_off(root)} than the results; those of its moves, "
                f"weighed by its policy, are off by {improved.mean:+.2f}, the network's own by "
                f"{raw.mean if raw else 0:+.2f}: {why}.",
                "follow `SearchResult.value` to the rows' root_value; learner.root_value_weight 0 "
                "keeps it out of the value target meanwhile",
            )
        ]
    if raw and raw.is_outside(LEAST_RAW_BIAS, MOST_RAW_BIAS):
        return [
            Finding(
                "value-biased",
                f"the network's values are {_off(raw)} than the results"
                + (f", the search's are off by {root.mean:+.2f}" if root else "")
                + ": the value target is shifted.",
                "compare the outcomes of one minibatch with the games that its rows are of, and "
                "the root values with both",
            )
        ]
    return []


def _off(bias: Bias) -> str:
    side = "lower" if bias.mean < 0 else "higher"
    return (
        f"{abs(bias.mean):.2f} {side} on average ({abs(bias.mean) / max(bias.error, 1e-9):.0f} "
        f"standard errors, over {bias.games} games)"
    )


def _is_wrong(sign: float, games: int) -> bool:
    return bool(sign < -0.1 and sign * np.sqrt(games) < -4)


def _by_seat(rows: Sample, predicted: np.ndarray) -> tuple[float, float]:
    """Returns the correlations of either seat's rows, told by the ply: of turns that alternate."""
    even = rows.ply % 2 == 0
    first, second = (correlation(predicted[x], rows.outcome[x]) for x in (even, ~even))
    return first, second


def _calibration(rows: Sample, predicted: np.ndarray) -> list[dict[str, float]]:
    """Returns predicted and actual results by ply, in at most eight groups of plies."""
    table = []
    for first, last in target_quality.ply_groups(rows.ply):
        chosen = (rows.ply >= first) & (rows.ply <= last)
        table.append(
            {
                "ply": first,
                "rows": int(chosen.sum()),
                "predicted": float(predicted[chosen].mean()),
                "actual": float(rows.outcome[chosen].mean()),
                "correlation": correlation(predicted[chosen], rows.outcome[chosen]),
            }
        )
    return table
