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
LANES = {"quick": 3, "search": 2, "long": 1}  # threads of each
MOST_ABANDONED = 6  # threads of a lane at work for pages that have gone
UNEXPECTED = "this is a fault of selfplay: "


class Lane:
    """Requests that wait for each other.

    What is at work cannot be stopped within a search, or while it compiles. So a thread at work for
    a page that has gone does not count: another one takes its place, and it ends when it is done.
    """

    def __init__(self, name: str, threads: int, office: "Office") -> None:
        self.name, self.threads, self.office = name, threads, office
        self.queue: collections.deque[tuple[int, Any, Mapping[str, Any]]] = collections.deque()
        self.changed = threading.Condition()
        self.working: set[int] = set()  # requests
        self.count = 0  # threads
        self.hire()

    def put(self, number: int, op: Any, args: Mapping[str, Any]) -> None:
        """Adds a request."""
        with self.changed:
            before = len(self.queue) + len(self.working & self.office.open)
            self.queue.append((number, op, args))
            self.changed.notify()
        if before >= self.threads:
            self.office.say(number, {"note": "waiting for what was asked before"})
        self.hire()

    def hire(self) -> None:
        """Starts as many threads as the lane has too few."""
        with self.changed:
            abandoned = len(self.working - self.office.open)
            wanted = self.threads + min(abandoned, MOST_ABANDONED)
            while self.count < wanted:
                self.count += 1
                threading.Thread(target=self._work, name=self.name, daemon=True).start()

    def _work(self) -> None:
        while True:
            with self.changed:
                if self.count > self.threads + len(self.working - self.office.open):
                    self.count -= 1
                    return
                while not self.queue:
                    self.changed.wait()
                number, op, args = self.queue.popleft()
                self.working.add(number)
            self.office.answer(number, op, args)
            with self.changed:
                self.working.discard(number)


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
        from scripts.web.ops.permission import permit

        if "allow" in message:
            permit(str(message["allow"]), os.getcwd())
        elif "cancel" in message:
            self.open.discard(message["cancel"])
            for lane in self.lanes.values():
                lane.hire()
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
