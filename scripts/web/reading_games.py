"""What the server reads of games: files of records, their games, and how these begin. No jax."""

import contextlib
import math
import os
import pathlib
import re
from typing import Any

from games import registry
from scripts.web.query import Query, whole, wholes
from scripts.web.shelf import NotThereError, Shelf
from selfplay.files.game_lines import GameRecord
from selfplay.records import opening_tree
from selfplay.records.game_index import DRAWN, GameIndex, GamesFile, Indexes
from selfplay.records.opening_tree import Counts, Wanted

PAGE = 100  # games of a list
SHOWN_NAMES = 200  # players that a filter offers
# Folders of a run whose files hold games, and names of files for people; a match has `MATCH`.
FOLDERS = ("games", "ladder")
MATCH = "games.jsonl"
KINDS = {
    "games/self_play": "self-play",
    "games/evaluation": "evaluation",
    "games/played": "played here",
    "ladder/games": "ladder",
    "games": "match",
}
OLDER = re.compile(r"(.*)-([0-9]{6})")  # a part of a log that grows
WINNERS = {"0": 0, "1": 1, "draw": DRAWN}
INDEXES = Indexes()


def games(shelf: Shelf, args: Query) -> dict[str, Any]:
    """Returns the files of games of a run or a match; of one `file`, a page of its games."""
    folder = _folder(shelf, args)
    if not args.get("file"):
        return {"files": [_about(*one) for one in _files(folder).items()]}
    wanted = _wanted(args)
    with _open(shelf, folder, args) as file:
        index = file.index
        found = opening_tree.chosen(index, wanted)[::-1]  # the newest first
        page = whole(args, "page") or 0
        rows = found[page * PAGE : (page + 1) * PAGE].tolist()
        return {
            "file": args["file"],
            "total": len(index.starts),
            "found": len(found),
            "page": page,
            "pages": math.ceil(len(found) / PAGE),
            "cut": index.begin > 0,
            "damaged": index.damaged,
            "damage": index.damage,
            "games": index.specs[:SHOWN_NAMES],
            "players": index.names[:SHOWN_NAMES],
            "rows": [_row(file, index, number) for number in rows],
        }


def record(shelf: Shelf, args: Query) -> dict[str, Any]:
    """Returns one game of a file: the one at `index`, as its row has it, or the newest."""
    with _open(shelf, _folder(shelf, args), args) as file:
        start = whole(args, "index")
        if start is None:
            if not len(file.index.starts):
                raise ValueError(f"{args['file']} holds no game")
            start = int(file.index.starts[-1])
        found = file.at(start)
        return {"file": args["file"], "index": start, **_about_record(found)}


def openings(shelf: Shelf, args: Query) -> dict[str, Any]:
    """Returns what the games of a file did after `moves`, and how these games ended."""
    wanted = _wanted(args)
    with _open(shelf, _folder(shelf, args), args) as file:
        if wanted.spec is None and file.index.specs:
            wanted = wanted._replace(spec=file.index.specs[0])  # a tree is of one game
        node = opening_tree.node(file.index, wanted)
    return {
        "file": args["file"],
        "game": wanted.spec or "",
        "played": list(wanted.moves),
        **_counts(node.counts),
        "ended": node.ended,
        "moves": [{"action": action, **_counts(counts)} for action, counts in node.moves],
    }


def _folder(shelf: Shelf, args: Query) -> pathlib.Path:
    """Returns the folder of a run or a match; a link to a game says `run` for both."""
    if name := args.get("match"):
        return shelf.match(name)
    try:
        return shelf.run(args.get("run", ""))
    except NotThereError:
        return shelf.match(args.get("run", ""))


def _files(folder: pathlib.Path) -> dict[str, os.stat_result]:
    """Returns the files of games of a run or a match, the one that was written last first."""
    inside = (path for name in FOLDERS for path in (folder / name).glob("*.jsonl"))
    found = {}
    for path in (folder / MATCH, *inside):
        with contextlib.suppress(OSError):  # deleted meanwhile, or somebody else's
            if path.is_file():
                found[path.relative_to(folder).as_posix()] = path.stat()
    return dict(sorted(found.items(), key=lambda item: -item[1].st_mtime))


def _about(name: str, status: os.stat_result) -> dict[str, Any]:
    stem = name.removesuffix(".jsonl")
    older = OLDER.fullmatch(stem)
    kind = KINDS.get(older[1] if older else stem, stem)
    part = f", part {int(older[2])}" if older else ""
    return {
        "file": name,
        "kind": kind + part,
        "bytes": status.st_size,
        "changed": status.st_mtime,
    }


def _open(shelf: Shelf, folder: pathlib.Path, args: Query) -> GamesFile:
    """Opens the file that is named, if it is one of a run's or a match's files of games."""
    name = args.get("file", "")
    if name not in _files(folder):
        raise NotThereError(f"{folder} has no file of games {name[:100]!r}")
    return INDEXES.open(shelf.file(folder, name))


def _wanted(args: Query) -> Wanted:
    """Returns the filters of a question. Raises ValueError for one that cannot be."""
    winner, seat = args.get("winner") or None, whole(args, "seat")
    if winner is not None and winner not in WINNERS:
        raise ValueError(f"'winner' must be 0, 1 or draw, got {winner[:40]!r}")
    if seat not in (None, 0, 1):
        raise ValueError(f"'seat' must be 0 or 1, got {seat}")
    return Wanted(
        spec=args.get("game") or None,
        least=whole(args, "length_min"),
        most=whole(args, "length_max"),
        winner=None if winner is None else WINNERS[winner],
        player=args.get("player") or None,
        seat=seat,
        moves=wholes(args, "moves"),
    )


def _row(file: GamesFile, index: GameIndex, number: int) -> dict[str, Any]:
    """Returns a game of a list; `index` finds it again, `number` counts them from 1."""
    start = int(index.starts[number])
    about = _about_record(file.at(start))
    plies = len(about.pop("moves"))
    return {"index": start, "number": number + 1, "plies": plies, **about}


def _about_record(found: GameRecord) -> dict[str, Any]:
    first, second = found.returns
    return {
        "game": registry.canonical(found.game),
        "moves": list(found.moves),
        "returns": list(found.returns),
        "winner": None if first == second else int(second > first),
        "players": list(found.players),
        "ended_by": found.ended_by[:SHOWN_NAMES],
        "extra": found.extra,
    }


def _counts(counts: Counts) -> dict[str, Any]:
    return {
        "games": counts.games,
        "wins": list(counts.wins),
        "draws": counts.draws,
        "returns": counts.mean,
    }


READERS = {"games": games, "record": record, "openings": openings}
