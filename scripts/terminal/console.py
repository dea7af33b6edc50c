"""The terminal: questions, progress, device lines, JSON. The only file that knows rich."""

import contextlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from typing import Any, Protocol

import rich.console
import rich.progress
import rich.table

from scripts.terminal import signals
from scripts.terminal.options import Flat, FromFlag, Positional, flag_value, flag_words, parse
from training import cards

__all__ = [
    "Flat",
    "FromFlag",
    "Positional",
    "announce_devices",
    "ask",
    "columns",
    "flag_value",
    "flag_words",
    "parse",
    "print_json",
    "print_text",
    "printable",
    "progress",
    "say",
]

# What a terminal would obey, or cannot show: control characters but newline and tab, DEL, C1, what
# turns the direction of writing, and halves of characters, which no encoding has.
UNPRINTABLE = re.compile(
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u202a-\\u202e\\u2066-\\u2069\\ud800-\\udfff]"
)
UNBOUNDED = 1000  # columns, where nobody says how many there are
MAX_SENTENCE = 4000  # characters of an error
_is_quiet = False
LOG_EVERY_SECONDS = 10.0  # without a terminal, progress is a plain line this often


def ask(prompt: str) -> str | None:
    """A line from the person; None at the end of input, and on Ctrl-C."""
    if sys.stdin is None:  # it was closed
        return None
    try:
        with signals.asking():
            text = input(prompt)
    except (EOFError, KeyboardInterrupt):
        print()  # what comes next begins a line
        return None
    if not sys.stdin.isatty():
        print(printable(text))  # a terminal has shown it
    return text


def note(text: str) -> None:
    """Says what a person should know, and need not act on."""
    say(f"note: {text}")


def only_errors() -> None:
    """Has `say` and `progress` show nothing from now on: another process tells what happens."""
    global _is_quiet
    _is_quiet = True


def say(line: str) -> None:
    """Prints a line for people, on stderr: stdout belongs to results and `--json`."""
    if _is_quiet:
        return
    # A run of days must not end because its terminal is gone, or the disk of its log is full.
    with contextlib.suppress(OSError):
        print(printable(line), file=sys.stderr, flush=True)


def sentence(error: BaseException) -> str:
    """An error in one sentence, with its type if it is not ours."""
    text = printable(" ".join(str(error).split()))
    if len(text) > MAX_SENTENCE:  # it quotes a hostile file; the advice comes last
        text = f"{text[: MAX_SENTENCE // 2]} ... {text[-MAX_SENTENCE // 2 :]}"
    ours = type(error).__module__.partition(".")[0] in (
        "games",
        "mcts",
        "selfplay",
        "training",
        "scripts",
    )
    if ours or isinstance(error, ValueError | OSError):
        return text
    return f"{type(error).__name__}: {text} (--debug shows where)"


def code_of(error: BaseException) -> int:
    """Returns the exit code of an error: 2 where something else must be typed."""
    return 2 if isinstance(error, ValueError | FileNotFoundError) else 1


@contextlib.contextmanager
def starting() -> Iterator[None]:
    """Shows on a terminal that something happens: to import jax takes a second, or ten if busy.

    What is shown goes away again, for the first line of many commands is known to name the devices.
    """
    if not (sys.stderr and sys.stderr.isatty()):
        yield
        return
    with contextlib.suppress(OSError):
        print("starting: loading jax", end="", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def columns() -> int:
    """Returns how wide a table may be: the terminal, or as it comes where there is none."""
    return shutil.get_terminal_size((UNBOUNDED, 0)).columns


def print_text(text: str) -> None:
    """Prints a result for people on stdout."""
    print(printable(text), flush=True)


def printable(text: str) -> str:
    """Returns text, which may come from somebody's file, with nothing that a terminal obeys."""
    return UNPRINTABLE.sub(lambda match: _escaped(ord(match[0])), text)


def _escaped(code: int) -> str:
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def print_json(result: dict[str, Any]) -> None:
    """Prints the one JSON object that a command with `--json` puts on stdout."""
    print(json.dumps(result), flush=True)


class Update(Protocol):
    """Tells a progress display how far the work is, and what else is worth showing."""

    def __call__(self, done: float, note: str = "") -> None: ...


@contextlib.contextmanager
def progress(
    description: str, total: float | None, unit: str = "", bar: bool = True
) -> Iterator[Update]:
    """Shows how far a task is, on stderr; yields `update(done, note="")`.

    A bar on a terminal, else a plain line every 10 seconds. `done` counts like `total`, which is
    None where no end is known.

    Args:
      unit: of `done` and `total`, as in "games".
      bar: False where a person is asked meanwhile.
    """
    if bar and sys.stderr.isatty() and not _is_quiet:
        with _bar(total is not None) as shown_bar:
            task = shown_bar.add_task(printable(description), total=total)

            def move(done: float, note: str = "") -> None:
                signals.check()
                text = printable(f"{description} {note}".rstrip())
                shown_bar.update(task, completed=done, description=text)

            yield move
        return
    began = last = time.monotonic()
    first: float | None = None
    newest, shown = "", ""

    def update(done: float, note: str = "") -> None:
        nonlocal last, first, newest, shown
        signals.check()
        first = done if first is None else first
        share = _share_done(done, total, unit)
        left = _time_left(done - first, done, total, time.monotonic() - began)
        newest = f"{description}: {share}{left} {note}".rstrip()
        # A task that says it begins has nothing to show, however long it took to begin.
        if done and time.monotonic() - last >= LOG_EVERY_SECONDS:
            last, shown = time.monotonic(), newest
            say(newest)

    try:
        yield update
    finally:
        if shown != newest and shown:  # else the last line would stay behind what was done
            say(newest)


def _bar(has_end: bool) -> rich.progress.Progress:
    """Returns a line whose figures come first: what a narrow terminal cuts off is the text."""
    text = rich.table.Column(ratio=1, no_wrap=True, overflow="ellipsis")
    figures = (
        (
            rich.progress.BarColumn(bar_width=12),
            rich.progress.TaskProgressColumn(),
            rich.progress.TimeElapsedColumn(),  # which shows that it goes on while it compiles
            rich.progress.TimeRemainingColumn(compact=True),
        )
        if has_end
        else (rich.progress.BarColumn(bar_width=12), rich.progress.TimeElapsedColumn())
    )
    return rich.progress.Progress(
        *figures,
        rich.progress.TextColumn("{task.description}", markup=False, table_column=text),
        console=rich.console.Console(stderr=True),
        expand=True,
        transient=True,
    )


def _share_done(done: float, total: float | None, unit: str) -> str:
    end = "" if total is None else f" of {total:,g}"
    number = f"{done:,.0f}" if abs(done) >= 100 or float(done).is_integer() else f"{done:.1f}"
    return f"{number}{end} {unit}".rstrip()


def _time_left(since: float, done: float, total: float | None, seconds: float) -> str:
    """Returns the time left as a clause, by the speed so far; empty where that says nothing.

    Args:
      since: what was done in these `seconds`, of the `done` in all.
    """
    if total is None or since <= 0 or done >= total:
        return ""
    left = round((total - done) * seconds / since)
    clock = f"{left // 60}:{left % 60:02d}" if left < 3600 else f"{left / 3600:.1f} h"
    return f" ({done / total:.0%}, {clock} left)"


def announce_devices() -> None:
    """Prints which devices do the work, and warns of an NVIDIA card that jax does not use."""
    import jax  # here, so that what needs no device starts at once

    devices = jax.devices()
    kinds = sorted({device.device_kind for device in devices})
    parts = [f"{len(devices)} x {devices[0].platform} ({', '.join(kinds)})"]
    if devices[0].platform == "gpu" and (driver := cards.driver()):
        parts.append(f"driver {driver}")
    if devices[0].platform != "cpu":
        peak = cards.peak(kinds[0])
        known = f"{peak / 1e12:.0f} TFLOP/s each" if peak else "not known"
        parts.append(f"peak in bfloat16 {known}")
    say(f"devices: {', '.join(parts)}, jax {jax.__version__}")
    card = cards.DRIVER.exists() or os.path.exists("/dev/nvidia0")
    if card and devices[0].platform == "cpu":
        say(
            "warning: this machine has an NVIDIA card, but jax runs on the CPU; "
            "install the GPU build: pip install 'selfplay-zero[cuda]'"
        )
