"""SGF, the format of Go programs and of others: the fields of a record to text and back.

Format: FF[4], https://www.red-bean.com/sgf/; how each game is written in it is in `sgf_dialects`. A
file may hold many games. Read are the main line (the first variation at every fork) and the
properties that a record needs; the rest is skipped.

Why not the library sgfmill: it gives a collection whole or not at all, without a place, so one
damaged game would hide a thousand good ones; and it holds every token at once. The tests take it as
the second opinion, for reading and for writing.
"""

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

from games.game import Game
from games.go import Go
from games.othello import Othello
from selfplay.records import sgf_dialects

Fields: TypeAlias = dict[str, Any]  # a record's, named as in its JSON line
Node: TypeAlias = dict[str, list[str]]  # the values of each property, escapes still in them

AGREEMENT = "agreement"
ENDED_BY = {"R": "resignation", "T": "time", "F": "forfeit"}  # what may follow RE[B+
MAX_NODES = 10_000  # of one game; the longest of ours has 722 moves
COLOURS = "BW"  # by seat
MOVES_A_LINE = 10
KEYS = ("game", "moves", "returns", "players")
SETUP = ("AB", "AW", "AE")
OF_GAME = ("GM", "SZ", "KM", "RU")  # which game is played

# Possessive (`*+`): a damaged file of any size is read once, without a stack of ways back.
START = re.compile(r"\(\s*+;")
TOKEN = re.compile(r"\s*+(?:([;()])|([A-Za-z]++)|\[([^\\\]]*+(?:\\.[^\\\]]*+)*+)\])", re.DOTALL)
_SPACE = re.compile(r"\s*+")
_ESCAPE = re.compile(r"\\(\r\n|\n\r|.)", re.DOTALL)
_RESULT = re.compile(r"\s*([BW])\+\s*(\w?)", re.IGNORECASE)


class MainLine(NamedTuple):
    """The moves of a game without its variations, as far as the text can be read."""

    start: int  # where it began
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

    game: Game[Any]
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
    _, nodes, _, problem = main_line(text, start.start())
    if problem:
        raise ValueError(problem)
    game = game_of(nodes)
    plays = Plays(game, game.komi if isinstance(game, Go) and "KM" in nodes[0] else None, [], [])
    for number, node in enumerate(nodes):
        for seat, colour in enumerate(COLOURS):
            setup = node.get(f"A{colour}", ())
            if "AE" in node or (setup and number):
                raise ValueError("it sets up stones within the game")
            plays.setup.extend((seat, read_move(game, value, "setup")) for value in setup)
        for seat, colour in enumerate(COLOURS):
            plays.moves.extend(
                (seat, read_move(game, value, "move")) for value in node.get(colour, ())
            )
    return plays


def write_game(fields: Fields, lead: float | None, result: str = "") -> str:
    """Returns one game as SGF.

    Further keys of the record are kept as a JSON object in the comment of the first node.

    Args:
      fields: of a record; no result is given where its returns are None.
      lead: black's points more than white's, the komi taken off; None if the game stopped early,
        or is not won by points.
      result: the text of RE, where a file gave it; else it is made from the fields.
    """
    game = sgf_dialects.written_as(fields["game"])
    moves = [write_move(game, ply, action) for ply, action in enumerate(fields["moves"])]
    lines = ["".join(moves[i : i + MOVES_A_LINE]) for i in range(0, len(moves), MOVES_A_LINE)]
    return "\n".join([write_root(fields, lead, result), *lines]) + ")\n"


def write_root(fields: Fields, lead: float | None, result: str = "") -> str:
    """Returns the beginning of `write_game`: the parenthesis and the first node."""
    game = sgf_dialects.written_as(fields["game"])
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


def write_move(game: Game[Any], ply: int, action: int) -> str:
    """Returns the node of a move."""
    return f";{COLOURS[ply % 2]}[{sgf_dialects.write_move(game, action)}]"


def main_line(text: str, start: int) -> MainLine:
    """Reads one game tree from its opening parenthesis on; keeps the nodes before the first end."""
    position = start
    nodes: list[Node] = []
    depth, closed, name = 0, False, ""
    while True:
        token = TOKEN.match(text, position)
        if not token:
            return MainLine(start, nodes, *_damage(text, position))
        position = token.end()
        delimiter, identifier, value = token.groups()
        if delimiter:
            name = ""
            depth += {"(": 1, ")": -1, ";": 0}[delimiter]
            closed |= delimiter == ")"
            if depth == 0:
                return MainLine(start, nodes, position, "")
            if delimiter == ";" and not closed:
                if len(nodes) == MAX_NODES:
                    return MainLine(start, nodes, position, f"it has more than {MAX_NODES:,} nodes")
                nodes.append({})
        elif identifier:
            name = property_name(identifier)
        elif not name:
            return MainLine(
                start, nodes, position, f"the value [{value[:20]}] belongs to no property"
            )
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
    for node in nodes:
        place = f"move {len(moves) + 1}"
        for name in SETUP:
            if name in node:
                raise ValueError(
                    f"{place}: {name} sets up stones; here a game begins without, on its board"
                )
        played = [(seat, value) for seat in (0, 1) for value in node.get(COLOURS[seat], ())]
        if len(played) > 1:
            raise ValueError(f"{place}: one node holds {len(played)} moves")
        for seat, value in played:
            if given_up:
                raise ValueError(f"{place}: it comes after a {given_up[1]}")
            if how := sgf_dialects.end_of(game, plain(value)):
                given_up = seat, how
            else:
                moves.extend(_in_turn(game, len(moves), seat, read_move(game, value, place)))
    return moves, given_up


def _in_turn(game: Game[Any], ply: int, seat: int, action: int) -> list[int]:
    """Returns a move, in Othello behind the pass that many programs do not write."""
    if ply % 2 == seat:
        return [action]
    if not isinstance(game, Othello):
        raise ValueError(f"move {ply + 1}: {COLOURS[seat]} moves out of turn")
    return [game.size**2, action]


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
