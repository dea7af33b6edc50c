"""The process of one rank, as it speaks with the command that has started it.

Its standard output carries words, JSON a line; what it prints there goes as one of them. What
libraries of C++ write about a rank that is gone, pages of it, goes to a file of the command's.
"""

import io
import json
import os
import sys
import threading
import time
from typing import Any, NoReturn

from scripts.hosts import ENVIRONMENT
from scripts.hosts.line import BEAT_SECONDS
from scripts.terminal.signals import INTERRUPTED


def settings() -> dict[str, Any] | None:
    """Returns what this process was told as a rank; None if it is none."""
    text = os.environ.get(ENVIRONMENT)
    return dict(json.loads(text)) if text else None


class Words:
    """The way to the command."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.told = told
        self._lock = threading.Lock()
        self._file = os.dup(1)
        self.wished = False
        _keep_apart(told["log"])
        sys.stdout = _Printed(self)
        threading.Thread(target=self._beat, daemon=True).start()
        threading.Thread(target=self._hear, daemon=True).start()

    def say(self, kind: str, **word: Any) -> None:
        """Says a word; a process whose command is gone ends."""
        line = json.dumps({"kind": kind, **word}) + "\n"
        with self._lock:
            try:
                _write(self._file, line.encode())
            except OSError:
                os._exit(INTERRUPTED)

    def end(self, code: int) -> NoReturn:
        """Says that all went well, and ends at once: threads of libraries are still at work."""
        self.say("ended", code=code)
        sys.stderr.flush()
        os._exit(code)

    def fail(self, text: str, code: int) -> NoReturn:
        """Says why this rank cannot go on, and waits to be ended with the others."""
        self.say("failed", text=text, code=code)
        time.sleep(60.0)
        os._exit(code)

    def lose(self, text: str) -> NoReturn:
        """Says that another rank is gone, as far as this one sees, and waits likewise."""
        self.say("lost", text=text)
        time.sleep(60.0)
        os._exit(INTERRUPTED)

    def _beat(self) -> None:
        while True:
            self.say("beat")
            time.sleep(BEAT_SECONDS)

    def _hear(self) -> None:
        for line in sys.stdin:
            self.wished = self.wished or json.loads(line)["kind"] == "stop"


class _Printed(io.TextIOBase):
    """Standard output, by way of the command."""

    def __init__(self, words: Words) -> None:
        self._words = words

    def write(self, text: str) -> int:
        """Sends a text."""
        self._words.say("out", text=text)
        return len(text)


def _keep_apart(log: str) -> None:
    """Leaves our own standard error as it was; what libraries of C++ write goes to a file."""
    own = os.dup(2)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number in (1, 2):
        os.dup2(file, number)
    os.close(file)
    sys.stderr = os.fdopen(own, "w", buffering=1)


def _write(file: int, content: bytes) -> None:
    while content:
        content = content[os.write(file, content) :]


_WORDS: list[Words] = []


def begin() -> None:
    """Opens the way to the command, if this process is a rank; before jax is imported."""
    told = settings()
    if told is not None and not _WORDS:
        if told["cores"] and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, told["cores"])
        _WORDS.append(Words(told))


def words() -> Words | None:
    """Returns the way to the command; None in a process that is no rank."""
    return _WORDS[0] if _WORDS else None
