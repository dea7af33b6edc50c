"""SGF of other programs as games to look at: unfinished, with handicap, with variations.

`sgf.read_games` takes what a record needs, a whole game from the empty board. Here a game is taken
as far as it can be, and what could not be used is said.
"""

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

from games.game import Game
from games.go import Go
from selfplay.records import sgf, sgf_dialects, sgf_variations
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
    variations: list[sgf_variations.Move]  # what the file tries beside these moves


def read_drafts(text: str) -> Iterator[Draft]:
    """Yields the games of a file: each by its main line, with the variations beside it."""
    position, room = 0, sgf_variations.MAX_OF_FILE
    while start := sgf.START.search(text, position):
        line = sgf.main_line(text, start.start())
        draft, after = _draft(line.nodes)
        problem = line.problem
        if draft.game:
            aside = sgf_variations.read(
                text, line, sgf.game_of(line.nodes), draft.moves, after, room
            )
            room -= len(aside.moves)
            draft = draft._replace(variations=aside.moves)
            draft.notes.extend(aside.notes)
            if left := _left_out(line.nodes, aside.names):
                draft.notes.append(f"left out of the file: {', '.join(left)}")
            problem = "" if aside.damage else problem
        draft = draft._replace(problem=draft.problem or problem)
        yield draft
        position = line.end


def _draft(nodes: list[Node]) -> tuple[Draft, list[int]]:
    """Returns the main line as a game and, by node, how many moves are made after it."""
    draft = Draft("", [], None, ["", ""], "", "", 0, [], "", [])
    after: list[int] = []
    root = nodes[0] if nodes else {}
    try:
        game = sgf.game_of(nodes or [{}])
    except ValueError as error:
        return draft._replace(problem=str(error)), after
    names = [sgf.value_of(root, name).strip() for name in ("PB", "PW")]
    result = sgf.value_of(root, "RE").strip()
    returns, ended_by = _result(result, draft.notes)
    draft = draft._replace(
        game=sgf_dialects.spec_of(game),
        players=names,
        returns=returns,
        result=result[:MAX_RESULT],
        ended_by=ended_by,
    )
    setup: list[int] = []
    filled = 0
    try:
        setup = _setup(root, game)
        draft.moves.extend(setup)
        for number, node in enumerate(nodes):
            played = sgf_variations.plays(node, len(draft.moves), game, is_root=number == 0)
            filled += len(played) > 1
            draft.moves.extend(played)
            after.append(len(draft.moves))
    except ValueError as error:
        draft = draft._replace(problem=str(error))
    draft.notes.extend(_filled(len(setup), filled, sgf.value_of(root, "HA").strip()))
    return draft._replace(setup=len(setup)), after


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


def _left_out(nodes: list[Node], aside: set[str]) -> list[str]:
    """Returns the kinds of what a game holds and nobody is shown; `aside` are its variations'."""
    later = {name for node in nodes[1:] for name in node} | aside
    names = ({*nodes[0]} | later) - USED
    if sgf.extra_of(nodes[0]) and "C" not in later:
        names.discard("C")  # which `write_game` wrote
    game = sgf.game_of(nodes)
    ours = sgf_dialects.root_of(game).get("RU", "")
    if sgf.value_of(nodes[0], "RU").strip().lower() == ours.lower():
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


def _setup(root: Node, game: Game[Any]) -> list[int]:
    """Returns moves that put the stones of the root there; a side that has none to put passes."""
    if "AE" in root:
        raise ValueError("it takes stones off the empty board")
    if not isinstance(game, Go):
        if any(name in root for name in sgf.SETUP):
            raise ValueError("it sets up stones, which is read of Go only")
        return []
    stones = [[*_points(root.get(f"A{colour}", ()), game)] for colour in sgf.COLOURS]
    moves: list[int] = []
    for pair in itertools.zip_longest(*stones):
        for seat, action in enumerate(pair):
            if action is not None:
                moves.extend(sgf_variations.in_turn(len(moves), seat, action, game))
    return moves


def _points(values: "list[str] | tuple[()]", game: Go) -> Iterator[int]:
    """Yields the points of a list, in which `aa:cc` stands for a rectangle."""
    size = game.size
    for value in values:
        first, _, last = value.strip().partition(":")
        corners = [sgf.read_move(game, text, "set-up") for text in (first, last or first)]
        if size**2 in corners:
            raise ValueError(f"set-up: [{value[:20]}] is no point")
        (top, left), (bottom, right) = (divmod(corner, size) for corner in corners)
        for row, col in itertools.product(range(top, bottom + 1), range(left, right + 1)):
            yield row * size + col
