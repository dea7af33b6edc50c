"""Workers in lockstep: they share the run's own games, as the devices of one process would.

Each call of self-play is one task a worker: the worker's share of the games, the weights, and the
call's key; out come the plies and the games after them. All of it passes through this process, so a
task that is lost with its worker is given to another, and a save holds what a run without workers
would save. N workers with D devices each compute, bit by bit, what one process with N * D devices
computes.
"""

import dataclasses
import io
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

import games as games_package
from selfplay import devices, row, self_play
from selfplay.files import npz
from selfplay.randomness import RunPurpose
from selfplay.self_play import SelfPlayState, Trajectory
from selfplay.tasks import Crew, InOrder
from training import config as config_module
from training import targets
from training.config import RunConfig
from training.context import Context
from training.players import load_amplifier, network_of, playable
from training.source import LocalSource
from training.stages import record
from training.state import Behaviour, InFlight, State
from training.storage.leaves import flatten, under, unflatten
from training.workers import identity, ray_team
from training.workers.ray_team import Team
from training.workers.worker import weights_as_arrays, weights_of

MOST_BYTES = 1 << 32  # of what passes in a task, unpacked


class Call(NamedTuple):
    """One call of self-play, or the opening of the run's games."""

    key: np.ndarray  # its data
    weights: Mapping[str, Any] | None  # by name; None: open games
    shares: list[bytes] | None  # of the games before the call, one a worker; None likewise


class Crews(Protocol):
    """Finds those who play."""

    workers: int  # how many shares a call has
    devices: int  # of each worker

    def crew(self, call: Call) -> Crew:
        """Returns a crew whose task number s is share s of a call."""


class SelfPlay(NamedTuple):
    """The job: what a worker must know beside its share (`ray_team.Job`)."""

    config: dict[str, Any]
    workers: int

    def open(self) -> Callable[..., bytes]:
        """Returns what plays a share of a `Call`, given its number and what is in the call."""
        config = config_module.from_dict(self.config)
        game = games_package.load(config.game)
        network, amplifier = network_of(config, game), load_amplifier(config, game)
        own = dataclasses.replace(config.self_play, batch=config.self_play.batch // self.workers)
        computes = targets.computes(row.parse_targets(config.targets))
        play = self_play.make_amplified_play(game, amplifier, own, computes)

        def do(
            share: int, key: np.ndarray, weights: Mapping[str, Any] | None, before: bytes | None
        ) -> bytes:
            call_key = jax.random.wrap_key_data(jnp.asarray(key))
            first = share * devices.mesh().size
            if weights is None or before is None:
                return pack(self_play.start(game, own, call_key, first=first))
            template = jax.eval_shape(lambda key: self_play.start(game, own, key), call_key)
            state = devices.split_lanes(games_of(npz.parse(before, MOST_BYTES), template))
            variables = playable(network, weights_of(network, weights))
            return pack(*play(variables, state, call_key, np.int32(first)))

        return do


class LockstepSource(LocalSource):
    """The run's own self-play, each call shared among workers; one call is always under way."""

    def __init__(self, find: Callable[[Context], Crews]) -> None:
        """Begins nothing yet; `find` is called once the run is there."""
        self._find = find

    def start(
        self, context: Context, index: int, behaviour: Behaviour, games: SelfPlayState
    ) -> InFlight:
        """Begins call `index`.

        Raises:
          ValueError: the settings cannot be shared among these workers.
        """
        self._crews = crews = self._find(context)
        if not context.amplifier.on_device:
            raise ValueError(
                f"--lockstep needs a search on the workers' devices, and {context.config.amplify} "
                "is none"
            )
        check_shares(context.config, crews.workers, crews.devices)
        self._context = context
        if index == 0:  # else the games are those of a save
            key = context.key(RunPurpose.OPEN, 0)
            opening = InOrder(crews.crew(Call(_data(key), None, None)), 0, crews.workers, "share")
            games, _ = _join(list(opening.results(self._tell)), games)
        return self._begin(index, behaviour, games)

    def next(
        self, context: Context, state: State, behaviour: Behaviour, stop: Callable[[], bool]
    ) -> dict[str, Any] | None:
        """Waits for the call under way, begins the next, and takes the rows of the first."""

        def wait(share: int) -> None:
            if stop():
                raise _StoppedError
            self._tell(share)

        try:
            shares = list(self._under_way.results(wait))
        except _StoppedError:
            return None
        before = state.in_flight.before
        after, trajectory = _join(shares, before)
        state.in_flight = state.in_flight._replace(after=after, trajectory=trajectory)
        following = self._begin(state.progress.iteration + 1, behaviour, after)
        monitors = record(context, state)
        state.in_flight = following
        return monitors

    def _begin(self, index: int, behaviour: Behaviour, games: SelfPlayState) -> InFlight:
        key = self._context.key(RunPurpose.PLAY, index)
        shares = _split(games, self._crews.workers)
        call = Call(_data(key), weights_as_arrays(behaviour.weights), shares)
        self._under_way = InOrder(self._crews.crew(call), 0, self._crews.workers, "share")
        self._under_way.begin()
        return InFlight(behaviour, games, games, None)

    def _tell(self, share: int) -> None:
        self._context.metrics.activity("waiting for workers")


class _StoppedError(Exception):
    """Whoever waited is to stop."""


class OnRay:
    """The workers of a team on Ray; see `Crews`."""

    def __init__(self, team: Team, context: Context) -> None:
        """Starts the workers."""
        self.workers, self.devices = team.number, devices_of(team.resources)
        team.begin(self.devices)
        config = context.config
        job = SelfPlay(config_module.to_dict(config), team.number)
        self._team, self._job, self._context = team, team.new_job(job), context
        self._wanted = identity.alike(config.game)._replace(devices=self.devices)

    def crew(self, call: Call) -> Crew:
        """Returns the workers, about to play a call."""
        weights = None if call.weights is None else self._team.ray.put(call.weights)

        def given(share: int) -> tuple[Any, ...]:
            return share, call.key, weights, call.shares[share] if call.shares else None

        config, notice = self._context.config, self._context.metrics.notice
        return ray_team.Crew(self._team, self._job, given, config.game, self._wanted, notice)


def devices_of(resources: Mapping[str, float]) -> int:
    """Returns how many devices a worker has that is given these resources."""
    return max(1, int(resources.get("GPU") or resources.get("TPU") or resources["CPU"]))


def check_shares(config: RunConfig, workers: int, count: int) -> None:
    """Raises ValueError unless a run's games can be shared among workers of `count` devices."""
    total, lanes = workers * count, config.self_play.batch
    if lanes % total:
        raise ValueError(
            f"self_play.batch must be a multiple of the {total} devices of {workers} workers, "
            f"got {lanes}"
        )


def pack(games: SelfPlayState, trajectory: Trajectory | None = None) -> bytes:
    """Returns games, and perhaps plies, as bytes that are data."""
    arrays = flatten({"games": games})
    if trajectory is not None:
        arrays |= {f"plies/{name}": leaf for name, leaf in row.flat(trajectory).items()}
    file = io.BytesIO()
    npz.write(file, {name: np.asarray(leaf) for name, leaf in jax.device_get(arrays).items()})
    return file.getvalue()


def games_of(arrays: dict[str, Any], template: SelfPlayState) -> SelfPlayState:
    """Returns the games that were packed. Raises CheckpointError if they do not fit `template`."""
    state: SelfPlayState = unflatten(template, under("games", arrays))
    return state


def _split(games: SelfPlayState, count: int) -> list[bytes]:
    """Returns games in equal shares."""
    leaves, structure = jax.tree.flatten(jax.device_get(games))
    parts = zip(*(np.split(leaf, count) for leaf in leaves), strict=True)
    return [pack(jax.tree.unflatten(structure, part)) for part in parts]


def _join(shares: list[bytes], games: SelfPlayState) -> tuple[SelfPlayState, Trajectory | None]:
    """Returns what workers have played as if one had: all games, and their plies if there are any.

    Args:
      games: of the structure to fill.
    """
    parts = [npz.parse(share, MOST_BYTES) for share in shares]
    joined = {
        name: np.concatenate([part[name] for part in parts], int(name.startswith("plies/")))
        for name in parts[0]
    }
    plies = under("plies", joined)
    return games_of(joined, games), row.nested(Trajectory, plies) if plies else None


def _data(key: jax.Array) -> np.ndarray:
    return np.asarray(jax.random.key_data(key))
