"""The suite's `learning`: what a run of a few minutes has learned.

`mistakes-FOLDER` counts mistakes on solved positions, `half-FOLDER` plays against the run's own
half, and `gnugo-FOLDER` against GNU Go.
"""

import shutil
from collections.abc import Callable
from typing import Any

import training
from scripts.benchmarks.figures import figure
from scripts.benchmarks.settings import SHRUNK
from scripts.terminal.console import progress
from selfplay.arena import play_match
from selfplay.arena.result import MatchResult
from selfplay.perfect import mistakes
from selfplay.player_spec import parse_player
from selfplay.players import Player
from training.storage.run_folder import RunFolder

SIMULATIONS, FEW_SIMULATIONS = 32, 4
POSITIONS, FEW_POSITIONS = 3000, 64
GAMES, FEW_GAMES = 256, 4
ENGINE_GAMES = 32
ENGINE = (
    "gnugo --mode gtp --chinese-rules --positional-superko --capture-all-dead "
    "--play-out-aftermath --never-resign --level 8"
)


def measure(what: str, shrunk: bool) -> dict[str, Any]:
    """Returns the figures of one measurement of one run."""
    kind, _, folder = what.partition("-")
    player = training.load_player(folder, FEW_SIMULATIONS if shrunk else SIMULATIONS)
    measures: dict[str, Callable[[str, Player, bool], list[dict[str, Any]]]] = {
        "mistakes": _mistakes,
        "half": _against_half,
        "gnugo": _against_gnugo,
    }
    found = measures[kind](folder, player, shrunk)
    for one in found if shrunk else ():
        one["note"] = "; ".join(filter(None, (SHRUNK, one["note"])))
    return {"figures": found}


def _mistakes(folder: str, player: Player, shrunk: bool) -> list[dict[str, Any]]:
    config, simulations = (
        RunFolder(folder).read_config(),
        FEW_SIMULATIONS if shrunk else SIMULATIONS,
    )
    raw, found = training.load_player(folder, 0), []
    for name, solved in mistakes.load_positions(config.game).items():
        few = mistakes.first(solved, FEW_POSITIONS if shrunk else POSITIONS)
        rates = mistakes.measure(raw, {simulations: player}, few)
        title = f"{_trained(folder)}, {rates['positions']} {name} positions"
        found.append(figure(title, "mistakes of the network alone", rates["raw"]))
        found.append(figure(title, f"mistakes of a search of {simulations}", rates["search"]))
    return found


def _against_half(folder: str, player: Player, shrunk: bool) -> list[dict[str, Any]]:
    steps = training.checkpoint_steps(folder)
    half = min(steps, key=lambda step: abs(step - steps[-1] / 2))
    if half == steps[-1]:
        raise ValueError(f"{folder} has one checkpoint, of step {half}, and needs an earlier one")
    simulations = FEW_SIMULATIONS if shrunk else SIMULATIONS
    other = training.load_player(folder, simulations, half)
    result = _match(player, other, FEW_GAMES if shrunk else GAMES)
    return [_scored(folder, f"step {steps[-1]} against step {half}", result)]


def _against_gnugo(folder: str, player: Player, shrunk: bool) -> list[dict[str, Any]]:
    if not shutil.which("gnugo"):
        note = "GNU Go is not here: apt-get install gnugo"
        return [figure(_trained(folder), "score against GNU Go", None, note=note)]
    engine = parse_player(f"gtp:{ENGINE}", player.game, SIMULATIONS, training.load_player)
    result = _match(player, engine, FEW_GAMES if shrunk else ENGINE_GAMES)
    return [_scored(folder, "GNU Go at level 8", result)]


def _match(player: Player, other: Player, games: int) -> MatchResult:
    with progress("match", games, "games") as update:
        return play_match(player, other, player.game, games, progress=update)


def _scored(folder: str, against: str, result: MatchResult) -> dict[str, Any]:
    low, high = result.interval
    note = f"{result.games} games, 95% interval {low:.2f} to {high:.2f}"
    return figure(_trained(folder), f"score, {against}", result.score, note=note)


def _trained(folder: str) -> str:
    config = RunFolder(folder).read_config()
    return f"{config.game} after {60 * config.minutes:.0f} s, preset {config.preset}"
