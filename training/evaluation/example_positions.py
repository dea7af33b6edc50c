"""Which position a replay example shows, which holds what the network sees, no state and no moves.

Known moves are played again, and count only if they lead to what the example shows. Where none are
known, for a game's first examples may follow an opening that was drawn at random, moves are looked
for that lead to a position which looks the same.
"""

import functools
import pathlib
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from games.game import Game, State
from selfplay import positions
from selfplay.example import Sample
from selfplay.files import durable, json_lines
from training.evaluation import surprise
from training.storage.run_folder import RunFolder

TAIL = 16 << 20  # bytes at the end of the file of sampled games that are read
MOST_EXPANDED = 250  # positions whose moves are tried in one of four searches for a position
LONGEST = 400  # plies of a position that is looked for
OWN, OTHERS = 0, 1  # planes: the mover's pieces, by the games' law; most games' next is the other's


class Found(NamedTuple):
    """Moves that lead to what an example shows."""

    moves: tuple[int, ...]
    # "examples": those of its game's earlier examples; "record": those of the sampled game;
    # "search": some that were found to lead to a position that looks the same, perhaps never
    # played.
    how: Literal["examples", "record", "search"]


class Seen(NamedTuple):
    """What an example shows of one position."""

    observation: np.ndarray  # of the game's shape
    legal_action_mask: np.ndarray  # bool[A]
    ply: int


def find(folder: RunFolder, game: Game[Any], number: int, one: Sample) -> Found | None:
    """Returns moves that lead to a run's example of that number; None where none are found.

    Args:
      one: the example, as examples [1, ...].
    """
    wanted = seen_in(one)
    of_examples = _of_examples(folder, game, number, one)
    if of_examples is not None and shows(game, of_examples, wanted):
        return Found(tuple(of_examples), "examples")
    recorded = _of_record(folder.games / "self_play.jsonl", int(one.game_id[0]))
    if recorded is not None and shows(game, recorded[: wanted.ply], wanted):
        return Found(tuple(recorded[: wanted.ply]), "record")
    looked_for = look_for(game, wanted)
    return None if looked_for is None else Found(tuple(looked_for), "search")


def seen_in(one: Sample) -> Seen:
    """Returns what an example [1, ...] shows."""
    return Seen(one.observation[0], one.legal_action_mask[0], int(one.ply[0]))


def shows(game: Game[Any], moves: Sequence[int], wanted: Seen) -> bool:
    """Whether moves are legal and lead to a position with this observation and legal actions."""
    if len(moves) != wanted.ply:
        return False
    played = positions.replay(game, [moves])
    if int(played.legal_plies[0]) < len(moves):
        return False
    state = positions.take(played.states, 0)
    observation, legal = _look(game, state)
    return np.array_equal(observation, wanted.observation) and np.array_equal(
        legal, wanted.legal_action_mask
    )


def look_for(game: Game[Any], wanted: Seen) -> list[int] | None:
    """Returns moves to a position that looks so; None where `MOST_EXPANDED` tries find none.

    A search in depth, which goes on only from positions whose pieces are all among the wanted ones.
    It finds nothing where pieces move away, or are captured on the way, nor without a board.
    """
    observation = wanted.observation
    if wanted.ply > LONGEST or observation.ndim < 3 or observation.shape[-1] < 2:
        return None
    opening = jax.device_get(positions.opening_position(game))
    for same_way in (True, False):
        for seat in (wanted.ply % 2, 1 - wanted.ply % 2):  # whose view the example is
            moves = _Walk(game, wanted, seat, same_way).on(opening, 0)
            if moves is not None:
                return moves
    return None


class _Walk:
    """One search for a position.

    Args:
      seat: whose view the wanted observation is.
      same_way: whether to believe that both seats see the board the same way round, which most
        games hold to: then the other one's view tells as much.
    """

    def __init__(self, game: Game[Any], wanted: Seen, seat: int, same_way: bool) -> None:
        self.game, self.wanted, self.seat, self.same_way = game, wanted, seat, same_way
        self.left = MOST_EXPANDED
        self.failed: set[bytes] = set()  # looks from which the position cannot be reached

    def on(self, state: State, ply: int) -> list[int] | None:
        """Returns the moves from here to the position, None if there are none."""
        if ply == self.wanted.ply:
            observation, legal = _look(self.game, state)
            same = int(state.to_play) == self.seat
            same &= np.array_equal(observation, self.wanted.observation)
            return [] if same and np.array_equal(legal, self.wanted.legal_action_mask) else None
        if self.left <= 0:
            return None
        self.left -= 1
        after, seen = jax.device_get(_children(self.game, state))
        for action in self._possible(state, after, seen):
            child = positions.take(after, action)
            look = seen[action].tobytes() + bytes([ply + 1, int(child.to_play)])
            if look in self.failed:
                continue
            rest = self.on(child, ply + 1)
            if rest is not None:
                return [action, *rest]
            self.failed.add(look)
        return None

    def _possible(self, state: State, after: State, seen: np.ndarray) -> list[int]:
        """Returns the legal actions after which the position may still come."""
        wanted = self.wanted.observation[..., [OWN, OTHERS]].astype(bool)
        own_view = (np.asarray(after.to_play) == self.seat).reshape(-1, *[1] * wanted.ndim)
        pieces = seen[..., [OWN, OTHERS]].astype(bool)
        pieces = np.where(own_view, pieces, pieces[..., ::-1] & self.same_way)
        outside = (pieces & ~wanted).reshape(len(pieces), -1).any(axis=1)
        possible: list[int] = np.flatnonzero(
            np.asarray(state.legal_action_mask) & ~outside
        ).tolist()
        return possible


def _of_examples(folder: RunFolder, game: Game[Any], number: int, one: Sample) -> list[int] | None:
    """Returns the moves of the examples before it, if they are its game's from the first ply on."""
    ply = int(one.ply[0])
    if ply == 0:
        return []
    if number < ply:
        return None
    try:
        before = surprise.examples_at(folder, game, number - ply, ply)
    except (ValueError, OSError):
        return None
    whole = np.array_equal(before.ply, np.arange(ply))
    if not whole or (before.game_id != one.game_id[0]).any():
        return None
    moves: list[int] = before.action.tolist()
    return moves


def _of_record(file: pathlib.Path, game_id: int) -> list[int] | None:
    """Returns the moves of a sampled game, openings too, None if it is not in the file."""
    try:
        durable.check_file(file)
        with open(file, "rb", opener=durable.no_link) as opened:
            opened.seek(max(0, opened.seek(0, 2) - TAIL))
            lines = opened.read(TAIL).split(b"\n")
    except OSError:
        return None
    for line in filter(lambda line: str(game_id).encode() in line, reversed(lines)):
        try:
            record = json_lines.parse(line.decode(errors="replace"), str(file))
            if record["game_id"] == game_id and all(type(a) is int for a in record["moves"]):
                return list(record["moves"])
        except (ValueError, KeyError, TypeError):
            continue
    return None


def _look(game: Game[Any], state: State) -> tuple[np.ndarray, np.ndarray]:
    """Returns the observation and the legal actions of a position, in NumPy."""
    return np.asarray(_observe(game, state)), np.asarray(state.legal_action_mask)


@functools.partial(jax.jit, static_argnums=0)
def _observe(game: Game[Any], state: State) -> jax.Array:
    return game.observe(state)


@functools.partial(jax.jit, static_argnums=0)
def _children(game: Game[Any], state: State) -> tuple[State, jax.Array]:
    """Returns the positions after each action, legal or not, [A, ...], and their observations."""
    after = jax.vmap(game.step, (None, 0))(state, jnp.arange(game.num_actions, dtype=jnp.int32))
    return after, jax.vmap(game.observe)(after)
