"""An annotation session in the browser: held in the worker, asked by a page with its key.

What it decides is on disk at once, so that nothing is lost if the worker or the page ends. A run is
locked as `selfplay oversee` locks it, and free again when the page leaves or another page begins,
or with the process.
"""

import contextlib
import dataclasses
import secrets
import threading
from collections.abc import Callable, Iterator
from typing import Any

from scripts.web.ops.analysis import View
from scripts.web.ops.permission import require_run
from scripts.web.ops.player_argument import MAX_SIMULATIONS
from scripts.web.ops.question import Args, Op, Tell, finite, number, text
from selfplay import positions
from selfplay.files import durable
from selfplay.oversight.decisions import moves_of
from selfplay.oversight.session import Line, OverseerSession, answer_of
from training.oversight import desk
from training.storage.run_folder import RunFolder

MOST_POSITIONS, MOST_LINES, MOST_NAME = 1000, 32, 80
ENDED = (
    "this session has ended: another page decides for the run now, or the process that held it was "
    "started anew. What was decided is on disk; begin again to go on"
)


@dataclasses.dataclass
class Desk:
    """A session, and what keeps its lock."""

    key: str
    run: str
    session: OverseerSession
    close: Callable[[], None]  # gives the lock back
    notes: list[str]  # what was odd in the files that were read
    log: list[str] = dataclasses.field(default_factory=list)  # what was done with each position
    busy: threading.Lock = dataclasses.field(default_factory=threading.Lock)


class Desks:
    """The sessions of all pages, one a run."""

    def __init__(self) -> None:
        self._open: dict[str, Desk] = {}

    def begin(self, order: desk.Order, check: Callable[[], None]) -> Desk:
        """Opens a session; ends that of another page for the same run.

        Args:
          check: called when it is ready; what it raises closes the session.

        Raises:
          ValueError: another process decides for the run; says which.
        """
        for other in [one for one in self._open.values() if one.run == order.run]:
            with other.busy:
                self.end(other)
        notes: list[str] = []
        with contextlib.ExitStack() as stack:
            try:
                session = stack.enter_context(desk.sit_down(order, notes.append))
            except BlockingIOError:
                raise ValueError(_taken(order.run)) from None
            check()
            close = stack.pop_all().close
        opened = Desk(secrets.token_hex(8), order.run, session, close, notes)
        self._open[opened.key] = opened
        return opened

    @contextlib.contextmanager
    def use(self, key: str) -> Iterator[Desk | None]:
        """Yields a session that nobody else uses meanwhile; None if it is no more."""
        found = self._open.get(key)
        with found.busy if found else contextlib.nullcontext():
            yield self._open.get(key)  # it may have ended while we waited

    def end(self, ended: Desk) -> None:
        """Gives a desk back."""
        if self._open.pop(ended.key, None):
            ended.close()


DESKS = Desks()


def begin(args: Args, tell: Tell) -> dict[str, Any]:
    """Opens a session for `run`, in the place of another page's, and returns its first position."""
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
    return _view(DESKS.begin(order, tell.check))


def _asking(run: Callable[[Desk, Args, Tell], dict[str, Any]]) -> Op:
    """Returns a question to an open session; the answer has `ended` if there is none any more."""

    def ask(args: Args, tell: Tell) -> dict[str, Any]:
        with DESKS.use(text(args, "session")) as opened:
            return {"ended": ENDED} if opened is None else run(opened, args, tell)

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
    DESKS.end(opened)
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
    if {"candidates": True} not in session.asked:
        session.note("candidates")
    view = View(session.game, session.state, session.moves)
    return view.of(session.candidates().result, session.about["simulations"])


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
