"""What cannot work in a sweep, on this machine, before its first run: all of it at once."""

import os
import pathlib
from typing import Any

import games
from games.form import require_form
from games.game import Game
from selfplay import devices
from selfplay.example import parse_targets
from selfplay.player_spec import parse_player
from training import losses, targets
from training.config import RunConfig
from training.devices import learner_mesh
from training.oversight import decision_file
from training.players import load_amplifier, load_player, network_of
from training.preflight import estimate
from training.preflight.machine import Machine, this_machine
from training.storage.run_folder import RunFolder
from training.sweep import job as job_module
from training.sweep.measure import solved_sets
from training.sweep.plan import Plan


def problems(plan: Plan, out: str | os.PathLike[str], workers: int = 1) -> list[str]:
    """Returns why the sweep cannot work here, a sentence each, by the variant's name.

    Args:
      out: the sweep's folder, which need not exist.
      workers: runs at once; each process sees its own share of the cores.
    """
    try:
        game = games.load(plan.game)
        require_form(game, plan.game)
    except ValueError as error:
        return [str(error)]
    faults = _of_measuring(plan, game)
    for name, variant in plan.variants.items():
        config = variant.config
        has = this_machine(pathlib.Path(out), config.learner.batch)
        has = _share(has, len(plan.jobs()), workers)
        faults += [f"variant {name!r}: {fault}" for fault in _of_variant(config, game, has)]
    return faults + _of_runs(plan, out)


def _share(has: Machine, runs: int, workers: int) -> Machine:
    """Returns what each run has of the machine."""
    host = None if has.host_bytes is None else has.host_bytes // workers
    disk = None if has.disk_bytes is None else has.disk_bytes // max(runs, 1)
    return has._replace(host_bytes=host, disk_bytes=disk)


def _of_measuring(plan: Plan, game: Game[Any]) -> list[str]:
    faults = []
    try:
        if not (solved_sets(plan.game, plan.measuring) or plan.measuring.against):
            faults.append(
                f"perfect play of {plan.game} is not known here: name a player that every run "
                "plays a match against, as in against = 'uniform' or against = 'runs/R@STEP', or "
                "a positions_file"
            )
    except (ValueError, OSError) as error:
        faults.append(f"the positions to measure on: {error}")
    against = plan.measuring.against
    try:
        player = against and parse_player(against, game, plan.measuring.simulations[0], load_player)
        if player and player.game != game:
            faults.append(f"against: {against!r} plays another game than {plan.game}")
    except (ValueError, OSError) as error:
        faults.append(f"against: {error}")
    return faults


def _of_variant(config: RunConfig, game: Game[Any], has: Machine) -> list[str]:
    """Returns what a run of these settings would refuse, found without compiling anything."""
    faults = []
    for count, name, batch in (
        (learner_mesh(config.learner.batch).size, "learner.batch", config.learner.batch),
        (devices.mesh().size, "self_play.batch", config.self_play.batch),
    ):
        if batch % count:
            faults.append(f"{name} must be a multiple of the {count} devices, got {batch}")
    tries = (
        lambda: load_amplifier(config, game),
        lambda: network_of(config, game),
        lambda: targets.check(parse_targets(config.targets), game, config.game),
        lambda: losses.check_form(losses.load(config.distil), game, config.learner.batch),
        lambda: decision_file.load(config.overseer, config.game, game),
    )
    for attempt in tries:
        try:
            attempt()
        except (ValueError, OSError) as error:
            faults.append(str(error))
    try:
        return faults or estimate.problems(config, game, has)
    except (ValueError, TypeError, ZeroDivisionError) as error:  # of shapes that fit nothing
        return [f"its network cannot be built: {error}"]


def _of_runs(plan: Plan, out: str | os.PathLike[str]) -> list[str]:
    """Returns what is wrong with the runs' folders: other settings, or other things in them."""
    faults = []
    for job in plan.jobs():
        folder = RunFolder(pathlib.Path(out, job.place))
        try:
            job_module.check_same(plan, job, folder)
            if not folder.exists():
                folder.check_free()
            job_module.result(plan, job, out)
        except (ValueError, OSError) as error:
            faults.append(str(error))
    return faults
