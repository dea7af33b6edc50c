"""Checks of how rows come to training: made by which weights, how fresh, and how often seen."""

import math

import numpy as np

from selfplay.recorder import Sample
from training.doctor.evidence import HEAD_ROWS, MOST_ROWS, Evidence, last_part, row_names, take
from training.doctor.findings import Finding, Result
from training.doctor.rows import FEW_ROWS, LEAST_MOVED, searched_again
from training.network import Weights

# Self-play is one iteration behind by design; evaluation and saving add to it.
MOST_LAG = 4  # iterations
PUBLISHED = 2.0  # seconds in which workers have newer weights
# How far a value may move between two runs of the same weights: another batch size rounds
# otherwise. bfloat16 has 8 bits of mantissa.
SAME_VALUE = {"float32": 0.01, "bfloat16": 0.05}
LEAST_ARRIVED = 0.9  # of the rows that self-play has made


def samples(evidence: Evidence) -> Result:
    """Measures how old rows are when they are trained on, and how often they are.

    Thresholds: `MOST_LAG` iterations; a window of at least one minibatch (below, a step sees rows
    twice); values as the named weights give them, up to rounding (`SAME_VALUE`), and policy targets
    that are not; all rows arrive (`LEAST_ARRIVED`).
    """
    lines, config = evidence.iterations, evidence.config
    label = int(last_part(evidence.rows, 2_000).weights_step.max())
    lag = _lag(evidence, label)
    window = next((line.window for line in reversed(lines) if line.window), None)
    total = lines[-1].rows if lines else 0
    reuse = evidence.newest.step * config.learner.batch / max(total, 1)
    measured = {"lag_iterations": lag, "window": window, "reuse": reuse}
    made = sum(line.new_rows or 0 for line in lines)
    findings = _not_added(total, made) or (_stale(evidence, lag) if evidence.newest.step else [])
    findings += _past_the_gate(evidence) + _there_twice(evidence.rows)
    findings += _untaught_targets(evidence)
    usual = evidence.usual.replay
    if window is not None and window < config.learner.batch and evidence.newest.step:
        findings.append(
            Finding(
                "tiny-replay",
                f"the replay offers {window} rows to minibatches of {config.learner.batch}: the "
                "network learns a few positions by heart.",
                "raise replay.capacity and replay.min_rows to many minibatches (the run's preset: "
                f"{usual.capacity:,} and {usual.min_rows:,} rows)",
            )
        )
    return Result(
        "samples",
        f"Self-play is at most {_most_lag(evidence)} iterations behind, and the window holds many "
        "minibatches.",
        f"newest rows {lag} iterations behind, window {window or 0} rows, each row trained on "
        f"{reuse:.1f} times",
        measured,
        tuple(findings),
        "" if evidence.newest.step else "training has not begun",
    )


def _most_lag(evidence: Evidence) -> int:
    """Returns how many iterations behind self-play may be.

    With workers an iteration is a batch: as many go by while each of them plays one.
    """
    if not evidence.workers:
        return MOST_LAG
    newest, lines = evidence.workers[-1], evidence.iterations
    rate = newest.iteration / max(newest.seconds, 1.0)
    if len(lines) > 1:
        first, last = lines[-min(len(lines), 50)], lines[-1]
        passed = last.seconds - first.seconds
        rate = (last.iteration - first.iteration) / max(passed, 1e-3)
    return MOST_LAG * (1 + len(newest.workers)) + math.ceil(PUBLISHED * rate)


def _lag(evidence: Evidence, label: int) -> int:
    """Returns in how many iterations weights newer than the label were there to play.

    With a gate these are the weights that it has let through, which may be old by design.
    """
    gates = {gate.iteration: gate for gate in evidence.gates}
    actor, lag = 0, 0
    for line in evidence.iterations:
        if gate := gates.get(line.iteration - 1):  # decided before this iteration's training
            actor = gate.step if gate.promoted else gate.actor_step
        newest = actor if evidence.config.gate else line.step
        # Iterations in which no game ended made no rows, and say nothing of their weights.
        lag += bool(line.new_rows) and label < newest and line.step <= evidence.newest.step
    return lag


def _past_the_gate(evidence: Evidence) -> list[Finding]:
    """Looks for weights that play though the gate has not let them through."""
    config = evidence.config
    if not config.gate:
        return []
    wrong = [gate for gate in evidence.gates if gate.promoted and gate.score < config.gate]
    if wrong:
        return [
            Finding(
                "gate-open",
                f"the gate has let through {len(wrong)} weights that scored less than "
                f"{config.gate:g}, such as those of step {wrong[-1].step} with "
                f"{wrong[-1].score:.2f}.",
                "new weights play only if their score is at least --gate (`gate.decide`)",
            )
        ]
    let_through = {0, *(gate.step for gate in evidence.gates if gate.promoted)}
    labels = set(evidence.rows.weights_step.tolist()) - let_through
    if not labels:
        return []
    return [
        Finding(
            "gate-open",
            f"weights play that the gate has not let through, such as those of step {max(labels)}: "
            f"{len(labels)} of them made the newest rows.",
            "self-play gets what `gate.decide` returns, and no other",
        )
    ]


def _there_twice(rows: Sample) -> list[Finding]:
    count = len(rows.ply) - len(np.unique(row_names(rows)))
    if not count:
        return []
    return [
        Finding(
            "repeated-rows",
            f"{count / len(rows.ply):.0%} of the rows are there again: of one game, the same ply.",
            "each ply of a finished game becomes one row (`Recorder.add`, `ReplayBuffer.add`)",
        )
    ]


def _longest_stay(evidence: Evidence) -> int:
    """Returns the most iterations for which one set of weights played, that training could replace.

    Not with a gate, which keeps them on purpose.
    """
    rows = last_part(evidence.rows, MOST_ROWS - HEAD_ROWS)  # without a gap
    labels = np.unique(rows.weights_step)
    steps = np.unique([line.step for line in evidence.iterations if line.new_rows])
    if evidence.config.gate or len(labels) < 2:
        return 0
    return int(np.diff(np.searchsorted(steps, labels)).max())


def _not_added(total: int, made: int) -> list[Finding]:
    if total >= LEAST_ARRIVED * made:
        return []
    return [
        Finding(
            "stale-replay",
            f"self-play has made {made} rows, but the replay has taken {total}: new rows do not "
            "reach training.",
            "check that `ReplayBuffer.add` takes all that the recorder gives",
        )
    ]


def _untaught_targets(evidence: Evidence) -> list[Finding]:
    """Looks for policy targets that are the network's own policy, or alike for all actions.

    Summed over the actions, one in twenty healthy rows differed from either by 1.4 and more; where
    targets were the network's own policy, by 0.0003.
    """
    rows = take(evidence.rows, evidence.rows.legal_action_mask.sum(axis=1) > 1)
    if evidence.config.amplify != "search" or len(rows.ply) < FEW_ROWS:
        return []
    near = 2 * SAME_VALUE[evidence.config.network.dtype]

    def is_near(policy: np.ndarray, rows: Sample) -> bool:
        apart = np.abs(rows.policy_target.astype(np.float32) - policy).sum(axis=1)
        return bool(np.quantile(apart, 0.95) < near)

    newest = last_part(rows, 512)
    legal = newest.legal_action_mask
    what = ""
    if is_near(legal / legal.sum(axis=1, keepdims=True), newest):
        what = "are alike for all legal actions"
    for known in (evidence.newest, *reversed(evidence.others)):
        named = last_part(take(rows, rows.weights_step == known.actor_step), 512)
        if len(named.ply) >= FEW_ROWS and not what:
            policy, _ = evidence.predict(evidence.fold(known.actor), named)
            if is_near(policy, named):
                if _at_fixed_point(evidence):
                    return []  # as they should be: search moves no policy
                what = "are the network's own policy"
    if not what:
        return []
    return [
        Finding(
            "policy-untrained",
            f"the policy targets of the newest rows {what}, not what search makes of it: they "
            "teach nothing.",
            "a row's policy target is the search's `action_weights`",
        )
    ]


def _at_fixed_point(evidence: Evidence) -> bool:
    again = searched_again(evidence)
    return again is not None and again.moved < LEAST_MOVED


def _stale(evidence: Evidence, lag: int) -> list[Finding]:
    """Looks for rows that were not made by the weights that they name, or by very old ones."""
    near, most = SAME_VALUE[evidence.config.network.dtype], _most_lag(evidence)
    newest = last_part(evidence.rows, 512)

    def distance(rows: Sample, weights: Weights, sign: int = 1) -> float:
        value = evidence.values_at_play(weights, rows)
        return float(np.median(np.abs(sign * value - rows.raw_value)))

    if evidence.initial is not None and newest.weights_step.max() > 0:
        played = take(newest, newest.weights_step > 0)
        from_start = distance(played, evidence.initial.average)
        moved = distance(played, evidence.newest.average)
        if from_start < near < moved:
            return [
                _stale_weights(
                    "self-play acts with stale weights: the values in the newest rows are those of "
                    "the untrained network of step 0, not of the steps that the rows name."
                )
            ]
    for known in (evidence.newest, *reversed(evidence.others)):
        rows = take(evidence.rows, evidence.rows.weights_step == known.actor_step)
        rows = last_part(rows, 512)
        if len(rows.ply) >= FEW_ROWS and known.actor_step > 0:
            gap = distance(rows, known.actor)
            if gap > near > distance(rows, known.actor, sign=-1):
                return [_negated(known.actor_step)]
            if gap > near and lag <= most:
                return [
                    _stale_weights(
                        "self-play does not act with the weights that it names: the values of rows "
                        f"of step {known.actor_step} are off by {gap:.2f} (they may be stale)."
                    )
                ]
    if lag <= most:
        stay = _longest_stay(evidence)
        told = f"the same weights played for {stay} iterations, while training made newer ones."
        stale = _stale_weights(f"self-play acts with stale weights: {told}")
        return [stale] if stay > most else []
    than = "the weights that the gate let through" if evidence.config.gate else "training"
    return [
        _stale_weights(
            f"self-play acts with stale weights: the newest rows are {lag} iterations behind "
            f"{than} (step {int(newest.weights_step.max())} of {evidence.newest.step})."
        )
    ]


def _stale_weights(sentence: str) -> Finding:
    change = "hand the newest averaged weights to every self-play call"
    return Finding("stale-weights", sentence, change)


def _negated(step: int) -> Finding:
    return Finding(
        "value-sign",
        f"the sign is flipped between the network and its search: the values that self-play noted "
        f"at step {step} are minus what these weights say of the same positions.",
        "follow the value from `Network.evaluate` to the search: it is for the seat to play",
    )
