"""Amplify: turn a network's opinion of B positions into a better one by tree search."""

from mcts.config import SearchConfig
from mcts.contract import Evaluate, Evaluation, SearchResult, Variables, mask_illegal
from mcts.reuse import keep
from mcts.search import search, search_on  # `mcts.search` is the function from here on
from mcts.tree import Tree, empty_trees, tree_bytes

__all__ = [
    "Evaluate",
    "Evaluation",
    "SearchConfig",
    "SearchResult",
    "Tree",
    "Variables",
    "empty_trees",
    "keep",
    "mask_illegal",
    "search",
    "search_on",
    "tree_bytes",
]
