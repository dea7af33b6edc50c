"""The game's own text as SVG, for a game that declares no board: one element a character."""

import re
import unicodedata
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from games.drawing import svg
from games.drawing.result import Drawing, Move
from games.game import Game

WIDTH, HEIGHT, SIZE, MARGIN = 10.0, 20.0, 16.0, 12.0  # of a character, in the viewBox's units
NARROWEST = 24  # characters, so that a short text is not drawn large
MOST_LINES, MOST_COLUMNS = 200, 300  # what lies beyond is cut off
COLOURS = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")  # what terminals take for colours and the like


def drawing(game: Game[Any], state: Any, before: Any | None) -> Drawing:
    """The drawing of a position; its moves are buttons."""
    legal = np.flatnonzero(np.asarray(state.legal_action_mask)).tolist()
    moves = tuple(Move(action, game.action_to_string(state, action), ()) for action in legal)
    old = None if before is None else rendered(game, before)
    return Drawing(svg_of_text(rendered(game, state), old), {}, moves)


def rendered(game: Game[Any], state: Any) -> str:
    """The text of a position, without what is no picture of it."""
    try:
        text = game.render(state)
    except Exception:  # a `render` may want what only jax arrays have, such as `.at`
        text = game.render(jax.tree.map(jnp.asarray, state))
    return plain(text)


def plain(picture: object) -> str:
    """Lines of characters, without colours and tabs; blanks end no line."""
    text = COLOURS.sub("", str(picture)).replace("\r\n", "\n").expandtabs()
    lines = [line[:MOST_COLUMNS].rstrip() for line in text.split("\n")[:MOST_LINES]]
    return "\n".join(lines).rstrip("\n")


def svg_of_text(text: str, before: str | None = None) -> str:
    """A text as SVG; what differs from the text `before` is marked."""
    lines = plain(text).split("\n")
    old = lines if before is None else plain(before).split("\n")
    width = WIDTH * max(NARROWEST, *map(len, lines))
    box = (-MARGIN, -MARGIN, width + 2 * MARGIN, HEIGHT * len(lines) + 2 * MARGIN)
    parts = [svg.rect(*box, class_="board-paper", fill=svg.PAPER)]
    for row, line in enumerate(lines):
        was = old[row] if row < len(old) else ""
        length = max(len(line), len(was))
        changed = [a != b for a, b in zip(line.ljust(length), was.ljust(length), strict=True)]
        parts += [_mark(row, column) for column in np.flatnonzero(changed).tolist()]
        middle = HEIGHT * (row + 0.5)
        for place, character in _glyphs(line):
            parts.append(svg.text(WIDTH * (place + 0.5), middle, character, SIZE, "board-text"))
    return svg.document(*box, parts)


def _mark(row: int, column: int) -> str:
    at = (WIDTH * column - 1, HEIGHT * row, WIDTH + 2, HEIGHT)
    return svg.rect(*at, class_="board-last", fill=svg.MARKED)


def _glyphs(line: str) -> list[tuple[float, str]]:
    """Place and character of all that show, the place in characters of the usual width.

    Wide ones take two; what only changes the character before it, such as an accent, joins it.
    """
    shown: list[tuple[float, str]] = []
    place = 0.0
    for character in line:
        if unicodedata.category(character) in ("Mn", "Me", "Cf") and shown:
            shown[-1] = (shown[-1][0], shown[-1][1] + character)
            continue
        width = 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if character != " ":
            shown.append((place + (width - 1) / 2, character))
        place += width
    return shown
