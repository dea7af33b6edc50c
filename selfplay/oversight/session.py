"""A session of an overseer: positions to decide, copies of A as assistants, and what was decided.

The overseer is a person or a program. For each position it may ask A for candidates and send
copies of A off to search lines that it names; then it decides, by a move or a distribution over
moves. Each decision is on disk at once, with where it comes from.
"""

import collections
import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from games.game import State
from selfplay import positions
from selfplay.analysis import Analysis, analyse, ranked
from selfplay.files import durable
from selfplay.oversight import decisions
from selfplay.oversight.decisions import Decision
from selfplay.players import Player

EXPECTED_PLIES = 4  # of what A expects behind a line


class Line(NamedTuple):
    """A line of moves, and what a copy of A makes of it."""

    moves: tuple[int, ...]  # from the position to decide
    value: float  # for the seat that decides
    expects: tuple[int, ...]  # how A expects it to go on
    over: bool  # whether the game ends with the line


class Done(NamedTuple):
    """A position that has been dealt with."""

    moves: tuple[int, ...]
    decision: Decision | None  # None if it was skipped
    followed: bool  # whether the position after the decision was put next


class OverseerSession:
    """Positions that wait for a decision, the first one being the one in hand.

    Args:
      player: A with its search: the assistants.
      path: the file of decisions, whose lock is held; empty: they are not stored.
      about: what each decision says of where it comes from.
      follow: play on: after a decision, the position that its move leads to is next.
      analyses: what A's search thinks of positions where that is known already.
    """

    def __init__(
        self,
        player: Player,
        spec: str,
        path: str,
        about: dict[str, Any],
        waiting: Iterable[tuple[int, ...]],
        follow: bool = False,
        analyses: Mapping[tuple[int, ...], Analysis] | None = None,
    ) -> None:
        self.player, self.game, self.spec, self.path = player, player.game, spec, path
        self.about, self.follow = about, follow
        self.waiting = collections.deque(waiting)
        self.done: list[Done] = []
        self.watch: Callable[[], None] = lambda: None  # called when a position is dealt with
        self.key = jax.random.key(0)  # A's search draws no lots
        self.asked: list[dict[str, Any]] = []  # about the position in hand
        self._analyses = analyses or {}
        self._analysis: Analysis | None = None
        self._take_up()

    @property
    def moves(self) -> tuple[int, ...]:
        """The actions that lead to the position in hand."""
        return self.waiting[0]

    def candidates(self) -> Analysis:
        """Returns what A thinks of the position in hand."""
        if self._analysis is None:
            self._analysis = analyse(self.player, self.state, self.key, self.moves, 1)
        return self._analysis

    def look(self, lines: Sequence[tuple[int, ...]]) -> list[Line]:
        """Sends copies of A off to search behind lines of moves, each from the position in hand.

        Raises:
          ValueError: a move is illegal.
        """
        looked = [self._look(tuple(line)) for line in lines]
        self.asked += [{"look": list(line.moves), "value": round(line.value, 4)} for line in looked]
        return looked

    def decide(self, weights: dict[int, float], value: float | None = None) -> Decision:
        """Stores a decision for the position in hand, and takes up the next one.

        Args:
          weights: by action; they sum to 1.
          value: of the position for the seat to play, if the overseer knows; else A's search says.

        Raises:
          ValueError: an action is illegal.
        """
        legal = np.flatnonzero(self.state.legal_action_mask).tolist()
        for action in weights:
            if action not in legal:
                raise ValueError(f"action {action} is illegal here; legal: {legal}")
        result = self.candidates().result
        searched = _search_verdict(result, weights)
        about = {
            **self.about,
            "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "value_by": "search" if value is None else "overseer",
            "search": searched,
            "asked": self.asked,
        }
        value = searched["value"] if value is None else value
        decision = Decision(self.spec, self.moves, weights, value, about)
        if self.path:
            decisions.append(self.path, decision)
        after = positions.step(self.game, self.state, np.int32(decision.action))
        follow = self.follow and not bool(after.terminated)
        self.done.append(Done(self.waiting.popleft(), decision, follow))
        if follow:
            self.waiting.appendleft((*self.done[-1].moves, decision.action))
        self._take_up()
        return decision

    def decide_elsewhere(
        self, moves: tuple[int, ...], weights: dict[int, float], value: float | None
    ) -> Decision:
        """Stores a decision for a position that does not wait, after `moves` from the opening.

        Raises:
          ValueError: the rules forbid a move, or the decision.
        """
        given = Decision(self.spec, moves, weights, value or 0.0)
        _, (objection,) = decisions.check(self.game, [given])
        if objection:
            raise ValueError(objection)
        follow, self.follow = self.follow, False
        self.waiting.appendleft(moves)
        self._take_up()
        try:
            return self.decide(weights, value)
        finally:
            self.follow = follow

    def skip(self) -> None:
        """Leaves the position in hand undecided."""
        self.done.append(Done(self.waiting.popleft(), None, False))
        self._take_up()

    def undo(self) -> bool:
        """Takes back the last decision or skip of this session; False if there is none."""
        if not self.done:
            return False
        last = self.done.pop()
        if last.decision is not None and self.path:
            lines = durable.keep_lines(self.path)
            durable.keep_lines(self.path, len(lines) - 1)
        if last.followed:
            self.waiting.popleft()
        self.waiting.appendleft(last.moves)
        self._take_up()
        return True

    def note(self, question: str) -> None:
        """Notes what the overseer asked, for the decision's provenance."""
        self.asked.append({question: True})

    def summary(self) -> dict[str, Any]:
        """Returns counts, and how A's search sees the decisions."""
        made = [done.decision.extra["search"] for done in self.done if done.decision is not None]
        return {
            "decided": len(made),
            "skipped": len(self.done) - len(made),
            "left": len(self.waiting),
            "agrees": float(np.mean([row["agrees"] for row in made])) if made else None,
            "regret": float(np.mean([row["regret"] for row in made])) if made else None,
        }

    def _take_up(self) -> None:
        self.watch()
        self.asked, self._analysis = [], None
        if self.waiting:
            self._analysis = self._analyses.get(self.moves)
            self.state: State = positions.take(positions.replay(self.game, [self.moves]).states, 0)

    def _look(self, line: tuple[int, ...]) -> Line:
        state, seat = self.state, int(self.state.to_play)
        for number, action in enumerate(line, start=1):
            legal = np.asarray(state.legal_action_mask)
            if not (0 <= action < len(legal) and legal[action]):
                raise ValueError(f"move {number} of the line, action {action}, is illegal")
            state = positions.step(self.game, state, np.int32(action))
        if bool(state.terminated):
            return Line(line, float(np.asarray(self.game.returns(state))[seat]), (), True)
        behind = analyse(self.player, state, self.key, (*self.moves, *line), EXPECTED_PLIES)
        sign = 1.0 if int(state.to_play) == seat else -1.0
        return Line(line, sign * float(behind.result.value), behind.principal_variation, False)


def position_json(session: OverseerSession) -> dict[str, Any]:
    """Returns the position in hand, with A's candidates, as a program gets it."""
    game, state = session.game, session.state
    result = session.candidates().result
    session.note("candidates")
    return {
        "game": session.spec,
        "moves": list(session.moves),
        "to_play": int(state.to_play),
        "board": game.render(state),
        "legal": np.flatnonzero(state.legal_action_mask).tolist(),
        "value": round(float(result.value), 4),
        "candidates": [
            {
                "action": action,
                "move": game.action_to_string(state, action),
                "prior": round(float(result.prior[action]), 4),
                "visits": int(result.visit_counts[action]),
                "value": round(float(result.q[action]), 4),
                "weight": round(float(result.action_weights[action]), 4),
            }
            for action in ranked(result, state.legal_action_mask)
        ],
    }


def answer_of(fields: Any) -> tuple[dict[int, float], float | None]:
    """Returns weights and value of `{"play": 4}` or `{"weights": {"4": 0.7, ...}}`.

    Raises:
      ValueError: it is no decision; legality is not looked at.
    """
    if not isinstance(fields, dict) or ("play" in fields) == ("weights" in fields):
        raise ValueError(
            'a decision is {"play": ACTION} or {"weights": {"ACTION": SHARE, ...}}, with a "value" '
            f"if known, got {repr(fields)[:80]}"
        )
    given = fields.get("value")
    value = None if given is None else decisions.value_of(given)
    if "weights" in fields:
        return decisions.weights_of(fields["weights"]), value
    if type(fields["play"]) is not int:
        raise ValueError(f"play must be an action number, got {repr(fields['play'])[:40]}")
    return {fields["play"]: 1.0}, value


def _search_verdict(result: Any, weights: dict[int, float]) -> dict[str, Any]:
    """Returns what A's search says of a decision: regret is what it costs, in value."""
    best = int(result.action)
    decided = sum(weight * float(result.q[action]) for action, weight in weights.items())
    heaviest = max(weights.values())
    return {
        "value": round(float(np.clip(result.value, -1, 1)), 4),
        "best": best,
        "agrees": weights.get(best, 0.0) == heaviest,
        "regret": round(max(0.0, float(result.q[best]) - decided), 4),
    }
