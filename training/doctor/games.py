"""Checks of the games that a run plays, and of whether it is getting better."""

import collections
from typing import NamedTuple

import numpy as np

from selfplay.recorder import Sample
from training.doctor.evidence import Evidence, recent_mean
from training.doctor.findings import Case, Result, all_of, first
from training.metrics import Rating

FEW_GAMES = 30  # below, shares of games are too uncertain to judge
MOST_REPEATED = 0.5  # of the games, by the commonest game
LEAST_DISTINCT = 0.1  # of the games
MOST_FALLEN = 100.0  # Elo below the best
MOST_RISEN = 1.0  # nats, of the policy loss in training


class _Game(NamedTuple):
    """One game as its examples tell it."""

    moves: bytes  # its first position, then the moves
    result: float  # of seat 0: 1, 0 or -1
    plies: int


def games(evidence: Evidence) -> Result:
    """Counts equal games, lengths, draws and the first seat's score.

    Thresholds: fewer than `LEAST_DISTINCT` of the games distinct, or one game more often than
    `MOST_REPEATED`. Healthy runs of tic_tac_toe had 68% to 85% distinct games and the commonest in
    1%; one without any variety had 2% distinct. All games equal in result teach no value.
    """
    played = _by_game(evidence.rows)
    count, results = len(played), np.array([game.result for game in played])
    lengths = [game.plies for game in played]
    distinct, commonest = _variety(played)
    draws, score = float((results == 0).mean()), float((results.mean() + 1) / 2)
    how = {0.0: "drawn", 1.0: "won by the first seat"}.get(results[0], "lost by it")
    enough = count >= FEW_GAMES
    return Result(
        f"{count} games, {distinct:.0%} distinct, {min(lengths)} to {max(lengths)} plies, "
        f"{draws:.0%} drawn, the first seat scores {score:.2f}",
        {
            "games": count,
            "distinct": distinct,
            "commonest": commonest,
            "shortest": min(lengths),
            "longest": max(lengths),
            "draws": draws,
            "first_seat_score": score,
        },
        all_of(
            Case(
                repeats(evidence.rows),
                "repeated-games",
                f"self-play repeats itself: of {count} games {round(count * distinct)} are "
                f"distinct, and one was played in {commonest:.0%} of them.",
            ),
            Case(
                enough and len(set(results)) == 1,
                "one-result",
                f"all {count} games were {how}: their results teach the value nothing.",
            ),
        ),
        "" if enough else f"only {count} games so far",
    )


def repeats(rows: Sample) -> bool:
    """Whether the examples are of few games, again and again: what those lack is no average."""
    played = _by_game(rows)
    distinct, commonest = _variety(played)
    few = distinct < LEAST_DISTINCT or commonest > MOST_REPEATED
    return len(played) >= FEW_GAMES and few


def _variety(played: list[_Game]) -> tuple[float, float]:
    """The share of the games that are distinct, and that of the commonest one."""
    counts = collections.Counter(game.moves for game in played)
    return len(counts) / len(played), max(counts.values()) / len(played)


def _by_game(rows: Sample) -> list[_Game]:
    """The games that the examples are of.

    The seat of a game's first example is told by its ply, which is right where turns alternate; in
    other games the score is of whoever moved first after the random opening.
    """
    starts = np.flatnonzero(np.diff(rows.game_id, prepend=-1) != 0)
    played = []
    for a, b in zip(starts, np.append(starts[1:], len(rows.ply)), strict=True):
        moves = rows.observation[a].tobytes() + rows.action[a:b].tobytes()
        sign = 1 if rows.ply[a] % 2 == 0 else -1
        result = float(sign * np.sign(rows.outcome[a]))
        played.append(_Game(moves, result, int(rows.ply[b - 1]) + 1))
    return played


def learning(evidence: Evidence) -> Result:
    """Says whether the run is getting better: its own evaluations and losses, first against last.

    Threshold: an evaluation that is worse than the first by 0.05 (5% more mistakes, or a score of
    0.05 less) and by 3 standard errors of their difference; a last rating below that of the best
    before by `MOST_FALLEN` and by 3 standard errors; a policy loss that has doubled and
    risen by `MOST_RISEN` (in healthy runs it falls; where gradients were climbed, 1.9 to 82.6).
    """
    losses = [line.loss for line in evidence.evaluations]
    policy = recent_mean(line.policy_loss for line in evidence.iterations)
    measured = {"first": losses[0] if losses else None, "last": losses[-1] if losses else None}
    shown = " -> ".join(f"{loss:.3f}" for loss in (*losses[:1], *losses[1:][-1:]))
    said = f"evaluation {shown} (less is better)" if losses else "no evaluation yet"
    rated = [line.ladder for line in evidence.evaluations if line.ladder is not None]
    if rated and rated[-1].over_best is not None:
        measured |= {"over_best": rated[-1].over_best}
        said += f", {rated[-1].over_best:+.0f} Elo over its best before"
    worse = [_worse(evidence, losses)] if len(losses) > 1 else []
    return Result(
        said + (f", policy loss {policy:.3f}" if policy else ""),
        measured,
        (*first(*worse, *map(_fallen, rated[-1:])), *all_of(_diverging(evidence))),
        "" if len(losses) > 1 else "fewer than two evaluations",
    )


def _worse(evidence: Evidence, losses: list[float]) -> Case:
    """The last evaluation beside the first."""
    return Case(
        losses[-1] - losses[0] > max(0.05, 3 * _error(evidence)),
        "getting-worse",
        f"the run plays worse than when it began: {losses[-1]:.1%} against {losses[0]:.1%} "
        "(mistakes, or 1 - score).",
    )


def _fallen(rating: Rating) -> Case:
    """A rating beside the run's best in its own ladder."""
    fallen, error = rating.over_best or 0.0, rating.over_best_error or np.inf
    return Case(
        -fallen > max(MOST_FALLEN, 3 * error),
        "getting-worse",
        f"the run plays worse than it did at step {rating.best_step}: {fallen:+.0f} Elo in its "
        f"own ladder (standard error {error:.0f}).",
    )


def _diverging(evidence: Evidence) -> Case:
    """A policy loss, in nats, that training itself makes larger."""
    steps = [line.policy_loss for line in evidence.iterations if line.policy_loss]
    known = evidence.config.distil in ("imitation", "cloning") and len(steps) >= 8
    begin, last = (steps[0], float(np.mean(steps[-2:]))) if known else (0.0, 0.0)
    return Case(
        known and last >= max(2 * begin, begin + MOST_RISEN),
        "learning-rate-too-high",
        f"training makes its own policy loss larger, {begin:.2f} at first and {last:.2f} now: "
        "its steps are too large or, if no rate helps, lead away from the targets.",
    )


def _error(evidence: Evidence) -> float:
    """The standard error of the difference between the first and the last evaluation."""
    last = evidence.evaluations[-1]
    if last.random is not None:  # what `loss` is made of, also where endings are known
        count = last.random.games or 0
    else:
        count = sum(rates.positions or 0 for rates in (last.perfect or {}).values())
    mean = float(np.clip((last.loss + evidence.evaluations[0].loss) / 2, 0.01, 0.99))
    return float(np.sqrt(2 * mean * (1 - mean) / max(count, 1)))
