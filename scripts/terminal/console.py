"""The terminal: flags, progress, device lines, JSON. The only file that knows tyro and rich."""

import contextlib
import dataclasses
import inspect
import json
import os
import pathlib
import re
import sys
import time
import typing
from collections.abc import Collection, Iterator, Sequence
from typing import Annotated, Any, Protocol, TypeVar

import rich.console
import rich.progress
import rich.table
import tyro
from tyro.conf import Positional

from selfplay import old_names

__all__ = [
    "Flat",
    "FromFlag",
    "Positional",
    "announce_devices",
    "ask",
    "flag_value",
    "flag_words",
    "parse",
    "print_json",
    "print_text",
    "printable",
    "progress",
    "say",
]

T = TypeVar("T")
Flat = Annotated[T, tyro.conf.arg(name="")]  # its fields are flags without its name
FromFlag = Annotated[str, tyro.conf.arg(name="from")]  # `from` is no name for a Python field
# What a terminal would obey, or cannot show: control characters but newline and tab, DEL, C1, what
# turns the direction of writing, and halves of characters, which no encoding has.
UNPRINTABLE = re.compile(
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u202a-\\u202e\\u2066-\\u2069\\ud800-\\udfff]"
)
LOG_EVERY_SECONDS = 10.0  # without a terminal, progress is a plain line this often
HELP, HELP_ALL = ("-h", "--help"), "--help-all"
MORE = f"These are the flags to know first; {HELP_ALL} shows all of them."


def parse(
    args: type[T],
    argv: Sequence[str],
    command: str,
    default: T | None = None,
    in_sight: Collection[str] = (),
) -> T:
    """Returns `args` filled from the command line; prints help or the mistake and exits (0, 2).

    Args:
      default: an instance whose values stand where no flag is given.
      in_sight: fields that `--help` shows, as in `network.blocks`; needs a default. Empty: all.
        `--help-all` always shows all.
    """
    argv = old_names.current_flags(argv)
    about = inspect.getdoc(args) or ""  # whole: left alone, tyro drops the examples
    prog = f"selfplay {command}"
    if HELP_ALL in argv:
        argv = ["--help"]
    elif in_sight and any(word in HELP for word in argv):
        default = _with_hidden(default, in_sight)
        args, about = type(default), f"{about}\n\n{MORE}"
    if default is None:
        return tyro.cli(args, args=argv, prog=prog, description=about)
    return tyro.cli(args, args=argv, prog=prog, description=about, default=default)


def _with_hidden(whole: Any, in_sight: Collection[str], prefix: str = "") -> Any:
    """Returns an equal instance of a class whose fields are hidden in help, but those in sight."""
    kinds = typing.get_type_hints(type(whole), include_extras=True)
    values = {}
    for field in dataclasses.fields(whole):
        name, value, kind = field.name, getattr(whole, field.name), kinds[field.name]
        if dataclasses.is_dataclass(value):
            flat, settings = typing.get_origin(kind) is Annotated, typing.get_args(kind)[1:]
            value = _with_hidden(value, in_sight, prefix if flat else f"{prefix}{name}.")
            kinds[name] = Annotated[(type(value), *settings)] if flat else type(value)
        elif prefix + name not in in_sight:
            kinds[name] = tyro.conf.Suppress[kind]  # type: ignore[valid-type, misc]
        values[name] = value
    cls = type(whole)
    about = {"__doc__": cls.__doc__}  # dataclasses would write one
    fields = [(name, kinds[name]) for name in values]
    return dataclasses.make_dataclass(
        cls.__name__, fields, bases=(cls,), frozen=True, namespace=about
    )(**values)


def flag_words(argv: Sequence[str], name: str) -> list[str] | None:
    """Returns the words after a flag, None without it: what defaults of other flags hang on."""
    words: list[str] | None = None
    ours = False
    for word in argv:
        if word.startswith("--"):
            flag, equals, value = word.partition("=")
            ours = flag[2:].replace("_", "-") == name
            if ours:
                words = [value] if equals else []  # as in tyro, the last one counts
        elif ours and words is not None:
            words.append(word)
    return words


def flag_value(argv: Sequence[str], name: str) -> str:
    """Returns the word after a flag, or an empty text; tyro says later what is wrong with it."""
    return next(iter(flag_words(argv, name) or []), "")


def ask(prompt: str) -> str | None:
    """Returns what the person types, None at the end of input, without any, and on Ctrl-C."""
    if sys.stdin is None:  # it was closed
        return None
    try:
        return input(prompt)
    except (EOFError, KeyboardInterrupt):
        return None


def say(line: str) -> None:
    """Prints a line for people, on stderr: stdout belongs to results and `--json`."""
    # A run of days must not end because its terminal is gone, or the disk of its log is full.
    with contextlib.suppress(OSError):
        print(printable(line), file=sys.stderr, flush=True)


def print_text(text: str) -> None:
    """Prints a result for people on stdout."""
    print(printable(text))


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
    if bar and sys.stderr.isatty():
        with _bar(total is not None) as shown_bar:
            task = shown_bar.add_task(printable(description), total=total)
            yield lambda done, note="": shown_bar.update(
                task, completed=done, description=printable(f"{description} {note}".rstrip())
            )
        return
    began = last = time.monotonic()
    first: float | None = None
    newest, shown = "", ""

    def update(done: float, note: str = "") -> None:
        nonlocal last, first, newest, shown
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
    kinds = ", ".join(sorted({device.device_kind for device in devices}))
    say(f"devices: {len(devices)} x {devices[0].platform} ({kinds}), jax {jax.__version__}")
    card = pathlib.Path("/proc/driver/nvidia/version").exists() or os.path.exists("/dev/nvidia0")
    if card and devices[0].platform == "cpu":
        say(
            "warning: this machine has an NVIDIA card, but jax runs on the CPU; "
            "install the GPU build: pip install 'selfplay-zero[cuda]'"
        )


INTERRUPTED = 75
