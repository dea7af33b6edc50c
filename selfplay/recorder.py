"""The recorder: trajectories into the samples and records of finished games, on the host.

A ply waits until its game has ended and its outcome is known: no truncated game becomes a sample.
It waits where it came, in the arrays of its rollout; only plies of finished games are gathered.
"""

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from selfplay import example
from selfplay.example import Bits, Sample

if TYPE_CHECKING:
    from selfplay.self_play import Trajectory  # which imports jax, and the recorder does without

MOST_WATCHED = 16  # environments: the limit of a game's plies may be far above what its games take
# Of a trajectory, what is not a column of an example, or is read where a game ends alone.
ELSEWHERE = ("kl", "entropy", "game_number", "opening", "terminated", "returns", "sound")
LEFT = 4  # of a rollout of which one in so many plies still waits, these are copied, to free it


class FinishedGame(NamedTuple):
    """One game from its opening to its end."""

    game_id: int
    moves: list[int]
    returns: tuple[float, float]
    to_play: tuple[int, ...] = ()  # the seat that decided each example, one a ply after the opening


class FinishedGames:
    """The games that ended in a rollout, each made when it is asked for: few are."""

    def __init__(self, sample: Sample, to_play: np.ndarray, opening: np.ndarray, plies: np.ndarray):
        self.to_play = to_play  # int8[N], the seat that decided each example
        self.moves_each = plies + (opening >= 0).sum(axis=1)  # int[G], with the opening's
        ends = np.cumsum(plies)
        self.rows = [*map(slice, ends - plies, ends)]  # of the examples, those of each
        self.game_id = sample.game_id[ends - 1]  # int64[G]
        self._sample, self._opening = sample, opening

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[FinishedGame]:
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, at: int) -> FinishedGame:
        rows, opening = self.rows[at], self._opening[at]
        moves = [*opening[opening >= 0].tolist(), *self._sample.action[rows].tolist()]
        outcome, seat = float(self._sample.outcome[rows][-1]), int(self.to_play[rows][-1])
        returns = (outcome, -outcome) if seat == 0 else (-outcome, outcome)
        seats = tuple(self.to_play[rows].tolist())
        return FinishedGame(int(self.game_id[at]), moves, returns, seats)


class Block(NamedTuple):
    """Plies as they came, R of them, and which of each of B environments wait for a game's end."""

    columns: dict[str, Any]  # [R, ...]
    first: np.ndarray  # int64[B], the row of the first that waits
    waiting: np.ndarray  # int64[B], how many do
    stride: int  # rows from one ply of an environment to its next


class Recorder:
    """Holds the plies of unfinished games; `add` gives back those whose game has ended.

    Environments may be some of a run's, of `all_envs` those from `first_env` on: games are numbered
    in it.
    """

    def __init__(
        self,
        pending: dict[str, np.ndarray] | None = None,
        first_env: int = 0,
        all_envs: int | None = None,
    ) -> None:
        """Begins without plies, or with those that `pending` gave."""
        self._restored = pending or None
        self._blocks: list[Block] = []
        self._first_env, self._all_envs = first_env, all_envs

    @property
    def pending(self) -> dict[str, np.ndarray] | None:
        """What a checkpoint must hold: the examples of unfinished games by field; None: no ply."""
        if self._restored is not None or not self._blocks:
            return self._restored
        first = np.stack([block.first for block in self._blocks], axis=1)
        count = np.stack([block.waiting for block in self._blocks], axis=1)
        columns = _gather(self._blocks, first, count)
        return {name: np.asarray(column) for name, column in columns.items()}

    def add(self, trajectory: "Trajectory", weights_step: int) -> tuple[Sample, FinishedGames]:
        """Takes one call's plies, its leaves as NumPy arrays.

        Args:
          weights_step: the training step of the weights that the call searched with.

        Returns:
          The samples of games that ended in this call, game after game and ply after ply, and
          the games themselves.
        """
        plies, envs = trajectory.ply.shape
        # Ids are unique in the run, whatever process plays the game.
        game_id = self._game_ids(np.asarray(trajectory.game_number))
        columns = _to_examples(trajectory, weights_step, game_id)
        if self._restored is not None:
            if different := _forms(columns).items() ^ _forms(self._restored).items():
                names = ", ".join(sorted({name for name, _ in different}))
                raise ValueError(
                    f"the checkpoint's plies of unfinished games are of another form ({names}): "
                    "the run was made by another version"
                )
            self._blocks, self._restored = [self._block_of(self._restored, envs)], None
        # Where games ended, environment after environment and ply after ply.
        env, end = np.nonzero(np.asarray(trajectory.terminated).T)
        is_first = np.diff(env, prepend=-1) != 0  # of its environment in this call
        begin = np.where(is_first, 0, np.roll(end, 1) + 1)
        last = np.full(envs, -1)
        last[env] = end  # the last one of an environment stays
        # The plies of each ended game in each block, in the order of the games' numbers.
        new = Block(columns, np.arange(envs), np.zeros(envs, np.int64), envs)
        first = [block.first[env] for block in self._blocks] + [begin * envs + env]
        count = [block.waiting[env] * is_first for block in self._blocks] + [end - begin + 1]
        order = np.argsort(game_id[end, env])
        first_row, rows = np.stack(first, axis=1)[order], np.stack(count, axis=1)[order]
        done = _gather([*self._blocks, new], first_row, rows)
        # What goes on waits: all of the rollout behind the last end, and of older ones without end.
        waits = last < 0
        older = [block._replace(waiting=block.waiting * waits) for block in self._blocks]
        new = new._replace(first=(last + 1) * envs + np.arange(envs), waiting=plies - 1 - last)
        self._blocks = [kept for block in [*older, new] for kept in _compacted(block)]
        # Finished games get their outcome, as the seat that decided sees it.
        lengths = rows.sum(axis=1)
        at = np.repeat(end[order], lengths), np.repeat(env[order], lengths)
        to_play = done.pop("to_play")
        seat = to_play.astype(np.intp)
        sample = _sample(done, np.asarray(trajectory.returns)[(*at, seat)])
        targets = {
            **{n.partition("/")[2]: c for n, c in done.items() if n.startswith("targets/")},
            **{name: np.asarray(c)[(*at, seat)] for name, c in trajectory.end_targets.items()},
        }
        # Targets known at the ply or the end hold for every example.
        weights = dict.fromkeys(targets, np.ones(len(seat), np.float32))
        sample = sample._replace(targets=targets, target_weights=weights)
        opening = np.asarray(trajectory.opening)[end[order], env[order]]
        return sample, FinishedGames(sample, to_play, opening, lengths)

    def _game_ids(self, game_number: np.ndarray) -> np.ndarray:
        """int64[T, B]: the numbers in the run of games that are numbered in their environments."""
        envs = np.arange(game_number.shape[1]) + self._first_env
        return game_number.astype(np.int64) * (self._all_envs or len(envs)) + envs

    def _block_of(self, pending: dict[str, np.ndarray], envs: int) -> Block:
        """Returns the block of plies that a checkpoint held."""
        env = pending["game_id"] % (self._all_envs or envs) - self._first_env
        order = np.lexsort((pending["ply"], env))
        columns = {name: example.packed(column[order]) for name, column in pending.items()}
        count = np.bincount(env, minlength=envs)
        return Block(columns, np.cumsum(count) - count, count, 1)


def _forms(columns: Mapping[str, Any]) -> dict[str, example.Form]:
    return dict(example.layout_of(columns).columns)


def _gather(blocks: list[Block], first: np.ndarray, count: np.ndarray) -> dict[str, Any]:
    """Returns plies, game after game: of G games and J blocks, int[G, J] of them from a row on."""
    total = int(count.sum())
    starts = (np.cumsum(count) - count.reshape(-1)).reshape(count.shape)
    gathered: dict[str, Any] = {}
    for block, rows, sizes, places in zip(blocks, first.T, count.T, starts.T, strict=True):
        some = np.flatnonzero(sizes)
        sizes = sizes[some]
        within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        source = np.repeat(rows[some], sizes) + block.stride * within
        target = np.repeat(places[some], sizes) + within
        for name, column in block.columns.items():
            held = column.data if isinstance(column, Bits) else column
            if name not in gathered:
                gathered[name] = np.empty((total, *held.shape[1:]), held.dtype)
            gathered[name][target] = held[source]
    kinds = blocks[-1].columns
    return {
        name: Bits(column, kinds[name].row) if isinstance(kinds[name], Bits) else column
        for name, column in gathered.items()
    }


def _compacted(block: Block) -> list[Block]:
    """Returns the block, a copy of what waits in it if that is little, or nothing if none does."""
    waiting = int(block.waiting.sum())
    if waiting * LEFT > len(block.columns["ply"]):
        return [block]
    columns = _gather([block], block.first[:, None], block.waiting[:, None])
    return [Block(columns, np.cumsum(block.waiting) - block.waiting, block.waiting, 1)][
        : waiting > 0
    ]


def draw_games(
    finished: FinishedGames, envs: int, watched: int, rng: np.random.Generator
) -> list[FinishedGame]:
    """Those of a rollout's games that ended in `watched` environments, drawn from all `envs`.

    Every game of a run has the same chance, `watched / envs`, however long it is. One game a call
    would not do: in calls in which few games end these are long, or short, and count for more.
    """
    # Environments are drawn, not games: long games are not preferred.
    drawn = rng.permutation(envs)[:watched]
    return [finished[i] for i in np.flatnonzero(np.isin(finished.game_id % envs, drawn)).tolist()]


def envs_to_watch(max_plies: int, envs: int, plies_per_call: int) -> int:
    """The environments in which about one game a rollout ends, at half of `max_plies` a game."""
    wanted = math.ceil(max_plies / 2 / plies_per_call)
    return min(wanted, MOST_WATCHED, envs)


def _to_examples(
    trajectory: "Trajectory", weights_step: int, game_id: np.ndarray
) -> dict[str, Any]:
    """Returns the plies as columns of T * B examples, by flat name."""
    plies, envs = trajectory.ply.shape

    def rows(column: Any) -> Any:  # [T, B, ...] as [T * B, ...]
        if isinstance(column, Bits):
            return Bits(rows(column.data), column.row)
        column = np.asarray(column)
        return column.reshape(plies * envs, *column.shape[2:])

    columns = {
        name: rows(column)
        for name, column in example.flat(trajectory).items()
        if name not in ELSEWHERE and not name.startswith("end_targets/")
    }
    columns["game_id"] = game_id.reshape(-1)
    columns["weights_step"] = np.full(plies * envs, weights_step, np.int64)
    return columns


def _sample(examples: Mapping[str, Any], outcome: np.ndarray) -> Sample:
    given = {
        **examples,
        "policy_target": examples["action_weights"],
        "outcome": outcome,
        "weight": np.ones(len(outcome), np.float32),
    }
    return example.nested(Sample, {name: given[name] for name in example.COLUMNS})
