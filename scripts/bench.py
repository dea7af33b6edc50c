"""`selfplay bench`: throughput, where an iteration's time goes, memory."""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

import jax

import games
from games import pgx_adapter
from games.game import Game
from scripts.benchmarks import device, loop, memory, rules, speed, suite
from scripts.flags.bench import Args
from scripts.terminal.console import announce_devices, print_json, print_text, say
from training import presets
from training.config import RunConfig
from training.preflight import estimate
from training.preflight.estimate import in_words
from training.preflight.machine import this_machine

OF_RUNS: dict[str, Callable[[RunConfig], dict[str, Any]]] = {
    "loop": loop.measure,
    "memory": memory.measure,
}


def run(args: Args) -> int:
    """Runs the command; returns its exit code."""
    if args.measure == "suite":
        # This process starts no device: a GPU's memory belongs to its children, one by one.
        code, held = suite.run(pathlib.Path(args.out), args.minutes)
        if args.json:
            print_json(held)
        else:
            print_text(suite.table(held))
        return code
    result = device.measure() if args.measure == "device" else _measure(args)
    if args.json:
        print_json(result)
    else:
        _print(result)
    return 0


def _measure(args: Args) -> dict[str, Any]:
    game = games.load(args.game)
    problems = args.network.problems() + args.search.problems()
    if problems:
        raise ValueError("; ".join(problems))
    theirs = pgx_adapter.raw(game) if args.compare == "pgx" else None
    config = _run_config(args)
    batch = config.self_play.batch
    announce_devices()
    check_memory(config, game)
    head = {"device": jax.devices()[0].device_kind, "game": args.game, "batch": batch}
    head["simulations"] = args.search.simulations
    if args.measure != "speed":
        return head | OF_RUNS[args.measure](config)
    setup = speed.prepare(game, args.network, batch)
    result = head | speed.measure(setup, args.search, args.rounds)
    if args.compare == "mctx":
        result["mctx"] = speed.beside_mctx(setup, args.search, args.rounds)
    if theirs:
        result["pgx"] = rules.compare(game, theirs, batch, args.rounds)
    return result


def check_memory(config: RunConfig, game: Game[Any]) -> None:
    """Says what trees and network take. Raises ValueError if they do not fit."""
    has = this_machine(pathlib.Path(), config.learner.batch)
    need = estimate.needs(config, game, has)
    say(
        f"memory: tree {in_words(need.tree)} on each of {has.players} devices, "
        f"network at least {in_words(need.play)}"
    )
    problems = estimate.search_problems(config, game, has, "--batch")
    if problems:
        raise ValueError("; ".join(problems))


def _run_config(args: Args) -> RunConfig:
    config = presets.preset(args.preset, args.game)
    batch = args.batch or config.self_play.batch
    self_play = dataclasses.replace(config.self_play, batch=batch)
    return dataclasses.replace(
        config, network=args.network, search=args.search, self_play=self_play
    )


def less_memory(args: Args) -> str:
    """Advice where a device has run out of memory."""
    batch = _run_config(args).self_play.batch
    return f"lower --batch from {batch} to {batch // 2}"


def _print(result: dict[str, Any], indent: str = "") -> None:
    for name, value in result.items():
        if value in ("", None):  # no advice; a share of an unknown peak
            continue
        if isinstance(value, dict):
            print_text(f"{indent}{name}:")
            _print(value, indent + "  ")
        else:
            shown = f"{value:,.4g}" if isinstance(value, float) else str(value)
            print_text(f"{indent}{name:22} {shown}")
