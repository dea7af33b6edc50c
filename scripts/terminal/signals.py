"""Ctrl-C, SIGTERM and SIGHUP: when they end a command, and what is said.

Python's own way is an exception between any two instructions. In the import of a compiled module
that is an ImportError or a crash, in a callback of the garbage collector it is lost, and it waits
while a program is compiled. So a thread waits for signals here, and nothing is raised but at
`check` and in `asking`. Unless the command is in one of the states below, a signal ends the process
at once, with a sentence: what is on disk survives that, as it survives a power cut.

Imports nothing heavy, and nothing of ours: it comes before all else.
"""

import atexit
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

INTERRUPTED = 75  # the exit code where the same command goes on
NOTHING_KEPT = 130  # and where it starts over: a shell's code after Ctrl-C
PATIENCE = 6.0  # seconds in which a command that was asked to conclude reaches a `check`
SAME = 0.5  # seconds within which a second signal is the first one once more
YOUNG = 60.0  # seconds of a run whose loss is small: it is given no more patience than that
ENDS = (signal.SIGINT, signal.SIGTERM)
WIPE = b"\r\x1b[K\x1b[?25h"  # the line begun, as a bar is; and the cursor, which a bar hides


class _Process:
    """How this process answers a signal."""

    def __init__(self) -> None:
        self.line, self.code = "", 1  # what is said at the end, and the exit code
        self.react: Callable[[int], None] = lambda number: self.end()
        self.wakeup = -1  # where signals are told to the thread that waits; -1: there is none
        self.wished, self.checked = False, False  # `check` raises; it was called
        self.asking = False  # a person is asked, and Ctrl-C is an answer
        self.clean_up: Callable[[], None] = lambda: None  # before the end
        self.whole = threading.RLock()  # held by what must not end half-way

    def end(self) -> None:
        """Ends the process, from any thread; without `begin`, as in a program of somebody's."""
        if self.wakeup < 0:
            raise KeyboardInterrupt
        with self.whole:
            self.clean_up()
            if self.line:
                wipe = WIPE if os.isatty(2) and os.environ.get("TERM") != "dumb" else b""
                with contextlib.suppress(OSError):  # the terminal may be gone
                    os.write(2, wipe + self.line.encode() + b"\n")
            # Not sys.exit: threads of XLA are at work, and a destructor may wait for them.
            os._exit(self.code)


_PROCESS = _Process()


def begin(line: str, code: int) -> None:
    """From here on SIGINT and SIGTERM end the process at once: prints `line`, exits with `code`."""
    # In the last moments Python hands signals back to the system, which would end it with a code of
    # its own. First registered, last called.
    atexit.register(_ignore)
    for number in ENDS:
        signal.signal(number, signal.SIG_DFL)  # until all is in place
    _PROCESS.line, _PROCESS.code = line, code
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    threading.Thread(target=_wait, args=(reading,), name="signals", daemon=True).start()
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    _PROCESS.wakeup = writing
    for number in ENDS:
        signal.signal(number, _handle)


def _ignore() -> None:
    for number in ENDS:
        signal.signal(number, signal.SIG_IGN)


def conclude(code: int) -> None:
    """The work is done: from here on a signal only hastens the end, and changes no exit code."""
    _PROCESS.line, _PROCESS.code, _PROCESS.react = "", code, lambda number: _PROCESS.end()


def say_at_end(line: str) -> None:
    """Changes what is printed where a signal ends the process at once."""
    _PROCESS.line = line


def whole() -> contextlib.AbstractContextManager[bool]:
    """Returns a context that no signal ends half-way; for milliseconds."""
    return _PROCESS.whole


@contextlib.contextmanager
def scratch() -> Iterator[str]:
    """Yields a temporary folder, which is gone afterwards, where a signal ends the process too."""
    import shutil  # here, since they import much
    import tempfile

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        _PROCESS.clean_up = lambda: shutil.rmtree(folder, ignore_errors=True)
        try:
            yield folder
        finally:
            _PROCESS.clean_up = lambda: None


def check() -> None:
    """Raises KeyboardInterrupt, once, if a signal came in `concluding`."""
    _PROCESS.checked = True
    if _PROCESS.wished:
        _PROCESS.wished = False
        raise KeyboardInterrupt


@contextlib.contextmanager
def concluding() -> Iterator[None]:
    """Lets a first signal raise KeyboardInterrupt at the next `check`, for a result so far.

    A second signal ends the process at once; so does one before the first `check`, when there is no
    result yet, and no `check` for PATIENCE seconds after it.
    """
    if _PROCESS.wakeup < 0:  # Python's own way does
        yield
        return
    asked = _PROCESS.checked = False

    def react(number: int) -> None:
        nonlocal asked
        if asked or not _PROCESS.checked:
            _PROCESS.end()
        asked = _PROCESS.wished = True
        _later(lambda: _PROCESS.end() if _PROCESS.wished else None)

    before, _PROCESS.react = _PROCESS.react, react
    try:
        yield
    finally:
        _PROCESS.react, _PROCESS.wished = before, False


@contextlib.contextmanager
def asking() -> Iterator[None]:
    """Lets Ctrl-C raise KeyboardInterrupt while a person is asked, in the main thread."""
    if _PROCESS.wakeup < 0:
        yield
        return
    _PROCESS.asking = True
    signal.set_wakeup_fd(-1)
    try:
        check()
        yield
    finally:
        signal.set_wakeup_fd(_PROCESS.wakeup, warn_on_full_buffer=False)
        _PROCESS.asking = False


@contextlib.contextmanager
def stop_on_signal(
    worth_saving: int = 0,
    told: str = "finishing this iteration, then saving (again: stop at once, unsaved)",
) -> Iterator[Callable[[], bool]]:
    """Turns SIGINT, SIGTERM and SIGHUP into a wish to stop; a second one, later, stops at once.

    A terminal that is closed sends SIGHUP, perhaps twice, so that it never stops at once; under
    `nohup` it is ignored.

    Args:
      worth_saving: how often the wish must have been asked for until there is something to save;
        before that, while programs are compiled for instance, the first signal ends at once. And
        in the first minute, one that is not heard for PATIENCE seconds does.
      told: what is said to happen, once it is wished.
    """
    wished = heard = False
    questions, began = 0, time.monotonic()
    first = (0, 0.0)  # the signal that was heard, and when
    numbers = [*ENDS]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)

    def react(number: int) -> None:
        nonlocal wished, first
        # One stop may come twice: `make` hands on what its whole group was sent.
        if number == first[0] and time.monotonic() - first[1] < SAME:
            return
        if questions < worth_saving or (wished and number != signal.SIGHUP):
            _PROCESS.end()
        if not wished:
            first = number, time.monotonic()
            _tell(f"stopping: {told}")
            wished = True  # only now: the main thread may end as soon as it knows
            # Watched, since an exception in a timer's thread would stop nothing.
            if _PROCESS.wakeup >= 0 and worth_saving and time.monotonic() - began < YOUNG:
                _later(lambda: None if heard else _PROCESS.end())

    def stop() -> bool:
        nonlocal questions, heard
        questions += 1
        heard = wished
        return wished

    before, _PROCESS.react = _PROCESS.react, react
    handlers = {number: signal.signal(number, _handle) for number in numbers}
    try:
        yield stop
    finally:
        heard = True
        for number, handler in handlers.items():
            signal.signal(number, handler)
        _PROCESS.react = before


def _handle(number: int, frame: FrameType | None) -> None:
    """What Python calls in the main thread, at its next instruction."""
    if _PROCESS.asking:
        raise KeyboardInterrupt
    if _PROCESS.wakeup < 0:
        _PROCESS.react(number)


def _wait(reading: int) -> None:
    """What the thread does: the main one may be in a compiler for a minute."""
    while True:
        for number in os.read(reading, 16):
            if number in (*ENDS, signal.SIGHUP):
                _PROCESS.react(number)


def _later(do: Callable[[], None]) -> None:
    """Does something once patience has run out."""
    timer = threading.Timer(PATIENCE, do)
    timer.daemon = True
    timer.start()


def _tell(line: str) -> None:
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr, flush=True)
