"""`selfplay arena`."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import games as games_package
import training
from scripts.console import Positional, announce_devices, print_json, progress, say
from selfplay.arena import play_match
from selfplay.match_result import MatchResult
from selfplay.openings import DEFAULT_PLIES
from selfplay.players import parse_player, run_of
from selfplay.records import check_path, match_records, write_records
from training.run_folder import RunFolder


@dataclasses.dataclass(frozen=True)
class Args:
    """Plays a match between two players, from varied openings, each from both seats.

    A player is a run folder R (its newest checkpoint), R@STEP, random, uniform (search with a
    uniform prior and zero value), or module:function for one of your own: a function of (states,
    key, history=None) that returns a SearchResult; `history` holds the actions so far, padded with
    -1. With an attribute on_device = True it is jitted and called without history. The score is the
    first player's, with a 95% interval in which the two games from one opening are one observation.

    Examples:
      selfplay arena runs/c4 random
      selfplay arena runs/c4 runs/c4@0 --games 512 --simulations 32
      selfplay arena uniform random --game tic_tac_toe --json
      selfplay arena runs/c4 my_module:my_player --records games.jsonl
    """

    first: Positional[str]
    """The player whose score is reported."""
    second: Positional[str]
    """Its opponent."""
    game: str = ""
    """The game; needed only if neither player is a run."""
    games: int = 100
    """Games to play; even, as each opening is played from both seats."""
    simulations: int = 32
    """Simulations of each search; 0: a run's raw policy."""
    seed: int = 0
    """Draws the openings, and the moves of players that draw lots."""
    opening_plies: int = DEFAULT_PLIES
    """Random plies before the players take over."""
    records: str = ""
    """Also write the games to this file: one JSON line each, or SGF (Go) if it ends in .sgf."""
    json: bool = False
    """Print one JSON object on stdout."""


def run(args: Args) -> int:
    """Runs the command; returns its exit code."""
    spec = find_game((args.first, args.second), args.game)
    if args.records:
        check_path(args.records, spec)
    game = games_package.load(spec)
    announce_devices()
    first, second = (
        parse_player(name, game, args.simulations, training.load_player)
        for name in (args.first, args.second)
    )
    with progress("arena", args.games) as update:
        result = play_match(
            first, second, game, args.games, args.seed, args.opening_plies, progress=update
        )
    report(result, args.json)
    if args.records:
        extra = {"seed": args.seed, "simulations": args.simulations}
        write_records(args.records, match_records(result, spec, **extra))
    return 0


def find_game(players: Sequence[str], given: str) -> str:
    """Returns the spec of the game to play: the one given, or that of the first run folder."""
    if given:
        return given
    for spec in players:
        found = run_of(spec)
        if found:
            return RunFolder(found[0]).read_config().game
    for spec in players:
        parse_player(spec, None, 1, training.load_player)  # its message says what is missing
    raise ValueError("no player is a run folder: say which game with --game")


def report(result: MatchResult, as_json: bool) -> None:
    """Prints a match's result on stdout."""
    if result.distinct_openings < result.games // 2:
        say(
            f"note: the game has only {result.distinct_openings} openings of this length for "
            f"{result.games // 2} pairs of games; repeated games add no certainty"
        )
    if as_json:
        print_json(summary(result))
    else:
        print(describe(result))


def summary(result: MatchResult) -> dict[str, Any]:
    """Returns what `--json` prints, from the first player's side."""
    return {
        "games": result.games,
        "wins": result.wins,
        "draws": result.draws,
        "losses": result.losses,
        "score": result.score,
        "interval": list(result.interval),
        "distinct_games": result.distinct_games,
        "elo": result.elo,
        "elo_interval": list(result.elo_interval),
    }


def describe(result: MatchResult) -> str:
    """Returns the result in a few lines."""
    (low, high), (elo_low, elo_high) = result.interval, result.elo_interval
    seats = [
        f"in seat {seat}: {wins} won, {draws} drawn, {losses} lost"
        for seat, (wins, draws, losses) in enumerate(result.by_seat)
    ]
    return "\n".join(
        [
            f"{result.players[0]} against {result.players[1]}: {result.games} games, "
            f"{result.distinct_games} of them distinct",
            f"{result.wins} won, {result.draws} drawn, {result.losses} lost ({'; '.join(seats)})",
            f"score {result.score:.3f}, 95% interval {low:.3f} to {high:.3f}",
            f"Elo difference {result.elo:+.0f}, 95% interval {elo_low:+.0f} to {elo_high:+.0f}",
        ]
    )
