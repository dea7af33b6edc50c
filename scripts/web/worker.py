"""The worker's process: reads questions, answers them in lanes of threads.

A line in is `{"id": N, "op": NAME, "args": {...}}`, `{"cancel": N}` or `{"allow": "module:Class"}`.
A line out has the `id`, and `note`, `part`, or at last `result` or `error`. A lane takes its
requests in their order, so that a click is answered while a search runs.
"""

import collections
import contextlib
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from typing import IO, Any

LOW_PRIORITY = 10  # what it is less nice than a run that trains
# Threads a lane: one more than a lane needs, so that nobody waits for a program that is compiled for
# a page which has gone; that cannot be cancelled.
LANES = {"quick": 3, "search": 2, "long": 1}
UNEXPECTED = "this is a fault of selfplay: "


class Lane:
    """Requests that wait for each other, as soon as all threads have one."""

    def __init__(self, name: str, threads: int, office: "Office") -> None:
        self.office = office
        self.queue: collections.deque[tuple[int, Any, Mapping[str, Any]]] = collections.deque()
        self.changed = threading.Condition()
        for number in range(threads):
            threading.Thread(target=self._work, name=f"{name} {number}", daemon=True).start()

    def put(self, number: int, op: Any, args: Mapping[str, Any]) -> None:
        """Adds a request."""
        with self.changed:
            self.queue.append((number, op, args))
            self.changed.notify()

    def _work(self) -> None:
        while True:
            with self.changed:
                while not self.queue:
                    self.changed.wait()
                number, op, args = self.queue.popleft()
            self.office.answer(number, op, args)


class Office:
    """All lanes, what was cancelled, and the way out."""

    def __init__(self, out: IO[str]) -> None:
        from scripts.web.ops import OPS

        self.out, self.ops = out, OPS
        self.writing = threading.Lock()
        self.open: set[int] = set()  # asked and neither answered nor cancelled
        self.lanes = {name: Lane(name, threads, self) for name, threads in LANES.items()}

    def hear(self, message: Mapping[str, Any]) -> None:
        """Obeys one line of the server."""
        from scripts.web.ops.question import permit

        if "allow" in message:
            permit(str(message["allow"]), os.getcwd())
        elif "cancel" in message:
            self.open.discard(message["cancel"])
        elif message["op"] in self.ops:
            op = self.ops[message["op"]]
            self.open.add(message["id"])
            self.lanes[op.lane].put(message["id"], op, message["args"])
        else:
            self.say(message["id"], {"error": f"there is no question {message['op']!r}"})

    def say(self, number: int, line: Mapping[str, Any]) -> None:
        """Writes one line to the server."""
        with self.writing:
            print(json.dumps({"id": number, **line}, allow_nan=False), file=self.out, flush=True)

    def answer(self, number: int, op: Any, args: Mapping[str, Any]) -> None:
        """Works on one request, unless it was cancelled; never raises."""
        from scripts.web.ops.question import Cancelled, Tell, refusal

        if number not in self.open:
            return
        began = time.monotonic()
        tell = Tell(lambda line: self.say(number, line), lambda: number not in self.open)
        try:
            self.say(number, {"result": op.run(args, tell), "seconds": time.monotonic() - began})
        except Cancelled:
            pass
        except Exception as error:
            if (expected := refusal(error)) is None:
                traceback.print_exc()  # for the terminal's log
                expected = {"error": f"{UNEXPECTED}{type(error).__name__}: {error}"}
            with contextlib.suppress(OSError):
                self.say(number, expected)
        finally:
            self.open.discard(number)


def main() -> None:
    """Answers until the server closes the input."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a game prints is no line of ours
    os.nice(LOW_PRIORITY)
    if "--accelerator" not in sys.argv:
        os.environ["JAX_PLATFORMS"] = "cpu"
    from games import consent
    from scripts.terminal import compilation_cache

    consent.close(())
    compilation_cache.start()
    office = Office(out)
    for line in sys.stdin:
        office.hear(json.loads(line))


if __name__ == "__main__":
    main()
