"""`selfplay bench --measure suite`: every benchmark behind a figure of the docs, unattended.

Each measurement is one command of `selfplay bench`, in a process of its own: one that crashes or
runs out of memory leaves the others. Its result is kept at once, and never measured again.
"""

import contextlib
import datetime
import json
import math
import pathlib
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from scripts.benchmarks import iteration
from scripts.terminal.console import progress, say
from scripts.terminal.signals import INTERRUPTED, stop_on_signal
from selfplay import children
from selfplay.files import durable, json_lines
from training.sweep.processes import Ended, last_line

STATE, TABLE, LOGS = "suite.json", "suite.md", "logs"  # in the suite's folder
DEVICE_SECONDS = 120.0  # for a process to start and say which devices there are
PATIENCE = 4  # times the estimate, after which a measurement has failed
POLL_SECONDS = 0.2
GOES_ON = "the same command goes on there"
# Without an accelerator the suite shows that it works, at sizes that a CPU measures in seconds.
SHRUNK = "shrunk: no accelerator. Sizes are tiny, and no aim is meant for them"
TINY: dict[str, object] = {
    "preset": "quick",
    "batch": 16,
    "rounds": 1,
    "network.blocks": 1,
    "network.channels": 8,
    "search.simulations": 4,
}


LOOP = (
    *("idle_share", "dispatch_s", "dispatch_alone_s"),
    *("call_share_of_peak", "step_share_of_peak", "share_of_peak"),
)


class Measurement(NamedTuple):
    """One command of `selfplay bench`."""

    name: str
    flags: dict[str, object]  # without their `--`
    seconds: float  # that it takes on an H100 or on a CPU: a guess
    shown: dict[str, float | None]  # its figures, `a.b` for one within another; our aim for each


def _search(
    title: str, game: str, size: str, batch: int, policy: str, simulations: int, aim: float
) -> Measurement:
    """A search beside its network, with mctx unless that takes minutes."""
    blocks, channels = size.split("x")
    flags: dict[str, object] = {
        "game": game,
        "batch": batch,
        "rounds": 3,
        "network.blocks": blocks,
        "network.channels": channels,
        "network.dtype": "bfloat16",
        "search.policy": policy,
        "search.simulations": simulations,
    }
    shown: dict[str, float | None] = {"search_to_network": aim}
    if game != "go:size=19":
        flags["compare"] = "mctx"
        shown |= {"mctx.ours_to_mctx": None, "mctx.same_visit_counts": None}
    name = f"search: {title} {size}, {policy} {simulations}, {batch} games"
    return Measurement(name, flags, 90, shown | {"network_share_of_peak": None})


def _rules(game: str) -> Measurement:
    flags: dict[str, object] = {"game": game, "batch": 1024, "compare": "pgx"}
    return Measurement(f"rules: {game}", flags, 45, {"pgx.by_batch.1024.ratio": None})


def _run(what: str, game: str, *shown: str) -> Measurement:
    flags: dict[str, object] = {"measure": what, "game": game, "preset": "gpu"}
    return Measurement(f"{what}: {game}, preset gpu", flags, 60, dict.fromkeys(shown))


_GO_PLAYED = _search("Go 9x9", "go:size=9", "6x128", 4096, "gumbel", 32, 0.9)
MEASUREMENTS = (
    _search("Go 9x9", "go:size=9", "6x128", 1024, "gumbel", 32, 0.90),
    _search("Go 9x9", "go:size=9", "6x128", 512, "puct", 200, 0.90),
    _search("Connect Four", "connect_four", "4x64", 4096, "gumbel", 32, 0.95),
    _search("Othello", "othello", "6x128", 1024, "gumbel", 32, 0.90),
    _search("Go 19x19", "go:size=19", "20x256", 256, "puct", 400, 0.97),
    _GO_PLAYED._replace(
        name="self-play: Go 9x9 6x128, gumbel 32, 4096 games",
        flags={**_GO_PLAYED.flags, "compare": "none"},
        shown={"self_play_share_of_peak": 0.50},
    ),
    *(_rules(game) for game in ("connect_four", "othello", "go:size=9")),
    *(_run("loop", game, *LOOP) for game in ("connect_four", "go:size=9")),
    *(
        _run("memory", game, "used_bytes", "predicted_bytes", "predicted_to_used")
        for game in ("connect_four", "go:size=9")
    ),
)


class ChildError(Exception):
    """A measurement has failed; the message is its own last word, or how it ended."""


def run(out: pathlib.Path, minutes: float) -> tuple[int, dict[str, Any]]:
    """Measures what is not measured yet.

    Args:
      out: the folder of figures and logs.
      minutes: that this call may take; 0: no limit.

    Returns:
      The exit code (0: all is done, 1: something failed, 75: the same command goes on), and all
      that the folder holds, as in its JSON.

    Raises:
      ValueError: another device's figures lie there.
      ChildError: no device can be asked.
    """
    until = time.monotonic() + (60 * minutes or math.inf)
    durable.make_folder(out / LOGS)
    with (
        durable.lock(out / "lock"),
        stop_on_signal(told="what was measured is kept (again: stop at once)") as stop,
    ):
        words = command({"measure": "device"})
        device = _measured(words, out / LOGS / "device.log", DEVICE_SECONDS, lambda: False)
        held = read(out, device)
        write(out, held)
        say(f"devices: {describe(device)}")
        code = _measure_all(out, held, until, stop)
        say(f"kept: {out / STATE} and {out / TABLE}")
    return code, held


def _measure_all(
    out: pathlib.Path, held: dict[str, Any], until: float, stop: Callable[[], bool]
) -> int:
    """Takes the measurements that are not done, what failed before last; returns the exit code."""
    kept, on_cpu = held["measurements"], held["device"]["platform"] == "cpu"
    left = [one for one in MEASUREMENTS if kept.get(one.name, {"error": "new"})["error"]]
    left.sort(key=lambda one: one.name in kept)
    with progress("bench, suite", len(left)) as update:
        for number, one in enumerate(left):
            remaining = until - time.monotonic()
            if stop() or one.seconds > remaining:
                say(f"ended before {one.name!r}, about {one.seconds:.0f} s: {GOES_ON}")
                return INTERRUPTED
            update(number, one.name)
            words = command(one.flags | (TINY if on_cpu else {}))
            log = out / LOGS / f"{MEASUREMENTS.index(one) + 1}.log"
            began, error, result = time.monotonic(), "", {}
            try:
                result = _measured(words, log, min(PATIENCE * one.seconds, remaining), stop)
            except ChildError as failed:
                if stop() or time.monotonic() > until:
                    say(f"{one.name} was cut short: {GOES_ON}")
                    return INTERRUPTED
                error = str(failed)
                say(f"failed: {one.name} ({error}); its log: {log}")
            kept[one.name] = {
                "flags": words[words.index("bench") + 1 :],
                "date": datetime.date.today().isoformat(),
                "seconds": round(time.monotonic() - began, 1),
                "error": error,
                "result": result,
            }
            write(out, held)
            update(number + 1)
    return 1 if any(one["error"] for one in kept.values()) else 0


def command(flags: dict[str, object]) -> list[str]:
    """Returns the words of a `selfplay bench` in a process of its own."""
    words = [*children.our_module("scripts.cli"), "bench", "--json"]
    return words + [word for flag, value in flags.items() for word in (f"--{flag}", str(value))]


def _measured(
    words: Sequence[str], log: pathlib.Path, seconds: float, stop: Callable[[], bool]
) -> dict[str, Any]:
    """Returns the JSON that a process prints; `log` gets its stderr. Raises ChildError."""
    with open(log, "ab", opener=durable.no_link) as file:
        process = children.start(words, stderr=file.fileno())
    until, printed = time.monotonic() + seconds, None
    try:
        while printed is None and time.monotonic() < until and not stop():
            with contextlib.suppress(subprocess.TimeoutExpired):
                printed = process.communicate(timeout=POLL_SECONDS)[0].decode(errors="replace")
    finally:
        children.end(process)
    ended = Ended(log.stem, process.returncode, last_line(log.read_text(errors="replace")))
    if printed is None:
        raise ChildError(f"not done after {seconds:.0f} s; it last said: {ended.said}")
    if ended.code:
        raise ChildError(ended.how)
    try:
        return dict(json.loads(printed))
    except ValueError:
        raise ChildError(f"printed no result: {printed[-80:]!r}") from None


# ---- what is kept --------------------------------------------------------------------------------


def read(out: pathlib.Path, device: dict[str, Any]) -> dict[str, Any]:
    """Returns what a folder holds, as `write` keeps it; a new one begins with this device.

    Raises:
      ValueError: the file is not ours, or was measured on another device.
    """
    file = out / STATE
    if not file.is_file():
        return {"device": device, "measurements": {}}
    held = json_lines.read_object(file)
    if held.get("device") != device:
        raise ValueError(
            f"{file} holds no figures of this machine ({describe(device)}), and those of two are "
            "not mixed: name another --out"
        )
    return held


def write(out: pathlib.Path, held: dict[str, Any]) -> None:
    """Keeps all that was measured, as JSON and as a table."""
    durable.write_whole(out / STATE, (json.dumps(held, indent=1) + "\n").encode())
    durable.write_whole(out / TABLE, table(held).encode())


def describe(device: dict[str, Any]) -> str:
    """Returns devices, as `device.measure` tells of them, in words."""
    parts = [f"{device['count']} x {device['kind']}"]
    if device["driver"]:
        parts.append(f"driver {device['driver']}")
    peak = device["peak"]
    parts.append(f"peak {peak / 1e12:.0f} TFLOP/s in bfloat16" if peak else "peak not known")
    return ", ".join([*parts, f"jax {device['jax']}"])


def table(held: dict[str, Any]) -> str:
    """Returns Markdown: the machine, a row for each figure and for what failed; iterations."""
    on_cpu = held["device"]["platform"] == "cpu"
    lines = [describe(held["device"]), *([f"\n{SHRUNK}."] if on_cpu else []), ""]
    lines += ["| measured | figure | value | aim | date |", "|---|---|---|---|---|"]
    for one in MEASUREMENTS:
        if kept := held["measurements"].get(one.name):
            lines += [
                f"| {one.name} | {figure} | {value} | {aim} | {kept['date']} |"
                for figure, value, aim in _rows(one, kept, on_cpu)
            ]
    for name, kept in held["measurements"].items():
        if parts := kept["result"].get("parts"):
            lines += ["", f"{name}:", "", *iteration.table(parts, held["device"]["kind"])]
    return "\n".join(lines) + "\n"


def _rows(one: Measurement, kept: dict[str, Any], on_cpu: bool) -> Iterator[tuple[str, str, str]]:
    if kept["error"]:
        yield "failed", kept["error"].replace("|", "/"), ""
        return
    for figure, aim in one.shown.items():
        value: Any = kept["result"]
        for part in figure.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        shown = "not known" if value is None else f"{value:,.4g}"
        yield figure, shown, "" if aim is None or on_cpu else f"{aim:g}"
