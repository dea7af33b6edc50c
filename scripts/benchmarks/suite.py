"""`selfplay bench --suite`: all that we claim or aim at, measured without a person.

Each measurement is a process of its own (`plan.py` lists them), so that one that crashes or runs
out of memory leaves the others. What is done is kept after each, and never repeated.
"""

import datetime
import math
import pathlib
import re
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from scripts.benchmarks import child, figures, plan
from scripts.benchmarks.child import ChildError, Ended
from scripts.benchmarks.plan import Measurement, Where
from scripts.terminal.console import progress, say
from scripts.terminal.signals import INTERRUPTED, stop_on_signal
from selfplay.files import durable

DEVICE_SECONDS = 120.0  # for a child to start and say what there is
PATIENCE = 4  # times the estimate, after which a measurement has failed
LOGS = "logs"  # in the suite's folder: what each measurement said
GOES_ON = "the same command goes on there"


class Call(NamedTuple):
    """One call of the command."""

    out: pathlib.Path
    held: dict[str, Any]  # all that was measured, as `figures.read` returns it
    minutes: float  # that it may take; 0: no limit
    until: float  # the end of these, on the monotonic clock
    stopped: Callable[[], bool]  # whether a person wants it to end


def run(
    out: pathlib.Path, parts: Sequence[str], minutes: float, long: bool
) -> tuple[int, dict[str, Any]]:
    """Measures what is not measured yet of the named parts.

    Returns:
      The exit code (0: all is done, 1: something failed, 75: the same command goes on), and all
      that the folder holds, as in its JSON.

    Raises:
      ValueError: another device's figures lie there.
      ChildError: no device can be asked.
    """
    until = time.monotonic() + (60 * minutes or math.inf)
    durable.make_folder(out / LOGS)
    with durable.lock(out / "lock"):
        words = child.measuring("device", "all", shrunk=False)
        device = child.result(words, out / LOGS / "device.log", DEVICE_SECONDS)
        held = figures.read(out, device)
        say(f"devices: {figures.describe(device)}")
        where = Where(device["platform"] == "cpu", out, long)
        listed = [one for part in parts for one in plan.PARTS[part](where)]
        with stop_on_signal(told="what was measured is kept (again: stop at once)") as stopped:
            code = _measure_all(listed, Call(out, held, minutes, until, stopped))
        say(f"kept: {out / figures.STATE} and {out / figures.TABLE}")
    return code, held


def _measure_all(listed: list[Measurement], call: Call) -> int:
    """Takes the measurements that are not done; returns the exit code."""
    kept = call.held["measurements"]
    status = {one.name: kept[one.name]["status"] for one in listed if one.name in kept}
    left = [one for one in listed if status.get(one.name) != figures.DONE]
    left.sort(key=lambda one: one.name in status)  # what failed before comes last
    total = sum(one.seconds for one in listed)
    done = total - sum(one.seconds for one in left)
    with progress("bench --suite", total, "s") as update:
        for number, one in enumerate(left, start=len(listed) - len(left) + 1):
            if why := _why_not_now(one, call):
                say(why)
                return INTERRUPTED
            say(f"{number} of {len(listed)}: {one.name}, about {one.seconds:.0f} s")
            update(done, one.name)
            entry = _measure(one, call)
            if entry is None:
                say(f"{one.name} was cut short: {GOES_ON}")
                return INTERRUPTED
            kept.pop(one.name, None)
            kept[one.name] = entry
            figures.write(call.out, call.held)
            if entry["error"]:
                say(f"failed: {one.name} ({entry['error']}); its log: {_log(one, call)}")
            done += one.seconds
            update(done)
    return 1 if any(kept[one.name]["error"] for one in listed) else 0


def _why_not_now(one: Measurement, call: Call) -> str:
    """Returns why the call ends before a measurement, and how to go on; empty if it does not."""
    if call.stopped():
        return f"interrupted before {one.name}: {GOES_ON}"
    left = call.until - time.monotonic()
    if one.seconds <= left:
        return ""
    head = f"{one.name} takes about {one.seconds:.0f} s, and {left:.0f} s are left"
    if one.seconds > 60 * call.minutes - DEVICE_SECONDS / 2:
        return f"{head}: go on with --minutes {math.ceil(one.seconds / 60) + 1}"
    return f"{head} of --minutes {call.minutes:g}: {GOES_ON}"


def _measure(one: Measurement, call: Call) -> dict[str, Any] | None:
    """Returns what is kept of a measurement; None if the call's end, or a person, cut it short."""
    began = time.monotonic()
    own, left = one.stop_after or PATIENCE * one.seconds, call.until - began
    ended = child.run(one.words, _log(one, call), min(own, left), one.trains, call.stopped)
    if ended.cut and (left < own or call.stopped()):
        return None
    entry = {
        "status": figures.DONE,
        "date": datetime.date.today().isoformat(),
        "seconds": round(time.monotonic() - began, 1),
        "error": "",
        "figures": [],
        "details": {},
    }
    try:
        found = _found(one, ended, own)
    except ChildError as error:
        return entry | {"status": figures.FAILED, "error": str(error)}
    return entry | {"figures": found.pop("figures", []), "details": found}


def _found(one: Measurement, ended: Ended, seconds: float) -> dict[str, Any]:
    """Returns what a measurement printed; nothing of one that trains. Raises ChildError."""
    if not one.trains or (ended.cut and not one.stop_after):
        return child.parsed(ended, seconds)
    if ended.code not in (0, INTERRUPTED):
        raise ChildError(ended.how)
    return {}


def _log(one: Measurement, call: Call) -> pathlib.Path:
    return call.out / LOGS / f"{re.sub(r'[^A-Za-z0-9_-]', '-', one.name)}.log"
