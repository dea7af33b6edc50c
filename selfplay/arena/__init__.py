"""Matches between players, from paired openings: how they are played, kept, and told."""

from selfplay.arena.match import play_blocks, play_match
from selfplay.arena.result import MatchResult, PlayedGame

__all__ = ["MatchResult", "PlayedGame", "play_blocks", "play_match"]
