"""The shares of a run's ranks: taken apart where it goes on, put together at each save.

A checkpoint is of the whole run, whatever number of hosts saved it. A rank's games are an equal
share of the lanes, in order; its rows are those of games that began in its lanes.
"""

import functools
import io
import json
from collections.abc import Mapping
from typing import Any, TypeAlias

import jax
import numpy as np

from selfplay import row
from selfplay.files import npz
from selfplay.row import Sample
from training import replay as replay_module
from training.context import Context
from training.hosts.peers import Peers
from training.replay import ReplayBuffer
from training.state import State
from training.storage.checkpoint import Checkpoint, Join
from training.storage.leaves import flatten

Arrays: TypeAlias = dict[str, np.ndarray]
MOST = 1 << 36  # bytes of a message, unpacked
GAMES, PENDING, STATE, ROWS = "games/", "pending/", "state/", "rows/"
COUNTERS, NUMBERS, OLDEST = "counters", "numbers", "oldest"


# ---- a save -------------------------------------------------------------------------------------


def give(context: Context, state: State) -> None:
    """Sends rank 0 this rank's share of a save, beside the loop."""
    make = functools.partial(_as_bytes, _own(state))
    context.peers.send(0, f"save/{context.peers.now()}", make)


def collect(context: Context, state: State) -> Join | None:
    """Returns what puts the shares of all ranks together, by the thread that saves."""
    if context.peers.count == 1:
        return None
    own, name = _own(state), f"save/{context.peers.now()}"

    def join(checkpoint: Checkpoint) -> tuple[Checkpoint, int, Sample | None]:
        others = range(1, context.peers.count)
        parts = [dict(jax.device_get(own))]
        parts += [_of_bytes(context.peers.receive(rank, name)) for rank in others]
        return joined(checkpoint, parts)

    return join


def joined(checkpoint: Checkpoint, parts: list[Arrays]) -> tuple[Checkpoint, int, Sample | None]:
    """Returns the checkpoint of the whole run, its new rows, and the number of the first one."""
    games = _joined([_only(part, GAMES, PENDING) for part in parts])
    counters = checkpoint.counters | {
        "replay_oldest_kept": min(int(part[OLDEST][0]) for part in parts)
    }
    numbers = np.concatenate([part[NUMBERS] for part in parts])
    checkpoint = checkpoint._replace(games=games, counters=counters)
    if not len(numbers):
        return checkpoint, counters["rows"], None
    columns = _joined([row_columns for part in parts if (row_columns := _under(part, ROWS))])
    rows = row.take(row.nested(Sample, columns), np.argsort(numbers))
    return checkpoint, int(numbers.min()), rows


def _own(state: State) -> dict[str, Any]:
    """Returns this rank's share of a save; leaves may be arrays of devices."""
    numbers, rows = state.replay.take_unsaved_numbered()
    columns = {} if rows is None else row.flat(rows)
    return {
        **flatten({"games": state.in_flight.before, "pending": state.recorder.pending or {}}),
        **{f"{ROWS}{name}": column for name, column in columns.items()},
        NUMBERS: numbers,
        OLDEST: np.array([state.replay.oldest_kept()]),
    }


# ---- a start ------------------------------------------------------------------------------------


def hand_out(peers: Peers, saved: Checkpoint, lanes: int) -> Checkpoint:
    """Sends each rank its share of a checkpoint; returns that of rank 0."""
    for rank in range(1, peers.count):
        share = share_of(saved, rank, peers.count, lanes)
        peers.send(rank, f"start/{peers.now()}", functools.partial(_as_bytes, _arrays_of(share)))
    return share_of(saved, 0, peers.count, lanes)


def take(peers: Peers) -> Checkpoint:
    """Waits for this rank's share of a checkpoint."""
    arrays = _of_bytes(peers.receive(0, f"start/{peers.now()}"))
    counters = json.loads(arrays[COUNTERS].tobytes())
    state, games = _under(arrays, STATE), _only(arrays, GAMES, PENDING)
    return Checkpoint(int(counters["step"]), state, games, counters)


def share_of(saved: Checkpoint, rank: int, count: int, lanes: int) -> Checkpoint:
    """Returns what one of `count` ranks needs of a checkpoint: of its games, its own."""

    def share(name: str, leaf: np.ndarray) -> np.ndarray:
        if not name.startswith(PENDING):
            return np.split(leaf, count)[rank]
        return leaf[owners(saved.games[f"{PENDING}game_id"], lanes, count) == rank]

    games = {name: share(name, np.asarray(leaf)) for name, leaf in saved.games.items()}
    return saved._replace(games=games)


def owners(game_id: np.ndarray, lanes: int, count: int) -> np.ndarray:
    """Returns int64[N], the rank of each game: that of the lane in which it began."""
    ranks: np.ndarray = game_id % lanes // (lanes // count)
    return ranks


def restore(context: Context, buffer: ReplayBuffer, counters: Mapping[str, Any]) -> None:
    """Fills each rank's window with its rows of the run's chunks, which rank 0 reads."""
    total, run_id = int(counters["rows"]), context.folder.run_id()
    folder, peers = context.store.replay_folder, context.peers
    if peers.count == 1:
        buffer.restore(folder, total, run_id)
        return
    # A rank may have had fewer rows than its share of a window; see `ReplayBuffer.oldest_kept`.
    oldest = max(int(counters["replay_oldest_kept"]), total - 2 * context.config.replay.capacity)
    parts = 0
    if peers.rank == 0:
        for first, rows in replay_module.stored(folder, oldest, total, run_id, buffer.targets):
            owner = owners(rows.game_id, context.config.self_play.batch, peers.count)
            for rank in range(1, peers.count):
                own = row.flat(row.take(rows, owner == rank)) | {NUMBERS: np.array([first])}
                name = f"rows/{peers.now()}/{parts}"
                peers.send(rank, name, functools.partial(_as_bytes, own))
            buffer.restore_share(first, row.take(rows, owner == 0))
            parts += 1
    name = f"rows/{peers.now()}"
    parts = peers.share("rows", {"parts": parts})[0]["parts"]
    for part in range(parts if peers.rank else 0):
        columns = _of_bytes(peers.receive(0, f"{name}/{part}"))
        number = int(columns.pop(NUMBERS)[0])
        buffer.restore_share(number, row.nested(Sample, columns))
    with_rows = peers.share("restored", {"is": buffer.has_rows()})
    buffer.restored(total, [rank for rank, told in enumerate(with_rows) if told["is"]])


# ---- rows of workers ----------------------------------------------------------------------------


def spread(context: Context, rows: Sample, told: dict[str, Any]) -> tuple[Sample, list[int]]:
    """Gives each rank its rows of a worker's batch, which rank 0 has taken.

    Args:
      told: what all ranks note of it, as `calls.counted` makes it.

    Returns:
      The rows that are rank 0's, and how many each rank gets.
    """
    peers = context.peers
    owner = owners(rows.game_id, context.config.self_play.batch, peers.count)
    counts = np.bincount(owner, minlength=peers.count).tolist()
    peers.share("batch", {"is_over": False, "counts": counts, "told": told})
    for rank in range(1, peers.count):
        if counts[rank]:
            own = row.flat(row.take(rows, owner == rank))
            peers.send(rank, f"batch/{peers.now()}", functools.partial(_as_bytes, own))
    return row.take(rows, owner == 0), counts


def no_batch(peers: Peers) -> None:
    """Tells all ranks that rank 0 has waited for workers in vain."""
    peers.share("batch", {"is_over": True})


def next_batch(peers: Peers) -> tuple[Sample | None, list[int], dict[str, Any]] | None:
    """Returns this rank's rows of the next batch, what each rank gets, and what all note of it."""
    batch = peers.share("batch", {})[0]
    if batch["is_over"]:
        return None
    rows = None
    if batch["counts"][peers.rank]:
        rows = row.nested(Sample, _of_bytes(peers.receive(0, f"batch/{peers.now()}")))
    return rows, batch["counts"], batch["told"]


# ---- messages -----------------------------------------------------------------------------------


def send_arrays(peers: Peers, name: str, arrays: Mapping[str, Any]) -> None:
    """Sends arrays to all other ranks, from rank 0."""
    for rank in range(1, peers.count):
        peers.send(rank, name, functools.partial(_as_bytes, arrays))


def receive_arrays(peers: Peers, name: str) -> Arrays:
    """Waits for arrays of rank 0."""
    return _of_bytes(peers.receive(0, name))


def _arrays_of(share: Checkpoint) -> Arrays:
    counters = json.dumps({**share.counters, "step": share.step}).encode()
    state = {f"{STATE}{name}": np.asarray(leaf) for name, leaf in share.train_state.items()}
    return {**share.games, **state, COUNTERS: np.frombuffer(counters, np.uint8)}


def _as_bytes(arrays: Mapping[str, Any]) -> bytes:
    file = io.BytesIO()
    held = {name: np.asarray(leaf) for name, leaf in jax.device_get(dict(arrays)).items()}
    npz.write(file, held)
    return file.getvalue()


def _of_bytes(content: bytes) -> Arrays:
    return npz.parse(content, MOST)


def _joined(parts: list[Arrays]) -> Arrays:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _under(arrays: Arrays, prefix: str) -> Arrays:
    return {name[len(prefix) :]: leaf for name, leaf in arrays.items() if name.startswith(prefix)}


def _only(arrays: Arrays, *prefixes: str) -> Arrays:
    return {name: leaf for name, leaf in arrays.items() if name.startswith(prefixes)}
