"""Go games as SGF, the format of Go programs: the fields of a record to text and back.

Format: FF[4], https://www.red-bean.com/sgf/. A file may hold many games. Read are the main line
(the first variation at every fork) and the properties that a record needs; the rest is skipped.

Why not the library sgfmill: it gives a collection whole or not at all, without a place, so one
damaged game would hide a thousand good ones; and it holds every token at once. The tests take it as
the second opinion, for reading and for writing.
"""

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

import games
from games.go import Go

Fields: TypeAlias = dict[str, Any]  # a record's, named as in its JSON line
Node: TypeAlias = dict[str, list[str]]  # the values of each property, escapes still in them

RULES = "Tromp-Taylor"  # our games are such games in which nobody chose suicide
AGREEMENT = "agreement"
ENDED_BY = {"R": "resignation", "T": "time", "F": "forfeit"}  # what may follow RE[B+
MAX_NODES = 10_000  # of one game; the longest of ours has 722 moves
COLOURS = "BW"  # by seat
MOVES_A_LINE = 10
KEYS = ("game", "moves", "returns", "players")
SETUP = ("AB", "AW", "AE")

# Possessive (`*+`): a damaged file of any size is read once, without a stack of ways back.
START = re.compile(r"\(\s*+;")
TOKEN = re.compile(r"\s*+(?:([;()])|([A-Za-z]++)|\[([^\\\]]*+(?:\\.[^\\\]]*+)*+)\])", re.DOTALL)
_SPACE = re.compile(r"\s*+")
_ESCAPE = re.compile(r"\\(\r\n|\n\r|.)", re.DOTALL)
_RESULT = re.compile(r"\s*([BW])\+\s*(\w?)", re.IGNORECASE)


class MainLine(NamedTuple):
    """The moves of a game without its variations, as far as the text can be read."""

    nodes: list[Node]  # of the main line
    end: int  # where reading goes on
    problem: str  # empty if there is none


def read_games(text: str) -> Iterator[tuple[str, Fields | str]]:
    """Yields each game's place, as `game 3 (line 41)`, and its fields, or what is wrong with it.

    Whether the rules allow the moves is not looked at. "ended_by" is set where the result is
    not theirs: the game stopped early, or was played by rules that take dead stones off the board.
    """
    position, line = 0, 1
    for number in itertools.count(1):
        start = START.search(text, position)
        if not start:
            return
        line += text.count("\n", position, start.start())
        game = main_line(text, start.start())
        yield f"game {number} (line {line})", game.problem or _fields_or_problem(game.nodes)
        line += text.count("\n", start.start(), game.end)
        position = game.end


class Plays(NamedTuple):
    """A game as plays, seat and action each.

    A colour may play twice in a row, and what that means is up to the caller.
    """

    size: int
    komi: float | None  # None if not given
    setup: list[tuple[int, int]]  # stones that are there before the first move
    moves: list[tuple[int, int]]


def read_plays(text: str) -> Plays:
    """Returns the first game of a file.

    Raises:
      ValueError: no such game, or later set-up.
    """
    start = START.search(text)
    if not start:
        raise ValueError("it holds no SGF game")
    nodes, _, problem = main_line(text, start.start())
    if problem:
        raise ValueError(problem)
    size = read_size(value_of(nodes[0], "SZ", "19"))
    komi = read_komi(value_of(nodes[0], "KM")) if "KM" in nodes[0] else None
    plays = Plays(size, komi, [], [])
    for number, node in enumerate(nodes):
        for seat, colour in enumerate(COLOURS):
            setup = node.get(f"A{colour}", ())
            if "AE" in node or (setup and number):
                raise ValueError("it sets up stones within the game")
            plays.setup.extend((seat, read_point(value, size, "setup")) for value in setup)
        for seat, colour in enumerate(COLOURS):
            plays.moves.extend(
                (seat, read_point(value, size, "move")) for value in node.get(colour, ())
            )
    return plays


def write_game(fields: Fields, lead: float | None, result: str = "") -> str:
    """Returns one game as SGF.

    Further keys of the record are kept as a JSON object in the comment of the first node.

    Args:
      fields: of a record; no result is given where its returns are None.
      lead: black's points more than white's, the komi taken off; None if the game stopped early.
      result: the text of RE, where a file gave it; else it is made from the fields.
    """
    game = go_of(fields)
    moves = [write_move(ply, action, game.size) for ply, action in enumerate(fields["moves"])]
    lines = ["".join(moves[i : i + MOVES_A_LINE]) for i in range(0, len(moves), MOVES_A_LINE)]
    return "\n".join([write_root(fields, lead, result), *lines]) + ")\n"


def write_root(fields: Fields, lead: float | None, result: str = "") -> str:
    """Returns the beginning of `write_game`: the parenthesis and the first node."""
    game = go_of(fields)
    extra = {key: value for key, value in fields.items() if key not in KEYS}
    root = {
        "GM": "1",
        "FF": "4",
        "CA": "UTF-8",
        "AP": "selfplay",
        "SZ": str(game.size),
        "KM": f"{game.komi:g}",
        "RU": RULES,
        "PB": " ".join(fields["players"][0].split()),
        "PW": " ".join(fields["players"][1].split()),
    }
    if result or fields["returns"] is not None:
        root["RE"] = result or _result_text(fields, lead)
    if extra:
        root["C"] = json.dumps(extra)
    return "(;" + "".join(f"{key}[{_escaped(value)}]" for key, value in root.items())


def write_move(ply: int, action: int, size: int) -> str:
    """Returns the node of a move."""
    return f";{COLOURS[ply % 2]}[{_point(action, size)}]"


def go_of(fields: Fields) -> Go:
    """Returns the game of a record. Raises ValueError if it is another one than Go."""
    game = games.load(fields["game"])
    if not isinstance(game, Go):
        raise ValueError(f"SGF is for Go, not for {fields['game']}: write .jsonl")
    return game


def main_line(text: str, position: int) -> MainLine:
    """Reads one game tree from its opening parenthesis on; keeps the nodes before the first end."""
    nodes: list[Node] = []
    depth, closed, name = 0, False, ""
    while True:
        token = TOKEN.match(text, position)
        if not token:
            return MainLine(nodes, *_damage(text, position))
        position = token.end()
        delimiter, identifier, value = token.groups()
        if delimiter:
            name = ""
            depth += {"(": 1, ")": -1, ";": 0}[delimiter]
            closed |= delimiter == ")"
            if depth == 0:
                return MainLine(nodes, position, "")
            if delimiter == ";" and not closed:
                if len(nodes) == MAX_NODES:
                    return MainLine(nodes, position, f"it has more than {MAX_NODES:,} nodes")
                nodes.append({})
        elif identifier:
            name = property_name(identifier)
        elif not name:
            return MainLine(nodes, position, f"the value [{value[:20]}] belongs to no property")
        elif not closed:
            nodes[-1].setdefault(name, []).append(value)


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


def _fields_or_problem(nodes: list[Node]) -> Fields | str:
    try:
        return _fields(nodes)
    except ValueError as error:
        return str(error)


def _fields(nodes: list[Node]) -> Fields:
    root = nodes[0]
    if value_of(root, "GM", "1").strip() != "1":
        raise ValueError(f"GM[{value_of(root, 'GM')}] is another game than Go, which is GM[1]")
    size = read_size(value_of(root, "SZ", "19"))
    game = Go(size, read_komi(value_of(root, "KM", "0")))
    moves = _moves(nodes, size)
    returns, ended_by = read_result(value_of(root, "RE"))
    over = moves[-2:] == [size**2] * 2 or len(moves) == game.max_plies
    ours = value_of(root, "RU").strip().lower() == RULES.lower()
    if not (over and ours):
        ended_by = ended_by or AGREEMENT
    names = [value_of(root, "PB") or "black", value_of(root, "PW") or "white"]
    fields = {
        "game": f"go:size={size},komi={game.komi:g}",
        "moves": moves,
        "returns": returns,
        "players": names,
    }
    return ({"ended_by": ended_by} if ended_by else {}) | extra_of(root) | fields


def _moves(nodes: list[Node], size: int) -> list[int]:
    moves: list[int] = []
    for node in nodes:
        place = f"move {len(moves) + 1}"
        for name in SETUP:
            if name in node:
                raise ValueError(
                    f"{place}: {name} sets up stones; here a game begins on the empty board"
                )
        played = [(colour, value) for colour in COLOURS for value in node.get(colour, ())]
        if len(played) > 1:
            raise ValueError(f"{place}: one node holds {len(played)} moves")
        for colour, value in played:
            if colour != COLOURS[len(moves) % 2]:
                raise ValueError(f"{place}: {colour} moves out of turn")
            moves.append(read_point(value, size, place))
    return moves


def read_point(value: str, size: int, place: str) -> int:
    """Returns the action of an SGF point; `tt` is a pass on boards that have no such point."""
    text = _plain(value).strip()
    if text in ("", "tt"):
        return size**2
    row, col = (ord(text[1]) - ord("a"), ord(text[0]) - ord("a")) if len(text) == 2 else (-1, -1)
    if not (0 <= row < size and 0 <= col < size):
        raise ValueError(f"{place}: [{text[:20]}] is no point of a board of size {size}")
    return row * size + col


def _point(action: int, size: int) -> str:
    if action == size**2:
        return ""
    row, col = divmod(action, size)
    return chr(ord("a") + col) + chr(ord("a") + row)


def read_size(text: str) -> int:
    """Returns the width of a square board; raises ValueError if it is no such."""
    width, colon, height = text.strip().partition(":")
    if not (width.isdecimal() and len(width) < 4 and (not colon or width == height)):
        raise ValueError(f"SZ[{text[:20]}] is no size of a square board")
    return int(width)


def read_komi(text: str) -> float:
    """Returns the komi; raises ValueError if it is none."""
    try:
        return float(text.strip() or "0")
    except ValueError:
        raise ValueError(f"KM[{text[:20]}] is not a number") from None


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
    return _plain(node[name][0]) if name in node else default


def _plain(value: str) -> str:
    """Returns the text of a value: a backslash makes the next character plain, or joins lines."""
    return _ESCAPE.sub(lambda match: "" if match[1][0] in "\r\n" else match[1], value)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("]", "\\]")
