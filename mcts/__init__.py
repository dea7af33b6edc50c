"""Amplify: turn a network's opinion of B positions into a better one by tree search."""

from mcts.config import SearchConfig
from mcts.contract import Evaluate, Evaluation, SearchResult, Variables, mask_illegal
from mcts.search import search
from mcts.tree import tree_bytes

__all__ = [
    "Evaluate",
    "Evaluation",
    "SearchConfig",
    "SearchResult",
    "Variables",
    "mask_illegal",
    "search",
    "tree_bytes",
]
