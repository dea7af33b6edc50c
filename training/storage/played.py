"""The games that people play in the browser, kept in their run: `games/played.jsonl`.

A run that trains holds another lock than this file, so that both write at the same time.
"""

import pathlib
import time

from selfplay.files import durable
from selfplay.files.game_lines import GameRecord
from selfplay.records import game_record
from training.storage.run_folder import RunFolder

FILE, LOCK = "played.jsonl", "played.lock"
TRIES, PAUSE = 20, 0.1  # seconds between tries to get the lock: others hold it for an instant


def keep(folder: RunFolder, record: GameRecord) -> pathlib.Path:
    """Adds a finished game to those played; returns the file, in which it is on return.

    Raises:
      ValueError: its game's rules say something else, or there is no run any more.
      OSError: it cannot be written; nothing is made anew where a folder is gone.
    """
    if problem := game_record.objection(record):
        raise ValueError(f"the game is not kept: {problem}")
    games = folder.games
    if not folder.exists():
        raise ValueError(f"{folder.path} is no run any more: it was moved or deleted")
    if games.is_symlink() or not games.is_dir():
        raise ValueError(f"{games} is no folder: it was moved or deleted")
    for tries in range(TRIES):
        try:
            with durable.lock(games / LOCK):
                game_record.append_records(games / FILE, [record])
            break
        except BlockingIOError:
            if tries == TRIES - 1:
                raise
            time.sleep(PAUSE)
    return games / FILE
