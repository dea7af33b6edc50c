"""The Universal Chess Interface, both ways: an engine for front ends, and others' as players."""

from selfplay.uci.engine_player import engine_player
from selfplay.uci.server import UciServer

__all__ = ["UciServer", "engine_player"]
