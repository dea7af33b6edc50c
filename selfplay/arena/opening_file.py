"""Openings from a file: game records, positions as lists of moves, or moves in the game's notation.

A line is `{"moves": [3, 0, ...], ...}`, as game records and solved positions are, `[3, 0, ...]`, or
words such as `d1 c1`. Of a record, the first plies are taken, as many as the match asks for; of the
others, all. Empty lines, and those that start with `#`, are skipped. A name that ends in `.sgf` or
`.pgn` is that of games in that form.
"""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np

import games
from games import registry
from games.game import Game
from selfplay import positions
from selfplay.arena.openings import Openings, repeat
from selfplay.files import json_lines
from selfplay.records.game_record import form_of, read_records

CHUNK = 128  # openings replayed at once


def file_openings(
    path: str | os.PathLike[str], game: Game[Any], count: int, seed: int, plies: int
) -> Openings:
    """Returns `count` openings of a file, in an order drawn from the seed.

    Raises:
      ValueError: a line is no opening; the message names file, line and, if it is at fault, the
        move. Or the file holds none.
    """
    named = list(_read(path, game, plies))
    if not named:
        raise ValueError(f"{path} holds no openings")
    _check(game, named)
    order = np.random.default_rng(seed).permutation(len(named))
    return repeat(game, list(dict.fromkeys(named[i][1] for i in order)), count)


def _read(
    path: str | os.PathLike[str], game: Game[Any], plies: int
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yields each opening with its place."""
    if form_of(path):
        for number, record in enumerate(read_records(path), start=1):
            place = f"{path}, game {number}"
            if not _alike(games.load(record.game), game):
                raise ValueError(
                    f"{place}: a game of {record.game}, not of {registry.spec_of(game)}"
                )
            yield place, record.moves[:plies]
        return
    for place, line in json_lines.read(path):
        text = line.strip()
        if not text.startswith("#"):
            yield place, _parse(text, game, plies, place)


def _alike(one: Game[Any], other: Game[Any]) -> bool:
    """Returns whether the actions of both mean the same; a komi, say, may differ."""
    same_kind = type(one) is type(other) and one.num_actions == other.num_actions
    return same_kind and one.observation_shape == other.observation_shape


def _parse(text: str, game: Game[Any], plies: int, place: str) -> tuple[int, ...]:
    if text[0] not in "{[":
        return _from_notation(text.replace(",", " ").split(), game, place)
    fields = json_lines.parse(text, place)
    moves = fields.get("moves") if isinstance(fields, dict) else fields
    if not isinstance(moves, list) or not all(type(move) is int for move in moves):
        raise ValueError(f"{place}: moves must be a list of action numbers, got {repr(moves)[:80]}")
    return tuple(moves[:plies] if isinstance(fields, dict) else moves)


def _from_notation(words: list[str], game: Game[Any], place: str) -> tuple[int, ...]:
    state, moves = positions.opening_position(game), []
    for number, word in enumerate(words, start=1):
        try:
            moves.append(game.string_to_action(state, word))
        except ValueError as error:
            raise ValueError(f"{place}, move {number}: {error}") from None
        state = positions.step(game, state, np.int32(moves[-1]))
    return tuple(moves)


def _check(game: Game[Any], named: list[tuple[str, tuple[int, ...]]]) -> None:
    """Raises ValueError about an opening that the rules forbid, or that ends the game."""
    longest = max(len(moves) for _, moves in named)
    for first in range(0, len(named), CHUNK):
        chunk = named[first : first + CHUNK]
        missing = CHUNK - len(chunk)  # one number of games and one length: one compilation
        replayed = positions.replay(game, [moves for _, moves in chunk] + [()] * missing, longest)
        ended = np.asarray(replayed.states.terminated)
        for i, (place, moves) in enumerate(chunk):
            legal = int(replayed.legal_plies[i])
            if legal < len(moves):
                raise ValueError(f"{place}: move {legal + 1}, action {moves[legal]}, is illegal")
            if ended[i]:
                raise ValueError(f"{place}: the game is over after these {legal} moves")
