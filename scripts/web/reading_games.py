"""What the server reads of games: files of records, their games, and how these begin. No jax."""

import math
import pathlib
import re
from collections.abc import Mapping
from typing import Any

from scripts.web.shelf import NotThereError, Shelf
from selfplay.files.game_lines import GameRecord
from selfplay.records import opening_tree
from selfplay.records.game_index import DRAWN, GameIndex, GamesFile, Indexes
from selfplay.records.opening_tree import Counts, Wanted

PAGE = 100  # games of a list
SHOWN_NAMES = 200  # players that a filter offers
MAX_NUMBER = 10**15  # a browser's numbers are exact up to here
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


def games(shelf: Shelf, args: Mapping[str, str]) -> dict[str, Any]:
    """Returns the files of games of a run or a match; of one `file`, a page of its games."""
    folder = _folder(shelf, args)
    if not args.get("file"):
        return {"files": [_about(folder, name) for name in _files(folder)]}
    wanted = _wanted(args)
    with _open(shelf, folder, args) as file:
        index = file.index
        found = opening_tree.chosen(index, wanted)[::-1]  # the newest first
        page = _whole(args, "page") or 0
        rows = found[page * PAGE : (page + 1) * PAGE].tolist()
        return {
            "file": args["file"],
            "total": len(index.starts),
            "found": len(found),
            "page": page,
            "pages": math.ceil(len(found) / PAGE),
            "cut": index.begin > 0,
            "damaged": index.damaged,
            "damage": _clean(index.damage),
            "games": [_clean(spec) for spec in index.specs[:SHOWN_NAMES]],
            "players": [_clean(name) for name in index.names[:SHOWN_NAMES]],
            "rows": [_row(file, index, number) for number in rows],
        }


def record(shelf: Shelf, args: Mapping[str, str]) -> dict[str, Any]:
    """Returns one game of a file: the one at `index`, as its row has it, or the newest."""
    with _open(shelf, _folder(shelf, args), args) as file:
        start = _whole(args, "index")
        if start is None:
            if not len(file.index.starts):
                raise ValueError(f"{args['file']} holds no game")
            start = int(file.index.starts[-1])
        found = file.at(start)
        return {"file": args["file"], "index": start, **_about_record(found)}


def openings(shelf: Shelf, args: Mapping[str, str]) -> dict[str, Any]:
    """Returns what the games of a file did after `moves`, and how these games ended."""
    wanted = _wanted(args)
    with _open(shelf, _folder(shelf, args), args) as file:
        if wanted.spec is None and file.index.specs:
            wanted = wanted._replace(spec=file.index.specs[0])  # a tree is of one game
        node = opening_tree.node(file.index, wanted)
    return {
        "file": args["file"],
        "game": _clean(wanted.spec or ""),
        "played": list(wanted.moves),
        **_counts(node.counts),
        "ended": node.ended,
        "moves": [{"action": action, **_counts(counts)} for action, counts in node.moves],
    }


def _folder(shelf: Shelf, args: Mapping[str, str]) -> pathlib.Path:
    """Returns the folder of a run or a match; a link to a game says `run` for both."""
    if name := args.get("match"):
        return shelf.match(name)
    try:
        return shelf.run(args.get("run", ""))
    except NotThereError:
        return shelf.match(args.get("run", ""))


def _files(folder: pathlib.Path) -> list[str]:
    """Returns the files of games of a run or a match, the one that was written last first."""
    inside = (path for name in FOLDERS for path in (folder / name).glob("*.jsonl"))
    written = {}
    for path in (folder / MATCH, *inside):
        try:
            if path.is_file():
                written[path] = path.stat().st_mtime
        except OSError:  # deleted meanwhile, or somebody else's
            continue
    return [
        path.relative_to(folder).as_posix()
        for path in sorted(written, key=lambda path: -written[path])
    ]


def _about(folder: pathlib.Path, name: str) -> dict[str, Any]:
    try:
        status = (folder / name).stat()
    except OSError:
        return {"file": name, "kind": name, "bytes": 0, "changed": 0.0}
    stem = name.removesuffix(".jsonl")
    older = OLDER.fullmatch(stem)
    kind = KINDS.get(older[1] if older else stem, _clean(stem))
    part = f", part {int(older[2])}" if older else ""
    return {
        "file": _clean(name),
        "kind": kind + part,
        "bytes": status.st_size,
        "changed": status.st_mtime,
    }


def _open(shelf: Shelf, folder: pathlib.Path, args: Mapping[str, str]) -> GamesFile:
    """Opens the file that is named, if it is one of a run's or a match's files of games."""
    name = args.get("file", "")
    if name not in _files(folder):
        raise NotThereError(f"{folder} has no file of games {name[:100]!r}")
    return INDEXES.open(shelf.file(folder, name))


def _wanted(args: Mapping[str, str]) -> Wanted:
    """Returns the filters of a question. Raises ValueError for one that cannot be."""
    winner, seat = args.get("winner") or None, _whole(args, "seat")
    if winner is not None and winner not in WINNERS:
        raise ValueError(f"'winner' must be 0, 1 or draw, got {winner[:40]!r}")
    if seat not in (None, 0, 1):
        raise ValueError(f"'seat' must be 0 or 1, got {seat}")
    moves = filter(None, (args.get("moves") or "").split(","))
    return Wanted(
        spec=args.get("game") or None,
        least=_whole(args, "length_min"),
        most=_whole(args, "length_max"),
        winner=None if winner is None else WINNERS[winner],
        player=args.get("player") or None,
        seat=seat,
        moves=tuple(_number(word, "moves") for word in moves),
    )


def _whole(args: Mapping[str, str], name: str) -> int | None:
    return _number(args[name], name) if args.get(name) else None


def _number(text: str, name: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 16 and int(text) < MAX_NUMBER):
        raise ValueError(f"{name!r} must be whole numbers, not negative, got {text[:40]!r}")
    return int(text)


def _row(file: GamesFile, index: GameIndex, number: int) -> dict[str, Any]:
    """Returns a game of a list; `index` finds it again, `number` counts them from 1."""
    start = int(index.starts[number])
    about = _about_record(file.at(start))
    plies = len(about.pop("moves"))
    return {"index": start, "number": number + 1, "plies": plies, **about}


def _about_record(found: GameRecord) -> dict[str, Any]:
    first, second = found.returns
    return {
        "game": _clean(found.game),
        "moves": list(found.moves),
        "returns": list(found.returns),
        "winner": None if first == second else int(second > first),
        "players": _clean(list(found.players)),
        "ended_by": _clean(found.ended_by[:SHOWN_NAMES]),
        "extra": _clean(found.extra),
    }


def _counts(counts: Counts) -> dict[str, Any]:
    return {
        "games": counts.games,
        "wins": list(counts.wins),
        "draws": counts.draws,
        "returns": counts.mean,
    }


def _clean(value: Any) -> Any:
    """Returns a value of JSON with whole characters only: halves of some are no text."""
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, list):
        return [_clean(one) for one in value]
    if isinstance(value, dict):
        return {_clean(key): _clean(one) for key, one in value.items()}
    return value


READERS = {"games": games, "record": record, "openings": openings}
