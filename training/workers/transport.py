"""What lies between a learner and its workers: the messages, and what a transport does with them.

A transport may lose a worker at any moment, and bring a message late, twice, or never; what follows
from that is decided once, in `fleet.py`.
"""

import dataclasses
from typing import NamedTuple, Protocol

from training.workers.worker import Parcel, Version

FORMAT_VERSION = 1
MOST_UNACKNOWLEDGED = 2  # batches of a worker: it waits then, so that memory and disk are bounded


class Own(NamedTuple):
    """What workers must have in common with the learner."""

    run_id: str
    digest: str
    code: str
    rules: str


@dataclasses.dataclass(frozen=True)
class Hello:
    """What a worker says of itself when it wants to join."""

    format_version: int
    run_id: str
    digest: str  # of the settings that it read
    code: str
    rules: str
    host: str
    pid: int
    device: str  # kind
    devices: int
    jax: str  # version
    cores: int


@dataclasses.dataclass(frozen=True)
class Answer:
    """What the learner says to it: a place among the workers, or why there is none."""

    slot: int = -1
    incarnation: int = -1
    refused: str = ""
    again: bool = False  # whether another try, as another incarnation, is welcome


class Joined(NamedTuple):
    """A worker wants to join."""

    worker: str  # its name in the transport; another process has another name
    hello: Hello


class Arrived(NamedTuple):
    """A batch has come."""

    worker: str
    parcel: Parcel


class Heard(NamedTuple):
    """A worker is alive."""

    worker: str


class Left(NamedTuple):
    """A worker is gone, and sends nothing more."""

    worker: str
    why: str


Event = Joined | Arrived | Heard | Left


class Transport(Protocol):
    """The learner's end."""

    def publish(self, version: Version, max_lag: int) -> None:
        """Makes weights known; workers begin no call with weights `max_lag` versions older."""

    def poll(self) -> list[Event]:
        """Returns what has happened; at once."""

    def answer(self, worker: str, answer: Answer) -> None:
        """Answers a worker that wants to join, or tells one that joined that it must not go on."""

    def acknowledge(self, worker: str, seq: int) -> None:
        """Tells a worker that its batches up to `seq` are on the disk: it may forget them."""

    def end(self, finished: bool) -> None:
        """The learner ends; `finished`: so do the workers, for the run has reached its limits."""
