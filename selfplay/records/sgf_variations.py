"""Variations of a game in SGF: read beside its main line, and written with it.

Positions are numbered: 0 is the opening, 1 to n those after the moves of the main line, and each
move of a variation, `(parent, action)`, makes the next number; a parent comes before its children.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

from games.game import Game
from selfplay.records import sgf, sgf_dialects
from selfplay.records.sgf import Fields, MainLine, Node

Move: TypeAlias = tuple[int, int]  # the number of the position before it, and the action

MAX_LINES = 200  # of one game, beside its main line
MAX_MOVES = 5_000  # of one game, in variations
MAX_OF_FILE = 100_000  # of all games of a file
CUT, LEFT_OUT = -1, -2  # instead of a number, where a line broke off: by itself, by these bounds


class Variations(NamedTuple):
    """The variations of a game, and what cannot be used of them."""

    moves: list[Move]
    notes: list[str]  # what was done with them, or left out
    names: set[str]  # of the properties in them
    damage: bool  # what is wrong with the text is within them, and not within the main line


def read(
    text: str,
    line: MainLine,
    game: Game[Any],
    moves: list[int],
    after: list[int],
    room: int,
) -> Variations:
    """Returns the variations of a game.

    Args:
      line: what `sgf.main_line` read of the text.
      moves: those of the main line, as far as they could be used.
      after: by node of the main line, how many of these moves are made after it.
      room: how many moves of variations may be returned, at most `MAX_MOVES`.
    """
    tree = _Tree(game, moves, min(room, MAX_MOVES))
    forks: list[int] = []
    here, nodes, closed, is_end = 0, 0, False, False
    for kind, node in _parts(text, line.start, line.end):
        if kind == "(":
            forks.append(here)
        elif kind == ")":
            if closed and is_end:
                tree.end_line(here)
            here, closed = forks.pop(), True
        elif closed:
            here = tree.play(here, node)
        else:
            here = after[nodes] if nodes < len(after) else CUT
            nodes += 1
        is_end = kind == ";"
    damage = closed and bool(forks)
    if damage:
        tree.cut(line.problem)
        tree.end_line(CUT)
    return Variations(tree.moves, [*tree.notes()], tree.names, damage)


def plays(node: Node, ply: int, game: Game[Any], is_root: bool = False) -> list[int]:
    """Returns the move of a node, if it has one, behind a pass if the other side is to play.

    Raises:
      ValueError: it is no move; says which.
    """
    place = f"move {ply + 1}"
    if not is_root and any(name in node for name in sgf.SETUP):
        raise ValueError(f"{place}: from here on stones are set up, which is no move")
    played = [(seat, value) for seat in (0, 1) for value in node.get(sgf.COLOURS[seat], ())]
    if len(played) > 1:
        raise ValueError(f"{place}: one node holds {len(played)} moves")
    return [
        action
        for seat, value in played
        if not sgf_dialects.end_of(game, sgf.plain(value))
        for action in in_turn(ply, seat, sgf.read_move(game, value, place), game)
    ]


def in_turn(ply: int, seat: int, action: int, game: Game[Any]) -> list[int]:
    """Returns a seat's move, behind a pass of the other side if that one is to play.

    Raises:
      ValueError: in this game nobody passes.
    """
    if ply % 2 == seat:
        return [action]
    other = sgf_dialects.pass_of(game)
    if other is None:
        raise ValueError(f"move {ply + 1}: {sgf.COLOURS[seat]} moves out of turn")
    return [other, action]


def kept(variations: Sequence[Move], plies: int, most: int) -> list[Move]:
    """Returns what is left of variations where of the main line's `plies` moves only `most` are."""
    numbers = {number: number for number in range(most + 1)}
    found: list[Move] = []
    for number, (parent, action) in enumerate(variations, start=plies + 1):
        if parent in numbers:
            found.append((numbers[parent], action))
            numbers[number] = most + len(found)
    return found


def write_game(fields: Fields, lead: float | None, result: str, variations: Sequence[Move]) -> str:
    """Returns a game as `sgf.write_game` does, with its variations: the main line comes first."""
    if not variations:
        return sgf.write_game(fields, lead, result)
    game = sgf_dialects.written_as(fields["game"])
    actions = [0, *fields["moves"], *(action for _, action in variations)]
    children: list[list[int]] = [[] for _ in actions]
    parents = [*range(len(fields["moves"])), *(parent for parent, _ in variations)]
    for number, parent in enumerate(parents, start=1):
        children[parent].append(number)
    written = [sgf.write_root(fields, lead, result)]
    waiting: list[tuple[int, int, str]] = [(0, 0, "")]  # number, ply, what comes before it
    while waiting:
        number, ply, before = waiting.pop()
        written.append(before)
        if before == ")":
            continue
        if number:
            written.append(sgf.write_move(game, ply - 1, actions[number]))
        after = children[number]
        if len(after) == 1:
            waiting.append((after[0], ply + 1, "" if ply % sgf.MOVES_A_LINE else "\n"))
        else:
            for child in reversed(after):
                waiting.extend([(child, ply + 1, ")"), (child, ply + 1, "\n(")])
    return "".join(written) + ")\n"


def _parts(text: str, position: int, end: int) -> Iterator[tuple[str, Node]]:
    """Yields the parentheses of a game tree and, as `;`, its nodes; stops where it is damaged."""
    node: Node | None = None
    name = ""
    while token := sgf.TOKEN.match(text, position, end):
        position = token.end()
        delimiter, identifier, value = token.groups()
        if delimiter:
            if node is not None:
                yield ";", node
            node, name = ({} if delimiter == ";" else None), ""
            if node is None:
                yield delimiter, {}
        elif identifier:
            name = sgf.property_name(identifier)
        elif not name:
            break
        elif node is not None:
            node.setdefault(name, []).append(value)
    if node is not None:
        yield ";", node


class _Tree:
    """Grows from the main line by what the nodes of variations play."""

    def __init__(self, game: Game[Any], main: list[int], room: int) -> None:
        self.game, self.room = game, room
        self.moves: list[Move] = []
        self.names: set[str] = set()
        self._plies = [*range(len(main) + 1)]  # by number
        self._known = {move: number for number, move in enumerate(enumerate(main), start=1)}
        self._parents = {*range(len(main))}
        self._lines = self._passes = self._cut = self._left_out = 0
        self._problem = ""  # of the first line that was cut

    def play(self, at: int, node: Node) -> int:
        """Returns where the node leads from a position."""
        self.names.update(node)
        if at < 0:
            return at
        try:
            actions = plays(node, self._plies[at], self.game)
        except ValueError as error:
            return self.cut(str(error))
        self._passes += len(actions) > 1
        for action in actions:
            at = self._add(at, action) if at >= 0 else at
        return at

    def cut(self, problem: str) -> int:
        self._problem = self._problem or problem
        return CUT

    def end_line(self, at: int) -> None:
        self._cut += at == CUT
        self._left_out += at == LEFT_OUT

    def notes(self) -> Iterator[str]:
        if self._passes:
            yield (
                f"in variations {_counted(self._passes, 'pass was', 'passes were')} put in where a "
                f"colour moves out of turn"
            )
        if self._cut:
            why = self._problem or "the main line is, before them"
            which = "" if self._cut == 1 else ", the first"
            yield f"{_counted(self._cut, 'variation is', 'variations are')} cut short{which}: {why}"
        if self._left_out:
            which = _counted(self._left_out, "variation is", "variations are")
            yield (
                f"{which} left out, or the end: shown are at most {MAX_LINES} of a game, with "
                f"{MAX_MOVES:,} moves, and {MAX_OF_FILE:,} moves of a file's"
            )

    def _add(self, at: int, action: int) -> int:
        number = self._known.get((at, action))
        if number is not None:
            return number
        parts = at in self._parents
        if len(self.moves) >= self.room or self._lines + parts > MAX_LINES:
            return LEFT_OUT
        self._lines += parts
        self._parents.add(at)
        self.moves.append((at, action))
        self._plies.append(self._plies[at] + 1)
        self._known[at, action] = number = len(self._plies) - 1
        return number


def _counted(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"
