"""Multi-host training on jax.distributed: this process's part of a run, and what all agree on.

SPMD as JAX means it: every process runs the same loop on its own environments and examples, and a
training step sums the gradients of all. What the loop decides must be decided alike, so twice an
iteration the processes exchange a few numbers (`all_gather`), which travel as the gradients do.
Process 0 alone keeps the time, evaluates, and writes all but the others' shares of a save. Only
this file knows of processes; one process is the case of one.
"""

from collections.abc import Sequence

import jax
import numpy as np
from jax.experimental import multihost_utils

from selfplay import devices

JOIN_SECONDS = 300  # for all processes to come
HEARTBEAT_SECONDS = 30  # after which jax ends the others of a process that is silent
Numbers = Sequence[float]


# ---- the processes ------------------------------------------------------------------------------


def join(hosts: int, coordinator: str, rank: int) -> None:
    """Makes this process one of `hosts` that train together; before anything else of jax.

    Args:
      coordinator: HOST:PORT at which process 0 serves; empty: as jax finds it in the variables of a
        launcher (Slurm, Open MPI, Kubernetes).
      rank: number of this process; below 0: likewise.

    Raises:
      ValueError: nothing says which process this is, or others than `hosts` have come.
      RuntimeError: the others did not come in time.
    """
    jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM
    try:
        jax.distributed.initialize(
            coordinator or None,
            hosts if coordinator else None,
            rank if coordinator else None,
            initialization_timeout=JOIN_SECONDS,
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
            shutdown_timeout_seconds=HEARTBEAT_SECONDS,
            # Who says which process this is need not say which device: it takes all of them.
            cluster_detection_method="deactivate" if coordinator else None,
        )
    except (ValueError, KeyError) as error:  # of variables that are not there
        raise ValueError(
            f"--hosts {hosts}: nothing says which process this is ({error}): start one for each "
            "host by Slurm, Open MPI or Kubernetes as jax.distributed knows them, or give "
            "--coordinator HOST:PORT and --rank; --local starts all on this machine"
        ) from None
    except RuntimeError as error:
        what = str(error).splitlines()[0]
        raise RuntimeError(
            f"--hosts {hosts}: the others did not come within {JOIN_SECONDS} s ({what})"
        ) from None
    if jax.process_count() != hosts:
        raise ValueError(f"--hosts {hosts}, but {jax.process_count()} processes were started")


def leave() -> None:
    """Waits for the others, so that none takes another for dead."""
    if jax.process_count() > 1:
        jax.distributed.shutdown()


def is_loss(error: BaseException) -> bool:
    """Whether an error is what a process sees when another is gone."""
    words = ("gloo", "nccl", "coordination", "unavailable", "connection", "heartbeat")
    from_jax = isinstance(error, jax.errors.JaxRuntimeError)
    return jax.process_count() > 1 and from_jax and any(w in str(error).lower() for w in words)


def is_first() -> bool:
    """Whether this process keeps the time, evaluates, and writes the run's files."""
    return jax.process_index() == 0


# ---- what all agree on --------------------------------------------------------------------------


def all_gather(numbers: Numbers) -> np.ndarray:
    """Returns float64[P, K], the numbers of every process; all must call it, with equally many."""
    own = np.asarray(numbers, np.float64)
    if jax.process_count() == 1:
        return own[None]
    words = multihost_utils.process_allgather(own.view(np.uint32))  # a device has no float64
    return np.ascontiguousarray(words).view(np.float64)


def broadcast(numbers: Numbers) -> np.ndarray:
    """Returns float64[K], the numbers of process 0."""
    first: np.ndarray = all_gather(numbers)[0]
    return first


def any_process(flag: bool) -> bool:
    """Whether the flag is set on any process."""
    return bool(all_gather([flag]).any())


# ---- the part of this process -------------------------------------------------------------------


def parts() -> int:
    """Number of equal parts of a run's environments, examples and minibatches."""
    return jax.process_count()


def part() -> int:
    """Number of this process's part, from 0."""
    return jax.process_index()


def check_parts(environments: int, amplify: str, on_device: bool) -> None:
    """Raises ValueError unless a run can be split over the processes.

    Args:
      amplify: the setting; `on_device`: whether that amplifier searches on this host's devices.
    """
    count = jax.process_count()
    if count == 1:
        return
    if not on_device:
        raise ValueError(f"--hosts needs a search on each host's devices, and {amplify} is none")
    total = count * devices.mesh().size
    if environments % total:
        raise ValueError(
            f"self_play.batch must be a multiple of the {total} devices of {count} hosts, "
            f"got {environments}"
        )


def first_device() -> int:
    """Number of this process's first device among those of all."""
    return jax.process_index() * devices.mesh().size


def seed() -> tuple[int, ...]:
    """Numbers that make a random generator this process's own; none where it is alone."""
    return (jax.process_index(),) if jax.process_count() > 1 else ()


def owned(game_id: np.ndarray, environments: int) -> np.ndarray:
    """Returns bool[N]: which games began in this process's part of so many environments."""
    part_size = environments // jax.process_count()
    mine: np.ndarray = game_id % environments // part_size == jax.process_index()
    return mine
