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
USED = {
    "GM",
    "FF",
    "CA",
    "AP",
    "ST",
    "SZ",
    "KM",
    "PB",
    "PW",
    "RE",
    "B",
    "W",
    "AB",
    "AW",
    "HA",
    "PL",
}
# What is not shown, by the properties that hold it, in the order in which it is said.
LEFT_OUT = {
    "comments": ("C", "GC", "N"),
    "labels": ("LB",),
    "marks": ("AR", "CR", "DD", "LN", "MA", "SL", "SQ", "TB", "TR", "TW", "VW"),
    "judgements": ("BM", "DM", "DO", "GB", "GW", "HO", "IT", "TE", "UC", "V"),
    "dates": ("DT",),
    "names of events and places": ("EV", "GN", "ON", "PC", "RO"),
    "names of people and teams": ("AN", "BT", "CP", "SO", "US", "WT"),
    "ranks": ("BR", "WR"),
    "times": ("BL", "OB", "OT", "OW", "TM", "WL"),
    "rules": ("RU",),
}
KIND = {name: kind for kind, names in LEFT_OUT.items() for name in names}
OTHER = "other properties"
MAX_RESULT = 40  # characters


class Draft(NamedTuple):
    """A game, perhaps not finished; whether the rules allow its moves was not looked at."""

    game: str  # its spec; empty where there is none that we could play
    moves: list[int]  # of which the first stand for stones that were set up
    returns: list[float] | None  # by seat; None without a result
    players: list[str]  # by seat; empty where the file does not name them
    result: str  # as the file says it; empty without one
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
        if draft.game and (left := _left_out(line.nodes)):
            draft.notes.append(f"left out of the file: {', '.join(left)}")
        forks = text.count("(", start.start() + 1, line.end)
        if forks > 1:
            draft.notes.append("only its main line is shown: the file's variations are left out")
        yield draft
        position = line.end


def _draft(nodes: list[Node]) -> Draft:
    draft = Draft("", [], None, ["", ""], "", "", 0, [], "")
    try:
        root = nodes[0] if nodes else {}
        if sgf.value_of(root, "GM", "1").strip() != "1":
            raise ValueError(f"GM[{sgf.value_of(root, 'GM')[:20]}] is another game than Go")
        size = sgf.read_size(sgf.value_of(root, "SZ", "19"))
        game = Go(size, sgf.read_komi(sgf.value_of(root, "KM", "0")))
    except ValueError as error:
        return draft._replace(problem=str(error))
    names = [sgf.value_of(root, name).strip() for name in ("PB", "PW")]
    result = sgf.value_of(root, "RE").strip()
    returns, ended_by = _result(result, draft.notes)
    draft = draft._replace(
        game=f"go:size={size},komi={game.komi:g}",
        players=names,
        returns=returns,
        result=result[:MAX_RESULT],
        ended_by=ended_by,
    )
    setup: list[int] = []
    filled = 0
    try:
        setup = _setup(root, size)
        draft.moves.extend(setup)
        for number, node in enumerate(nodes):
            filled += _play(draft.moves, node, size, is_root=number == 0)
    except ValueError as error:
        draft = draft._replace(problem=str(error))
    draft.notes.extend(_filled(len(setup), filled, sgf.value_of(root, "HA").strip()))
    return draft._replace(setup=len(setup))


def _filled(setup: int, passes: int, handicap: str) -> Iterator[str]:
    """Yields what is said of moves that the file does not have."""
    if setup:
        of_handicap = f" (handicap {handicap[:20]})" if handicap not in ("", "0") else ""
        yield (
            f"its set-up stones{of_handicap} are shown, and saved, as moves 1 to {setup}, with "
            f"passes between them where one colour sets up more"
        )
    elif handicap not in ("", "0", "1"):
        yield f"its handicap of {handicap[:20]} is not set up: black's stones are moves of the file"
    if passes:
        yield (
            f"{passes} {'pass was' if passes == 1 else 'passes were'} put in where a colour moves "
            f"out of turn"
        )


def _left_out(nodes: list[Node]) -> list[str]:
    """Returns the kinds of what the main line holds and nobody is shown."""
    names = {name for node in nodes for name in node} - USED
    if nodes and sgf.extra_of(nodes[0]) and not any("C" in node for node in nodes[1:]):
        names.discard("C")  # which `write_game` wrote
    if nodes and sgf.value_of(nodes[0], "RU").strip().lower() == sgf.RULES.lower():
        names.discard("RU")
    kinds = {KIND.get(name, OTHER) for name in names}
    return [kind for kind in (*LEFT_OUT, OTHER) if kind in kinds]


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


def _play(moves: list[int], node: Node, size: int, is_root: bool) -> int:
    """Adds the move of a node, if it has one; returns how many passes that took before it."""
    place = f"move {len(moves) + 1}"
    if not is_root and any(name in node for name in sgf.SETUP):
        raise ValueError(f"{place}: from here on stones are set up, which is no move")
    played = [(seat, value) for seat in (0, 1) for value in node.get(sgf.COLOURS[seat], ())]
    if len(played) > 1:
        raise ValueError(f"{place}: one node holds {len(played)} moves")
    return sum(
        _add(moves, seat, sgf.read_point(value, size, place), size) for seat, value in played
    )


def _add(moves: list[int], seat: int, action: int, size: int) -> bool:
    """Adds a move; the other side passes before it, if it would be to play. Returns if it does."""
    passes = len(moves) % 2 != seat
    moves.extend([size**2, action] if passes else [action])
    return passes
