"""The settings that the suite trains with: a preset for a GPU, or a tiny one for a CPU."""

import dataclasses

from training import presets
from training.config import RunConfig

SHRUNK = "shrunk: no accelerator"  # said of each figure of a CPU
TINY = {  # flags of `train`, and by them the settings of each measurement on a CPU
    "network.blocks": 1,
    "network.channels": 8,
    "search.simulations": 4,
    "self_play.batch": 16,
    "learner.batch": 32,
}


def config_of(game: str, shrunk: bool) -> RunConfig:
    """Returns a run's settings: those that the card's owner would get."""
    if not shrunk:
        return presets.preset("gpu", game)
    config = presets.preset("quick", game)
    for name, value in TINY.items():
        part, _, field = name.partition(".")
        changed = dataclasses.replace(getattr(config, part), **{field: value})
        config = dataclasses.replace(config, **{part: changed})
    return config


def flags_of(game: str, shrunk: bool, minutes: float) -> list[str]:
    """Returns the flags of `selfplay train` for the same settings, and a limit."""
    words = ["--game", game, "--preset", "quick" if shrunk else "gpu", "--minutes", str(minutes)]
    for name, value in TINY.items() if shrunk else ():
        words += [f"--{name.replace('_', '-')}", str(value)]
    return words


def described(game: str, shrunk: bool) -> str:
    """Returns what was measured, for the table."""
    return f"{game}, " + (f"preset quick, {SHRUNK}" if shrunk else "preset gpu")


def short(config: RunConfig, iterations: int) -> RunConfig:
    """Returns a run of so many iterations that trains from the first finished game on.

    It measures nothing of itself; its replay is small enough to be made in a moment.
    """
    rows = config.self_play.batch * config.self_play.plies_per_call
    return dataclasses.replace(
        config,
        minutes=0.0,
        iterations=iterations,
        replay=dataclasses.replace(
            config.replay,
            min_rows=min(config.replay.min_rows, rows),
            capacity=min(config.replay.capacity, iterations * rows),
        ),
        evaluation=dataclasses.replace(config.evaluation, every=0),
    )
