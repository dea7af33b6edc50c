"""The worker process of the web server: three queues of requests, each with threads of its own.

A line in is `{"id": N, "op": NAME, "args": {...}}`, `{"cancel": N}` or `{"allow": "module:Class"}`.
A line out has the `id`, and `note`, `part`, or at last `result` or `error`. A lane takes its
requests in their order, so that a click is answered while a search runs.
"""

import contextlib
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any

LOW_PRIORITY = 10  # what it is less nice than a run that trains
LANES = {"quick": 3, "search": 2, "long": 1}  # requests of each that are worked on at once
MOST_ABANDONED = 6  # threads of a lane at work for pages that have gone
UNEXPECTED = "this is a fault of selfplay: "


class Lane:
    """Requests that wait for each other: for one of a few places, in their order.

    What is at work cannot be stopped within a search, or while it compiles. So a request whose page
    has gone gives its place back at once, and its thread when it is done.
    """

    def __init__(self, name: str, places: int) -> None:
        self.threads = ThreadPoolExecutor(places + MOST_ABANDONED, name)
        self.places = threading.Semaphore(places)


class Request:
    """A question on its way through a lane; open until it is answered or its page has gone."""

    def __init__(self, lane: Lane) -> None:
        self.lane, self.is_open = lane, True
        self._has_place, self._lock = False, threading.Lock()

    def enter(self, on_wait: Callable[[], None]) -> None:
        """Takes a place of the lane; `on_wait` is called if none is free."""
        if not self.lane.places.acquire(blocking=False):
            on_wait()
            self.lane.places.acquire()
        with self._lock:
            self._has_place = True

    def close(self) -> None:
        """Gives the place back, if there is one to give."""
        with self._lock:
            self.is_open, had_place, self._has_place = False, self._has_place, False
        if had_place:
            self.lane.places.release()


class Office:
    """All lanes, the requests in them, and the way out."""

    def __init__(self, out: IO[str]) -> None:
        from scripts.web.ops import OPS

        self.out, self.ops = out, OPS
        self.writing = threading.Lock()
        self.lanes = {name: Lane(name, places) for name, places in LANES.items()}
        self.requests: dict[int, Request] = {}

    def hear(self, message: Mapping[str, Any]) -> None:
        """Obeys one line of the server."""
        from scripts.web.ops.permission import permit

        if "allow" in message:
            permit(str(message["allow"]), os.getcwd())
        elif "cancel" in message:
            if (cancelled := self.requests.pop(message["cancel"], None)) is not None:
                cancelled.close()
        elif message["op"] in self.ops:
            op = self.ops[message["op"]]
            request = self.requests[message["id"]] = Request(self.lanes[op.lane])
            request.lane.threads.submit(self.answer, request, message["id"], op, message["args"])
        else:
            self.say(message["id"], {"error": f"there is no question {message['op']!r}"})

    def say(self, number: int, line: Mapping[str, Any]) -> None:
        """Writes one line to the server."""
        with self.writing, contextlib.suppress(BrokenPipeError):  # it has ended, and so do we
            print(json.dumps({"id": number, **line}, allow_nan=False), file=self.out, flush=True)

    def answer(self, request: Request, number: int, op: Any, args: Mapping[str, Any]) -> None:
        """Works on one request once it has a place, unless it was cancelled; never raises."""
        from scripts.web.ops.question import Cancelled, Tell, refusal

        tell = Tell(
            lambda line: self.say(number, line), lambda: not request.is_open, self.is_searching
        )
        try:
            request.enter(lambda: tell.note("waiting for what was asked before"))
            tell.check()
            began = time.monotonic()
            self.say(number, {"result": op.run(args, tell), "seconds": time.monotonic() - began})
        except Cancelled:
            pass
        except Exception as error:
            if (expected := refusal(error)) is None:
                traceback.print_exc()  # for the terminal's log
                expected = {"error": f"{UNEXPECTED}{type(error).__name__}: {error}"}
            self.say(number, expected)
        finally:
            request.close()
            self.requests.pop(number, None)

    def is_searching(self) -> bool:
        """Whether a person waits for a search."""
        return any(one.lane is self.lanes["search"] for one in list(self.requests.values()))


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
    os._exit(0)  # nobody waits for the searches that are under way


if __name__ == "__main__":
    main()
