"""PGN, the format of chess programs, for `pgx:chess`: the fields of a record to text and back.

Format: http://www.saremba.de/chessgml/standards/pgn/pgn-complete.htm (1994). A file may hold many
games. Read are the tags that a record needs and the moves of the main line; comments, variations
and annotations are skipped. White is seat 0. Moves are made out here in plain Python (`san`), so
that a large file needs no compiled rules; whether a game is right is for these.
"""

import bisect
import itertools
import json
import re
import textwrap
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

from games.pgx_chess_moves import action_of, move_of
from selfplay.records import chess_position, san
from selfplay.records.chess_position import Position

Fields: TypeAlias = dict[str, Any]  # a record's, named as in its JSON line

GAME = "pgx:chess"
RESULTS = {"1-0": [1.0, -1.0], "0-1": [-1.0, 1.0], "1/2-1/2": [0.0, 0.0]}
UNFINISHED = "*"
OPENING = "rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR w KQkq - 0 1"
STANDARD = ("", "standard", "chess", "normal", "from position")  # values of Variant
# What Termination says of games that the rules did not end.
TERMINATIONS = {"time": "time forfeit", "forfeit": "rules infraction"}
OURS = "Selfplay"  # the tag of what else a record holds, as JSON
KEYS = ("game", "moves", "returns", "players")
MAX_PLIES = 2000  # of one game; pgx ends them after 512
WIDTH = 79  # characters of a line of moves

# Possessive (`*+`): a damaged file of any size is read once, without a stack of ways back.
_SPACE = re.compile(r"(?:\s++|^%[^\n]*+)++", re.MULTILINE)  # a line that begins with % is none
_TAG = re.compile(r'\[\s*+(\w++)\s*+"([^"\\\n]*+(?:\\.[^"\\\n]*+)*+)"\s*+\]')
_TOKEN = re.compile(
    r"(?P<comment>\{[^}]{0,65535}+\}|;[^\n]*+)"
    r"|(?P<open>\()|(?P<close>\))"
    r"|(?P<result>1-0|0-1|1/2-1/2|\*)(?![-\w])"
    r"|(?P<number>\d++\.*+(?![-/\w])|\d++\.++|\.++)"
    r"|(?P<note>\$\d++|[!?]++|\+-|-\+|\+/?=|=/?\+|e\.p\.)"
    r"|(?P<move>[A-Za-z0][-\w=+#:]*+[!?]*+)"
)
_TAG_LINE = re.compile(r"^\[\s*+\w++\s*+\"[^\n]*+$", re.MULTILINE)
_ESCAPE = re.compile(r"\\(.)")


class _Game(NamedTuple):
    """A game as text, as far as it can be read."""

    tags: dict[str, str]
    moves: list[tuple[str, int]]  # of the main line, and where each begins
    result: str
    end: int  # where reading goes on


class _Damage(ValueError):
    """What is wrong with the text of a game, and where."""

    def __init__(self, why: str, at: int) -> None:
        super().__init__(why)
        self.at = at


def decoded(data: bytes) -> str:
    """Returns the text of a file: UTF-8, else ISO 8859-1, which the standard names."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def read_games(text: str) -> Iterator[tuple[str, Fields | str]]:
    """Yields each game's place, as `game 3 (line 41)`, and its fields, or what is wrong with it.

    Moves are resolved by the rules of chess; whether the game was over, by which rule, and whose
    the result is, is not looked at.
    """
    lines, heads = _Lines(text), [*_heads(text), len(text)]
    position, part = 0, 0
    for number in itertools.count(1):
        start = _after_space(text, position)
        if start == len(text):
            return
        # Damage ends with the next game's tags: what follows them is read.
        part = bisect.bisect_right(heads, start, part)
        fields: Fields | str
        try:
            game = _game(text, start, heads[part])
            fields, position = _fields(game, lines), game.end
        except _Damage as damage:
            fields, position = f"line {lines.of(damage.at)}: {damage}", heads[part]
        except ValueError as error:
            fields, position = str(error), game.end
        yield f"game {number} (line {lines.of(start)})", fields


def _heads(text: str) -> Iterator[int]:
    """Yields where the tags of a game begin: behind a line that is no tag."""
    end = -1  # of the last tag's line
    for tag in _TAG_LINE.finditer(text):
        if end < 0 or text[end : tag.start()].strip():
            yield tag.start()
        end = tag.end()


def check(spec: str) -> None:
    """Raises ValueError unless games of `spec` can be written as PGN."""
    if spec != GAME:
        raise ValueError(f"PGN is for {GAME}, not for {spec}: write .jsonl")


def write_game(fields: Fields) -> str:
    """Returns one game as PGN, with an empty line behind it; no result where its returns are None.

    Raises:
      ValueError: it is another game, or its moves are none of chess.
    """
    check(fields["game"])
    extra = {key: value for key, value in fields.items() if key not in KEYS}
    tags = {
        "Event": "?",
        "Site": "?",
        "Date": "????.??.??",
        "Round": "?",
        "White": " ".join(fields["players"][0].split()),
        "Black": " ".join(fields["players"][1].split()),
        "Result": (result := _result(fields["returns"])),
    }
    if termination := TERMINATIONS.get(fields.get("ended_by", "")):
        tags["Termination"] = termination
    if extra:
        tags[OURS] = json.dumps(extra)
    header = "".join(f'[{name} "{_escaped(value)}"]\n' for name, value in tags.items())
    return f"{header}\n{_movetext(fields['moves'], result)}\n\n"


def _result(returns: list[float] | None) -> str:
    if returns is None:
        return UNFINISHED
    for name, fair in RESULTS.items():
        if fair == list(returns):
            return name
    raise ValueError(f"{returns} is no result of a game of chess: write .jsonl")


def _movetext(actions: list[int], result: str) -> str:
    words, position = [], Position()
    for ply, action in enumerate(actions):
        seat = position.seat
        square = move_of(action, seat, is_pawn=False).origin
        move = move_of(action, seat, is_pawn=position.board[square] in "Pp")
        if move.origin not in _origins(position, square, move.target):
            raise ValueError(f"move {ply + 1}, action {action}, is none of chess in its position")
        words.append((f"{ply // 2 + 1}. " if seat == 0 else "") + san.write(position, move))
        position = chess_position.play(position, move)
    text = " ".join([*words, result])
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def _origins(position: Position, square: int, target: int) -> list[int]:
    piece = position.board[square].upper()
    return [] if piece == "." else chess_position.legal_origins(position, piece, target)


def _game(text: str, position: int, end: int) -> _Game:
    """Reads one game from its first character on, and not beyond `end`."""
    tags: dict[str, str] = {}
    while text[position] == "[":
        tag = _TAG.match(text, position, end)
        if not tag:
            where = text[position : position + 30].splitlines()[0]
            raise _Damage(f"{where!r} is no tag pair", position)
        tags[tag[1]] = _ESCAPE.sub(r"\1", tag[2])
        position = _after_space(text, tag.end())
        if position >= end:
            raise _Damage("it ends before its moves", position)
    depth = 0
    moves: list[tuple[str, int]] = []
    while (position := _after_space(text, position)) < end:
        token = _TOKEN.match(text, position, end)
        if not token:
            raise _Damage(_what(text, position), position)
        kind = token.lastgroup
        depth += {"open": 1, "close": -1}.get(kind or "", 0)
        if depth < 0:
            raise _Damage("')' closes no variation", position)
        if kind == "result" and not depth:
            return _Game(tags, moves, token[0], token.end())
        if kind == "move" and not depth:
            moves.append((token[0], position))
            if len(moves) > MAX_PLIES:
                raise _Damage(f"more than {MAX_PLIES:,} moves", position)
        position = token.end()
    inside = "a variation that nothing closes" if depth else "its moves, without a result"
    raise _Damage(f"it ends within {inside}", position)


def _what(text: str, position: int) -> str:
    """Returns what is wrong at a place where no token is."""
    if text[position] == "{":
        return "a comment is not closed by }, or too long"
    return f"{text[position : position + 10].split()[0]!r} is not PGN"


def _fields(game: _Game, lines: "_Lines") -> Fields:
    tags = game.tags
    fen = " ".join(tags.get("FEN", OPENING).split())
    if fen != OPENING:
        raise ValueError(f"FEN {fen[:80]!r}: here a game begins from the opening position")
    if tags.get("Variant", "").lower() not in STANDARD:
        raise ValueError(f"Variant {tags['Variant'][:40]!r} is another game than {GAME}")
    if game.result == UNFINISHED:
        raise ValueError("it has no result")
    if tags.get("Result", game.result) != game.result:
        raise ValueError(f"its tag says {tags['Result'][:20]!r}, its moves end with {game.result}")
    how = tags.get("Termination", "").lower()
    ended_by = next((reason for reason, name in TERMINATIONS.items() if name == how), "")
    fields = {
        "game": GAME,
        "moves": _actions(game.moves, lines),
        "returns": RESULTS[game.result],
        "players": [tags.get("White") or "white", tags.get("Black") or "black"],
    }
    return ({"ended_by": ended_by} if ended_by else {}) | _extra(tags) | fields


def _actions(moves: list[tuple[str, int]], lines: "_Lines") -> list[int]:
    """Returns the actions of moves. Raises ValueError about one that is illegal, with its place."""
    position, actions = Position(), []
    for ply, (text, at) in enumerate(moves):
        try:
            move = san.read(position, text)
        except ValueError as error:
            dots = "." if ply % 2 == 0 else "..."
            raise ValueError(f"line {lines.of(at)}, move {ply // 2 + 1}{dots} {error}") from None
        actions.append(action_of(move, position.seat))
        position = chess_position.play(position, move)
    return actions


def _extra(tags: dict[str, str]) -> Fields:
    """Returns what `write_game` kept in a tag of its own."""
    try:
        extra = json.loads(tags.get(OURS, ""))
    except (ValueError, RecursionError):
        return {}
    if not isinstance(extra, dict):
        return {}
    return {key: value for key, value in extra.items() if key not in KEYS}


def _after_space(text: str, position: int) -> int:
    space = _SPACE.match(text, position)
    return space.end() if space else position


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


class _Lines:
    """The lines of a text, counted on from the last place that was asked for."""

    def __init__(self, text: str) -> None:
        self.text, self.at, self.line = text, 0, 1

    def of(self, position: int) -> int:
        """Returns the number of the line of a place."""
        if position < self.at:
            self.at, self.line = 0, 1
        self.line += self.text.count("\n", self.at, position)
        self.at = position
        return self.line
