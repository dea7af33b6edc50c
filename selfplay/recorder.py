"""From trajectories to the samples and records of finished games, on the host.

A ply waits until its game has ended and its outcome is known: no truncated game becomes a sample.
"""

from typing import Any, NamedTuple

import numpy as np

from selfplay.self_play import Trajectory


class Sample(NamedTuple):
    """Replay rows, N of them; values are for the seat that was to play."""

    observation: np.ndarray  # bool[N, H, W, C] (or the game's own dtype)
    legal_action_mask: np.ndarray  # bool[N, A]
    policy_target: np.ndarray  # float16[N, A]
    action: np.ndarray  # int16[N], the action played
    q: np.ndarray  # float16[N, A], the search's value of each action
    outcome: np.ndarray  # float32[N], the game's return
    root_value: np.ndarray  # float32[N], the search's value
    raw_value: np.ndarray  # float32[N], the network's value
    weight: np.ndarray  # float32[N], of the row in the loss
    ply: np.ndarray  # int32[N]
    game_id: np.ndarray  # int64[N], unique in the run
    weights_step: np.ndarray  # int64[N], training step of the weights that searched


class FinishedGame(NamedTuple):
    """One game from its opening to its end."""

    game_id: int
    moves: list[int]
    returns: tuple[float, float]


class Recorder:
    """Holds the plies of unfinished games; `add` gives back those whose game has ended.

    `pending` is what a checkpoint must hold: the rows of unfinished games, keyed by field.
    """

    def __init__(self, pending: dict[str, np.ndarray] | None = None) -> None:
        self.pending = pending

    def add(self, trajectory: Trajectory, weights_step: int) -> tuple[Sample, list[FinishedGame]]:
        """Takes one call's plies, its leaves as NumPy arrays.

        Args:
          weights_step: the training step of the weights that the call searched with.

        Returns:
          The samples of games that ended in this call, game after game and ply after ply, and
          the games themselves.
        """
        rows = _concatenate(self.pending, _to_rows(trajectory, weights_step))
        order = np.lexsort((rows["ply"], rows["game_id"]))
        rows = {name: column[order] for name, column in rows.items()}
        ends = np.flatnonzero(rows["terminated"])  # one a finished game, its last ply
        ended_ids = rows["game_id"][ends]
        # Each game's rows lie together, so its last row is found by its id.
        end_of = np.searchsorted(ended_ids, rows["game_id"])
        end_of = np.minimum(end_of, max(len(ends) - 1, 0))
        finished = ended_ids[end_of] == rows["game_id"] if len(ends) else np.zeros(len(order), bool)
        self.pending = {name: column[~finished] for name, column in rows.items()}
        done = {name: column[finished] for name, column in rows.items()}
        returns = rows["returns"][ends[end_of[finished]]] if len(ends) else rows["returns"][:0]
        outcome = np.take_along_axis(returns, done["to_play"].astype(np.intp)[:, None], 1)[:, 0]
        return _sample(done, outcome), _finished_games(done)


def _to_rows(trajectory: Trajectory, weights_step: int) -> dict[str, np.ndarray]:
    """Returns the plies as columns of T * B rows."""
    plies, lanes = trajectory.ply.shape
    columns = {
        name: value.reshape(plies * lanes, *value.shape[2:])
        for name, value in trajectory._asdict().items()
        if name not in ("kl", "entropy", "game_number")
    }
    game_id = trajectory.game_number.astype(np.int64) * lanes + np.arange(lanes)[None, :]
    columns["game_id"] = game_id.reshape(-1)
    columns["weights_step"] = np.full(plies * lanes, weights_step, np.int64)
    return columns


def _concatenate(
    old: dict[str, np.ndarray] | None, new: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    if old is None:
        return new
    return {name: np.concatenate([old[name], column]) for name, column in new.items()}


def _sample(rows: dict[str, np.ndarray], outcome: np.ndarray) -> Sample:
    return Sample(
        observation=rows["observation"],
        legal_action_mask=rows["legal_action_mask"],
        policy_target=rows["action_weights"],
        action=rows["action"],
        q=rows["q"],
        outcome=outcome,
        root_value=rows["root_value"],
        raw_value=rows["raw_value"],
        weight=np.ones(len(outcome), np.float32),
        ply=rows["ply"],
        game_id=rows["game_id"],
        weights_step=rows["weights_step"],
    )


def _finished_games(rows: dict[str, Any]) -> list[FinishedGame]:
    """Returns the games of rows that lie game after game, ply after ply."""
    games, first = [], 0
    for last in np.flatnonzero(rows["terminated"]).tolist():
        opening = rows["opening"][first]
        moves = [*opening[opening >= 0].tolist(), *rows["action"][first : last + 1].tolist()]
        r0, r1 = rows["returns"][last].tolist()
        games.append(FinishedGame(int(rows["game_id"][first]), moves, (r0, r1)))
        first = last + 1
    return games
