"""The place of this command among those of a run on several hosts; from its flags, or Slurm's."""

import re
import socket
from collections.abc import Mapping
from typing import NamedTuple

SLURM_PORT = 61000  # the first of those that jobs take, above those that systems give out
SLURM_PORTS = 4000


class Place(NamedTuple):
    """Which ranks run here, and where rank 0 is met."""

    hosts: int
    ranks: tuple[int, ...]
    host: str = ""  # of rank 0; empty where all ranks run here
    port: int = 0


def place_of(
    hosts: int, coordinator: str, rank: int, environment: Mapping[str, str]
) -> Place | None:
    """Returns our place; None for a run of one process.

    Args:
      hosts, coordinator, rank: the flags; 0, an empty text and -1 where they are not given.
      environment: of this process, where Slurm says what it has started.

    Raises:
      ValueError: they cannot be meant together; says what to do.
    """
    if coordinator or rank >= 0:
        return _of_flags(hosts, coordinator, rank)
    if hosts < 0:
        raise ValueError(f"--hosts must be at least 1, got {hosts}")
    tasks = environment.get("SLURM_STEP_NUM_TASKS", "")
    if hosts > 1 and tasks.isdigit() and int(tasks) > 1:
        return _of_slurm(hosts, int(tasks), environment)
    return Place(hosts, tuple(range(hosts))) if hosts > 1 else None


def _of_flags(hosts: int, coordinator: str, rank: int) -> Place:
    if not coordinator or rank < 0 or hosts < 2:
        raise ValueError(
            "--coordinator HOST:PORT, --rank R and --hosts N (2 or more) go together; --hosts N "
            "alone starts N processes on this machine"
        )
    host, colon, port = coordinator.rpartition(":")
    host = host.strip("[]")  # of an IPv6 address
    if not (colon and host and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"--coordinator must be HOST:PORT of rank 0, got {coordinator!r}")
    if rank >= hosts:
        raise ValueError(f"--rank must be 0 to {hosts - 1} with --hosts {hosts}, got {rank}")
    return Place(hosts, (rank,), host, int(port))


def _of_slurm(hosts: int, tasks: int, environment: Mapping[str, str]) -> Place:
    if tasks != hosts:
        raise ValueError(
            f"--hosts {hosts}, but Slurm has started {tasks} tasks: srun --ntasks {hosts} starts "
            "one for each"
        )
    nodes = environment.get("SLURM_STEP_NODELIST") or environment.get("SLURM_JOB_NODELIST", "")
    rank, job = environment.get("SLURM_PROCID", ""), environment.get("SLURM_JOB_ID", "")
    if not (nodes and rank.isdigit() and job.isdigit()):
        raise ValueError(
            "Slurm says how many tasks there are, but not SLURM_STEP_NODELIST, SLURM_PROCID and "
            "SLURM_JOB_ID: give --coordinator HOST:PORT and --rank R"
        )
    return Place(hosts, (int(rank),), first_node(nodes), SLURM_PORT + int(job) % SLURM_PORTS)


def first_node(nodes: str) -> str:
    """Returns the first name of Slurm's list of nodes, such as `gpu[001-004,009],big1`."""
    first = re.match(r"(?:[^,\[]|\[[^\]]*\])*", nodes)
    assert first is not None
    return re.sub(r"\[([^\],-]*)[^\]]*\]", r"\1", first.group())


def free_port(host: str) -> int:
    """Returns a port of this machine that nobody listens at just now."""
    with socket.create_server((host, 0), family=_family(host)) as listening:
        return int(listening.getsockname()[1])


def _family(host: str) -> socket.AddressFamily:
    family: socket.AddressFamily = socket.getaddrinfo(host, 0)[0][0]
    return family
