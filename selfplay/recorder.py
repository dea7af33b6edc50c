"""The recorder: trajectories into the samples and records of finished games, on the host.

A ply waits until its game has ended and its outcome is known: no truncated game becomes a sample.
"""

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from selfplay import example
from selfplay.example import Sample

if TYPE_CHECKING:
    from selfplay.self_play import Trajectory  # which imports jax, and the recorder does without

MOST_WATCHED = 16  # environments: the limit of a game's plies may be far above what its games take
# Begin the names of targets' columns; those of the end say something in last plies alone.
OF_THE_PLY, OF_THE_END = "targets/", "end_targets/"


class FinishedGame(NamedTuple):
    """One game from its opening to its end."""

    game_id: int
    moves: list[int]
    returns: tuple[float, float]
    to_play: tuple[int, ...] = ()  # the seat that decided each example, one a ply after the opening


class Recorder:
    """Holds the plies of unfinished games; `add` gives back those whose game has ended.

    `pending` is what a checkpoint must hold: the examples of unfinished games, keyed by field.
    Environments may be some of a run's, of `all_envs` those from `first_env` on: games are numbered
    in it.
    """

    def __init__(
        self,
        pending: dict[str, np.ndarray] | None = None,
        first_env: int = 0,
        all_envs: int | None = None,
    ) -> None:
        self.pending = pending
        self._first_env, self._all_envs = first_env, all_envs

    def add(self, trajectory: "Trajectory", weights_step: int) -> tuple[Sample, list[FinishedGame]]:
        """Takes one call's plies, its leaves as NumPy arrays.

        Args:
          weights_step: the training step of the weights that the call searched with.

        Returns:
          The samples of games that ended in this call, game after game and ply after ply, and
          the games themselves.
        """
        # Ids are unique in the run, whatever process plays the game.
        game_id = self._game_ids(np.asarray(trajectory.game_number))
        examples = _concatenate(self.pending, _to_examples(trajectory, weights_step, game_id))
        # Game after game, ply after ply, with those that waited from earlier rollouts.
        order = np.lexsort((examples["ply"], examples["game_id"]))
        examples = {name: column[order] for name, column in examples.items()}
        ends = np.flatnonzero(examples["terminated"])  # one a finished game, its last ply
        ended_ids = examples["game_id"][ends]
        # Each game's examples lie together, so its last example is found by its id.
        end_of = np.searchsorted(ended_ids, examples["game_id"])
        end_of = np.minimum(end_of, max(len(ends) - 1, 0))
        finished = (
            ended_ids[end_of] == examples["game_id"] if len(ends) else np.zeros(len(order), bool)
        )
        # Unfinished games wait for their end.
        self.pending = {
            name: column[~finished]
            for name, column in examples.items()
            if not name.startswith(OF_THE_END)
        }
        # Finished ones get their outcome, as the seat that decided sees it.
        done = {name: column[finished] for name, column in examples.items()}
        last = ends[end_of[finished]] if len(ends) else ends  # of each finished example's game
        seat = done["to_play"].astype(np.intp)
        # The outcome z of each example: its game's return for the seat that decided.
        sample = _sample(done, examples["returns"][last, seat])
        targets = {
            **_named(done, OF_THE_PLY),
            **{name: column[last, seat] for name, column in _named(examples, OF_THE_END).items()},
        }
        # Targets known at the ply or the end hold for every example.
        weights = dict.fromkeys(targets, np.ones(len(last), np.float32))
        return sample._replace(targets=targets, target_weights=weights), _finished_games(done)

    def _game_ids(self, game_number: np.ndarray) -> np.ndarray:
        """int64[T, B]: the numbers in the run of games that are numbered in their environments."""
        envs = np.arange(game_number.shape[1]) + self._first_env
        return game_number.astype(np.int64) * (self._all_envs or len(envs)) + envs


def draw_games(
    finished: list[FinishedGame], envs: int, watched: int, rng: np.random.Generator
) -> list[FinishedGame]:
    """Those of a rollout's games that ended in `watched` environments, drawn from all `envs`.

    Every game of a run has the same chance, `watched / envs`, however long it is. One game a call
    would not do: in calls in which few games end these are long, or short, and count for more.
    """
    # Environments are drawn, not games: long games are not preferred.
    drawn = rng.permutation(envs)[:watched].tolist()
    return [game for game in finished if game.game_id % envs in drawn]


def envs_to_watch(max_plies: int, envs: int, plies_per_call: int) -> int:
    """The environments in which about one game a rollout ends, at half of `max_plies` a game."""
    wanted = math.ceil(max_plies / 2 / plies_per_call)
    return min(wanted, MOST_WATCHED, envs)


def _to_examples(
    trajectory: "Trajectory", weights_step: int, game_id: np.ndarray
) -> dict[str, np.ndarray]:
    """Returns the plies as columns of T * B examples, by flat name."""
    plies, envs = trajectory.ply.shape
    # Flatten [T, B, ...] to [T * B, ...].
    columns = {
        name: value.reshape(plies * envs, *value.shape[2:])
        for name, value in example.flat(trajectory).items()
        if name not in ("kl", "entropy", "game_number")
    }
    columns["game_id"] = game_id.reshape(-1)
    columns["weights_step"] = np.full(plies * envs, weights_step, np.int64)
    return columns


def _concatenate(
    old: dict[str, np.ndarray] | None, new: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    if old is None:
        return new
    count = len(old["ply"])

    def before(name: str, column: np.ndarray) -> np.ndarray:
        if name.startswith(OF_THE_END):  # is read from last plies alone, and none of these is one
            return np.zeros((count, *column.shape[1:]), column.dtype)
        return old[name]

    return {name: np.concatenate([before(name, column), column]) for name, column in new.items()}


def _sample(examples: dict[str, np.ndarray], outcome: np.ndarray) -> Sample:
    given = examples | {
        "policy_target": examples["action_weights"],
        "outcome": outcome,
        "weight": np.ones(len(outcome), np.float32),
    }
    return example.nested(Sample, {name: given[name] for name in example.COLUMNS})


def _named(examples: dict[str, np.ndarray], beginning: str) -> dict[str, np.ndarray]:
    """Returns the columns whose names begin so, by the rest of their names."""
    return {n.removeprefix(beginning): c for n, c in examples.items() if n.startswith(beginning)}


def _finished_games(examples: dict[str, Any]) -> list[FinishedGame]:
    """Returns the games of examples that lie game after game, ply after ply."""
    games, first = [], 0
    for last in np.flatnonzero(examples["terminated"]).tolist():
        opening = examples["opening"][first]
        moves = [*opening[opening >= 0].tolist(), *examples["action"][first : last + 1].tolist()]
        r0, r1 = examples["returns"][last].tolist()
        seats = tuple(examples["to_play"][first : last + 1].tolist())
        games.append(FinishedGame(int(examples["game_id"][first]), moves, (r0, r1), seats))
        first = last + 1
    return games
