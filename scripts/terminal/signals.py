"""Ctrl-C and SIGTERM as a wish to stop at the next safe moment."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType

from scripts.terminal.console import say


@contextlib.contextmanager
def stop_on_signal() -> Iterator[Callable[[], bool]]:
    """Turns SIGINT, SIGTERM and SIGHUP into a wish to stop; a second one stops at once.

    A terminal that is closed sends SIGHUP, perhaps twice, so that it never stops at once; under
    `nohup` it is ignored.
    """
    asked = False
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked and number != signal.SIGHUP:
            raise KeyboardInterrupt
        asked = True
        say("stopping: finishing this iteration, then saving (again: stop at once, unsaved)")

    old = {number: signal.signal(number, ask) for number in numbers}
    try:
        yield lambda: asked
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
