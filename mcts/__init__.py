"""Amplify: batched tree search that improves a network's policy at B positions.

Everything but `SearchConfig` needs jax, and is imported when it is first asked for: settings are
read without it.
"""

import importlib
import sys
import types
from typing import TYPE_CHECKING, Any

from mcts.config import SearchConfig

if TYPE_CHECKING:
    from mcts.contract import (
        Evaluate,
        Evaluation,
        SearchResult,
        Variables,
        mask_illegal,
        win_draw_loss,
    )
    from mcts.reuse import keep
    from mcts.search import search, search_on
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
    "win_draw_loss",
]
_HOMES = {
    "contract": (
        *("Evaluate", "Evaluation", "SearchResult", "Variables"),
        *("mask_illegal", "win_draw_loss"),
    ),
    "reuse": ("keep",),
    "search": ("search", "search_on"),
    "tree": ("Tree", "empty_trees", "tree_bytes"),
}


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"mcts.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class _Package(types.ModuleType):
    def __setattr__(self, name: str, value: Any) -> None:
        # Python binds a module to its package when it has imported it: `mcts.search` would be the
        # module from then on, where it is the function that we offer.
        if name == "search" and isinstance(value, types.ModuleType):
            value = value.search
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
