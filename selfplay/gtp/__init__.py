"""The Go Text Protocol, both ways: an engine for front ends, and others' engines as players."""

from selfplay.gtp.engine_player import engine_player
from selfplay.gtp.server import GtpServer

__all__ = ["GtpServer", "engine_player"]
