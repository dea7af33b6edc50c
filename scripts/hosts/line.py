"""The line between the commands of a run's hosts, each of which watches a process that trains.

Rank 0's command listens, and passes on what concerns all. Words are JSON, one a message. Whoever is
silent for too long counts as gone, as a host is that has lost its power.
"""

import contextlib
import json
import queue
import socket
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Client, Connection, Listener
from typing import Any, NamedTuple

JOIN_SECONDS = 300.0  # in which all hosts must come
BEAT_SECONDS = 2.0
SILENT_SECONDS = 25.0
RETRY_SECONDS = 0.5
MOST = 1 << 16  # bytes of a word
FORMAT = "selfplay hosts 1"


class AbsentError(RuntimeError):
    """Hosts did not come in time; the message names them."""


class Event(NamedTuple):
    """What a rank said, by its process here or by its host's command."""

    rank: int
    word: dict[str, Any]  # with a `kind`


Events = queue.Queue[Event]
GONE = "gone"  # the kind of the last event of a rank


class Wire:
    """One connection to another command: reads into a queue, beats."""

    def __init__(self, connection: Connection, rank: int, events: Events) -> None:
        self.rank, self._connection, self._events = rank, connection, events
        self._lock = threading.Lock()
        threading.Thread(target=self._read, daemon=True).start()
        threading.Thread(target=self._beat, daemon=True).start()

    def say(self, word: dict[str, Any]) -> None:
        """Says a word; nothing happens if nobody hears it any more."""
        with self._lock:
            try:
                self._connection.send_bytes(json.dumps(word).encode())
            except (OSError, ValueError):
                return

    def _read(self) -> None:
        while (word := _receive(self._connection)) is not None:
            self._events.put(Event(self.rank, word))
        self._events.put(Event(self.rank, {"kind": GONE}))

    def _beat(self) -> None:
        while not self._connection.closed:
            self.say({"kind": "beat"})
            time.sleep(BEAT_SECONDS)


def _receive(connection: Connection) -> dict[str, Any] | None:
    """Returns the next word; None where there is none any more, or it is not one of ours."""
    try:
        return read(connection.recv_bytes(MOST))
    except (EOFError, OSError):
        return None


def read(content: bytes) -> dict[str, Any] | None:
    """Returns a word; None if it is not one of ours."""
    try:
        word = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return word if isinstance(word, dict) and isinstance(word.get("kind"), str) else None


def gather(
    host: str, port: int, hosts: int, events: Events, wait: Callable[[str], None]
) -> tuple[dict[int, Wire], dict[int, str]]:
    """Waits, as rank 0's command, for those of all others; one that leaves may come again.

    Args:
      wait: called now and then with what is waited for.

    Returns:
      The wires to them, and the names of their machines, by rank.

    Raises:
      AbsentError: some did not come in JOIN_SECONDS.
      OSError: the port is taken, or HOST is not this machine; says so.
    """
    wires: dict[int, Wire] = {}
    names = {0: socket.gethostname()}
    come: queue.Queue[tuple[Connection, dict[str, Any]]] = queue.Queue()
    with _listening(host, port, hosts) as listener:
        threading.Thread(target=_accept, args=(listener, come), daemon=True).start()
        end = time.monotonic() + JOIN_SECONDS
        while len(names) < hosts:
            for rank in _who_left(events):
                del names[rank], wires[rank]
            absent = sorted(set(range(hosts)) - names.keys())
            wait(f"waiting for {_ranks(absent)} of {hosts}")
            if time.monotonic() > end:
                raise AbsentError(
                    f"{_ranks(absent)} of {hosts} did not come to {host}:{port} within "
                    f"{JOIN_SECONDS:.0f} s: start the same command there with --rank, or go on "
                    f"with --hosts {len(names)}"
                )
            try:
                connection, word = come.get(timeout=0.2)
            except queue.Empty:
                continue
            refusal = _refusal(word, hosts, names)
            if refusal:
                with contextlib.suppress(OSError):  # it does not wait for an answer
                    connection.send_bytes(json.dumps({"kind": "over", **refusal}).encode())
                connection.close()
                continue
            names[word["rank"]] = str(word.get("name"))[:200]
            wires[word["rank"]] = Wire(connection, word["rank"], events)
    return wires, names


def _listening(host: str, port: int, hosts: int) -> Listener:
    family = "AF_INET6" if ":" in host else "AF_INET"
    try:
        return Listener((host, port), family=family, backlog=hosts)
    except OSError as error:
        raise OSError(
            f"rank 0 cannot listen at {host}:{port} ({error.strerror or error}): --coordinator "
            "must be this machine, with a port that no other program has"
        ) from None


def _who_left(events: Events) -> list[int]:
    """Returns the ranks whose commands have ended before all were here; forgets other words."""
    left = []
    with contextlib.suppress(queue.Empty):
        while True:
            event = events.get_nowait()
            if event.word["kind"] == GONE:
                left.append(event.rank)
    return left


def _refusal(word: dict[str, Any], hosts: int, names: dict[int, str]) -> dict[str, Any]:
    """Returns why a command cannot take part; empty if it can."""
    rank = word.get("rank")
    text = ""
    if word.get("format") != FORMAT:
        text = "rank 0 runs another version of selfplay: install the same on all hosts"
    elif word.get("hosts") != hosts:
        text = f"rank 0 was started with --hosts {hosts}, and this one with {word.get('hosts')}"
    elif type(rank) is not int or not 0 < rank < hosts:
        text = f"--rank must be 1 to {hosts - 1} here, got {rank}"
    elif rank in names:
        text = f"rank {rank} is here already, from {names[rank]}: each host needs its own --rank"
    return {"text": text, "code": 2} if text else {}


def _accept(listener: Listener, come: "queue.Queue[tuple[Connection, dict[str, Any]]]") -> None:
    """Lets in whoever says a word; a stranger that says none keeps nobody waiting."""

    def hear(connection: Connection) -> None:
        word = _receive(connection)
        if word is None:
            connection.close()
        else:
            come.put((connection, word))

    while True:
        try:
            connection = listener.accept()
        except OSError:  # all have come, and it is closed
            return
        threading.Thread(target=hear, args=(connection,), daemon=True).start()


def reach(
    host: str, port: int, hosts: int, rank: int, events: Events, wait: Callable[[str], None]
) -> Wire:
    """Reaches rank 0's command, as another; the wire has its number, 0.

    Raises:
      AbsentError: it does not answer in JOIN_SECONDS.
    """
    end = time.monotonic() + JOIN_SECONDS
    family = "AF_INET6" if ":" in host else "AF_INET"
    name = socket.gethostname()
    hello = {"kind": "hello", "format": FORMAT, "hosts": hosts, "rank": rank, "name": name}
    while True:
        wait(f"waiting for rank 0 at {host}:{port}")
        try:
            connection = Client((host, port), family=family)
            connection.send_bytes(json.dumps(hello).encode())
            return Wire(connection, 0, events)
        except OSError as error:
            if time.monotonic() > end:
                raise AbsentError(
                    f"rank 0 did not answer at {host}:{port} within {JOIN_SECONDS:.0f} s "
                    f"({error.strerror or error}): is its command running, and its port open?"
                ) from None
            time.sleep(RETRY_SECONDS)


def _ranks(ranks: list[int]) -> str:
    return f"rank {', '.join(map(str, ranks))}"
