"""The laws of a game by name, and what a check of them finds."""

import contextlib
import dataclasses
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax

from games.plug_in import described, own_line

LAWS = {
    "construction": "a game is frozen, hashable, cheap to construct, equal when its options are",
    "import": "nothing touches a device when the module is imported or the game constructed",
    "form": "every method returns the shapes and dtypes of the contract, and step keeps them",
    "purity": "methods are pure: plain, jitted and vmapped calls agree, today and tomorrow",
    "turns": "to_play is 0 or 1, seat 0 starts, and both seats get to play",
    "mask": "some action is legal until the end, none after it, and the mask fits the position",
    "end": "at the end no action changes anything",
    "returns": "returns sum to zero, lie in [-1, 1], and are zero before the end",
    "seats": "the result goes to the seat that earned it",
    "observation": "the observation is the mover's own view, its own pieces in plane 0",
    "alike": "what looks alike has the same legal actions, which lead to what looks alike",
    "symmetry": "a symmetry maps observation, mask and next positions consistently",
    "length": "every game has ended after max_plies plies",
    "overflow": "int8, int16 and the like hold every number that is kept in them",
    "invariant": "what a game says of every position, invariant(state), is true of every position",
    "last board": "what a game says of its ends, final_planes and margin, fits seats and results",
    "notation": "every legal action has a name of its own, which is read back; positions render",
    "board": "on a board that a game declares, every legal action has a place of its own",
    "past": "a game that can forget its past and recall it plays on as if it had not forgotten",
    "illegal actions": "an illegal action may lead anywhere, but never to NaN or infinity",
}

# What to say of the errors by which JAX reports that a function cannot be traced, first match wins.
UNTRACEABLE: tuple[tuple[type[Exception], str], ...] = (
    (
        jax.errors.TracerBoolConversionError,
        "Python `if`, `while`, `and`, `or` or `not` on a traced value; "
        "use jnp.where, and & | ~ between arrays",
    ),
    (
        jax.errors.TracerArrayConversionError,
        "a NumPy function on a traced array; use its jax.numpy twin",
    ),
    (
        jax.errors.NonConcreteBooleanIndexError,
        "an array indexed by a traced mask, whose size is not known; use jnp.where",
    ),
    (
        jax.errors.TracerIntegerConversionError,
        "a traced value as a Python index or a length; index a jax array instead",
    ),
    (
        jax.errors.ConcretizationTypeError,
        "a traced value turned into a Python number, by int(), float() or .item(), or as a shape",
    ),
    (
        jax.errors.UnexpectedTracerError,
        "a traced value kept from an earlier call; keep nothing outside the state",
    ),
)


class Scene(NamedTuple):
    """A position of a finding, for whoever draws it: before an action, and after it."""

    state: Any  # one position, leaves on the host
    action: int | None = None  # tried there
    after: Any | None = None  # what it led to, where that is known
    about: str = ""  # what tells several scenes apart


class Violation(NamedTuple):
    """One broken law, with the case that broke it."""

    law: str  # a key of LAWS
    expected: str
    found: str
    position: str = ""  # as the game renders it; empty where no position is involved
    action: str = ""  # in the game's notation, with its number
    scenes: tuple[Scene, ...] = ()  # the position and the action as the game has them

    def __str__(self) -> str:
        lines = [f"{self.law}: expected {self.expected}; found {self.found}"]
        if self.position:
            lines.append("  position:")
            lines += [f"    {line}" for line in self.position.splitlines()]
        if self.action:
            lines.append(f"  action: {self.action}")
        return "\n".join(lines)


class Report(NamedTuple):
    """The result of a check. A game conforms if it has no violations and no law went untried."""

    violations: tuple[Violation, ...]
    notes: tuple[str, ...]  # what could not be proven, or deserves a look; no fault by itself
    tried: frozenset[str]  # a law goes untried where an earlier one is too broken to go on
    portrait: tuple[str, ...] = ()  # lines that tell of the games played, for who knows the game
    shown: Mapping[str, tuple[Scene, ...]] = types.MappingProxyType({})  # by note, where it has any

    def verdict(self, law: str) -> str:
        """Returns "broken", "holds" or "not tried"."""
        if any(violation.law == law for violation in self.violations):
            return "broken"
        return "holds" if law in self.tried else "not tried"


@dataclasses.dataclass
class Findings:
    """Collects what a check finds; of each kind of violation the first case only."""

    violations: list[Violation] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
    tried: set[str] = dataclasses.field(default_factory=set)
    portrait: list[str] = dataclasses.field(default_factory=list)
    shown: dict[str, tuple[Scene, ...]] = dataclasses.field(default_factory=dict)
    watch: Callable[[str], None] = lambda doing: None  # told what is tried next

    def add(
        self,
        law: str,
        expected: str,
        found: str,
        position: str = "",
        action: str = "",
        scenes: Sequence[Scene] = (),
    ) -> None:
        """Adds a violation, unless there is one already of the same law and expectation."""
        if not self.has(law, expected):
            case = Violation(law, expected, found, position, action, tuple(scenes))
            self.violations.append(case)

    def note(self, text: str, scenes: Sequence[Scene] = ()) -> None:
        """Adds what deserves a look, with the positions that it is about."""
        self.notes.append(text)
        if scenes:
            self.shown[text] = tuple(scenes)

    def has(self, law: str, expected: str) -> bool:
        """Returns whether that expectation is known to be broken."""
        return any((v.law, v.expected) == (law, expected) for v in self.violations)

    def breaks(self, law: str) -> bool:
        """Returns whether the law is known to be broken."""
        return any(violation.law == law for violation in self.violations)

    @contextlib.contextmanager
    def trying(self, *laws: str, doing: str) -> Iterator[None]:
        """Marks `laws` as tried; an exception inside becomes a violation of the first of them."""
        self.tried.update(laws)
        self.watch(doing)
        try:
            yield
        except Exception as error:  # whatever a broken game raises: a check never fails itself
            untraceable = [text for kind, text in UNTRACEABLE if isinstance(error, kind)]
            law = "purity" if untraceable else laws[0]
            observed = untraceable[0] + own_line(error) if untraceable else described(error)
            self.add(law, f"{doing} to run", observed)

    def report(self) -> Report:
        # Laws have the order in which one that is broken breaks others: the cause comes first.
        ordered = sorted(self.violations, key=lambda violation: list(LAWS).index(violation.law))
        return Report(
            tuple(ordered),
            tuple(self.notes),
            frozenset(self.tried),
            tuple(self.portrait),
            types.MappingProxyType(self.shown),
        )
