"""Ratings of many players: a store of their games, and which two should play next.

The store is a file of game records, to which any number of ladders may append at once. A game
counts for two players if their names and weights are the present ones, and once however often it
was played: players that always answer alike repeat their games.

The store calls a run's checkpoint `PATH@STEP:settings` by the run's real path, however that was
typed, and `.@STEP:settings` if the store is the run's own, which may be moved.
"""

import collections
import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from games.game import Game
from selfplay.arena.folder import weights_sha256
from selfplay.arena.match import play_match
from selfplay.arena.result import MatchResult, match_records
from selfplay.files import durable, json_lines
from selfplay.files.game_lines import GameRecord, read_line
from selfplay.players import Player
from selfplay.rating import bradley_terry
from selfplay.rating.bradley_terry import Ratings, Tally
from selfplay.records.game_record import append_records

ROUND = 32  # games that two players play before the ratings are fitted again
OWN = "."  # what a run's own store calls the run
_CHECKPOINT = re.compile(r"(.+)@(\d+(?::[^:]*=[^:]*)?)")  # a path; a step, perhaps with settings
_SHOWN = 60  # characters of a damaged line


class Round(NamedTuple):
    """Games that two players of a ladder are to play."""

    first: int
    second: int
    games: int
    seed: int


class Ladder:
    """Players with their games so far."""

    def __init__(
        self,
        store: str | os.PathLike[str],
        spec: str,
        game: Game[Any],
        players: Sequence[Player],
        seed: int = 0,
        opening_plies: int | None = None,
        home: str | os.PathLike[str] | None = None,
        damaged: Callable[[str], None] | None = None,
        absent: Sequence[str] = (),
    ) -> None:
        """Reads the store, which need not exist.

        The first player named `random`, else the first of all, is the anchor, rated 0.

        Args:
          home: the folder of the run that the store belongs to, if it does to one.
          damaged: called with what is wrong with a line, which then does not count; without it,
            that is an error.
          absent: names of players that can play no more, as the store has them. They are rated by
            their games, after all others, and so tie those who met them to each other.

        Raises:
          ValueError: fewer than two players, or two that are the same; or a line is damaged.
        """
        names = [player.name for player in players]
        self._home = os.path.realpath(home) if home is not None else ""
        self._stored = [as_stored(name, self._home) for name in names]
        if len(names) < 2 or len(set(self._stored)) < len(names):
            raise ValueError(f"a ladder needs two players or more, all different, got {names}")
        self._stored += absent
        self._damaged = damaged
        self.store, self.spec, self.game = pathlib.Path(store), spec, game
        self.players, self.names = list(players), [*names, *absent]
        self.seed, self.opening_plies = seed, opening_plies
        self.anchor = names.index("random") if "random" in names else 0
        self.weights = [weights_sha256(player)[:16] for player in players]
        self.faults = [collections.Counter[str]() for _ in self.names]  # why games were forfeited
        self.records = collections.Counter[int]()  # games by player, repeated ones too
        self._seen: set[bytes] = set()  # digests of games: a store may hold very many
        self._counts: dict[tuple[int, int], np.ndarray] = {}
        # By pairing, of games that were won: those by a fault of the other, and all others.
        self._won: dict[frozenset[int], list[int]] = {}
        self._read_to = self._lines = 0  # bytes and lines of the store
        self._exhausted: set[tuple[int, int]] = set()  # pairings whose games tell nothing
        self.under_way: list[Round] = []
        self._drawn = collections.Counter[frozenset[int]]()  # the next free number of a round
        self.refresh()

    @property
    def games(self) -> int:
        """The distinct games between these players."""
        return len(self._seen)

    def games_of(self, player: int) -> int:
        return int(sum(of.sum() for pairing, of in self._counts.items() if player in pairing))

    def tally(self) -> Tally:
        """Returns the games by pairing and seat, but those of two that faults alone decided."""
        fair = {pair: of for pair, of in self._counts.items() if not self.decided_by_faults(*pair)}
        pairings = np.array(list(fair), int).reshape(-1, 2)
        counts = np.array(list(fair.values()), float).reshape(-1, 3)
        return Tally(pairings[:, 0], pairings[:, 1], counts)

    def decided_by_faults(self, first: int, second: int) -> bool:
        """Whether these two lost games by faults, and none otherwise: that rates nobody."""
        by_fault, others = self._won.get(frozenset((first, second)), (0, 0))
        return by_fault > 0 and others == 0

    @property
    def rated(self) -> list[bool]:
        """Whether a player's rating rests on any game."""
        tally = self.tally()
        playing = {*tally.first.tolist(), *tally.second.tolist()}
        return [player in playing for player in range(len(self.names))]

    def ratings(self) -> Ratings:
        """Returns the likeliest ratings."""
        return bradley_terry.fit(len(self.names), self.tally(), self.anchor)

    def next_pairing(self, player: int | None = None) -> tuple[int, int] | None:
        """Returns the two players whose games would tell most; None if no games tell any more.

        They tell nothing of two players that repeat their games, or that only faults decide. Rounds
        under way count as if they had been played, but for their results.

        Args:
          player: one of the two must be this one.
        """
        count, ratings = len(self.players), self.ratings()
        for one in self.under_way:
            ratings = bradley_terry.expecting(ratings, one.first, one.second, one.games)
        gain = np.triu(bradley_terry.information_gain(ratings, ROUND)[:count, :count], 1)
        if player is not None:
            others = np.arange(count) != player
            gain[np.ix_(others, others)] = 0.0
        for pairing in self._exhausted:
            gain[pairing] = 0.0
        first, second = np.unravel_index(gain.argmax(), gain.shape)
        return (int(first), int(second)) if gain[first, second] > 0 else None

    def play(self, first: int, second: int, games: int = ROUND) -> int:
        """Plays and stores games of two players; returns how many of them are new."""
        one = self.begin(first, second, games)
        return self.end(one, self.result_of(one))

    def begin(self, first: int, second: int, games: int = ROUND) -> Round:
        """Returns a round of two players, which is under way from now on; no other has its seed."""
        pairing = frozenset((first, second))
        known = sum(int(self._counts.get(p, np.zeros(3)).sum()) for p in _seatings(first, second))
        known += sum(one.games for one in self.under_way if pairing == {one.first, one.second})
        number = max(known, self._drawn[pairing])
        self._drawn[pairing] = number + 1
        one = Round(first, second, games, self._round_seed(first, second, number))
        self.under_way.append(one)
        return one

    def result_of(self, one: Round) -> MatchResult:
        """Plays a round."""
        return play_match(
            self.players[one.first],
            self.players[one.second],
            self.game,
            one.games,
            one.seed,
            self.opening_plies,
        )

    def end(self, one: Round, result: MatchResult) -> int:
        """Stores the games of a round that was under way; returns how many of them are new."""
        before, first, second = self.games, one.first, one.second
        self.under_way.remove(one)
        self.add(result, first, second)
        if self.games == before or self.decided_by_faults(first, second):
            self._exhausted.add((min(first, second), max(first, second)))
        return self.games - before

    def add(self, result: MatchResult, first: int, second: int) -> None:
        """Stores a match of two players."""
        stored = (self._stored[first], self._stored[second])
        weights = {self._stored[i]: self.weights[i] for i in (first, second)}
        result = dataclasses.replace(result, players=stored)
        append_records(self.store, match_records(result, self.spec, weights=weights))
        self.refresh()

    def refresh(self) -> None:
        """Counts what was added to the store, by anyone."""
        if not self.store.exists():
            return
        durable.check_file(self.store)
        with open(self.store, "rb") as file:
            file.seek(self._read_to)
            for line in json_lines.pieces(file):
                # Else it is being written.
                if line[-1:] == b"\n" or len(line) > json_lines.MAX_LINE:
                    self._read_to += len(line)
                    self._lines += 1
                    self._take(line[:-1])

    def _take(self, line: bytes) -> None:
        """Counts a line of the store, or says what is wrong with it."""
        try:
            if line.strip():
                self._count(_record(line))
        except ValueError as error:
            shown = line[:_SHOWN].decode(errors="replace")
            problem = f"{self.store}, line {self._lines} is damaged: {error}; got {shown!r}"
            if self._damaged is None:
                raise ValueError(f"{problem}; remove that line to go without it") from None
            self._damaged(problem)

    def _count(self, record: GameRecord) -> None:
        if record.game != self.spec:
            return
        first, second = (self._index(name) for name in record.players)
        if first is None or second is None:
            return
        seats, weights = (first, second), record.extra["weights"]
        played = zip(record.players, seats, strict=True)
        if any(
            i < len(self.players) and weights.get(name) != self.weights[i] for name, i in played
        ):
            return
        self.records.update(seats)
        game = json.dumps([*seats, record.moves]).encode()
        digest = hashlib.blake2b(game, digest_size=16).digest()
        if digest not in self._seen:
            self._seen.add(digest)
            counts = self._counts.setdefault(seats, np.zeros(3))
            result = int(np.sign(record.returns[0]))
            counts[1 - result] += 1
            won = self._won.setdefault(frozenset(seats), [0, 0])
            fault = record.extra.get("fault")
            won[not fault] += bool(result)
            if fault:
                self.faults[seats[result == 1]][str(fault)] += 1

    def _index(self, name: str) -> int | None:
        """Returns which player the store means; None if it is none of ours."""
        return self._stored.index(name) if name in self._stored else None

    def _round_seed(self, first: int, second: int, number: int) -> int:
        """Returns a seed that differs by pairing, and by a number that says how far it has come.

        It is the same wherever the runs lie, for the same command to play the same games.
        """
        names = [zlib.crc32(os.path.basename(self._stored[i]).encode()) for i in (first, second)]
        sequence = np.random.SeedSequence([self.seed, *names, number])
        return int(sequence.generate_state(1)[0])


def stored_players(store: str | os.PathLike[str], spec: str) -> collections.Counter[str]:
    """Returns the games of each player of this game in a store, by the name that it has there."""
    games = collections.Counter[str]()
    if pathlib.Path(store).exists():
        durable.check_file(store)
        with open(store, "rb") as file:
            for line in json_lines.pieces(file):
                with contextlib.suppress(ValueError):  # `Ladder` will say what is wrong with it
                    record = _record(line)
                    games.update(record.players if record.game == spec else ())
    return games


def as_stored(name: str, home: str) -> str:
    """Returns what a store calls a player that is there now.

    Args:
      home: the real path of the run that the store belongs to, or an empty text.
    """
    match = _CHECKPOINT.fullmatch(name)
    if match is None or not os.path.isdir(match[1]):
        return name
    path = os.path.realpath(match[1])
    return f"{OWN if path == home else path}@{match[2]}"


def _record(line: bytes) -> GameRecord:
    """Returns the game of a line. Raises ValueError if it holds none."""
    record = read_line(line)
    if not isinstance(record, str) and not isinstance(record.extra.get("weights"), dict):
        record = "'weights' must be an object"
    if isinstance(record, str):
        raise ValueError(record)
    return record


def _seatings(first: int, second: int) -> Iterator[tuple[int, int]]:
    yield first, second
    yield second, first
