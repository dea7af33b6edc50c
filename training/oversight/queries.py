"""Queries to an overseer: positions of A's own games, or of a file, that want a decision."""

from collections.abc import Container
from typing import Any

import jax
import numpy as np

from games.game import Game
from selfplay import positions
from selfplay.amplify import gap
from selfplay.files import json_lines
from selfplay.oversight.decisions import moves_of
from selfplay.players import Player

MOST = 1024  # positions from which the ones that search changes most are taken
CHUNK = 128  # positions replayed at once
IMAGES = 10  # one query in so many is an image of another one
# Of all positions of a file: a game gives half the square of its length, 8 bytes each.
MAX_MOVES = 1 << 25


def select_queries(raw: Player, searching: Player, seed: int, count: int) -> list[tuple[int, ...]]:
    """Returns the moves to positions of A's games, those first where search changes A most.

    Args:
      raw: A without search; `searching`: A with it.
      count: positions wanted; there may be fewer.
    """
    pool = min(MOST, 4 * count)
    drawn = np.random.SeedSequence([seed])
    reached = gap.reach(raw.game, raw.act, raw.variables, drawn, pool)
    moved, _ = gap.measure(searching, reached, jax.random.key(seed))
    moves = positions.move_lists(reached.history)
    order = np.argsort(-moved.kl, kind="stable")
    return list(dict.fromkeys(moves[i] for i in order))[:count]


def with_images(
    game: Game[Any], queries: list[tuple[int, ...]], decided: Container[tuple[int, ...]]
) -> list[tuple[int, ...]]:
    """Returns as many queries, a tenth of them, the last ones, images of the first ones.

    Without such pairs it would not come out whether an overseer decides alike in positions that are
    alike, which is what its decisions are taken for.

    Args:
      decided: queries that are not to come again.
    """
    number = len(queries) // IMAGES
    if not number or len(game.symmetries()) == 1:
        return queries
    states = positions.replay(game, queries[:number]).states
    seen = np.asarray(jax.device_get(jax.jit(jax.vmap(game.observe))(states)))
    images: list[tuple[int, ...]] = []
    for moves, observation in zip(queries, seen, strict=False):
        for symmetry in game.symmetries()[1:]:
            image = tuple(int(action) for action in symmetry.inverse().action[list(moves)])
            fresh = image not in decided and image not in queries and image not in images
            if (
                fresh
                and (symmetry.on_observation(observation, observation.ndim) != observation).any()
            ):
                images.append(image)
                break
    replayed = positions.replay(game, images).legal_plies if images else ()
    images = [i for i, plies in zip(images, replayed, strict=True) if plies == len(i)]
    return queries[: len(queries) - len(images)] + images


def from_file(path: str, spec: str, game: Game[Any]) -> tuple[list[tuple[int, ...]], list[str]]:
    """Returns the moves to positions of a file of games, and what is wrong with its other lines.

    A line is an object with `moves` from the opening, and `game`, if there, of this game. A game
    that is over gives all its positions, another one its last.

    Raises:
      ValueError: the file is no text, or holds no position.
    """
    examples: list[tuple[str, tuple[int, ...]]] = []
    problems: list[str] = []
    for place, line in json_lines.read(path):
        try:
            fields = json_lines.parse(line, place)
            if not isinstance(fields, dict) or fields.get("game", spec) != spec:
                raise ValueError(f"{place}: this is no object with moves of {spec}")
            examples.append((place, moves_of(fields.get("moves"))))
        except ValueError as error:
            text = str(error)
            problems.append(text if text.startswith(place) else f"{place}: {text}")
    queries: dict[tuple[int, ...], None] = {}
    longest = max((len(moves) for _, moves in examples), default=1)
    size = 0  # of the queries, in moves
    for first in range(0, len(examples), CHUNK):
        chunk = examples[first : first + CHUNK]
        missing = CHUNK - len(chunk)  # one number of games and one length: one compilation
        replayed = positions.replay(game, [moves for _, moves in chunk] + [()] * missing, longest)
        over = np.asarray(replayed.states.terminated)
        for i, (place, moves) in enumerate(chunk):
            if replayed.legal_plies[i] < len(moves):
                plies = int(replayed.legal_plies[i])
                problems.append(f"{place}: move {plies + 1}, action {moves[plies]}, is illegal")
                continue
            size += len(moves) ** 2 // 2 if over[i] else len(moves)
            if size > MAX_MOVES:
                problems.append(f"{place}: reading stopped here, at {len(queries)} positions")
                break
            if over[i]:
                queries |= dict.fromkeys(moves[:n] for n in range(len(moves)))
            else:
                queries[moves] = None
        if size > MAX_MOVES:
            break
    if not queries:
        why = f": {problems[0]}" if problems else ""
        raise ValueError(f"{path} holds no position to decide{why}")
    return list(queries), problems
