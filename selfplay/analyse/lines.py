"""The move list of an analysis query: a line of play by our rules through each turn it asks for."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from games.game import Game
from games.go import Go
from selfplay.analyse.fields import QUOTED, SEATS, Fields, QueryError
from selfplay.engines.go_turns import turn_to


class Line(NamedTuple):
    """Moves from the opening position, among them the passes that our rules of Go need."""

    actions: tuple[int | str, ...]  # text where only the position tells the action
    seats: tuple[int, ...]
    numbers: tuple[int, ...]  # their indices in the query's `moves`; -1: none


class _Unseen:
    """Stands for a position; whoever looks at it fails."""

    __slots__ = ()

    def __bool__(self) -> bool:
        raise TypeError("this position is not to be looked at")


def names_of(game: Game[Any]) -> dict[str, int]:
    """Returns each action by its name in lower case, if no name depends on the position."""
    unseen: Any = _Unseen()
    try:
        names = {game.action_to_string(unseen, a).lower(): a for a in range(game.num_actions)}
    except Exception:  # it has looked
        return {}
    return names if len(names) == game.num_actions else {}


def location(game: Game[Any], names: dict[str, int], text: str, field: str) -> int | str:
    """Returns the action that a text names, or the text if only the position tells it."""
    if not names:
        return text
    action = names.get(text.lower())
    if action is None and isinstance(game, Go):
        match = re.fullmatch(r"\((\d{1,3}),(\d{1,3})\)", text.replace(" ", ""), re.ASCII)
        x, y = (int(match[1]), int(match[2])) if match else (game.size, 0)
        action = y * game.size + x if max(x, y) < game.size else None
    if action is None:
        raise QueryError(f"Could not parse board location: {text[:QUOTED]}", field)
    return action


def lines_of(
    game: Game[Any],
    names: dict[str, int],
    fields: Fields,
    moves: Sequence[tuple[int, str]],
    turns: Sequence[int],
) -> dict[int, tuple[Line, int]]:
    """Returns a line through each turn, and the turn's ply in it.

    It is that of the whole game where that leads there: so what is illegal anywhere in a game is
    found at each of its positions.
    """
    stones = fields.moves("initialStones")
    first = _first(game, fields, stones, moves)
    actions = [location(game, names, text, "moves") for _, text in moves]
    if not isinstance(game, Go):
        if stones:
            raise QueryError("Only games of Go may begin with stones on the board", "initialStones")
        whole = Line(tuple(actions), tuple(seat for seat, _ in moves), tuple(range(len(moves))))
        return {turn: (whole, turn) for turn in turns}
    placed = [
        (-1, seat, int(location(game, names, text, "initialStones"))) for seat, text in stones
    ]
    if any(action == game.size**2 for _, _, action in placed):
        raise QueryError("Could not parse board location: pass", "initialStones")
    played = [(number, moves[number][0], int(action)) for number, action in enumerate(actions)]
    whole, found = _line_of_go([*placed, *played], None, game.size), {}
    for turn in turns:
        own = _line_of_go([*placed, *played[:turn]], None if turn else first, game.size)
        ply = len(own.actions)
        found[turn] = (whole if whole.actions[:ply] == own.actions else own, ply)
    return found


def _first(
    game: Game[Any], fields: Fields, stones: Sequence[Any], moves: Sequence[tuple[int, str]]
) -> int:
    """Returns the seat to play at turn 0."""
    value = fields.take("initialPlayer")
    if value is not None and (not isinstance(value, str) or value.lower() not in SEATS):
        raise QueryError('Must be "b" or "w"', "initialPlayer")
    given = None if value is None else SEATS[value.lower()]
    if given and not isinstance(game, Go):
        raise QueryError("Only games of Go may begin with a move of w", "initialPlayer")
    if given is not None:
        return given
    return moves[0][0] if moves else int(any(seat == 0 for seat, _ in stones))


def _line_of_go(moves: Sequence[tuple[int, int, int]], seat: int | None, size: int) -> Line:
    """Returns (number, seat, action) moves as a game by our rules, then with `seat` to play."""
    actions, numbers = list[int](), list[int]()
    for number, mover, action in moves:
        actions = turn_to(actions, mover, size**2)
        numbers = [*numbers, -1][: len(actions)]
        actions.append(action)
        numbers.append(number)
    if seat is not None:
        actions = turn_to(actions, seat, size**2)
        numbers = [*numbers, -1][: len(actions)]
    return Line(tuple(actions), tuple(i % 2 for i in range(len(actions))), tuple(numbers))
