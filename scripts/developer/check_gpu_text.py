"""The text of a compiled program, as XLA prints it, read into the steps that a device runs."""

import re
from collections.abc import Iterator
from typing import NamedTuple

# What costs nothing: names for parts of memory.
FREE = {"parameter", "tuple", "get-tuple-element", "constant", "bitcast", "partition-id"}
# What a fused kernel is called, by the first of these that it holds.
TELLING = (
    *("convolution", "dot", "sort", "scatter", "dynamic-update-slice", "gather", "reduce"),
    *("concatenate", "pad", "transpose", "copy", "slice", "convert", "iota"),
)


class Step(NamedTuple):
    """An instruction of a compiled program."""

    name: str
    opcode: str
    operands: tuple[str, ...]  # by name
    target: str  # of a custom call, else empty
    origin: str  # the traced operation that asked for it; empty for what XLA adds by itself
    line: str
    # The steps inside: of a loop, a call or a fused kernel one list, of a conditional its branches.
    bodies: tuple[tuple["Step", ...], ...] = ()
    rounds: int | None = 1  # of a loop; None where the compiler does not know


Steps = tuple[Step, ...]


def read(text: str) -> Steps:
    """Returns the steps of a program's entry, with those inside them.

    Raises:
      ValueError: the text has no entry.
    """
    text = re.sub(r"/\*.*?\*/", "", text)
    bodies = {
        name: lines.splitlines()
        for name, lines in re.findall(
            r"^(?:ENTRY )?%?([\w.\-]+) \(.*?\{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL
        )
    }
    entry = re.search(r"^ENTRY %?([\w.\-]+) \(", text, re.MULTILINE)
    if not entry:
        raise ValueError(
            f"this is no text of a compiled program, it has no ENTRY: {text[:60]!r}; pass what "
            "`jit(f).lower(...).compile().as_text()` returns"
        )
    return _steps(bodies, entry[1])


def count(steps: Steps) -> int:
    """Returns how many kernels start: of a conditional the longer branch.

    A loop counts as often as it runs, or once where the compiler does not know.
    """
    return sum(_kernels(step) for step in steps)


def kernels(steps: Steps) -> Steps:
    """Returns the steps that are not free, without those inside loops, calls and conditionals."""
    return tuple(step for step in steps if step.opcode not in FREE)


def every(steps: Steps) -> Iterator[Step]:
    """Yields all steps, those inside others too."""
    for step in steps:
        yield step
        for body in step.bodies:
            yield from every(body)


def loops(steps: Steps) -> list[Step]:
    """Returns all loops, the outer ones first."""
    return [step for step in every(steps) if step.opcode == "while"]


def what(step: Step) -> str:
    """Returns what a step does, in a word: of a fused kernel, the most telling of its parts."""
    if step.opcode == "custom-call":
        return step.target
    if step.opcode != "fusion":
        return step.opcode
    inside = {part.opcode for body in step.bodies for part in body}
    return next((opcode for opcode in TELLING if opcode in inside), "elementwise")


def _kernels(step: Step) -> int:
    if step.opcode in FREE:
        return 0
    if step.opcode == "while":
        return (step.rounds or 1) * count(step.bodies[0])
    if step.opcode in ("conditional", "call"):
        return max(map(count, step.bodies), default=0)
    return 1


def _steps(bodies: dict[str, list[str]], name: str) -> Steps:
    return tuple(step for line in bodies.get(name, ()) if (step := _step(bodies, line)) is not None)


def _step(bodies: dict[str, list[str]], line: str) -> Step | None:
    match = re.search(r"%?([\w.\-]+) = (?:\(.*?\)|\S+) ([\w\-]+)\((.*?)\)", line)
    if not match:
        return None
    name, opcode, operands = match.groups()
    inside = tuple(_steps(bodies, body) for body in _called(opcode, line))
    target = re.search(r'custom_call_target="([^"]*)"', line)
    origin = re.search(r'op_name="([^"]*)"', line)
    rounds = re.search(r'"known_trip_count":\{"n":"(\d+)"', line) if opcode == "while" else None
    return Step(
        name=name,
        opcode=opcode,
        operands=tuple(re.findall(r"%([\w.\-]+)", operands)),
        target=target[1] if target else "",
        origin=origin[1] if origin else "",
        line=line.strip(),
        bodies=inside,
        rounds=int(rounds[1]) if rounds else None if opcode == "while" else 1,
    )


def _called(opcode: str, line: str) -> list[str]:
    """Returns the names of the computations that a step runs."""
    if opcode == "while":
        return re.findall(r"body=%?([\w.\-]+)", line)
    if opcode == "conditional":
        listed = re.search(r"branch_computations=\{(.*?)\}", line)
        if listed:
            return listed[1].replace("%", "").split(", ")
        return re.findall(r"(?:true|false)_computation=%?([\w.\-]+)", line)
    if opcode == "call":
        return re.findall(r"to_apply=%?([\w.\-]+)", line)
    holds = opcode in ("fusion", "async-start")
    return re.findall(r"calls=%?([\w.\-]+)", line) if holds else []
