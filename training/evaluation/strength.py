"""The record of a match between Amplify(A) and A alone."""

from typing import Any

from selfplay.arena import MatchResult


def of(match: MatchResult) -> dict[str, Any]:
    """Returns a match from Amplify(A)'s side as `training.metrics.Match` reads it."""
    return {
        "games": match.games,
        "score": match.score,
        "interval": list(match.interval),
        "elo": match.elo,
        "elo_interval": list(match.elo_interval),
    }
