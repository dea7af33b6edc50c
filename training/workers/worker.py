"""A worker: weights and their version in, the games that ended out. It needs no run folder."""

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

import games
from selfplay import devices, row, self_play
from selfplay.randomness import RunPurpose
from selfplay.recorder import Recorder
from selfplay.self_play import SelfPlayState
from training import calls, targets
from training.config import RunConfig
from training.network import Network, Weights
from training.players import load_amplifier, network_of, playable
from training.storage.leaves import flatten, under, unflatten
from training.workers import batch, identity
from training.workers.batch import Header


class Version(NamedTuple):
    """Weights as they were published."""

    number: int
    step: int  # the training step that they are from
    weights: Weights


class Parcel(NamedTuple):
    """A batch on its way."""

    seq: int
    sha256: str
    content: bytes


class Lanes(NamedTuple):
    """The games that a worker has begun, all that its next call needs beside weights."""

    games: SelfPlayState
    pending: dict[str, np.ndarray]  # rows of these, as the recorder holds them


class Worker:
    """Plays a run's games, call after call; the same numbers give the same games."""

    def __init__(self, config: RunConfig, run_id: str, slot: int, incarnation: int) -> None:
        """Prepares to play; nothing is compiled yet.

        Args:
          config: the run's.
          slot, incarnation: who this is; no other worker of the run may have the same incarnation.

        Raises:
          ValueError: the settings cannot work here.
        """
        self.config, self.game = config, games.load(config.game)
        self.network = network_of(config, self.game)
        self._targets = row.parse_targets(config.targets)
        amplifier = load_amplifier(config, self.game)
        self._history = not amplifier.on_device
        self._play = self_play.make_amplified_play(
            self.game, amplifier, config.self_play, targets.computes(self._targets)
        )
        self._names: dict[str, Any] = {
            "format_version": batch.FORMAT_VERSION,
            "run_id": run_id,
            "digest": identity.of_settings(config),
            "code": identity.of_code(self.game),
            "game": config.game,
            "devices": devices.mesh().size,
            "device_kind": devices.kind(),
        }
        self._version, self._variables = -1, None
        self.become(slot, incarnation)

    def become(self, slot: int, incarnation: int, seq: int = 0, lanes: Lanes | None = None) -> None:
        """Is this worker from now on, before its first call, or before call `seq` with `lanes`."""
        self.slot, self.incarnation, self.seq = slot, incarnation, seq
        if lanes is None:
            self._games = self._open(self._key(RunPurpose.WORKER_OPEN, 0))
            self._recorder = Recorder()
        else:
            self._games = devices.split_lanes(lanes.games)
            self._recorder = Recorder(lanes.pending or None)

    def play(self, version: Version) -> Parcel:
        """Plays one call with these weights; returns the games that ended in it."""
        began = time.monotonic()
        if version.number != self._version:
            self._variables = playable(self.network, version.weights)
            self._version = version.number
        every = self.config.fleet.audit
        is_audited = bool(every and self.seq and not self.seq % every)  # of its first call all know
        before = self.lanes() if is_audited else None
        key = self._key(RunPurpose.WORKER_PLAY, self.seq)
        self._games, trajectory = self._play(self._variables, self._games, key)
        rng = np.random.default_rng(
            [self.config.seed, RunPurpose.WORKER_RECORD, self.incarnation, self.seq]
        )
        call = calls.unpack(
            self.config, self.game, self._targets, self._recorder, trajectory, version.step, rng
        )
        call = batch.number_games(call, self.incarnation)
        header = Header(
            **self._names,
            slot=self.slot,
            incarnation=self.incarnation,
            seq=self.seq,
            version=version.number,
            weights_step=version.step,
            rows=len(call.rows.ply),
            plies=call.plies,
            games=call.games,
            seconds=time.monotonic() - began,
            kl=call.monitors["kl"],
            entropy=call.monitors["entropy"],
            watched=batch.watched(call.watched),
        )
        content = batch.pack(call, header, {} if before is None else lanes_as_arrays(before))
        self.seq += 1
        return Parcel(header.seq, batch.digest(content), content)

    def lanes(self) -> Lanes:
        """Returns the games as they stand, on the host."""
        return Lanes(jax.device_get(self._games), dict(self._recorder.pending or {}))

    def lanes_of(self, arrays: Mapping[str, np.ndarray]) -> Lanes:
        """Returns the games of named arrays. Raises CheckpointError if they are other ones."""
        template = jax.eval_shape(self._open, jax.random.key(0))
        games = unflatten(template, under("games", dict(arrays)))
        return Lanes(games, under("pending", dict(arrays)))

    def _open(self, key: jax.Array) -> SelfPlayState:
        return self_play.start(self.game, self.config.self_play, key, self._history)

    def _key(self, purpose: RunPurpose, index: int) -> jax.Array:
        key = jax.random.fold_in(jax.random.key(self.config.seed), purpose)
        return jax.random.fold_in(jax.random.fold_in(key, self.incarnation), index)


def lanes_as_arrays(lanes: Lanes) -> dict[str, np.ndarray]:
    """Returns the games that a worker has begun as named arrays, to go with a batch."""
    arrays = flatten(lanes._asdict())
    return {name: np.asarray(leaf) for name, leaf in arrays.items()}


def weights_as_arrays(weights: Weights) -> dict[str, np.ndarray]:
    """Returns weights as named arrays, for the way to a worker."""
    return {name: np.asarray(leaf) for name, leaf in flatten(tuple(weights)).items()}


def weights_of(network: Network, arrays: Mapping[str, Any]) -> Weights:
    """Returns the weights of named arrays. Raises CheckpointError if the network has others."""
    template = jax.eval_shape(network.init, jax.random.key(0))
    parts = (under(str(place), dict(arrays)) for place in range(len(template)))
    return Weights(*map(unflatten, template, parts))
