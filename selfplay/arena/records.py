"""The games of a match as records."""

from typing import Any

from selfplay.arena.result import MatchResult
from selfplay.records.lines import GameRecord


def match_records(result: MatchResult, spec: str, **extra: Any) -> list[GameRecord]:
    """Returns the games of a match; `extra` goes into each."""
    records = []
    for played, seat in zip(result.played, result.first_seat, strict=True):
        players = result.players if seat == 0 else (result.players[1], result.players[0])
        why = {"ended_by": played.ended_by, "fault": played.fault}
        more = extra | {key: text for key, text in why.items() if text}
        records.append(GameRecord(spec, played.moves, played.returns, players, more))
    return records
