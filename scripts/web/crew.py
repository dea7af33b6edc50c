"""The worker as the server sees it: one process that knows games and networks.

It is started with the server, so that it has loaded when somebody asks. Requests and answers are
JSON lines, each with the number of its request. One that dies is told to all who wait, and another
one starts with the next request.
"""

import asyncio
import contextlib
import functools
import json
import os
import queue
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import IO, Any

from selfplay import children

MODULE = "scripts.web.worker"
TAIL = 2000  # characters of its last words, for a message
LAST = ("result", "error")  # the keys of an answer's last line


class Crew:
    """The worker, and the requests that it works on."""

    def __init__(self, allowed: Sequence[str], accelerator: bool) -> None:
        """Takes what code it may run, as `consent.allowed` gives it, and where it computes."""
        self._allowed, self._accelerator = list(allowed), accelerator
        self._process: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: dict[int, asyncio.Queue[dict[str, Any]]] = {}
        self._next = 0
        self._messages: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()  # to the worker

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Starts the worker; its answers arrive in `loop`."""
        self._loop = loop
        self._start()

    def close(self) -> None:
        """Ends the worker."""
        process, self._process = self._process, None  # first: its reader need not tell who waits
        if process is not None:
            children.end(process)

    def restart(self) -> None:
        """Starts another worker, which imports modules as they are now; who waits is told."""
        self._start()
        self._deliver(None, {"error": "the process that searches was started anew: ask again"})

    def allow(self, name: str) -> None:
        """Lets the worker run code that a run, a record or a person names, from now on."""
        if name not in self._allowed:
            self._allowed.append(name)
            self._tell({"allow": name})

    async def ask(self, op: str, args: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """Yields the lines of an answer; the last one has `result` or `error`.

        Closing the iterator cancels the request.
        """
        if self._process is None or self._process.poll() is not None:
            self._start()
        number, self._next = self._next, self._next + 1
        lines: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._waiting[number] = lines
        done = False
        try:
            self._tell({"id": number, "op": op, "args": dict(args)})
            while not done:
                line = await lines.get()
                done = any(key in line for key in LAST)
                yield line
        finally:
            del self._waiting[number]
            if not done:
                self._tell({"cancel": number})

    def _start(self) -> None:
        self.close()
        errors = tempfile.TemporaryFile()  # noqa: SIM115  # its reader closes it
        words = [sys.executable, "-m", MODULE]
        words += ["--accelerator"] if self._accelerator else []
        self._process = children.start(words, stderr=errors.fileno())
        self._messages = queue.SimpleQueue()
        for work in (
            functools.partial(self._read, self._process, errors, self._messages),
            functools.partial(_write, self._process, self._messages),
        ):
            threading.Thread(target=work, daemon=True).start()
        for name in self._allowed:
            self._tell({"allow": name})

    def _tell(self, message: dict[str, Any]) -> None:
        """Sends a message; by way of a thread, since a worker that is busy does not read."""
        self._messages.put(json.dumps(message).encode() + b"\n")

    def _read(
        self, process: Any, errors: IO[bytes], messages: "queue.SimpleQueue[bytes | None]"
    ) -> None:
        """What the reader's thread does until the worker ends."""
        with errors:
            with contextlib.suppress(OSError, ValueError):  # `close` has closed its output
                for text in process.stdout:
                    self._hear(text)
            messages.put(None)  # to its own writer: another worker may have begun
            if process is self._process:
                self._deliver(None, {"error": _last_words(process, errors)})

    def _hear(self, text: bytes) -> None:
        with contextlib.suppress(ValueError, RecursionError):  # a line that a kill cut off
            line = json.loads(text)
            self._deliver(line.pop("id"), line)

    def _deliver(self, number: int | None, line: dict[str, Any]) -> None:
        """Hands a line to who waits for it, or to all."""

        def put() -> None:
            for one in list(self._waiting) if number is None else [number]:
                if one in self._waiting:
                    self._waiting[one].put_nowait(line)

        assert self._loop is not None
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(put)


def _write(process: Any, messages: "queue.SimpleQueue[bytes | None]") -> None:
    """What the writer's thread does until the worker ends."""
    with contextlib.suppress(OSError, ValueError):  # it has ended: its reader says so
        while (message := messages.get()) is not None:
            process.stdin.write(message)
            process.stdin.flush()


def _last_words(process: Any, errors: IO[bytes]) -> str:
    code = process.wait()
    size = os.fstat(errors.fileno()).st_size
    said = os.pread(errors.fileno(), TAIL, max(0, size - TAIL))
    line = next(iter(reversed(said.decode(errors="replace").split("\n")[:-1])), "")
    return (
        f"the process that searches has ended (code {code}{': ' + line if line else ''}); "
        "the next request starts another one"
    )
