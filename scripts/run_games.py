"""`selfplay runs FILE`: recorded games, as a list, or one of them move by move."""

import pathlib
from typing import Any

import games
from scripts.flags.runs import Args
from scripts.terminal.console import ask, print_json, print_text, say
from selfplay import positions
from selfplay.files.game_lines import GameRecord, in_words
from selfplay.records.game_record import Scan, record_pages, scan_records
from training.storage.run_folder import RunFolder

SHOWN_PROBLEMS = 10
LAST = "last"


def run(args: Args) -> int:
    """Runs the command; returns its exit code."""
    path, number = pathlib.Path(args.paths[0]), args.number
    if path.is_dir():
        path, number = _sample(path), number or LAST
    scan = scan_records(path, plug_in=args.game)
    _complain(str(path), scan)
    if not scan.records:
        raise ValueError(f"{path} holds no game that can be shown")
    if not number and len(scan.records) > 1:
        _list(args, path, scan.records)
        return 0
    index = _index(number, len(scan.records))
    record = scan.records[index]
    if args.ply > len(record.moves):
        raise ValueError(
            f"--ply must be at most {len(record.moves)}, the moves of game {index + 1}"
        )
    if args.json:
        print_json({"file": str(path), "number": index + 1, **_summary(record)})
        return 0
    title, *pages = record_pages(record)
    if args.step:
        _step(title, pages, max(args.ply, 0))
    elif args.ply >= 0:
        print_text(f"{title}\n\n{pages[args.ply]}")
    else:
        print_text("\n\n".join([title, *pages, in_words(record)]))
    return 0


def _sample(folder: pathlib.Path) -> pathlib.Path:
    """Returns the games of self-play that a run keeps."""
    run = RunFolder(folder)
    sample = run.games / "self_play.jsonl"
    if not run.config_file.is_file():
        raise ValueError(
            f"{folder} is a folder, and no run; name a run, or a file of games such "
            f"as {sample} of a run"
        )
    if not sample.is_file():
        raise ValueError(f"{folder} has no game yet: {sample} is made as it trains")
    return sample


def _index(number: str, count: int) -> int:
    """Returns the place of the game that is asked for."""
    if number in ("", LAST):
        return count - 1
    if not number.isdecimal() or not 1 <= int(number) <= count:
        raise ValueError(f"--number must be from 1 to {count}, or {LAST}, got {number}")
    return int(number) - 1


def _step(title: str, pages: list[str], ply: int) -> None:
    """Shows a game position by position, as the person asks; ends where input does."""
    print_text(title)
    while True:
        print_text(f"\n{pages[ply]}")
        last = ply == len(pages) - 1
        word = ask("Enter: next, b: back, q: quit " if not last else "b: back, q: quit ")
        if word is None or word.strip().lower() in ("q", "quit"):
            return
        step = -1 if word.strip().lower() in ("b", "back") else 1
        ply = min(max(ply + step, 0), len(pages) - 1)


def _list(args: Args, path: pathlib.Path, records: list[GameRecord]) -> None:
    if args.json:
        print_json({"file": str(path), "games": [_summary(record) for record in records]})
        return
    print_text("\n".join(_line(i, record) for i, record in enumerate(records, start=1)))


def _summary(record: GameRecord) -> dict[str, Any]:
    """Returns a game as JSON: its record, and its moves in the game's notation."""
    game = games.load(record.game)
    notation = positions.notation(game, positions.opening_position(game), record.moves)
    return {
        "game": record.game,
        "players": list(record.players),
        "returns": list(record.returns),
        "moves": list(record.moves),
        "notation": notation,
        **record.extra,
    }


def _complain(file: str, scan: Scan) -> None:
    """Says what is wrong, and of many games with one fault only the first."""
    alike: dict[str, list[str]] = {}
    for problem in scan.problems:
        _, _, fault = problem.removeprefix(file).partition(": ")
        alike.setdefault(fault, []).append(problem)
    for first, *others in list(alike.values())[:SHOWN_PROBLEMS]:
        say(f"{first} (and so {len(others)} more)" if others else first)
    hidden = sum(map(len, list(alike.values())[SHOWN_PROBLEMS:]))
    if hidden:
        say(f"and {hidden} more games that are not right")


def _line(number: int, record: GameRecord) -> str:
    return (
        f"{number}. {record.game}: {record.players[0]} - {record.players[1]}, "
        f"{len(record.moves)} moves, {in_words(record)}"
    )
