"""Go games of other programs as games to look at: unfinished ones, with handicap, with variations.

`sgf.read_games` takes what a record needs, a whole game from the empty board. Here a game is taken
as far as it can be, and what could not be used is said.
"""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

from games.go import Go
from selfplay.records import sgf
from selfplay.records.sgf import Node

RESULTS = ("?", "void", "")  # that say nothing


class Draft(NamedTuple):
    """A game, perhaps not finished; whether the rules allow its moves was not looked at."""

    game: str  # its spec; empty where there is none that we could play
    moves: list[int]  # of which the first stand for stones that were set up
    returns: list[float] | None  # by seat; None without a result
    players: list[str]
    ended_by: str  # why it ended, if it says so
    setup: int  # how many moves stand for stones that were set up
    notes: list[str]  # what was done with it, or left out
    problem: str  # why it ends before the file's game does; empty if it does not


def read_drafts(text: str) -> Iterator[Draft]:
    """Yields the games of a file, each by its main line."""
    position = 0
    while start := sgf.START.search(text, position):
        line = sgf.main_line(text, start.start())
        draft = _draft(line.nodes)
        if line.problem:
            draft = draft._replace(problem=draft.problem or line.problem)
        forks = text.count("(", start.start() + 1, line.end)
        if forks > 1:
            draft.notes.append("only its main line is shown: it has variations")
        yield draft
        position = line.end


def _draft(nodes: list[Node]) -> Draft:
    draft = Draft("", [], None, ["black", "white"], "", 0, [], "")
    try:
        root = nodes[0] if nodes else {}
        if sgf.value_of(root, "GM", "1").strip() != "1":
            raise ValueError(f"GM[{sgf.value_of(root, 'GM')[:20]}] is another game than Go")
        size = sgf.read_size(sgf.value_of(root, "SZ", "19"))
        game = Go(size, sgf.read_komi(sgf.value_of(root, "KM", "0")))
    except ValueError as error:
        return draft._replace(problem=str(error))
    names = [sgf.value_of(root, "PB") or "black", sgf.value_of(root, "PW") or "white"]
    returns, ended_by = _result(sgf.value_of(root, "RE"), draft.notes)
    draft = draft._replace(
        game=f"go:size={size},komi={game.komi:g}",
        players=names,
        returns=returns,
        ended_by=ended_by,
    )
    setup: list[int] = []
    try:
        setup = _setup(root, size)
        draft.moves.extend(setup)
        for number, node in enumerate(nodes):
            _play(draft.moves, node, size, is_root=number == 0)
    except ValueError as error:
        draft = draft._replace(problem=str(error))
    if setup:
        draft.notes.append("its set-up stones are shown as moves, with passes between them")
    return draft._replace(setup=len(setup))


def _result(text: str, notes: list[str]) -> tuple[list[float] | None, str]:
    if text.strip().lower() in RESULTS:
        return None, ""
    try:
        return sgf.read_result(text)
    except ValueError as error:
        notes.append(str(error))
        return None, ""


def _setup(root: Node, size: int) -> list[int]:
    """Returns moves that put the stones of the root there; a side that has none to put passes."""
    if "AE" in root:
        raise ValueError("it takes stones off the empty board")
    stones = [[*_points(root.get(f"A{colour}", ()), size)] for colour in sgf.COLOURS]
    moves: list[int] = []
    for pair in itertools.zip_longest(*stones):
        for seat, action in enumerate(pair):
            if action is not None:
                _add(moves, seat, action, size)
    return moves


def _points(values: "list[str] | tuple[()]", size: int) -> Iterator[int]:
    """Yields the points of a list, in which `aa:cc` stands for a rectangle."""
    for value in values:
        first, _, last = value.strip().partition(":")
        corners = [sgf.read_point(text, size, "set-up") for text in (first, last or first)]
        if size**2 in corners:
            raise ValueError(f"set-up: [{value[:20]}] is no point")
        (top, left), (bottom, right) = (divmod(corner, size) for corner in corners)
        for row, col in itertools.product(range(top, bottom + 1), range(left, right + 1)):
            yield row * size + col


def _play(moves: list[int], node: Node, size: int, is_root: bool) -> None:
    """Adds the move of a node, if it has one."""
    place = f"move {len(moves) + 1}"
    if not is_root and any(name in node for name in sgf.SETUP):
        raise ValueError(f"{place}: from here on stones are set up, which is no move")
    played = [(seat, value) for seat in (0, 1) for value in node.get(sgf.COLOURS[seat], ())]
    if len(played) > 1:
        raise ValueError(f"{place}: one node holds {len(played)} moves")
    for seat, value in played:
        _add(moves, seat, sgf.read_point(value, size, place), size)


def _add(moves: list[int], seat: int, action: int, size: int) -> None:
    """Adds a move; the other side passes before it, if it would be to play."""
    if len(moves) % 2 != seat:
        moves.append(size**2)
    moves.append(action)
