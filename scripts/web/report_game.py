"""One recorded game of a run as pictures, for a page that has no server to ask."""

import itertools
import os
import pathlib
from typing import Any

import numpy as np

from games import registry
from selfplay.files import durable, json_lines
from training.config import RunConfig
from training.storage.run_folder import RunFolder

FILES = ("evaluation.jsonl", "self_play.jsonl")  # below games/, the first that has a game
TAIL = 1 << 18  # bytes at a file's end that are searched for its last game
MOST_PLIES = 300


def shown(folder: RunFolder) -> dict[str, Any]:
    """Returns the last game of a run: `about`, `pictures` as SVG, and a caption for each.

    A run without one, or of a game whose code may not run here, has no pictures, and `why`.
    """
    nothing: dict[str, Any] = {"about": "", "pictures": [], "captions": [], "why": ""}
    try:
        config = folder.read_config()
        record = _last_record(folder, config)
        if record is None:
            return nothing | {"why": "No game is recorded yet."}
        return nothing | _drawn(config, record)
    except Exception as error:  # of a game of somebody else's, which may raise anything
        return nothing | {"why": f"The game is not shown: {error}"}


def _last_record(folder: RunFolder, config: RunConfig) -> dict[str, Any] | None:
    for name in FILES:
        for line in reversed(_lines_at_end(folder.games / name)):
            try:
                record = json_lines.parse(line, name)
            except ValueError:
                continue
            if _is_record(record, config):
                return dict(record) | {"file": name}
    return None


def _is_record(record: Any, config: RunConfig) -> bool:
    moves = record.get("moves") if isinstance(record, dict) else None
    is_list = isinstance(moves, list) and all(type(move) is int for move in moves)
    return is_list and record.get("game") == config.game


def _lines_at_end(file: pathlib.Path) -> list[str]:
    try:
        durable.check_file(file)
        with open(file, "rb", opener=durable.no_link) as content:
            start = max(0, content.seek(0, os.SEEK_END) - TAIL)
            content.seek(start)
            lines = content.read(TAIL).decode(errors="replace").split("\n")
    except OSError:
        return []
    return lines[start > 0 : -1]


def _drawn(config: RunConfig, record: dict[str, Any]) -> dict[str, Any]:
    """Returns the pictures of a game, played again by the rules on the CPU."""
    import jax

    jax.config.update("jax_platforms", "cpu")  # a run may be training on the other device
    from games.drawing.picture import picture
    from selfplay import positions

    game = registry.load(config.game)
    state = positions.opening_position(game)
    pictures, captions = [picture(game, state)], ["the opening position"]
    for ply, move in enumerate(itertools.islice(record["moves"], MOST_PLIES), start=1):
        if bool(state.terminated) or not (
            0 <= move < game.num_actions and bool(state.legal_action_mask[move])
        ):
            captions[-1] += f"; move {ply} is illegal"
            break
        before, state = state, positions.step(game, state, np.int32(move))
        pictures.append(picture(game, state, move, before))
        name = game.action_to_string(before, move)
        captions.append(f"ply {ply}: seat {int(before.to_play)} played {name}")
    if len(record["moves"]) > MOST_PLIES:
        captions[-1] += f"; the game went on for {len(record['moves']) - MOST_PLIES} plies more"
    return {"about": _about(record), "pictures": pictures, "captions": captions}


def _about(record: dict[str, Any]) -> str:
    players = record.get("players")
    who = " against ".join(map(str, players)) if isinstance(players, list) else ""
    returns: Any = record.get("returns")
    is_list = isinstance(returns, list) and all(map(json_lines.is_number, returns))
    result = f", returns {' and '.join(f'{one:+g}' for one in returns)}" if is_list else ""
    return f"The last game of games/{record['file']}: {who}{result}"
