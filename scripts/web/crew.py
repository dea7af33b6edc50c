"""The worker as the server sees it: one process that knows games and networks.

It is started with the server, so that it has loaded when somebody asks. Requests and answers are
JSON lines, each with the number of its request. One that dies is told to all who wait, and another
one starts with the next request.
"""

import asyncio
import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import IO, Any

from selfplay import children

MODULE = "scripts.web.worker"
MAX_LINE = 1 << 30  # bytes of an answer
TAIL = 2000  # characters of its last words, for a message
LAST = ("result", "error")  # the keys of an answer's last line


class Crew:
    """The worker, and the requests that it works on; all of it in the server's event loop."""

    def __init__(self, allowed: Sequence[str], accelerator: bool) -> None:
        """Takes what code it may run, as `consent.allowed` gives it, and where it computes."""
        self._allowed, self._accelerator = list(allowed), accelerator
        self._process: subprocess.Popen[bytes] | None = None
        self._pipes: tuple[Any, Any] = (None, None)  # transports to the worker, and from it
        self._reading: asyncio.Task[None] | None = None  # kept: a task without a name may vanish
        self._starting = asyncio.Lock()
        self._waiting: dict[int, asyncio.Queue[dict[str, Any]]] = {}
        self._next = 0

    async def begin(self) -> None:
        """Starts the worker, unless it runs."""
        async with self._starting:
            if self._process is None or self._process.poll() is not None:
                self.close()
                await self._start()

    def close(self) -> None:
        """Ends the worker."""
        process, self._process = self._process, None  # first: its reader need not tell who waits
        if process is not None:
            sending, receiving = self._pipes
            if not sending.is_closing():
                sending.abort()  # with what waits to be sent
            receiving.close()
            children.end(process)

    async def restart(self) -> None:
        """Starts another worker, which imports modules as they are now; who waits is told."""
        self.close()
        self._tell_all("the process that searches was started anew: ask again")
        await self.begin()

    def allow(self, name: str) -> None:
        """Lets the worker run code that a run, a record or a person names, from now on."""
        if name not in self._allowed:
            self._allowed.append(name)
            self._send({"allow": name})

    async def ask(self, op: str, args: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """Yields the lines of an answer; the last one has `result` or `error`.

        Closing the iterator cancels the request.
        """
        await self.begin()
        number, self._next = self._next, self._next + 1
        lines = self._waiting[number] = asyncio.Queue()
        done = False
        try:
            self._send({"id": number, "op": op, "args": dict(args)})
            while not done:
                line = await lines.get()
                done = any(key in line for key in LAST)
                yield line
        finally:
            del self._waiting[number]
            if not done:
                self._send({"cancel": number})

    async def _start(self) -> None:
        errors = tempfile.TemporaryFile()  # noqa: SIM115  # its reader closes it
        words = children.our_module(MODULE) + ["--accelerator"] * self._accelerator
        process = self._process = children.start(words, stderr=errors.fileno())
        loop, lines = asyncio.get_running_loop(), asyncio.StreamReader(MAX_LINE)
        sending, _ = await loop.connect_write_pipe(asyncio.Protocol, process.stdin)
        receiving, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(lines), process.stdout
        )
        self._pipes = (sending, receiving)
        self._reading = loop.create_task(self._read(process, lines, errors))
        for name in self._allowed:
            self._send({"allow": name})

    def _send(self, message: dict[str, Any]) -> None:
        """Sends a message, which the transport keeps for as long as a busy worker does not read."""
        if self._process is not None:
            self._pipes[0].write(json.dumps(message).encode() + b"\n")

    async def _read(
        self, process: subprocess.Popen[bytes], lines: asyncio.StreamReader, errors: IO[bytes]
    ) -> None:
        """Hands each line to who waits for it, until the worker ends."""
        with errors:
            async for text in lines:
                with contextlib.suppress(ValueError, RecursionError):  # a kill cut it off
                    line = json.loads(text)
                    if (waiting := self._waiting.get(line.pop("id"))) is not None:
                        waiting.put_nowait(line)
            code = await asyncio.to_thread(process.wait)
            if process is self._process:
                self._tell_all(_last_words(code, errors))

    def _tell_all(self, error: str) -> None:
        for lines in self._waiting.values():
            lines.put_nowait({"error": error})


def _last_words(code: int, errors: IO[bytes]) -> str:
    size = os.fstat(errors.fileno()).st_size
    said = os.pread(errors.fileno(), TAIL, max(0, size - TAIL))
    line = next(iter(reversed(said.decode(errors="replace").split("\n")[:-1])), "")
    return (
        f"the process that searches has ended (code {code}{': ' + line if line else ''}); "
        "the next request starts another one"
    )
