"""Hex runs against the perfect player, beside what they computed: Jones 2021, on our terms.

A script for developers, not a command:

    python -m scripts.developer.hex_scaling runs/hex [runs/hex@1200 ...]

Each checkpoint of a run (or the one named) plays `--games` games a seat from the empty board. It
draws its moves from the policy that its search makes of the network's (temperature 1, no noise);
the perfect player draws among the moves that keep the result, where lost among all legal ones.

What it is compared with: Jones, "Scaling Scaling Laws with Board Games", arXiv 2104.03113; figures
and code at https://github.com/andyljones/boardlaw. What differs, says docs/games/hex.md.
"""

import dataclasses
import json
import pathlib
import sys
from typing import Any

import numpy as np

import games
import training
from games.hex import Hex
from scripts.terminal.console import parse
from scripts.terminal.options import Positional
from selfplay import positions
from selfplay.arena import match, result
from selfplay.arena.openings import Openings
from selfplay.perfect.player import perfect_player
from selfplay.player_spec import run_of
from selfplay.players import Player
from selfplay.rating.elo import score_interval, score_to_elo
from training import flops, players
from training.storage.run_folder import RunFolder

OPERATIONS = 2  # of a multiply-add


@dataclasses.dataclass(frozen=True)
class Args:
    """Measures runs of Hex against perfect play, beside what they computed."""

    runs: Positional[tuple[str, ...]]
    """R, all its checkpoints, or R@STEP."""
    games: int = 1_000
    """Games in each seat."""
    simulations: int = 0
    """Simulations of a move; 0: as the run's own."""
    seed: int = 0
    """Of the moves that are drawn."""
    out: str = ""
    """A JSON file to write."""


def main() -> None:
    """Prints a row for each checkpoint, and writes them all where that is wanted."""
    args = parse(Args, sys.argv[1:], "hex_scaling")
    rows = []
    print("checkpoint: score (95% interval), Elo; log10 of multiply-adds of search, of training")
    for spec in args.runs:
        path, step = run_of(spec) or (spec, None)
        for chosen in training.checkpoint_steps(path) if step is None else [step]:
            rows.append(measure(path, chosen, args.games, args.simulations, args.seed))
            print(_in_words(rows[-1]), flush=True)
    if args.out:
        pathlib.Path(args.out).write_text(json.dumps(rows, indent=1))


def _in_words(row: dict[str, Any]) -> str:
    low, high = row["interval"]
    search, training_cost = (np.log10(max(row[name], 1)) for name in ("search", "training"))
    return (
        f"{row['run']}@{row['step']}: {row['score']:.3f} ({low:.3f} to {high:.3f}), "
        f"{row['elo']:+.0f}; {search:.2f}, {training_cost:.2f}"
    )


def measure(path: str, step: int, games_a_seat: int, simulations: int, seed: int) -> dict[str, Any]:
    """Returns a checkpoint's score against perfect play, and what it took to train.

    Raises:
      ValueError: the run is not of Hex up to 5x5 without the swap.
    """
    config = RunFolder(path).read_config()
    game = games.load(config.game)
    if not isinstance(game, Hex) or game.swap:
        raise ValueError(f"{path} is a run of {config.game}, not of hex without the swap")
    wanted = simulations or config.search.simulations
    agent = training.load_player(path, wanted, step, temperature=1.0)
    played = play(agent, perfect_player(game), game, games_a_seat, seed)
    low, high = map(float, score_interval(played.pair_counts, games_a_seat))
    return {
        "run": path,
        "step": step,
        "simulations": wanted,
        "games": played.games,
        "score": played.score,
        "interval": [low, high],
        "elo": score_to_elo(played.score),
        "elo_interval": [score_to_elo(low), score_to_elo(high)],
        "by_seat": played.by_seat,
    } | cost(path, step)


def play(
    agent: Player, perfect: Player, game: Hex, games_a_seat: int, seed: int
) -> result.MatchResult:
    """Returns games from the empty board, as many in each seat; moves are drawn, so games vary."""
    states = positions.replay(game, [()] * games_a_seat).states
    opened = Openings(((),) * games_a_seat, positions.take(states, slice(None)), games_a_seat)
    blocks = match.play_blocks(agent, perfect, game, opened, seed)
    played = [one for block in blocks for one in block]
    return result.result_of((agent.name, perfect.name), played, games_a_seat)


def cost(path: str, step: int) -> dict[str, float]:
    """Returns the multiply-adds of self-play's searches and of training until a checkpoint.

    Of the iteration that made it: `metrics.jsonl` has the positions that were played by then.
    """
    folder = RunFolder(path)
    config = folder.read_config()
    game = games.load(config.game)
    work = flops.work_of(config, game, players.network_of(config, game))
    positions_by_then = 0
    for line in folder.read_metrics():
        if line.get("kind") == "iteration" and line["step"] <= step:
            positions_by_then = line["positions"]
    rows = step * config.learner.batch
    return {
        "search": work.so_far(positions_by_then, 0) / OPERATIONS,
        "training": work.so_far(0, rows) / OPERATIONS,
    }


if __name__ == "__main__":
    main()
