"""Recorded games as training examples, and their split into games to learn from and to test on."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from games.game import Game
from selfplay import positions, row
from selfplay.files.game_lines import GameRecord
from selfplay.row import Sample

CHUNK = 64  # games replayed at once


def split(
    records: Sequence[GameRecord], held_out: float, seed: int
) -> tuple[list[GameRecord], list[GameRecord]]:
    """Returns the games to learn from and those to test on, drawn from the seed.

    By game, not by position: positions of one game are alike. Games of equal moves stay together.

    Raises:
      ValueError: fewer than two distinct games.
    """
    distinct = list(dict.fromkeys(record.moves for record in records))
    if len(distinct) < 2:
        raise ValueError(f"imitation needs at least 2 distinct games, got {len(distinct)}")
    count = min(max(1, round(held_out * len(distinct))), len(distinct) - 1)
    drawn = np.random.default_rng(seed).permutation(len(distinct))[:count]
    tested = {distinct[i] for i in drawn.tolist()}
    learnt = [record for record in records if record.moves not in tested]
    return learnt, [record for record in records if record.moves in tested]


def rows_of(game: Game[Any], records: Sequence[GameRecord]) -> Sample:
    """Returns an example for each move of games that the rules allow.

    An expert's judgement is its move alone: `policy_target` is all on it, `root_value` is the
    outcome, and `q` is 0.
    """
    parts = [
        _rows_of_chunk(game, records[first : first + CHUNK], first)
        for first in range(0, len(records), CHUNK)
    ]
    return row.concatenate(parts)


def _rows_of_chunk(game: Game[Any], records: Sequence[GameRecord], first: int) -> Sample:
    missing = CHUNK - len(records)  # one number of games: one compilation for each length
    history = positions.pad_moves([record.moves for record in records] + [()] * missing)
    seen = jax.device_get(_replay(game, history))
    number, ply = np.nonzero(history != positions.NO_ACTION)
    observation, mask, to_play = (leaf[number, ply] for leaf in seen)
    action = history[number, ply]
    returns = np.array([record.returns for record in records], np.float32)
    outcome = returns[number, to_play.astype(np.intp)]
    return row.make(
        observation=observation,
        legal_action_mask=mask,
        policy_target=action[:, None] == np.arange(game.num_actions),
        action=action,
        outcome=outcome,
        root_value=outcome,
        ply=ply,
        game_id=number + first,
    )


@functools.partial(jax.jit, static_argnums=0)
def _replay(game: Game[Any], history: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Returns observation, mask and seat before each move of int32[N, T] `history`."""

    def look(state: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
        return game.observe(state), state.legal_action_mask, state.to_play

    return positions.watch(game, history, look)[0]
