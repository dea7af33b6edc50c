"""How Amplify(A) fares against A alone: what is kept of a match, and what it says in words."""

from typing import Any

from selfplay.arena import MatchResult

Match = dict[str, Any]  # as `of` makes it, in metrics.jsonl and report/distilled.json


def of(match: MatchResult) -> Match:
    """Returns what is kept of a match between Amplify(A) and A, from Amplify(A)'s side."""
    return {
        "games": match.games,
        "score": match.score,
        "interval": list(match.interval),
        "elo": match.elo,
        "elo_interval": list(match.elo_interval),
    }


def strongest(measured: dict[str, Any]) -> Match | None:
    """Returns the match of Amplify(A) at its largest budget, if an evaluation's has one.

    Args:
      measured: `fixed_point` of an evaluation's line.
    """
    matches: dict[str, Match] = measured.get("strength", {})
    return list(matches.values())[-1] if matches else None


def is_weaker(match: Match) -> bool:
    """Whether Amplify(A) certainly loses to A alone."""
    return bool(match["interval"][1] < 0.5)


def in_words(match: Match) -> str:
    """Returns the result as a clause."""
    low, high = match["elo_interval"]
    said = f"Amplify(A) is {match['elo']:+.0f} Elo ({low:+.0f} to {high:+.0f}) over A"
    if is_weaker(match):
        said += ", weaker than A alone"
    return said


def sentences(evaluations: list[dict[str, Any]]) -> list[str]:
    """Returns what the last match of Amplify(A) against A says, and why the run ended.

    Args:
      evaluations: lines of metrics.jsonl.
    """
    measured = [(line["step"], line.get("fixed_point", {})) for line in evaluations]
    matches = [(step, match) for step, found in measured if (match := strongest(found))]
    verdicts = [found["verdict"] for _, found in measured[-1:] if "verdict" in found]
    return [f"step {step}: {in_words(match)}" for step, match in matches[-1:]] + verdicts
