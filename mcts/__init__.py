"""Amplify: turn a network's opinion of B positions into a better one by tree search."""

from mcts.search import (
    Evaluate,
    Evaluation,
    SearchConfig,
    SearchResult,
    Variables,
    mask_illegal,
    search,
)

__all__ = [
    "Evaluate",
    "Evaluation",
    "SearchConfig",
    "SearchResult",
    "Variables",
    "mask_illegal",
    "search",
]
