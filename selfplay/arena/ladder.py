"""Ratings of many players: a store of their games, and which two should play next.

The store is a file of game records, to which any number of ladders may append at once. A game
counts for two players if their names and weights are the present ones, and once however often it
was played: players that always answer alike repeat their games.
"""

import collections
import os
import pathlib
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from games.game import Game
from selfplay import json_lines, openings
from selfplay.arena.folder import weights_sha256
from selfplay.arena.match import play_match
from selfplay.players import Player
from selfplay.rating import bradley_terry
from selfplay.rating.bradley_terry import Ratings, Tally
from selfplay.records import append_records, match_records

ROUND = 32  # games that two players play before the ratings are fitted again


class Ladder:
    """Players with their games so far."""

    def __init__(
        self,
        store: str | os.PathLike[str],
        spec: str,
        game: Game[Any],
        players: Sequence[Player],
        seed: int = 0,
        opening_plies: int = openings.DEFAULT_PLIES,
    ) -> None:
        """Reads the store, which need not exist.

        The first player named `random`, else the first of all, is the anchor, rated 0.

        Raises:
          ValueError: fewer than two players, or two of one name.
        """
        names = [player.name for player in players]
        if len(names) < 2 or len(set(names)) < len(names):
            raise ValueError(f"a ladder needs two players or more, all different, got {names}")
        self.store, self.spec, self.game = pathlib.Path(store), spec, game
        self.players, self.names = list(players), names
        self.seed, self.opening_plies = seed, opening_plies
        self.anchor = names.index("random") if "random" in names else 0
        self.weights = [weights_sha256(player)[:16] for player in players]
        self.faults = [collections.Counter[str]() for _ in names]  # why games were forfeited
        self._seen: set[tuple[int, int, tuple[int, ...]]] = set()
        self._counts: dict[tuple[int, int], np.ndarray] = {}
        self._read_to = 0  # bytes of the store
        self._exhausted: set[tuple[int, int]] = set()  # pairings that repeat their games
        self.refresh()

    @property
    def games(self) -> int:
        """The distinct games between these players."""
        return len(self._seen)

    def games_of(self, player: int) -> int:
        return sum(player in seen[:2] for seen in self._seen)

    def tally(self) -> Tally:
        """Returns the games by pairing and seat."""
        pairings = np.array(list(self._counts), int).reshape(-1, 2)
        counts = np.array(list(self._counts.values()), float).reshape(-1, 3)
        return Tally(pairings[:, 0], pairings[:, 1], counts)

    def ratings(self) -> Ratings:
        """Returns the likeliest ratings."""
        return bradley_terry.fit(len(self.players), self.tally(), self.anchor)

    def next_pairing(self) -> tuple[int, int] | None:
        """Returns the two players whose games would tell most; None if all repeat themselves."""
        gain = np.triu(bradley_terry.information_gain(self.ratings(), ROUND), 1)
        for pairing in self._exhausted:
            gain[pairing] = 0.0
        first, second = np.unravel_index(gain.argmax(), gain.shape)
        return (int(first), int(second)) if gain[first, second] > 0 else None

    def play(self, first: int, second: int, games: int = ROUND) -> int:
        """Plays and stores games of two players; returns how many of them are new."""
        before = self.games
        result = play_match(
            self.players[first],
            self.players[second],
            self.game,
            games,
            self._round_seed(first, second),
            self.opening_plies,
        )
        weights = {self.names[i]: self.weights[i] for i in (first, second)}
        append_records(self.store, match_records(result, self.spec, weights=weights))
        self.refresh()
        if self.games == before:
            self._exhausted.add((min(first, second), max(first, second)))
        return self.games - before

    def refresh(self) -> None:
        """Counts what was added to the store, by anyone."""
        if not self.store.exists():
            return
        with open(self.store, "rb") as file:
            file.seek(self._read_to)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read_to += len(whole)
        for line in whole.splitlines():
            try:
                self._count(json_lines.parse(line.decode(), "a line"))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                shown = line[:60].decode(errors="replace")
                raise ValueError(
                    f"{self.store} is damaged: {error}; remove the line that begins with {shown!r}"
                ) from None

    def _count(self, record: dict[str, Any]) -> None:
        if record["game"] != self.spec or not set(record["players"]) <= set(self.names):
            return
        seats = [self.names.index(name) for name in record["players"]]
        if any(record["weights"].get(self.names[i]) != self.weights[i] for i in seats):
            return
        game = (seats[0], seats[1], tuple(record["moves"]))
        if game not in self._seen:
            self._seen.add(game)
            counts = self._counts.setdefault((seats[0], seats[1]), np.zeros(3))
            result = int(np.sign(record["returns"][0]))
            counts[1 - result] += 1
            if record.get("fault"):
                self.faults[seats[result == 1]][str(record["fault"])] += 1

    def _round_seed(self, first: int, second: int) -> int:
        """Returns a seed that differs by pairing, and by how far it has come."""
        names = [zlib.crc32(self.names[i].encode()) for i in (first, second)]
        played = sum(int(self._counts.get(p, np.zeros(3)).sum()) for p in _seatings(first, second))
        sequence = np.random.SeedSequence([self.seed, *names, played])
        return int(sequence.generate_state(1)[0])


def _seatings(first: int, second: int) -> Iterator[tuple[int, int]]:
    yield first, second
    yield second, first
