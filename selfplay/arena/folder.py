"""The folder of a match that can be killed and goes on.

match.json    what is played: a match with other settings is refused
games.jsonl   the games of finished blocks, in order, as records
lock          held by the process that plays
"""

import contextlib
import hashlib
import json
import os
import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from selfplay.arena.openings import Openings
from selfplay.arena.result import PlayedGame, match_records, played_of, result_of
from selfplay.files import durable, json_lines
from selfplay.files.game_lines import read_line
from selfplay.players import Player
from selfplay.records.game_record import append_records

FORMAT_VERSION = 1
# What a kill at the start may leave.
FIRST_FILES = re.compile(rf"lock|match\.json({durable.UNIQUE})?{re.escape(durable.PARTIAL)}")


class MatchFolder:
    """Paths and files of one match. Creating the object touches nothing on disk."""

    def __init__(self, path: str | os.PathLike[str], settings: dict[str, Any]) -> None:
        """Takes where the match lies, and the settings of `match_settings`."""
        self.path, self.settings = pathlib.Path(path), settings
        self.settings_file, self.games_file = self.path / "match.json", self.path / "games.jsonl"

    @contextlib.contextmanager
    def open(self) -> Iterator[list[PlayedGame]]:
        """Holds the folder; yields the games of the finished blocks.

        Raises:
          ValueError: the folder holds another match, or something else.
          BlockingIOError: another process plays this match.
        """
        there = {file.name for file in self.path.iterdir()} if self.path.is_dir() else set()
        others = {name for name in there if name[0] != "." and not FIRST_FILES.fullmatch(name)}
        if self.settings_file.name not in there and others:
            raise ValueError(f"{self.path} is not empty and holds no match: name another folder")
        with durable.writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        with durable.lock(self.path / "lock"):
            if self.settings_file.exists():
                self._check()
            else:
                text = json.dumps(self.settings, indent=1) + "\n"
                durable.write_whole(self.settings_file, text.encode())
            yield self._finished_blocks()

    def append(self, players: tuple[str, str], games: Sequence[PlayedGame]) -> None:
        """Adds a block, all of it or, in a kill, nothing that `open` would take for whole."""
        result = result_of(players, games, len(games))
        extra = {"seed": self.settings["seed"], "simulations": self.settings["simulations"]}
        append_records(self.games_file, match_records(result, self.settings["game"], **extra))

    def _check(self) -> None:
        stored = json_lines.read_object(self.settings_file)
        different = [
            f"{name}: {stored.get(name)!r} there, {wanted!r} asked for"
            for name, wanted in self.settings.items()
            if stored.get(name) != wanted
        ]
        if different:
            raise ValueError(
                f"{self.path} holds a match of other settings ({'; '.join(different)}): "
                "name another folder"
            )

    def _finished_blocks(self) -> list[PlayedGame]:
        if not self.games_file.exists():
            return []
        games, block = self.settings["games"], self.settings["block"]
        count = len(durable.keep_lines(self.games_file))
        lines = durable.keep_lines(
            self.games_file, count if count == games else count // block * block
        )
        played = []
        for number, line in enumerate(lines, start=1):
            record = read_line(line)
            if isinstance(record, str):
                raise ValueError(
                    f"{self.games_file} is damaged, line {number}: {record}; name another folder"
                )
            played.append(played_of(record))
        return played


def plies_of(path: str | os.PathLike[str]) -> int | None:
    """Returns the plies before the players took over in the match, or the round robin, of a folder.

    None where there is no match, or none that can be read, which `MatchFolder.open` will say.
    """
    folder = pathlib.Path(path)
    for file in sorted([*folder.glob("match.json"), *folder.glob("*/match.json")]):
        with contextlib.suppress(OSError, ValueError):
            plies = json_lines.read_object(file).get("opening_plies")
            return plies if isinstance(plies, int) else None
    return None


def match_settings(
    players: Sequence[Player],
    spec: str,
    opened: Openings,
    seed: int,
    simulations: int,
    block: int,
) -> dict[str, Any]:
    """Returns all that the games of a match depend on, devices and versions apart."""
    return {
        "format_version": FORMAT_VERSION,
        "game": spec,
        "players": [player.name for player in players],
        "weights_sha256": [weights_sha256(player) for player in players],
        "simulations": simulations,
        "seed": seed,
        "games": 2 * len(opened.moves),
        "openings_sha256": hashlib.sha256(json.dumps(opened.moves).encode()).hexdigest(),
        "block": block,
    }


def weights_sha256(player: Player) -> str:
    """Returns a digest of what a player computes with; players without weights have one alike."""
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(player.variables):
        digest.update(np.ascontiguousarray(jax.device_get(leaf)).tobytes())
    return digest.hexdigest()
