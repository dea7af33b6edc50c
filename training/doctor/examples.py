"""Checks of the replay: do its examples follow from the game's rules, and how fresh are they?"""

import math

import numpy as np

from selfplay import example
from training.doctor.evidence import Evidence, last_part
from training.doctor.findings import Case, Result, all_of

# Self-play is one iteration behind by design; evaluation and saving add to it.
MOST_LAG = 4  # iterations
PUBLISHED = 2.0  # seconds in which workers have newer weights


def rules(evidence: Evidence) -> Result:
    """Compares examples with the rules: observation, legal actions, outcome.

    No threshold: games are played again from their moves, and every example must agree.
    """
    examples, replayed = (
        example.take(evidence.examples, evidence.replayed.examples),
        evidence.replayed,
    )
    outcomes = np.abs(replayed.outcome - examples.outcome) > 1e-3
    seen = examples.observation != replayed.observation
    seen = seen.any(axis=tuple(range(1, seen.ndim)))
    allowed = (replayed.states.legal_action_mask != examples.legal_action_mask).any(axis=1)
    wrong, misplaced, count = int(outcomes.sum()), int((seen | allowed).sum()), len(outcomes)
    told = f"{wrong} wrong outcomes, {misplaced} wrong positions"
    return Result(
        f"{count} examples played again: {told}",
        {"examples_replayed": count, "wrong_outcomes": wrong, "wrong_positions": misplaced},
        all_of(
            Case(
                bool(wrong or misplaced),
                "wrong-examples",
                f"of {count} examples played again by the rules, {told}: the game does not give "
                "again what it gave in self-play.",
            )
        ),
        "" if count else "no game's moves are known from the opening position on",
    )


def replay(evidence: Evidence) -> Result:
    """Measures the replay window, the age of its newest examples, and their replay ratio.

    Thresholds: `MOST_LAG` iterations, and a window of at least one minibatch (below, a step sees
    examples twice).
    """
    batch, step = evidence.config.learner.batch, evidence.newest.step
    label = int(last_part(evidence.examples, 2_000).weights_step.max())
    lag = _lag(evidence, label)
    window = next((line.window for line in reversed(evidence.iterations) if line.window), None)
    total = evidence.iterations[-1].examples if evidence.iterations else 0
    reuse, usual = step * batch / max(total, 1), evidence.usual.replay
    return Result(
        f"newest examples {lag} iterations behind, window {window or 0} examples, each trained on "
        f"{reuse:.1f} times",
        {"lag_iterations": lag, "window": window, "reuse": reuse},
        all_of(
            Case(
                step > 0 and lag > _most_lag(evidence),
                "stale-weights",
                f"self-play has stale weights: the newest examples are {lag} iterations behind "
                f"training (step {label} of {step}).",
            ),
            Case(
                step > 0 and window is not None and window < batch,
                "tiny-replay",
                f"the replay has {window} examples for minibatches of {batch}: the network learns "
                f"a few positions by heart (the run's preset keeps {usual.capacity:,} examples).",
            ),
        ),
        "" if step else "training has not begun",
    )


def _most_lag(evidence: Evidence) -> int:
    """How many iterations behind self-play may be.

    With workers an iteration is a batch: as many go by while each of them plays one.
    """
    if not evidence.workers:
        return MOST_LAG
    newest, lines = evidence.workers[-1], evidence.iterations
    rate = newest.iteration / max(newest.seconds, 1.0)
    if len(lines) > 1:
        earlier, last = lines[-min(len(lines), 50)], lines[-1]
        rate = (last.iteration - earlier.iteration) / max(last.seconds - earlier.seconds, 1e-3)
    return MOST_LAG * (1 + len(newest.workers)) + math.ceil(PUBLISHED * rate)


def _lag(evidence: Evidence, label: int) -> int:
    """In how many iterations weights newer than the label were there to play.

    With a gate these are the weights that it has let through, which may be old by design.
    """
    gates = {gate.iteration: gate for gate in evidence.gates}
    actor, lag = 0, 0
    for line in evidence.iterations:
        if gate := gates.get(line.iteration - 1):  # decided before this iteration's training
            actor = gate.step if gate.promoted else gate.actor_step
        newest = actor if evidence.config.gate else line.step
        # Iterations in which no game ended made no examples, and say nothing of their weights.
        lag += bool(line.new_examples) and label < newest and line.step <= evidence.newest.step
    return lag
