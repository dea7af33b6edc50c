"""Ray started on this machine, or a Ray cluster joined; either ends with this process."""

import contextlib
import os
import pathlib
import signal
import socket
import sys
from collections.abc import Iterator
from typing import Any

from selfplay import children

ADDRESS = "RAY_ADDRESS"
CLIENT = "ray://"
ANSWER_SECONDS = 10.0  # in which a cluster must take a connection
ROOT = pathlib.Path(__file__).parents[2]  # of our code


class WorkersError(RuntimeError):
    """There is no worker left; the message says why."""


@contextlib.contextmanager
def running(cpus: float, command: str) -> Iterator[Any]:
    """Starts Ray on this machine, or joins the cluster of RAY_ADDRESS; yields the module.

    To be called before jax has started its devices: Ray forks.

    Args:
      cpus: that the workers take together.
      command: of ours, as in `train`.

    Raises:
      ValueError: ray is not installed, or the address cannot be used.
    """
    address = os.environ.get(ADDRESS, "")
    if address.startswith(CLIENT):
        raise ValueError(
            f"{ADDRESS}={address}: a client of Ray ({CLIENT}) is not made for jobs that run for "
            f"hours. On a node of the cluster, use {ADDRESS}=HOST:6379, or from elsewhere `ray job "
            f"submit -- selfplay {command} ...`"
        )
    _check_answers(address)
    ray = _import_ray()
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    # Ray puts the driver's current folder on its workers' import path: meanwhile that is our own,
    # not one in which a stranger's jax.py may lie.
    with _handlers_kept(), contextlib.chdir(ROOT):
        if address:
            ray.init(address=address, **quiet)
        else:
            ray.init(
                address="local",
                num_cpus=max(os.cpu_count() or 1, int(cpus + 0.999)),
                include_dashboard=False,
                _node_ip_address="127.0.0.1",
                runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}},
                **quiet,
            )
    end_with_us()
    try:
        yield ray
    finally:
        ray.shutdown()


def end_with_us() -> None:
    """Has what Ray has started for us so far ended with us; to be called when there is more.

    Where we are killed, Ray's own processes take a minute to notice, and a frozen one never does.
    """
    children_of: dict[int, list[int]] = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):
            number, _, rest = stat.read_text().partition(" (")
            parent = int(rest.rpartition(")")[2].split()[1])
            children_of.setdefault(parent, []).append(int(number))
    found, left = set[int](), [os.getpid()]
    while left:
        new = children_of.get(left.pop(), [])
        found.update(new)
        left += new
    children.end_with_us(found)


def _check_answers(address: str) -> None:
    """Raises ValueError if nobody listens at HOST:PORT: Ray would try for minutes."""
    host, colon, port = address.rpartition(":")
    if not (host and colon and port.isdigit()):
        return  # `auto` and the like, which Ray resolves
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ValueError(
            f"{ADDRESS}={address}: nobody answers there ({error}); `ray status` on the head node "
            "of the cluster names its address, or unset it to use this machine alone"
        ) from None


def _import_ray() -> Any:
    # Before the import: ray reads them there. The second: of a worker's death its task tells us.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")
    try:
        import ray
    except ModuleNotFoundError:
        raise ValueError(
            "--workers needs ray: pip install 'selfplay-zero[ray]'; or leave it out"
        ) from None
    return ray


@contextlib.contextmanager
def _handlers_kept() -> Iterator[None]:
    """Puts back the signal handlers that Ray replaces."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before: dict[int, Any] = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
