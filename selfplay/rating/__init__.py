"""Strength and its certainty: scores and Elo with their intervals, tests, ratings of many."""

from selfplay.rating.elo import (
    MAX_ELO,
    PAIR_SCORES,
    elo_to_score,
    score_interval,
    score_to_elo,
    superiority,
)

__all__ = [
    "MAX_ELO",
    "PAIR_SCORES",
    "elo_to_score",
    "score_interval",
    "score_to_elo",
    "superiority",
]
