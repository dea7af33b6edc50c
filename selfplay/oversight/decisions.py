"""Decisions of an overseer: written, read back and checked by replaying.

A file holds one JSON line a decision: `{"game": SPEC, "moves": [...], "weights": {"4": 0.7, ...},
"value": v, ...}`. `moves` are the action numbers from the opening to the position, `weights` what
the overseer would do there, by action number, `value` what the position is worth to the seat to
play. The other keys say where the decision comes from; they are kept as they are.
"""

import collections
import dataclasses
import json
import os
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from games.game import Game, State
from selfplay import positions
from selfplay.files import durable, json_lines

CHUNK = 128  # positions replayed at once
TOLERANCE = 1e-3  # by which weights may miss a sum of 1


@dataclasses.dataclass(frozen=True)
class Decision:
    """What an overseer would do in one position."""

    game: str  # its spec
    moves: tuple[int, ...]  # action numbers, from the opening position
    weights: dict[int, float]  # by action; they sum to 1
    value: float  # in [-1, 1], for the seat to play
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)  # where it comes from

    @property
    def action(self) -> int:
        """The action that weighs most, the lowest of equal ones."""
        return min(self.weights, key=lambda action: (-self.weights[action], action))


class Scan(NamedTuple):
    """What a file holds, in its order."""

    decisions: list[Decision]
    states: State | None  # their positions, batched; None if there is no decision
    problems: list[str]  # one for each bad line: file, line, what is wrong


def append(path: str | os.PathLike[str], decision: Decision) -> None:
    """Adds a decision to the end of a file, which need not exist; it is on disk on return."""
    line = {
        "game": decision.game,
        "moves": list(decision.moves),
        "weights": {str(action): weight for action, weight in decision.weights.items()},
        "value": decision.value,
        **decision.extra,
    }
    durable.append(path, json.dumps(line) + "\n")


def scan(path: str | os.PathLike[str], spec: str, game: Game[Any]) -> Scan:
    """Returns the decisions of a file that are right, and what is wrong with the other lines.

    Args:
      spec: of the game that they must be of.

    Raises:
      ValueError: the file is no text, or too large.
    """
    placed: list[tuple[str, Decision]] = []
    problems: list[str] = []
    for place, line in json_lines.read(path):
        try:
            placed.append((place, _parse(json_lines.parse(line, place), spec)))
        except ValueError as error:
            text = str(error)
            problems.append(text if text.startswith(place) else f"{place}: {text}")
    decisions, parts = [], []
    longest = max((len(decision.moves) for _, decision in placed), default=1)
    for first in range(0, len(placed), CHUNK):
        chunk = placed[first : first + CHUNK]
        states, objections = check(game, [decision for _, decision in chunk], longest)
        good = [i for i, objection in enumerate(objections) if not objection]
        decisions += [chunk[i][1] for i in good]
        parts.append(positions.take(states, np.array(good, int)))
        problems += [
            f"{place}: {objection}"
            for (place, _), objection in zip(chunk, objections, strict=True)
            if objection
        ]
    return Scan(decisions, positions.concatenate(parts) if decisions else None, problems)


def check(
    game: Game[Any], decisions: Iterable[Decision], longest: int = 1
) -> tuple[State, list[str]]:
    """Returns the positions of decisions, and what the rules have against each; "" for nothing.

    Args:
      longest: a number of moves to compile for, as in `positions.replay`.
    """
    decisions = list(decisions)
    # Few numbers, so that it compiles a few times.
    missing = (1 << (len(decisions) - 1).bit_length()) - len(decisions)
    moves = [decision.moves for decision in decisions]
    replayed = positions.replay(game, [*moves, *[()] * missing], longest)
    states = positions.take(replayed.states, slice(len(decisions)))
    objections = []
    for i, decision in enumerate(decisions):
        legal = np.flatnonzero(states.legal_action_mask[i]).tolist()
        plies = int(replayed.legal_plies[i])
        forbidden = [action for action in decision.weights if action not in legal]
        if plies < len(decision.moves):
            objection = f"move {plies + 1}, action {decision.moves[plies]}, is illegal"
        elif states.terminated[i]:
            objection = "the game is over there: nothing is to be decided"
        elif forbidden:
            objection = f"the decision weighs action {forbidden[0]}, which is illegal"
        else:
            objection = ""
        objections.append(objection)
    return states, objections


def by_of(decision: Decision) -> str:
    """Returns who made a decision, as its line says."""
    return str(decision.extra.get("by") or "unknown")


def tally(decisions: Iterable[Decision]) -> str:
    """Returns whose decisions there are, as in `9 by script a.txt, 3 by ann`, most first."""
    counts = collections.Counter(by_of(decision) for decision in decisions)
    return ", ".join(f"{number} by {who}" for who, number in counts.most_common())


def weights_of(given: Any) -> dict[int, float]:
    """Returns weights by action from `{"4": 0.7, "5": 0.3}`, whose sum must be 1.

    Raises:
      ValueError: they are no distribution over action numbers; legality is not looked at.
    """
    if not isinstance(given, dict) or not given:
        raise ValueError(f"weights must be an object of action numbers, got {repr(given)[:80]}")
    for action, weight in given.items():
        if not (len(str(action)) < 9 and str(action).isdecimal() and str(int(action)) == action):
            raise ValueError(f"weights are by action number, got {str(action)[:40]!r}")
        if not json_lines.is_number(weight) or weight < 0:
            raise ValueError(
                f"the weight of {action} must be a number from 0 on, got {repr(weight)[:40]}"
            )
    total = sum(given.values())
    if abs(total - 1) > TOLERANCE:
        raise ValueError(f"weights must sum to 1, got {total:g}")
    return {int(action): weight / total for action, weight in given.items() if weight > 0}


def value_of(given: Any) -> float:
    """Returns a value in [-1, 1]; raises ValueError for anything else."""
    if not json_lines.is_number(given) or abs(given) > 1:
        raise ValueError(f"value must be a number from -1 to 1, got {repr(given)[:40]}")
    return float(given)


def moves_of(given: Any) -> tuple[int, ...]:
    """Returns a list of action numbers as a tuple; raises ValueError for anything else."""
    if not isinstance(given, list) or not all(type(action) is int for action in given):
        raise ValueError(f"moves must be a list of action numbers, got {repr(given)[:80]}")
    return tuple(given)


def _parse(fields: Any, spec: str) -> Decision:
    if not isinstance(fields, dict):
        raise ValueError(f"a decision is a JSON object, got {repr(fields)[:40]}")
    if fields.get("game") != spec:
        raise ValueError(f"a decision in {repr(fields.get('game'))[:40]}, wanted is {spec!r}")
    return Decision(
        game=spec,
        moves=moves_of(fields.get("moves")),
        weights=weights_of(fields.get("weights")),
        value=value_of(fields.get("value")),
        extra={
            key: value
            for key, value in fields.items()
            if key not in ("game", "moves", "weights", "value")
        },
    )
