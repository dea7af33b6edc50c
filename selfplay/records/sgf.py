"""SGF, the format of Go programs and of others: the fields of a record to text and back.

Format: FF[4], https://www.red-bean.com/sgf/; how each game is written in it is in `sgf_dialects`. A
file may hold many games. Of a record, read are the main line (the first variation at every fork)
and the properties that it needs; `sgf_draft` reads the variations too.

Why not the library sgfmill: it gives a collection whole or not at all, without a place, so one
damaged game would hide a thousand good ones; and it holds every token at once. The tests take it as
the second opinion, for reading and for writing.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

from games.game import Game
from games.go import Go
from games.othello import Othello
from selfplay.records import sgf_dialects

Fields: TypeAlias = dict[str, Any]  # a record's, named as in its JSON line
Node: TypeAlias = dict[str, list[str]]  # the values of each property, escapes still in them

AGREEMENT = "agreement"
ENDED_BY = {"R": "resignation", "T": "time", "F": "forfeit"}  # what may follow RE[B+
MAX_NODES = 10_000  # of one game, variations included; the longest of ours has 722 moves
COLOURS = "BW"  # by seat
MOVES_A_LINE = 10
LEFT_OUT = -2  # instead of the number of a node
KEYS = ("game", "moves", "returns", "players")
Move: TypeAlias = tuple[int, int]  # of a variation, see `write_game`
SETUP = ("AB", "AW", "AE")
OF_GAME = ("GM", "SZ", "KM", "RU")  # which game is played

# Possessive (`*+`): a damaged file of any size is read once, without a stack of ways back.
START = re.compile(r"\(\s*+;")
TOKEN = re.compile(r"\s*+(?:([;()])|([A-Za-z]++)|\[([^\\\]]*+(?:\\.[^\\\]]*+)*+)\])", re.DOTALL)
_SPACE = re.compile(r"\s*+")
_ESCAPE = re.compile(r"\\(\r\n|\n\r|.)", re.DOTALL)
_RESULT = re.compile(r"\s*([BW])\+\s*(\w?)", re.IGNORECASE)


class Tree(NamedTuple):
    """A game as N nodes in the order of the text, as far as it can be read."""

    nodes: list[Node]
    parents: list[int]  # the number of the node before each; of the first, -1
    main: int  # the first so many nodes are the main line
    closed: bool  # whether it has ended: what is wrong then is within a variation
    end: int  # where reading goes on
    problem: str  # empty if there is none
    full: bool  # whether variations were left out, after `MAX_NODES`

    @property
    def line(self) -> list[Node]:
        """The nodes of the main line."""
        return self.nodes[: self.main]


def trees(text: str) -> Iterator[tuple[int, Tree]]:
    """Yields the games of a file, each with the number of the line that it begins in."""
    position, line = 0, 1
    while start := START.search(text, position):
        line += text.count("\n", position, start.start())
        tree = read_tree(text, start.start())
        yield line, tree
        line += text.count("\n", start.start(), tree.end)
        position = tree.end


def read_games(text: str) -> Iterator[tuple[str, Fields | str]]:
    """Yields each game's place, as `game 3 (line 41)`, and its fields, or what is wrong with it.

    Whether the rules allow the moves is not looked at. "ended_by" is set where the result is
    not theirs: the game stopped early, or was played by rules that take dead stones off the board.
    """
    for number, (line, tree) in enumerate(trees(text), start=1):
        found: Fields | str = tree.problem
        if not found:
            try:
                found = _fields(tree.line)
            except ValueError as error:
                found = str(error)
        yield f"game {number} (line {line})", found


class Plays(NamedTuple):
    """A game as plays, seat and action each.

    A colour may play twice in a row, and what that means is up to the caller.
    """

    game: Game[Any]
    komi: float | None  # None if not given
    setup: list[tuple[int, int]]  # stones that are there before the first move
    moves: list[tuple[int, int]]


def read_plays(text: str) -> Plays:
    """Returns the first game of a file.

    Raises:
      ValueError: no such game, or later set-up.
    """
    _, tree = next(trees(text), (0, None))
    if tree is None:
        raise ValueError("it holds no SGF game")
    if tree.problem:
        raise ValueError(tree.problem)
    game = game_of(tree.line)
    root, *later = tree.line
    if "AE" in root or any(name in node for name in SETUP for node in later):
        raise ValueError("it sets up stones within the game")

    def read(node: Node, prefix: str) -> list[tuple[int, int]]:
        return [
            (seat, read_move(game, value, "move"))
            for seat, colour in enumerate(COLOURS)
            for value in node.get(f"{prefix}{colour}", ())
        ]

    komi = game.komi if isinstance(game, Go) and "KM" in root else None
    return Plays(
        game, komi, read(root, "A"), [move for node in tree.line for move in read(node, "")]
    )


def write_game(
    fields: Fields, lead: float | None, result: str = "", variations: Sequence[Move] = ()
) -> str:
    """Returns one game as SGF.

    Further keys of the record are kept as a JSON object in the comment of the first node.

    Args:
      fields: of a record; no result is given where its returns are None.
      lead: black's points more than white's, the komi taken off; None if the game stopped early,
        or is not won by points.
      result: the text of RE, where a file gave it; else it is made from the fields.
      variations: moves beside the record's, as (parent, action). Positions are numbered: 0 is the
        opening, 1 to n those after the moves of the main line, and each move of a variation makes
        the next number. A parent comes before its children.
    """
    game = sgf_dialects.written_as(fields["game"])
    actions = [0, *fields["moves"], *(action for _, action in variations)]
    children: list[list[int]] = [[] for _ in actions]
    for number, parent in enumerate(
        [*range(len(fields["moves"])), *(parent for parent, _ in variations)], start=1
    ):
        children[parent].append(number)
    written = [_root(game, fields, lead, result)]
    waiting: list[tuple[int, int, str]] = [(0, 0, "")]  # number, ply, what comes before it
    while waiting:  # no recursion: a game may have thousands of moves
        number, ply, before = waiting.pop()
        written.append(before)
        if before == ")":
            continue
        if number:
            move = sgf_dialects.write_move(game, actions[number])
            written.append(f";{COLOURS[(ply - 1) % 2]}[{move}]")
        after = children[number]
        if len(after) == 1:
            waiting.append((after[0], ply + 1, "" if ply % MOVES_A_LINE else "\n"))
        else:
            for child in reversed(after):
                waiting.extend([(child, ply + 1, ")"), (child, ply + 1, "\n(")])
    return "".join(written) + ")\n"


def _root(game: Game[Any], fields: Fields, lead: float | None, result: str) -> str:
    """Returns the parenthesis and the first node of a game."""
    told = sgf_dialects.root_of(game)
    extra = {key: value for key, value in fields.items() if key not in KEYS}
    root = {
        "GM": told.pop("GM"),
        "FF": "4",
        "CA": "UTF-8",
        "AP": "selfplay",
        **told,
        "PB": " ".join(fields["players"][0].split()),
        "PW": " ".join(fields["players"][1].split()),
    }
    if result or fields["returns"] is not None:
        root["RE"] = result or _result_text(fields, lead)
    if extra:
        root["C"] = json.dumps(extra)
    return "(;" + "".join(f"{key}[{_escaped(value)}]" for key, value in root.items())


def read_tree(text: str, start: int) -> Tree:
    """Reads one game tree from its opening parenthesis on."""
    nodes: list[Node] = []
    parents: list[int] = []
    forks: list[int] = []  # the node before each open parenthesis
    here, main, position, name, full = -1, 0, start, "", False
    node: Node = {}  # the one that is open

    def tree(end: int, problem: str) -> Tree:
        return Tree(nodes, parents, main or len(nodes), main > 0, end, problem, full)

    while token := TOKEN.match(text, position):
        position = token.end()
        delimiter, identifier, value = token.groups()
        if delimiter:
            name, node = "", {}
        if delimiter == "(":
            forks.append(here)
        elif delimiter == ")":
            here, main = forks.pop(), main or len(nodes)
            if not forks:
                return tree(position, "")
        elif delimiter:
            if len(nodes) < MAX_NODES and here != LEFT_OUT:
                nodes.append(node)
                parents.append(here)
                here = len(nodes) - 1
            elif not main:
                return tree(position, f"it has more than {MAX_NODES:,} nodes")
            else:
                here, full = LEFT_OUT, True
        elif identifier:
            name = property_name(identifier)
        elif not name:
            return tree(position, f"the value [{value[:20]}] belongs to no property")
        else:
            node.setdefault(name, []).append(value)
    return tree(*_damage(text, position))


def property_name(identifier: str) -> str:
    """Returns the name of a property as FF[4] writes it."""
    return "".join(filter(str.isupper, identifier))  # FF[3] wrote AddBlack for AB


def _damage(text: str, position: int) -> tuple[int, str]:
    """Returns where to read on and what is wrong at a place where no token is."""
    at = _SPACE.match(text, position).end()  # type: ignore[union-attr]  # it matches everywhere
    if at == len(text):
        return at, "the file ends within it"
    if text[at] == "[":  # so is all the rest of the file
        return len(text), "a value is not closed by ]"
    return at + 1, f"{text[at]!r} is not SGF"


def _fields(nodes: list[Node]) -> Fields:
    root = nodes[0]
    game = game_of(nodes)
    moves, given_up = _moves(game, nodes)
    if given_up and "RE" not in root:
        loser, ended_by = given_up
        returns = [-1.0, 1.0] if loser == 0 else [1.0, -1.0]
    else:
        returns, ended_by = read_result(value_of(root, "RE"))
    if isinstance(game, Go):
        over = moves[-2:] == [game.size**2] * 2 or len(moves) == game.max_plies
        ours = value_of(root, "RU").strip().lower() == sgf_dialects.GO_RULES.lower()
        if not (over and ours):
            ended_by = ended_by or AGREEMENT
    names = [value_of(root, "PB") or "black", value_of(root, "PW") or "white"]
    fields = {
        "game": sgf_dialects.spec_of(game),
        "moves": moves,
        "returns": returns,
        "players": names,
    }
    return ({"ended_by": ended_by} if ended_by else {}) | extra_of(root) | fields


def _moves(game: Game[Any], nodes: list[Node]) -> tuple[list[int], tuple[int, str] | None]:
    """Returns the moves and, if the last was to give up, the seat that did, and how."""
    moves: list[int] = []
    given_up: tuple[int, str] | None = None
    # Many programs do not write the passes of Othello.
    skipped = sgf_dialects.pass_of(game) if isinstance(game, Othello) else None
    for node in nodes:
        if given_up and any(colour in node for colour in COLOURS):
            raise ValueError(f"move {len(moves) + 1}: it comes after a {given_up[1]}")
        moves += actions_of(game, node, len(moves), skipped)
        for seat, value in _values(node):
            if how := sgf_dialects.end_of(game, plain(value)):
                given_up = seat, how
    return moves, given_up


def actions_of(game: Game[Any], node: Node, ply: int, skipped: int | None) -> list[int]:
    """Returns the move of a node, if it has one, behind a pass if the other side is to play.

    Args:
      skipped: the action of that pass; None if colours must take turns.

    Raises:
      ValueError: it is no move; says which.
    """
    place = f"move {ply + 1}"
    for name in SETUP:
        if name in node:
            raise ValueError(f"{place}: {name} sets up stones; a game begins without, on its board")
    played = _values(node)
    if len(played) > 1:
        raise ValueError(f"{place}: one node holds {len(played)} moves")
    return [
        action
        for seat, value in played
        if not sgf_dialects.end_of(game, plain(value))
        for action in in_turn(ply, seat, read_move(game, value, place), skipped)
    ]


def in_turn(ply: int, seat: int, action: int, skipped: int | None) -> list[int]:
    """Returns a seat's move, behind a pass of the other side if that one is to play.

    Raises:
      ValueError: that one does not pass (`skipped` is None).
    """
    if ply % 2 == seat:
        return [action]
    if skipped is None:
        raise ValueError(f"move {ply + 1}: {COLOURS[seat]} moves out of turn")
    return [skipped, action]


def _values(node: Node) -> list[tuple[int, str]]:
    """Returns the moves in a node, each with its seat, escapes still in them."""
    return [(seat, value) for seat in (0, 1) for value in node.get(COLOURS[seat], ())]


def game_of(nodes: list[Node]) -> Game[Any]:
    """Returns the game of a main line. Raises ValueError if it is none of ours."""
    root = {key: value_of(nodes[0], key) for key in OF_GAME if key in nodes[0]}
    moves = [plain(value) for node in nodes for key in COLOURS for value in node.get(key, ())]
    return sgf_dialects.read_game(root, moves)


def read_move(game: Game[Any], value: str, place: str) -> int:
    """Returns the action of a move; what is wrong with one is said with its place."""
    try:
        return sgf_dialects.read_move(game, plain(value))
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None


def read_result(text: str) -> tuple[list[float], str]:
    """Returns the returns by seat, and why the game stopped early, if it says so."""
    if text.strip().lower() in ("0", "draw", "jigo"):
        return [0.0, 0.0], ""
    match = _RESULT.match(text)
    if not match:
        raise ValueError(f"RE[{text[:20]}] does not say who won")
    returns = [1.0, -1.0] if match[1].upper() == "B" else [-1.0, 1.0]
    return returns, ENDED_BY.get(match[2].upper(), "")


def _result_text(fields: Fields, lead: float | None) -> str:
    black = fields["returns"][0]
    if black == 0:
        return "0"
    winner = "B" if black > 0 else "W"
    if lead is not None:
        return f"{winner}+{abs(lead):g}"
    letters = {reason: letter for letter, reason in ENDED_BY.items()}
    return f"{winner}+{letters.get(fields.get('ended_by', ''), '')}"


def extra_of(root: Node) -> Fields:
    """Returns what `write_game` put into the comment; nothing for other people's comments."""
    try:
        extra = json.loads(value_of(root, "C"))
    except (ValueError, RecursionError):
        return {}
    if not isinstance(extra, dict):
        return {}
    return {key: value for key, value in extra.items() if key not in KEYS}


def value_of(node: Node, name: str, default: str = "") -> str:
    """Returns the first value of a property, as plain text, or `default` where there is none."""
    return plain(node[name][0]) if name in node else default


def plain(value: str) -> str:
    """Returns the text of a value: a backslash makes the next character plain, or joins lines."""
    return _ESCAPE.sub(lambda match: "" if match[1][0] in "\r\n" else match[1], value)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("]", "\\]")
