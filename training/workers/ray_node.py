"""Ray itself: found, started or joined, and ended with us, however we end."""

import contextlib
import os
import pathlib
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from selfplay import children

ADDRESS = "RAY_ADDRESS"
CLIENT = "ray://"
ANSWER_SECONDS = 10.0  # in which a cluster must take a connection


class WorkersError(RuntimeError):
    """There is no worker left; the message says why."""


@contextlib.contextmanager
def running(number: int, cpus: float, command: str, instead: str) -> Iterator[Any]:
    """Starts Ray on this machine, or joins the cluster of RAY_ADDRESS; yields the module.

    To be called before jax has started its devices: Ray forks.

    Args:
      number: of the workers that are to come.
      cpus: of each.
      command: of ours, as in `train`.
      instead: what to do without ray.

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
    ray = _import_ray(instead)
    with _handlers_kept():
        if address:
            ray.init(address=address, log_to_driver=False, logging_level="error")
        else:
            ray.init(
                address="local",
                num_cpus=max(os.cpu_count() or 1, int(cpus * number + 0.999)),
                include_dashboard=False,
                log_to_driver=False,
                logging_level="error",
                _node_ip_address="127.0.0.1",
                runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}},
            )
    end_with_us()
    try:
        yield ray
    finally:
        ray.shutdown()


def check_room(ray: Any, resources: Mapping[str, float]) -> None:
    """Raises ValueError if this machine lacks what each worker needs; a cluster may grow."""
    there = ray.cluster_resources()
    lacking = [n for n, count in resources.items() if n != "CPU" and there.get(n, 0) < count]
    if lacking and not os.environ.get(ADDRESS):
        name = lacking[0]
        raise ValueError(
            f"--worker-resources {name}={resources[name]:g}: this machine has "
            f"{there.get(name, 0):g} {name}, as Ray sees it; leave it out, or name a cluster "
            f"by {ADDRESS}"
        )


def end_with_us() -> None:
    """Has what Ray has started for us so far ended with us; to be called when there is more.

    Where we are killed, Ray's own processes take a minute to notice.
    """
    children.end_with_us(_descendants())


def beating(kind: type[Any]) -> type[Any]:
    """Returns a class of actors that have a method `beat`, too, which runs in a thread of its own.

    It answers while the process is alive. To be made remote with a concurrency group `beat`.
    """
    import ray

    @ray.method(concurrency_group="beat")
    def beat(self: Any) -> None:
        pass

    return type(kind.__name__, (kind,), {"beat": beat})


def needs(resources: Mapping[str, float]) -> dict[str, Any]:
    """Returns what an actor needs, as Ray's options; of CPU, GPU, and a cluster's own resources."""
    others = {name: count for name, count in resources.items() if name not in ("CPU", "GPU")}
    return {
        "num_cpus": resources["CPU"],
        "num_gpus": resources.get("GPU", 0),
        "resources": others,
    }


def why(error: Exception) -> str:
    """Returns an error of Ray's in a line."""
    return " ".join(str(error).split())[:200]


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


def _import_ray(instead: str) -> Any:
    # Before the import: ray reads it there.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ModuleNotFoundError:
        raise ValueError(
            f"--workers needs ray: pip install 'selfplay-zero[ray]'; or {instead}"
        ) from None
    return ray


def _descendants() -> set[int]:
    """Returns the processes of Ray that this one has started, and those that they have."""
    children_of: dict[int, list[int]] = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):
            number, _, rest = stat.read_text().partition(" (")
            parent = int(rest.rpartition(")")[2].split()[1])
            children_of.setdefault(parent, []).append(int(number))
    found, left = set[int](), [os.getpid()]
    while left:
        new = [child for child in children_of.get(left.pop(), []) if child not in found]
        found.update(new)
        left += new
    return {number for number in found if _is_of_ray(number)}


def _is_of_ray(number: int) -> bool:
    with contextlib.suppress(OSError):
        return b"ray" in pathlib.Path(f"/proc/{number}/cmdline").read_bytes()
    return False


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
