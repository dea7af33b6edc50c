"""`selfplay game list`."""

import inspect
import textwrap
from typing import Any

import games
from games import registry
from games.catalogue import GAMES
from scripts.flags.game_list import Args
from scripts.terminal.console import columns, print_json, print_text, say


def run(args: Args) -> int:
    """Prints the list; a game that fails to load is listed with the reason."""
    rows = [_describe(name) for name in games.names()]
    if args.json:
        print_json({"games": rows})
    else:
        print_text(_table(rows))
    for name, target in registry.shadowed().items():
        say(f"note: {name!r} is our game; an installed package's of that name is {target}")
    return 0


def _describe(name: str) -> dict[str, Any]:
    """Returns a game's row; one of ours is read from the catalogue, which takes no jax."""
    if name in GAMES:
        ours = GAMES[name]
        return {
            "name": name,
            "options": ours.options,
            "board": list(ours.board),
            "actions": ours.actions,
            "max_plies": ours.max_plies,
            "about": ours.about,
        }
    try:
        game: Any = games.load(name)
    except Exception as error:  # someone else's plug-in: its fault must not hide the other games
        return {"name": name, "error": f"{type(error).__name__}: {error}"}
    return {
        "name": name,
        "options": registry.options(type(game)),
        "board": [int(n) for n in game.observation_shape[:-1] or game.observation_shape],
        "actions": int(game.num_actions),
        "max_plies": int(game.max_plies),
        "about": (inspect.getdoc(type(game)) or "").partition("\n")[0],
    }


def _table(rows: list[dict[str, Any]]) -> str:
    head = ("game", "board", "actions", "max plies", "options")
    lines = [head]
    for row in rows:
        if "error" in row:
            lines.append((row["name"], "-", "-", "-", f"cannot be loaded: {row['error']}"))
            continue
        options = ",".join(f"{key}={_text(value)}" for key, value in row["options"].items())
        board = "x".join(map(str, row["board"]))
        plies = str(row["max_plies"])
        lines.append((row["name"], board, str(row["actions"]), plies, options or "-"))
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    abouts = ["", *(row.get("about", "") for row in rows)]
    margin, room = sum(widths) + 2 * len(head), columns()
    text = []
    for line, about in zip(lines, abouts, strict=True):
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        if margin + max(map(len, abouts)) <= room:
            text.append("  ".join([*cells, about]).rstrip())
            continue
        text.append("  ".join(cells).rstrip())
        text += textwrap.wrap(about, room, initial_indent="  ", subsequent_indent="  ")
    return "\n".join(text)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
