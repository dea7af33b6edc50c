"""SGF of other programs as games to look at: unfinished, with handicap, with variations.

`sgf.read_games` takes what a record needs, a whole game from the empty board. Here a game is taken
as far as it can be, and what could not be used is said.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from games.game import Game
from games.go import Go
from selfplay.records import sgf, sgf_dialects
from selfplay.records.sgf import Move, Node, Tree

RESULTS = ("?", "void", "")  # that say nothing
USED = {"GM", "FF", "CA", "AP", "ST", "SZ", "KM", "PB", "PW", "RE", "HA", "PL"}
USED |= {"B", "W", "AB", "AW"}
WORDS = {"C": "comments", "DT": "dates"}  # the other properties are named as they are
MAX_RESULT = 40  # characters
CUT = -1  # instead of the number of a position, where a line broke off


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
    variations: list[Move]  # beside these moves, numbered as in `sgf.write_game`


def read_drafts(text: str) -> Iterator[Draft]:
    """Yields the games of a file: each by its main line, with the variations beside it."""
    for _, tree in sgf.trees(text):
        yield _draft(tree)


def _draft(tree: Tree) -> Draft:
    draft = Draft("", [], None, ["", ""], "", "", 0, [], tree.problem, [])
    root = tree.nodes[0] if tree.nodes else {}
    try:
        game = sgf.game_of(tree.line or [{}])
    except ValueError as error:
        return draft._replace(problem=str(error))
    result = sgf.value_of(root, "RE").strip()
    returns, ended_by = _result(result, draft.notes)
    grown = _Grown(game)
    grown.play_all(tree)
    draft.notes.extend(_notes(tree, grown, sgf.value_of(root, "HA").strip()))
    return draft._replace(
        game=sgf_dialects.spec_of(game),
        moves=[action for _, action in grown.moves[: grown.main]],
        returns=returns,
        players=[sgf.value_of(root, name).strip() for name in ("PB", "PW")],
        result=result[:MAX_RESULT],
        ended_by=ended_by,
        setup=grown.setup,
        problem=grown.problem or ("" if tree.closed else tree.problem),
        variations=grown.moves[grown.main :],
    )


class _Grown:
    """The moves of a game, the main line first, as its nodes are played one after the other."""

    def __init__(self, game: Game[Any]) -> None:
        self.game, self.skipped = game, sgf_dialects.pass_of(game)
        self.moves: list[Move] = []  # the position before each, and the action
        self.main = self.setup = 0  # how many are of the main line; and of its stones set up
        self.passes = 0  # that were put in
        self.problem = ""  # why the main line was cut
        self.cuts: list[str] = []  # why variations were
        self._plies = [0]  # of each position
        self._known: dict[Move, int] = {}  # the position after each move

    def play_all(self, tree: Tree) -> None:
        """Plays the nodes of a game, each from where the one before it led."""
        after: list[int] = []
        try:
            at = self._set_up(tree.nodes[0] if tree.nodes else {})
        except ValueError as error:
            self.problem, at = str(error), CUT
        self.setup = len(self.moves)
        for number, (node, parent) in enumerate(zip(tree.nodes, tree.parents, strict=True)):
            at = after[parent] if number else at
            moves = node if number else {key: node[key] for key in node if key not in sgf.SETUP}
            try:
                after.append(at if at == CUT else self._play(at, moves))
            except ValueError as error:
                after.append(CUT)
                if number < tree.main:
                    self.problem = str(error)
                else:
                    self.cuts.append(str(error))
            if number < tree.main:
                self.main = len(self.moves)

    def _set_up(self, root: Node) -> int:
        """Puts the stones of the root there; a side that has none to put passes."""
        if "AE" in root:
            raise ValueError("it takes stones off the empty board")
        if not isinstance(self.game, Go):
            if any(name in root for name in sgf.SETUP):
                raise ValueError("it sets up stones, which is read of Go only")
            return 0
        stones = [[*_points(root.get(f"A{colour}", ()), self.game)] for colour in sgf.COLOURS]
        at = 0
        for pair in itertools.zip_longest(*stones):
            for seat, action in enumerate(pair):
                if action is not None:
                    at = self._add(at, sgf.in_turn(at, seat, action, self.skipped))
        return at

    def _play(self, at: int, node: Node) -> int:
        """Returns the position after a node. Raises ValueError if it cannot be played."""
        actions = sgf.actions_of(self.game, node, self._plies[at], self.skipped)
        self.passes += len(actions) > 1
        return self._add(at, actions)

    def _add(self, at: int, actions: Sequence[int]) -> int:
        for action in actions:
            move = (at, action)
            if move not in self._known:
                self.moves.append(move)
                self._plies.append(self._plies[at] + 1)
                self._known[move] = len(self.moves)
            at = self._known[move]
        return at


def _notes(tree: Tree, grown: _Grown, handicap: str) -> Iterator[str]:
    """Yields what was done with a game, and what was left out of it."""
    if grown.setup:
        of_handicap = f" (handicap {handicap[:20]})" if handicap not in ("", "0") else ""
        yield (
            f"its set-up stones{of_handicap} are shown, and saved, as moves 1 to {grown.setup}, "
            "with passes between them where one colour sets up more"
        )
    elif handicap not in ("", "0", "1"):
        yield f"its handicap of {handicap[:20]} is not set up: black's stones are moves of the file"
    if grown.passes:
        passes = _counted(grown.passes, "pass was", "passes were")
        yield f"{passes} put in where a colour moves out of turn"
    if cuts := grown.cuts + ([tree.problem] if tree.closed and tree.problem else []):
        which = "" if len(cuts) == 1 else ", the first"
        yield f"{_counted(len(cuts), 'variation is', 'variations are')} cut short{which}: {cuts[0]}"
    if tree.full:
        yield f"variations are left out: of a game, {sgf.MAX_NODES:,} nodes are shown"
    if left := _left_out(tree, grown.game):
        yield f"left out of the file: {', '.join(left)}"


def _counted(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def _left_out(tree: Tree, game: Game[Any]) -> list[str]:
    """Returns what a game holds and nobody is shown."""
    root, *others = tree.nodes or [{}]
    later = {name for node in others for name in node}
    names = ({*root} | later) - USED
    if sgf.extra_of(root) and "C" not in later:
        names.discard("C")  # which `write_game` wrote
    ours = sgf_dialects.root_of(game).get("RU", "")
    if sgf.value_of(root, "RU").strip().lower() == ours.lower():
        names.discard("RU")
    return sorted(WORDS.get(name, name[:20]) for name in names)


def _result(text: str, notes: list[str]) -> tuple[list[float] | None, str]:
    if text.lower() in RESULTS:
        return None, ""
    try:
        return sgf.read_result(text)
    except ValueError as error:
        notes.append(str(error))
        return None, ""


def _points(values: Sequence[str], game: Go) -> dict[int, None]:
    """Returns the points of a list, each once, in which `aa:cc` stands for a rectangle."""
    size, found = game.size, dict[int, None]()
    if len(values) > size**2:
        raise ValueError(f"set-up: {len(values):,} values, more than there are points")
    for value in values:
        first, _, last = value.strip().partition(":")
        corners = [sgf.read_move(game, text, "set-up") for text in (first, last or first)]
        if size**2 in corners:
            raise ValueError(f"set-up: [{value[:20]}] is no point")
        (top, left), (bottom, right) = (divmod(corner, size) for corner in corners)
        for row, col in itertools.product(range(top, bottom + 1), range(left, right + 1)):
            found[row * size + col] = None
    return found


def kept(variations: Sequence[Move], plies: int, most: int) -> list[Move]:
    """Returns what is left of variations where of the main line's `plies` moves only `most` are."""
    numbers = {number: number for number in range(most + 1)}
    found: list[Move] = []
    for number, (parent, action) in enumerate(variations, start=plies + 1):
        if parent in numbers:
            found.append((numbers[parent], action))
            numbers[number] = most + len(found)
    return found
