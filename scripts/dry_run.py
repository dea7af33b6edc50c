"""`selfplay train --dry-run`, and the short check at the start of every `train`."""

import dataclasses
import math
from typing import Any, NamedTuple

from games.game import Game
from scripts.terminal.console import print_json, print_text, say
from selfplay.example import parse_targets
from training.config import RunConfig
from training.preflight import estimate
from training.preflight.estimate import Needs, in_words
from training.preflight.machine import Machine, this_machine
from training.preflight.trial import Trial, run_trial
from training.report.text import unit_of
from training.storage.run_folder import RunFolder

SECONDS = 5.0  # of measurement
GOALS = (10_000, 100_000, 1_000_000)  # games


class Outlook(NamedTuple):
    """What a run comes to at its limit; None if it has none."""

    hours: float | None
    iterations: float | None
    flops: float | None
    disk_bytes: int


def check(config: RunConfig, game: Game[Any], folder: RunFolder, hosts: int = 1) -> None:
    """Says what the run asks for, of each host. Raises ValueError if it cannot work here."""
    config = share_of(config, hosts)
    has = this_machine(folder.path, config.learner.batch)
    say(estimate.summary(estimate.needs(config, game, has), has))
    _refuse(estimate.problems(config, game, has))


def share_of(config: RunConfig, hosts: int) -> RunConfig:
    """The settings with the games, examples and window of one of so many hosts.

    That they can be shared equally, the flags have made sure of.
    """
    if hosts == 1:
        return config
    replay, examples = config.replay, config.learner.batch // hosts
    envs, capacity = (
        config.self_play.batch // hosts,
        max(replay.capacity // hosts, replay.min_examples),
    )
    return dataclasses.replace(
        config,
        self_play=dataclasses.replace(config.self_play, batch=envs),
        learner=dataclasses.replace(config.learner, batch=examples),
        replay=dataclasses.replace(replay, capacity=capacity),
    )


def run(
    config: RunConfig, game: Game[Any], folder: RunFolder, as_json: bool, hosts: int = 1
) -> int:
    """Compiles and measures for a few seconds, prints what the run will take; returns 0.

    Of several hosts, it is one's share that is tried: this machine's speed counts for each.

    Raises:
      ValueError: it cannot work here.
    """
    if config.amplify == "human":
        raise ValueError("--dry-run measures speed: leave out --amplify human")
    own = share_of(config, hosts)
    has = this_machine(folder.path, own.learner.batch)
    floor = estimate.needs(own, game, has)
    say("dry run: compiling, then a few seconds of self-play and training; nothing is written")
    trial = _of_all(run_trial(folder, own, SECONDS), hosts)
    need = estimate.scaled(floor, trial.scale(floor))
    example_bytes = estimate.example_bytes(game, parse_targets(config.targets))
    outlook = foresee(config, need, trial, example_bytes)
    if as_json:
        print_json(
            {"needs": need._asdict(), "machine": has._asdict(), "rehearsal": trial._asdict()}
            | {"outlook": outlook._asdict(), "hours_to_games": _hours_to_games(trial)}
        )
    else:
        print_text(describe(config, need, has, trial, outlook))
    refused = estimate.problems(own, game, has, trial.scale(floor))
    if has.disk_bytes is not None and outlook.disk_bytes > has.disk_bytes:
        refused.append(
            f"the whole run needs {in_words(outlook.disk_bytes)} of disk, and there is "
            f"{in_words(has.disk_bytes)}: free some, name another --run-dir, or lower "
            "--replay.capacity or raise --checkpoint.keep-every"
        )
    _refuse(refused)
    return 0


def foresee(config: RunConfig, need: Needs, trial: Trial, example_bytes: int) -> Outlook:
    """Hours, operations and disk at the run's limit; without one, the disk of a full replay.

    Args:
      example_bytes: of a replay example, uncompressed.
    """
    iterations = _iterations(config, trial)
    examples = float(config.replay.capacity)
    steps = 0.0
    if iterations is not None:
        positions = iterations * config.self_play.batch * config.self_play.plies_per_call
        examples = positions if config.replay.keep == "all" else min(examples, positions)
        steps = positions * config.replay.samples_per_example / config.learner.batch
    disk = estimate.checkpoints_kept(config, steps) * need.checkpoint
    disk += int(examples * example_bytes * trial.compressed)
    if iterations is None:
        return Outlook(None, None, None, disk)
    hours = iterations * trial.iteration_s / 3600
    return Outlook(hours, iterations, iterations * trial.iteration_flops, disk)


def describe(config: RunConfig, need: Needs, has: Machine, trial: Trial, outlook: Outlook) -> str:
    """Returns the dry run's result for a person."""
    device = in_words(has.device_bytes) if has.device_bytes else "that of the host"
    positions = config.self_play.batch * config.self_play.plies_per_call
    steps = positions * config.replay.samples_per_example / config.learner.batch
    kept = estimate.checkpoints_kept(config)
    lines = [
        f"device memory   {has.players} devices; on each: tree {in_words(need.tree)}, rest of "
        f"self-play {in_words(need.play)}",
        f"                weights {in_words(need.weights)}, a training step "
        f"{in_words(need.train)}; there is {device}",
        f"host memory     replay {in_words(need.replay)}; there is {_or_unknown(has.host_bytes)}",
        f"disk            {in_words(outlook.disk_bytes)} at most: {kept} checkpoints of "
        f"{in_words(need.checkpoint)} and the replay; there is {_or_unknown(has.disk_bytes)}",
        f"compilation     {trial.compile_s:.1f} s here; it comes from a cache the next time",
        f"an iteration    {trial.iteration_s:.2f} s: self-play {trial.call_s:.2f} s, "
        f"{steps:.3g} training steps of {1000 * trial.step_s:.3g} ms",
        f"operations      {_operations(trial.iteration_flops)} an iteration: self-play "
        f"{_operations(trial.call_flops)}, each training step {_operations(trial.step_flops)}; "
        f"{_operations(trial.iteration_flops / trial.iteration_s)}/s",
        f"speed           {trial.positions_per_s:,.0f} positions/s, {trial.games_per_s:,.1f} "
        f"games/s of {trial.game_plies:.0f} plies (a random game's), without evaluation",
    ]
    if trial.timed_share < 1:
        lines.append(
            f"                from {trial.timed_share:.1g} of a call: one takes minutes here"
        )
    hours = [f"{games:,}: {_hours(trial, games):.3g}" for games in GOALS]
    lines.append(f"hours to games  {'; '.join(hours)}")
    if outlook.iterations is not None and outlook.flops is not None:
        played = outlook.iterations * positions
        lines.append(
            f"at its limit    {outlook.hours:.3g} hours, {outlook.iterations:,.0f} iterations, "
            f"{played / trial.game_plies:,.0f} games, {played:,.0f} positions, "
            f"{_operations(outlook.flops)}"
        )
    return "\n".join(lines)


def _of_all(trial: Trial, hosts: int) -> Trial:
    """The trial scaled to so many hosts, each as fast as this one."""
    return trial._replace(
        call_flops=trial.call_flops * hosts,
        step_flops=trial.step_flops * hosts,
        iteration_flops=trial.iteration_flops * hosts,
        positions_per_s=trial.positions_per_s * hosts,
        games_per_s=trial.games_per_s * hosts,
    )


def _iterations(config: RunConfig, trial: Trial) -> float | None:
    limits = [float(config.iterations)] if config.iterations else []
    if config.flops:
        limits.append(float(math.ceil(config.flops / trial.iteration_flops)))
    if config.minutes:
        limits.append(max(60 * config.minutes - trial.compile_s, 0.0) / trial.iteration_s)
    return min(limits, default=None)


def _hours(trial: Trial, games: int) -> float:
    return (trial.compile_s + games / trial.games_per_s) / 3600


def _hours_to_games(trial: Trial) -> dict[str, float]:
    return {str(games): _hours(trial, games) for games in GOALS}


def _operations(count: float) -> str:
    size, unit = unit_of(count)
    return f"{count / size:.3g} {unit}"


def _or_unknown(count: int | None) -> str:
    return "an unknown amount" if count is None else in_words(count)


def _refuse(problems: list[str]) -> None:
    if problems:
        raise ValueError(f"this run cannot work here: {'; '.join(problems)}")
