"""The games that SGF knows and we play: how each writes its board, its points and its other moves.

FF[4] (https://www.red-bean.com/sgf/) defines Go and Hex (`hex.html`) and for gomoku and Othello no
more than a number. Gomoku's points are therefore written as Go's; Othello's as all its programs
name squares, `d3` from the top. Where a second spelling cannot be mistaken it is read, not written.

Options of ours that SGF has no property for stand in RU as a game's name has them: `RU[swap=true]`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import games
from games import registry
from games.game import Game
from games.go import Go
from games.gomoku import Gomoku
from games.hex import Hex
from games.othello import Othello

Cell: TypeAlias = tuple[int, int]  # row, from the top, and column, each from 0

GO_RULES = "Tromp-Taylor"  # our games of Go are such games in which nobody chose suicide
_SIZE = re.compile(r"(\d{1,3})(?::(\d{1,3}))?")
_NAME = re.compile(r"([a-z])(\d{1,2})")
_OPTION = re.compile(r"(\w{1,10})=(\w{1,10})")


class Dialect(NamedTuple):
    """How the games of one kind are written."""

    number: str  # the value of GM
    name: str  # of the game, for `games.load`
    kind: type[Any]
    size: str  # of a board whose file does not say it
    read: tuple[Callable[[str, int], Cell | None], ...]  # spellings of a point; with the rows
    write: Callable[[Cell, int], str]
    beside: tuple[str, ...]  # spellings of the one move that is no point; the first is written
    passes: bool  # whether that move is a pass
    options: tuple[str, ...] = ()  # that stand in RU
    ends: Mapping[str, str] = {}  # what stands for a move and ends the game; how


def letters(text: str, rows: int) -> Cell | None:
    """Reads Go's points: `ca` is the third column of the top row."""
    del rows
    return (ord(text[1]) - 97, ord(text[0]) - 97) if len(text) == 2 and text.isalpha() else None


def from_top(text: str, rows: int) -> Cell | None:
    """Reads `c1`, the third column of the top row."""
    del rows
    name = _NAME.fullmatch(text.lower())
    return (int(name[2]) - 1, ord(name[1]) - 97) if name else None


def from_below(text: str, rows: int) -> Cell | None:
    """Reads `c1`, the third column of the bottom row."""
    cell = from_top(text, rows)
    return cell and (rows - 1 - cell[0], cell[1])


def as_letters(cell: Cell, rows: int) -> str:
    """Writes what `letters` reads."""
    del rows
    return chr(97 + cell[1]) + chr(97 + cell[0])


def as_name(cell: Cell, rows: int) -> str:
    """Writes what `from_top` reads."""
    del rows
    return f"{chr(97 + cell[1])}{cell[0] + 1}"


RESIGNED = {"resign": "resignation", "forfeit": "forfeit"}
DIALECTS = (
    Dialect("1", "go", Go, "19", (letters,), as_letters, ("", "tt"), passes=True),
    Dialect(
        *("2", "othello", Othello, "8", (from_top, letters), as_name, ("", "pass", "pa", "tt")),
        passes=True,
    ),
    Dialect(
        *("4", "gomoku", Gomoku, "15", (letters, from_below), as_letters, ()),
        passes=False,
        options=("k", "exact"),
    ),
    Dialect(
        *("11", "hex", Hex, "11", (from_top,), as_name, ("swap-pieces",)),
        passes=False,
        options=("swap",),
        ends=RESIGNED,
    ),
)
BY_NUMBER = {dialect.number: dialect for dialect in DIALECTS}
BY_KIND = {dialect.kind: dialect for dialect in DIALECTS}
KNOWN = ", ".join(f"{dialect.name} (GM[{dialect.number}])" for dialect in DIALECTS)


def knows(game: Game[Any]) -> bool:
    """Returns whether games of this kind can be written as SGF."""
    return type(game) in BY_KIND


def written_as(spec: str) -> Game[Any]:
    """Returns the game of a spec. Raises ValueError if SGF does not know it."""
    game = games.load(spec)
    if not knows(game):
        raise ValueError(f"SGF is for {KNOWN}, not for {spec}: write .jsonl")
    return game


def read_game(root: Mapping[str, str], moves: Sequence[str] = ()) -> Game[Any]:
    """Returns the game that is played.

    Args:
      root: the values of the first node, as plain text.
      moves: as the file spells them: where one is the swap of Hex, it may be swapped.

    Raises:
      ValueError: it is none of ours; says why.
    """
    number = root.get("GM", "1").strip()
    if number not in BY_NUMBER:
        raise ValueError(f"GM[{number[:20]}] is another game than {KNOWN}")
    dialect = BY_NUMBER[number]
    text = root.get("SZ", dialect.size).strip()
    size = _SIZE.fullmatch(text)
    cols, rows = (int(size[1]), int(size[2] or size[1])) if size else (0, 0)
    if not size or (rows != cols and dialect.kind is not Gomoku):
        board = "board" if dialect.kind is Gomoku else "square board"
        raise ValueError(f"SZ[{text[:20]}] is no size of a {board}")
    if dialect.kind is Go:
        return Go(rows, read_komi(root.get("KM", "0")))
    sides = [f"rows={rows}", f"cols={cols}"] if dialect.kind is Gomoku else [f"size={rows}"]
    chosen = dict(_OPTION.findall(root.get("RU", "")))
    if dialect.kind is Hex and "swap-pieces" in (move.lower() for move in moves):
        chosen["swap"] = "true"
    sides += [f"{key}={chosen[key]}" for key in dialect.options if key in chosen]
    return games.load(f"{dialect.name}:{','.join(sides)}")


def spec_of(game: Game[Any]) -> str:
    """Returns the spec that a record of a file gives its game."""
    if isinstance(game, Go):
        return f"go:size={game.size},komi={game.komi:g}"
    return registry.spec_of(game)


def root_of(game: Game[Any]) -> dict[str, str]:
    """Returns the properties that say which game it is; `read_game` reads them."""
    dialect = BY_KIND[type(game)]
    rows, cols = game.observation_shape[:2]
    size = {"GM": dialect.number, "SZ": str(rows) if rows == cols else f"{cols}:{rows}"}
    if isinstance(game, Go):
        return size | {"KM": f"{game.komi:g}", "RU": GO_RULES}
    _, _, options = registry.spec_of(game).partition(":")
    chosen = [one for one in options.split(",") if one.partition("=")[0] in dialect.options]
    return size | ({"RU": ",".join(chosen)} if chosen else {})


def read_move(game: Game[Any], text: str) -> int:
    """Returns the action of a move in the game's dialect. Raises ValueError if it is none."""
    dialect = BY_KIND[type(game)]
    rows, cols = game.observation_shape[:2]
    text = text.strip()
    if text.lower() in dialect.beside and rows * cols < game.num_actions:
        return rows * cols
    for read in dialect.read:
        row, col = read(text, rows) or (-1, -1)
        if 0 <= row < rows and 0 <= col < cols:
            return row * cols + col
    if text.lower().startswith("swap") and text.lower() not in dialect.beside:
        raise ValueError(
            f"[{text[:20]}] is not read: of swaps, swap-pieces is, which gives the stone to the "
            "second player, on the mirrored cell, and leaves the sides"
        )
    size = root_of(game)["SZ"]
    raise ValueError(f"[{text[:20]}] is no point of a board of size {size}")


def write_move(game: Game[Any], action: int) -> str:
    """Returns a move in the game's dialect."""
    dialect = BY_KIND[type(game)]
    rows, cols = game.observation_shape[:2]
    if action == rows * cols:
        return dialect.beside[0]
    return dialect.write(divmod(action, cols), rows)


def end_of(game: Game[Any], text: str) -> str:
    """Returns how a game ends where such a text stands for a move; empty if it does not."""
    return BY_KIND[type(game)].ends.get(text.strip().lower(), "")


def pass_of(game: Game[Any]) -> int | None:
    """Returns the action of the pass; None in a game without one."""
    rows, cols = game.observation_shape[:2]
    return rows * cols if BY_KIND[type(game)].passes else None


def read_komi(text: str) -> float:
    """Returns the komi; raises ValueError if it is none."""
    try:
        return float(text.strip() or "0")
    except ValueError:
        raise ValueError(f"KM[{text[:20]}] is not a number") from None
