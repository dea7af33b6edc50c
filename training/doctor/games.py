"""Checks of the games that a run plays, and of whether it is getting better."""

import collections
from typing import Any, NamedTuple

import numpy as np

from selfplay.recorder import Sample
from training.doctor.evidence import Evidence, recent_mean
from training.doctor.findings import Finding, Result
from training.metrics import Rating

FEW_GAMES = 30  # below, shares of games are too uncertain to judge
MOST_REPEATED = 0.5  # of the games, by the commonest game
LEAST_DISTINCT = 0.1  # of the games
MOST_FALLEN = 100.0  # Elo below the best
MOST_RISEN = 1.0  # nats, of the policy loss in training


class _Game(NamedTuple):
    """One game as its rows tell it."""

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
    measured = _measure(played, evidence.rows)
    findings = []
    if len(played) >= FEW_GAMES:
        findings = _repeated(measured) + _one_result(played)
    return Result(
        "games",
        "Most games differ, and they do not all end alike.",
        f"{len(played)} games, {measured['distinct']:.0%} distinct, {measured['shortest']} to "
        f"{measured['longest']} plies, {(measured['draws'] or 0):.0%} drawn, the first seat scores "
        f"{(measured['first_seat_score'] or 0):.2f}",
        measured,
        tuple(findings),
        "" if len(played) >= FEW_GAMES else f"only {len(played)} games so far",
    )


def _measure(played: list[_Game], rows: Sample) -> dict[str, Any]:
    lengths = [game.plies for game in played]
    counts = collections.Counter(game.moves for game in played)
    results = np.array([game.result for game in played])
    return {
        "games": len(played),
        "distinct": len(counts) / max(len(played), 1),
        "commonest": max(counts.values(), default=0) / max(len(played), 1),
        "duplicate_positions": 1 - len(np.unique(_bytes(rows.observation))) / len(rows.ply),
        "shortest": min(lengths, default=0),
        "longest": max(lengths, default=0),
        "draws": float((results == 0).mean()) if len(results) else None,
        "first_seat_score": float((results.mean() + 1) / 2) if len(results) else None,
    }


def _repeated(measured: dict[str, Any]) -> list[Finding]:
    games, distinct, commonest = (measured[key] for key in ("games", "distinct", "commonest"))
    if distinct >= LEAST_DISTINCT and commonest <= MOST_REPEATED:
        return []
    return [
        Finding(
            "repeated-games",
            f"self-play repeats itself: of {games} games {round(games * distinct)} are distinct, "
            f"and one was played in {commonest:.0%} of them.",
            "more variety (exploration): self_play.temperature_plies, "
            "self_play.random_opening_plies, root noise",
        )
    ]


def repeats(rows: Sample) -> bool:
    """Returns whether the rows are of few games, again and again: what those lack is no average."""
    played = _by_game(rows)
    return len(played) >= FEW_GAMES and bool(_repeated(_measure(played, rows)))


def _one_result(played: list[_Game]) -> list[Finding]:
    results = {game.result for game in played}
    if len(results) > 1:
        return []
    name = {0.0: "drawn", 1.0: "won by the first seat"}.get(results.pop(), "lost by it")
    return [
        Finding(
            "one-result",
            f"all {len(played)} games were {name}: their results teach the value nothing.",
            "check the game (`selfplay game check`); else use random openings, or a swap rule "
            "if the first seat wins by force",
        )
    ]


def _by_game(rows: Sample) -> list[_Game]:
    """Returns the games that the rows are of.

    The seat of a game's first row is told by its ply, which is right where turns alternate; in
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


def _bytes(observations: np.ndarray) -> np.ndarray:
    flat = np.ascontiguousarray(observations.reshape(len(observations), -1))
    return flat.view(np.dtype((np.void, flat.shape[1] * flat.itemsize))).reshape(-1)


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
    findings = []
    if len(losses) > 1 and losses[-1] - losses[0] > max(0.05, 3 * _error(evidence)):
        findings.append(
            Finding(
                "getting-worse",
                f"the run plays worse than when it began: {losses[-1]:.1%} against {losses[0]:.1%} "
                "(mistakes, or 1 - score).",
                "see the other findings first; else a lower learner.learning_rate",
            )
        )
    rated = [line.ladder for line in evidence.evaluations if line.ladder is not None]
    if rated and not findings:
        findings += _fallen(rated[-1])
    findings += _diverging(evidence)
    shown = " -> ".join(f"{loss:.3f}" for loss in (*losses[:1], *losses[1:][-1:]))
    said = f"evaluation {shown} (less is better)" if losses else ""
    if rated and rated[-1].over_best is not None:
        measured |= {"over_best": rated[-1].over_best}
        said += f", {rated[-1].over_best:+.0f} Elo over its best before"
    return Result(
        "learning",
        "Mistakes fall, or the score rises.",
        (said or "no evaluation yet") + (f", policy loss {policy:.3f}" if policy else ""),
        measured,
        tuple(findings),
        "" if len(losses) > 1 else "fewer than two evaluations",
    )


def _fallen(rating: Rating) -> list[Finding]:
    """Looks for weights that are clearly weaker than the run's best in its own ladder."""
    fallen, error = rating.over_best, rating.over_best_error
    if fallen is None or error is None or -fallen <= max(MOST_FALLEN, 3 * error):
        return []
    return [
        Finding(
            "getting-worse",
            f"the run plays worse than it did at step {rating.best_step}: {fallen:+.0f} Elo in its "
            f"own ladder (standard error {error:.0f}).",
            "see the other findings first; else a lower learner.learning_rate",
        )
    ]


def _diverging(evidence: Evidence) -> list[Finding]:
    """Looks for a policy loss, in nats, that training itself makes larger."""
    steps = [line.policy_loss for line in evidence.iterations if line.policy_loss]
    if evidence.config.distil not in ("imitation", "cloning") or len(steps) < 8:
        return []
    first, last = steps[0], float(np.mean(steps[-2:]))
    if last < max(2 * first, first + MOST_RISEN):
        return []
    return [
        Finding(
            "learning-rate-too-high",
            f"training makes its own policy loss larger, {first:.2f} at first and {last:.2f} now: "
            "its steps are too large or, if no rate helps, lead away from the targets.",
            "lower learner.learning_rate",
        )
    ]


def _error(evidence: Evidence) -> float:
    """Returns the standard error of the difference between the first and the last evaluation."""
    last = evidence.evaluations[-1]
    if last.random is not None:  # what `loss` is made of, also where endings are known
        count = last.random.games or 0
    else:
        count = sum(rates.positions or 0 for rates in (last.perfect or {}).values())
    mean = float(np.clip((last.loss + evidence.evaluations[0].loss) / 2, 0.01, 0.99))
    return float(np.sqrt(2 * mean * (1 - mean) / max(count, 1)))
