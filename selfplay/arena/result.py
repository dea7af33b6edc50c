"""The result of a match: counts, score, Elo, and how far they can be trusted. Without jax."""

import collections
import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from selfplay.files.game_lines import GameRecord
from selfplay.rating import sprt
from selfplay.rating.elo import PAIR_SCORES, score_interval, score_to_elo, superiority

# How a game ended that the rules did not end, in the words of game records.
BY_RESIGNATION, BY_FORFEIT = "resignation", "forfeit"


class PlayedGame(NamedTuple):
    """A finished game."""

    moves: tuple[int, ...]  # from the first ply, opening included
    returns: tuple[float, float]  # by seat
    ended_by: str = ""  # "" for the rules, else `BY_RESIGNATION` or `BY_FORFEIT`
    fault: str = ""  # of who forfeits it, in a sentence


@dataclasses.dataclass(frozen=True)
class MatchResult:
    """How G games went, told from the first player's side.

    Games 2i and 2i + 1 are a pair: one opening, the first player in seat 0, then in seat 1.
    """

    players: tuple[str, str]
    played: tuple[PlayedGame, ...]
    distinct_openings: int  # below G / 2 only if there are too few

    @property
    def games(self) -> int:
        return len(self.played)

    @property
    def moves(self) -> tuple[tuple[int, ...], ...]:
        return tuple(game.moves for game in self.played)

    @property
    def returns(self) -> np.ndarray:
        """float[G, 2], by seat."""
        return np.array([game.returns for game in self.played]).reshape(-1, 2)

    @property
    def first_seat(self) -> np.ndarray:
        """int[G], the seat of the first player."""
        return np.arange(self.games) % 2

    @property
    def results(self) -> np.ndarray:
        """int[G]: 1 where the first player won, 0 drawn, -1 lost."""
        return np.sign(self.returns[np.arange(self.games), self.first_seat]).astype(int)

    @property
    def wins(self) -> int:
        return int((self.results == 1).sum())

    @property
    def draws(self) -> int:
        return int((self.results == 0).sum())

    @property
    def losses(self) -> int:
        return int((self.results == -1).sum())

    @property
    def by_seat(self) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        """Wins, draws and losses of the first player in seat 0, then in seat 1."""

        def count(seat: int) -> tuple[int, int, int]:
            results = self.results[self.first_seat == seat]
            return int((results == 1).sum()), int((results == 0).sum()), int((results == -1).sum())

        return count(0), count(1)

    @property
    def score(self) -> float:
        """The first player's points per game, a draw being half a point."""
        return float((self.results + 1).mean() / 2)

    @property
    def pair_counts(self) -> np.ndarray:
        """int[5]: pairs by the first player's score in them, see `rating.PAIR_SCORES`."""
        doubled = (self.results.reshape(-1, 2) + 1).sum(axis=1)  # 0 to 4: a pair's points, doubled
        return np.bincount(doubled, minlength=len(PAIR_SCORES))

    @property
    def distinct_pairs(self) -> int:
        """Pairs of games that repeat an earlier pair add nothing to what is known."""
        return len(set(zip(self.moves[::2], self.moves[1::2], strict=True)))

    @property
    def distinct_games(self) -> int:
        return len(set(self.moves))

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval of the score, in which a pair is one observation."""
        low, high = score_interval(self.pair_counts, self.distinct_pairs)
        return float(low), float(high)

    @property
    def superiority(self) -> float:
        """The likelihood that the first player is the stronger one."""
        return float(superiority(self.pair_counts, self.distinct_pairs))

    @property
    def elo(self) -> float:
        """How much stronger the first player is; see `rating.score_to_elo` for its limits."""
        return score_to_elo(self.score)

    @property
    def elo_interval(self) -> tuple[float, float]:
        low, high = self.interval
        return score_to_elo(low), score_to_elo(high)

    @property
    def resigned(self) -> tuple[int, int]:
        """How many games the first and the second player gave up."""
        given_up = np.array([game.ended_by == BY_RESIGNATION for game in self.played])
        results = self.results
        return int((given_up & (results == -1)).sum()), int((given_up & (results == 1)).sum())

    @property
    def faults(self) -> tuple[collections.Counter[str], collections.Counter[str]]:
        """The games that the first and the second player forfeited, by what went wrong."""
        reasons = collections.Counter[str](), collections.Counter[str]()
        for game, result in zip(self.played, self.results.tolist(), strict=True):
            if game.ended_by == BY_FORFEIT:
                reasons[result == 1][game.fault] += 1
        return reasons

    @property
    def decided_by_faults(self) -> bool:
        """Whether games were lost by faults, and none otherwise: that says nothing of strength."""
        decided = [game.ended_by for game in self.played if game.returns[0]]
        return bool(decided) and set(decided) == {BY_FORFEIT}

    def decide(self, test: sprt.Sprt) -> sprt.SprtResult:
        """Returns where a sequential test stands; faults alone never decide it."""
        if self.decided_by_faults:
            return sprt.SprtResult("undecided", 0.0, test.bounds)
        return sprt.decide(test, self.pair_counts, self.distinct_pairs)


def result_of(
    players: Sequence[str], played: Sequence[PlayedGame], distinct_openings: int
) -> MatchResult:
    """Returns the result of games played so far."""
    first, second = players
    return MatchResult((first, second), tuple(played), distinct_openings)


def played_of(record: GameRecord) -> PlayedGame:
    """Returns a game of `match_records` as it was played."""
    fault = str(record.extra.get("fault", ""))
    return PlayedGame(record.moves, record.returns, record.ended_by, fault)


def match_records(result: MatchResult, spec: str, **extra: Any) -> list[GameRecord]:
    """Returns the games of a match; `extra` goes into each."""
    records = []
    for played, seat in zip(result.played, result.first_seat, strict=True):
        players = result.players if seat == 0 else (result.players[1], result.players[0])
        why = {"ended_by": played.ended_by, "fault": played.fault}
        more = extra | {key: text for key, text in why.items() if text}
        records.append(GameRecord(spec, played.moves, played.returns, players, more))
    return records
