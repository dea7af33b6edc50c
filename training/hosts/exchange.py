"""The training step of several hosts: compiled first, then begun together, and its exchange timed.

A rank that comes half a minute late to the first exchange finds nobody there, so all compile before
any of them begins.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from selfplay import devices
from training.devices import learner_mesh, sum_shares
from training.hosts.peers import Hosts
from training.learner import TrainState, TrainStep
from training.losses import Minibatch

COMPILE_SECONDS = 900.0  # in which every rank must have compiled
TIMED = 5  # steps, and exchanges alone


class Exchange(NamedTuple):
    """What the exchange of gradients takes."""

    bytes: int  # that each rank gives and gets back, summed
    seconds: float
    step_seconds: float  # of a whole training step

    def __str__(self) -> str:
        share = min(1.0, self.seconds / max(self.step_seconds, 1e-9))
        return (
            f"a training step takes {1e3 * self.step_seconds:.1f} ms, of which the exchange of "
            f"{self.bytes / 1e6:.2f} MB {1e3 * self.seconds:.1f} ms ({share:.0%})"
        )


class Together:
    """A training step that all ranks take at once."""

    def __init__(
        self, step: TrainStep, peers: Hosts, rows: int, told: Callable[[str], None]
    ) -> None:
        """Compiles nothing yet.

        Args:
          rows: of a step, of all ranks.
          told: what the exchange takes.
        """
        self._step, self._peers, self._rows, self._told = step, peers, rows, told
        self._compiled: TrainStep | None = None

    def __call__(
        self, state: TrainState, batch: Minibatch, horizon: Any
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        """See `learner.make_train_step`."""
        if self._compiled is None:
            self._compiled = self._begin(state, batch, horizon)
        return self._compiled(state, batch, horizon)

    def _begin(self, state: TrainState, batch: Minibatch, horizon: Any) -> TrainStep:
        step: TrainStep = self._step.lower(state, batch, horizon).compile()  # type: ignore[attr-defined]
        alone, values = exchange_alone(state, self._rows)
        copied = devices.copy.lower(state).compile()
        self._peers.meet("the first exchange, compiled", COMPILE_SECONDS)
        tried = copied(state)
        tried, _ = step(tried, batch, horizon)
        steps, exchanges = [], []
        for _ in range(TIMED):
            began = time.monotonic()
            tried, _ = step(tried, batch, horizon)
            jax.block_until_ready(tried)
            steps.append(time.monotonic() - began)
            began = time.monotonic()
            jax.block_until_ready(alone(values))
            exchanges.append(time.monotonic() - began)
        measured = Exchange(values.nbytes, statistics.median(exchanges), statistics.median(steps))
        self._told(str(measured))
        return step


def exchange_alone(state: TrainState, rows: int) -> tuple[Callable[[jax.Array], Any], jax.Array]:
    """Returns what sums an array over all devices, compiled, and an array as a step sums it."""
    mesh = learner_mesh(rows)
    count = exchanged(state)
    alone = jax.jit(devices.shard(sum_shares, mesh, devices.WHOLE, devices.WHOLE))
    whole = jax.sharding.NamedSharding(mesh, devices.WHOLE)
    values = jax.make_array_from_process_local_data(whole, np.zeros(count, np.float32))
    return alone.lower(values).compile(), values


def exchanged(state: Any) -> int:
    """Returns how many float32 a step sums: gradients, and batch norm's statistics."""
    leaves = jax.tree.leaves((state.params, state.batch_stats))
    return sum(int(np.prod(leaf.shape)) for leaf in leaves)


def seconds_over(bytes_: int, hosts: int, gigabits: float) -> float:
    """Returns how long a ring of hosts takes to sum so many bytes over links of that speed.

    Each host sends and gets 2 (H - 1) / H times the bytes (Patarasuk and Yuan 2009); latencies,
    2 (H - 1) of them, come on top.
    """
    return 2 * (hosts - 1) / hosts * bytes_ * 8 / (gigabits * 1e9)
