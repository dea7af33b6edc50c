"""The desk of an overseer in the browser: a session in the worker, which a page asks by its id.

What it decides is on disk at once, so that nothing is lost if the worker or the page ends. The desk
of a run is one: it is locked as `selfplay oversee` locks it, and given back when the page leaves,
when nobody has asked for a while, or with the process.
"""

import contextlib
import dataclasses
import functools
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from scripts.web.ops.permission import require_run
from scripts.web.ops.player_argument import MAX_SIMULATIONS
from scripts.web.ops.question import Args, Op, Tell, finite, number, text
from selfplay import positions
from selfplay.analysis import ranked
from selfplay.files import durable
from selfplay.oversight.decisions import moves_of
from selfplay.oversight.session import Line, OverseerSession, answer_of
from training.oversight import desk
from training.storage.run_folder import RunFolder

IDLE_S = 600.0  # without a request, after which a desk is given back
MOST_POSITIONS, MOST_LINES, MOST_NAME = 1000, 32, 80
REMEMBERED = 64  # sessions that have ended, of which it is known why
UNKNOWN = (
    "this session has ended: the process that held it was started anew. What was decided is on "
    "disk; begin again to go on"
)


class HeldError(ValueError):
    """Another page of this server has the desk of a run."""


class EndedError(Exception):
    """A session that is no more; the message says why."""


@dataclasses.dataclass
class Desk:
    """A session, and what keeps its lock."""

    key: str
    run: str
    session: OverseerSession
    close: Callable[[], None]  # gives the lock back
    notes: list[str]  # what was odd in the files that were read
    log: list[str] = dataclasses.field(default_factory=list)  # what was done with each position
    used: float = dataclasses.field(default_factory=time.monotonic)  # when somebody last asked
    busy: threading.Lock = dataclasses.field(default_factory=threading.Lock)


class Desks:
    """The sessions of all pages."""

    def __init__(self, idle_s: float = IDLE_S) -> None:
        self.idle_s = idle_s
        self._open: dict[str, Desk] = {}
        self._why: dict[str, str] = {}  # why a session has ended
        self._lock = threading.Lock()

    def begin(self, order: desk.Order, check: Callable[[], None], instead: bool = False) -> Desk:
        """Opens a session.

        Args:
          check: called when it is ready; what it raises closes the session.
          instead: end the session of another page, if one has the desk.

        Raises:
          HeldError: another page has the run's desk; says who.
          ValueError: another process has it; says which.
        """
        if (other := self._at(order.run)) is not None:
            if not instead:
                raise HeldError(
                    f"{other.session.about['by']} decides for {order.run} in another page, which "
                    f"asked {time.monotonic() - other.used:.0f} s ago. A page that is left ends "
                    f"its session, and so does {self._minutes()} without a request"
                )
            with other.busy:
                self.end(
                    other.key,
                    "this session was ended by another page, which decides now. What was decided "
                    "here is on disk",
                )
        notes: list[str] = []
        stack = contextlib.ExitStack()
        try:
            session = stack.enter_context(desk.sit_down(order, notes.append))
            check()
        except BlockingIOError:
            raise ValueError(_taken(order.run)) from None
        except BaseException:
            stack.close()
            raise
        opened = Desk(secrets.token_hex(8), order.run, session, stack.close, notes)
        with self._lock:
            self._open[opened.key] = opened
        self._wait(opened)
        return opened

    @contextlib.contextmanager
    def use(self, key: str) -> Iterator[Desk]:
        """Yields a session that nobody else uses meanwhile. Raises EndedError if it is no more."""
        with self._lock:
            found = self._open.get(key)
            if found is None:
                raise EndedError(self._why.get(key, UNKNOWN))
        with found.busy:
            if key not in self._open:  # it has ended while we waited
                raise EndedError(self._why.get(key, UNKNOWN))
            found.used = time.monotonic()
            yield found
            found.used = time.monotonic()

    def end(self, key: str, why: str) -> None:
        """Gives a desk back."""
        with self._lock:
            found = self._open.pop(key, None)
            self._why[key] = why
            if len(self._why) > REMEMBERED:
                del self._why[next(iter(self._why))]
        if found is not None:
            found.close()

    def _at(self, run: str) -> Desk | None:
        with self._lock:
            return next((one for one in self._open.values() if one.run == run), None)

    def _wait(self, opened: Desk) -> None:
        """Has a session ended once nobody asks any more."""
        left = opened.used + self.idle_s - time.monotonic()
        timer = threading.Timer(max(0.0, left), self._look, [opened])
        timer.daemon = True
        timer.start()

    def _look(self, opened: Desk) -> None:
        if opened.key not in self._open:
            return
        if time.monotonic() < opened.used + self.idle_s or not opened.busy.acquire(blocking=False):
            self._wait(opened)
            return
        try:
            self.end(
                opened.key,
                f"this session was ended after {self._minutes()} without a request, so that others "
                "can decide for this run. What was decided is on disk; begin again to go on",
            )
        finally:
            opened.busy.release()

    def _minutes(self) -> str:
        return f"{self.idle_s / 60:.0f} minutes"


DESKS = Desks()


def begin(args: Args, tell: Tell) -> dict[str, Any]:
    """Opens a session at the desk of `run`, and returns its first position.

    If another page has the desk, the answer is `held`, who has it, unless the question says that
    this one comes `instead`.
    """
    run, by = text(args, "run"), str(args.get("by") or "").strip() or desk.user_name()
    if len(by) > MOST_NAME:
        raise ValueError(f"a name has at most {MOST_NAME} characters")
    require_run(run)
    step = args.get("step")
    order = desk.Order(
        run=run,
        by=by,
        step=None if step is None else number(args, "step", 0, 0, 2**53),
        simulations=number(args, "simulations", 128, 1, MAX_SIMULATIONS),
        count=number(args, "count", desk.BY_HAND, 1, MOST_POSITIONS),
        seed=number(args, "seed", 0, 0, 2**32 - 1),
        play=args.get("play") is True,
    )
    tell.note("loading the network, looking for positions where search changes it most")
    try:
        opened = DESKS.begin(order, tell.check, args.get("instead") is True)
    except HeldError as error:
        return {"held": str(error)}
    with DESKS.use(opened.key):
        return _view(opened)


def _asking(run: Callable[[Desk, Args, Tell], dict[str, Any]]) -> Op:
    """Returns a question to an open session; the answer has `ended` if there is none any more."""

    @functools.wraps(run)
    def ask(args: Args, tell: Tell) -> dict[str, Any]:
        try:
            with DESKS.use(text(args, "session")) as opened:
                return run(opened, args, tell)
        except EndedError as ended:
            return {"ended": str(ended)}

    return Op(ask, "search")


def state(opened: Desk, args: Args, tell: Tell) -> dict[str, Any]:
    """Returns the position in hand; with `candidates`, also what A thinks of it."""
    return _view(opened, args.get("candidates") is True)


def look(opened: Desk, args: Args, tell: Tell) -> dict[str, Any]:
    """Returns what copies of A find behind `lines` of moves."""
    _in_hand(opened, args)
    lines = args.get("lines")
    if not isinstance(lines, list) or not 0 < len(lines) <= MOST_LINES:
        raise ValueError(f"'lines' must be a list of at most {MOST_LINES} lists of moves")
    if not all(map(moves_of, lines)):
        raise ValueError("a line to look behind has at least one move")
    return {"lines": [_line(opened, line) for line in opened.session.look(list(map(tuple, lines)))]}


def decide(opened: Desk, args: Args, tell: Tell) -> dict[str, Any]:
    """Stores a decision, `play` or `weights` and perhaps a `value`; returns the next position."""
    session = opened.session
    _in_hand(opened, args)
    here = session.state
    decision = session.decide(*answer_of({k: args[k] for k in DECISION if k in args}))
    search = decision.extra["search"]
    name = session.game.action_to_string(here, decision.action)
    others, loss = len(decision.weights) - 1, f"{search['regret']:.2f}"
    opened.log.append(
        f"{name}{f' and {others} more' if others else ''}: "
        f"{'as A would play' if search['agrees'] else 'unlike A'}"
        f"{f', loses {loss} of value, as A sees it' if float(loss) else ''}"
    )
    tell.part(_view(opened))
    return _view(opened, args.get("candidates") is True)


def skip(opened: Desk, args: Args, tell: Tell) -> dict[str, Any]:
    """Leaves the position in hand undecided; returns the next one."""
    _in_hand(opened, args)
    opened.session.skip()
    opened.log.append("skipped")
    tell.part(_view(opened))
    return _view(opened, args.get("candidates") is True)


def undo(opened: Desk, args: Args, tell: Tell) -> dict[str, Any]:
    """Takes the last decision or skip back; returns its position."""
    if args.get("dealt") != len(opened.session.done):
        raise ValueError(STALE)
    if not opened.session.undo():
        raise ValueError("there is nothing to take back")
    opened.log.pop()
    tell.part(_view(opened))
    return _view(opened, args.get("candidates") is True)


def end(opened: Desk, args: Args, tell: Tell) -> dict[str, Any]:
    """Gives the desk back; returns what was decided, in words."""
    session = opened.session
    DESKS.end(opened.key, "this session was ended. What was decided is on disk")
    said = f"{desk.in_words(session.summary())}; by {session.about['by']}"
    return {"said": [said, *desk.conclusion(session)]}


DECISION = ("play", "weights", "value")
STALE = "another position is in hand by now: nothing was done"


def _in_hand(opened: Desk, args: Args) -> None:
    """Raises ValueError unless the page shows the position in hand, and there is one."""
    if not opened.session.waiting:
        raise ValueError("no position is left to decide")
    if args.get("dealt") != len(opened.session.done):
        raise ValueError(STALE)


def _view(opened: Desk, candidates: bool = False) -> dict[str, Any]:
    """Returns the session as a page shows it."""
    session = opened.session
    waits = bool(session.waiting)
    answer: dict[str, Any] = finite(
        {
            "session": opened.key,
            "run": opened.run,
            "game": session.spec,
            **session.about,
            "dealt": len(session.done),
            "moves": list(session.moves) if waits else None,
            "summary": session.summary(),
            "log": opened.log,
            "notes": opened.notes,
            "file": session.path,
            "candidates": _candidates(session) if waits and candidates else None,
        }
    )
    return answer


def _candidates(session: OverseerSession) -> dict[str, Any]:
    """Returns A's opinion of the position in hand, which the decision will say was asked for."""
    result = session.candidates().result
    if {"candidates": True} not in session.asked:
        session.note("candidates")
    return {
        "value": float(result.value),
        "raw_value": float(result.raw_value),
        "best": int(result.action),
        "moves": [
            {
                "action": action,
                "name": session.game.action_to_string(session.state, action),
                "prior": float(result.prior[action]),
                "visits": int(result.visit_counts[action]),
                "q": float(result.q[action]),
                "weight": float(result.action_weights[action]),
            }
            for action in ranked(result, session.state.legal_action_mask)
        ],
    }


def _line(opened: Desk, line: Line) -> dict[str, Any]:
    game, here = opened.session.game, opened.session.state
    words = positions.notation(game, here, line.moves + line.expects)
    return {
        "moves": list(line.moves),
        "names": words[: len(line.moves)],
        "value": line.value,
        "expects": list(line.expects),
        "expects_names": words[len(line.moves) :],
        "over": line.over,
    }


def _taken(run: str) -> str:
    """Returns who has the desk of a run, of other processes."""
    holder = "another process"
    with contextlib.suppress(OSError):
        file = desk.lock_of(RunFolder(run))
        holder = durable.name_of(file.read_text(errors="replace")[: durable.MAX_HOLDER])
    return (
        f"somebody decides for {run} already: {holder} has the desk, perhaps `selfplay oversee` in "
        "a terminal or another `selfplay web`. It must end there first"
    )


OPS = {
    "oversee_begin": Op(begin, "search"),  # a person waits
    "oversee_state": _asking(state),
    "oversee_look": _asking(look),
    "oversee_decide": _asking(decide),
    "oversee_skip": _asking(skip),
    "oversee_undo": _asking(undo),
    "oversee_end": _asking(end),
}
