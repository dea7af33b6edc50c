"""How clicks on a drawing choose a move: the rule of `Drawing`, which a browser must equal."""

from typing import NamedTuple

from games.drawing.result import Drawing, Move


class Answer(NamedTuple):
    """What some clicks have led to."""

    clicks: tuple[str, ...]  # those that count: a click that no remaining move has begins anew
    played: int | None  # the action that they choose
    remaining: tuple[Move, ...]
    buttons: tuple[Move, ...]


def answer(drawing: Drawing, clicks: tuple[str, ...]) -> Answer:
    """Returns what clicks on spots, one after the other, lead to."""
    counted: tuple[str, ...] = ()
    for spot in clicks:
        going_on = (*counted, spot)
        counted = going_on if _remaining(drawing, going_on) else (spot,)
    remaining = _remaining(drawing, counted)
    alone = bool(counted) and len(remaining) == 1
    whole = alone and len(remaining[0].spots) == len(counted)
    anywhere = tuple(move for move in drawing.moves if not move.spots)
    if whole or not counted:
        return Answer(counted, remaining[0].action if whole else None, remaining, anywhere)
    alike = (move for move in remaining if move.spots == counted)  # no click tells them apart
    return Answer(counted, None, remaining, (*anywhere, *alike))


def ways(drawing: Drawing) -> dict[int, str]:
    """Returns for each legal action how it is reached by a click on each of its spots.

    "clicks", "button" if a button is needed, else "not".
    """
    answers: dict[tuple[str, ...], Answer] = {}  # the moves of a large game share most of them
    return {move.action: _way(drawing, move, answers) for move in drawing.moves}


def _way(drawing: Drawing, move: Move, answers: dict[tuple[str, ...], Answer]) -> str:
    for count in range(len(move.spots) + 1):
        clicks = move.spots[:count]
        found = answers[clicks] = answers.get(clicks) or answer(drawing, clicks)
        if found.played is not None:
            return "clicks" if found.played == move.action else "not"
    return "button" if move in found.buttons else "not"


def _remaining(drawing: Drawing, clicks: tuple[str, ...]) -> tuple[Move, ...]:
    return tuple(move for move in drawing.moves if move.spots[: len(clicks)] == clicks)
