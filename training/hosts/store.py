"""The store through which ranks speak: that of jax's coordination service. Owns jax.distributed."""

import contextlib
from collections.abc import Iterator
from typing import Protocol

import jax

JOIN_SECONDS = 300.0  # for all ranks to come to jax's service: their parents have met before
BEAT_SECONDS = 30  # after which jax ends who is silent, and those who wait for it


class DeadlineError(RuntimeError):
    """Nobody has written that key in time."""


class LostError(RuntimeError):
    """The store, or a rank that we exchange with, is gone."""


class Store(Protocol):
    """Keys and bytes, seen by all ranks alike."""

    def put(self, key: str, content: bytes) -> None:
        """Writes a key that is not there."""

    def get(self, key: str, seconds: float) -> bytes:
        """Waits for a key. Raises DeadlineError."""

    def erase(self, key: str) -> None:
        """Erases a key."""


class Service:
    """jax's coordination service, of which this process is a client."""

    def __init__(self) -> None:
        # Its public face offers arrays of devices alone, whose exchange a late rank breaks.
        from jax._src import distributed

        client = distributed.global_state.client
        assert client is not None
        self._client = client

    def put(self, key: str, content: bytes) -> None:
        """See `Store`."""
        with _told():
            self._client.key_value_set_bytes(key, content)

    def get(self, key: str, seconds: float) -> bytes:
        """See `Store`."""
        with _told():
            content: bytes = self._client.blocking_key_value_get_bytes(key, int(1000 * seconds))
            return content

    def erase(self, key: str) -> None:
        """See `Store`."""
        with _told():
            self._client.key_value_delete(key)


def join(coordinator: str, rank: int, count: int, device: int | None = None) -> Service:
    """Makes this process one of several that train together; before anything else of jax.

    Args:
      coordinator: HOST:PORT, at which rank 0 serves.
      device: the one card that it takes, of several of this machine; None: all.
    """
    jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM
    jax.distributed.initialize(
        coordinator,
        count,
        rank,
        initialization_timeout=int(JOIN_SECONDS),
        heartbeat_timeout_seconds=BEAT_SECONDS,
        shutdown_timeout_seconds=BEAT_SECONDS,
        local_device_ids=device,
        coordinator_bind_address=coordinator,
        cluster_detection_method="deactivate",
    )
    jax.devices()  # who asks for them waits until all ranks have
    return Service()


def leave() -> None:
    """Ends together with all ranks: else who goes last would take the others for dead."""
    jax.distributed.shutdown()


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "DEADLINE_EXCEEDED" in str(error):
            raise DeadlineError(str(error)) from None
        raise LostError(f"the other hosts: {str(error).splitlines()[0]}") from None


def is_loss(error: BaseException) -> bool:
    """Whether an error is what a rank sees when another is gone."""
    words = ("Gloo", "gloo", "NCCL", "oordination", "UNAVAILABLE", "Connection")
    from_jax = isinstance(error, jax.errors.JaxRuntimeError)
    return isinstance(error, LostError | DeadlineError) or (
        from_jax and any(word in str(error) for word in words)
    )
