"""`selfplay show`."""

import pathlib

from scripts.flags.show import Args
from scripts.terminal.console import print_text, say
from selfplay.records.game_record import GameRecord, Scan, render_record, scan_records

SHOWN_PROBLEMS = 10


def run(args: Args) -> int:
    """Runs the command; returns its exit code."""
    if pathlib.Path(args.file).is_dir():
        raise ValueError(
            f"{args.file} is a folder; show takes a file of records, such as "
            f"{pathlib.Path(args.file) / 'games' / 'self_play.jsonl'} of a run"
        )
    scan = scan_records(args.file, plug_in=args.game)
    _complain(args.file, scan)
    if not scan.records:
        raise ValueError(f"{args.file} holds no game that can be shown")
    if args.number == 0 and len(scan.records) > 1:
        print_text("\n".join(_line(i, record) for i, record in enumerate(scan.records, start=1)))
        return 0
    print_text(render_record(_chosen(args, scan.records), None if args.ply < 0 else args.ply))
    return 0


def _chosen(args: Args, records: list[GameRecord]) -> GameRecord:
    number = args.number or 1
    if not 1 <= number <= len(records):
        raise ValueError(f"--number must be from 1 to {len(records)}, got {args.number}")
    moves = len(records[number - 1].moves)
    if args.ply > moves:
        raise ValueError(f"--ply must be at most {moves}, the moves of game {number}")
    return records[number - 1]


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
    low, high = (f"{value:g}" for value in record.returns)
    how = f" by {record.ended_by}" if record.ended_by else ""
    return (
        f"{number}. {record.game}: {record.players[0]} - {record.players[1]}, "
        f"{len(record.moves)} moves, result by seat {low} {high}{how}"
    )
