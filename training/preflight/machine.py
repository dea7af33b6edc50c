"""The machine that a run is on: devices, memory, limits and disk."""

import pathlib
import shutil
from typing import NamedTuple

import jax

from selfplay import devices
from selfplay.files import npz
from training.devices import learner_mesh


class Machine(NamedTuple):
    """What there is, in bytes; None where the system does not tell."""

    players: int  # devices that play
    learners: int  # devices that train
    on_host: bool  # the devices are the CPU's: their memory is the host's
    device_bytes: int | None  # of each device
    host_bytes: int | None
    disk_bytes: int | None


def this_machine(folder: pathlib.Path, examples: int) -> Machine:
    """Returns what this process has.

    Args:
      folder: the run's, which need not exist yet.
      examples: of a training step.
    """
    device = jax.local_devices()[0]
    return Machine(
        players=devices.mesh().size,
        learners=learner_mesh(examples).size,
        on_host=device.platform == "cpu",
        device_bytes=(device.memory_stats() or {}).get("bytes_limit"),
        host_bytes=_host_bytes(),
        disk_bytes=_disk_bytes(folder),
    )


def _host_bytes() -> int | None:
    """Returns the memory that this process could still get: of the machine, and of its cgroup."""
    limited = npz.container()
    limits = [_meminfo("MemAvailable"), limited.left if limited else None]
    return min((known for known in limits if known is not None), default=None)


def _meminfo(name: str) -> int | None:
    for line in _read("/proc/meminfo").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return None


def _read(path: str) -> str:
    try:
        return pathlib.Path(path).read_text()
    except OSError:
        return ""


def _disk_bytes(folder: pathlib.Path) -> int:
    """Returns what the run may fill: the free space, and what the run's own files take now."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    own = sum(
        path.stat().st_size
        for name in ("checkpoints", "replay")
        for path in (folder / name).rglob("*")
        if path.is_file()
    )
    return shutil.disk_usage(there).free + own
