"""KataGo's parallel analysis protocol: many positions as JSON lines, searched in batches."""

from selfplay.analyse.engine import Engine

__all__ = ["Engine"]
