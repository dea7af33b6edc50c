"""A resident analysis engine on JSON lines: many positions, searched in batches."""

from selfplay.analyse.engine import Engine

__all__ = ["Engine"]
