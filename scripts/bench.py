"""`selfplay bench`."""

import dataclasses
import pathlib
from typing import Any

import jax

import games
from games import pgx_adapter
from games.game import Game
from scripts.benchmarks import figures, loop, plan, rules, suite
from scripts.benchmarks.speed import agreement, measure
from scripts.flags.bench import Args
from scripts.terminal.console import (
    announce_devices,
    print_json,
    print_text,
    say,
)
from training import presets
from training.config import RunConfig
from training.preflight import estimate
from training.preflight.estimate import in_words
from training.preflight.machine import this_machine

SUITE = "suite"  # the folder of its figures, by default


def run(args: Args) -> int:
    """Runs the command; returns its exit code."""
    if args.suite:
        return _run_suite(args)
    game = games.load(args.game)
    problems = args.network.problems() + args.search.problems()
    if args.batch < 0 or args.rounds < 1:
        problems.append(
            f"batch must be at least 0 and rounds at least 1, got {args.batch}, {args.rounds}"
        )
    if problems:
        raise ValueError("; ".join(problems))
    theirs = pgx_adapter.raw(game) if args.compare == "pgx" else None
    batch = args.batch or presets.preset(args.preset, args.game).self_play.batch
    announce_devices()
    check_memory(args, game, batch)
    if args.loop:
        head = {"device": jax.devices()[0].device_kind, "game": args.game, "batch": batch}
        result = head | loop.measure(_run_config(args, batch))
        (print_json if args.json else _print)(result)
        return 0
    result = measure(game, args.network, args.search, batch, args.rounds)
    head = {"device": jax.devices()[0].device_kind, "game": args.game, "batch": batch}
    result = head | {"simulations": args.search.simulations} | result
    if args.compare == "mctx":
        other = dataclasses.replace(args.search, engine="mctx")
        result["mctx"] = measure(game, args.network, other, batch, args.rounds)
        del result["mctx"]["advice"]  # said once
        result["mctx"]["same_visit_counts"] = agreement(game, args.network, args.search, batch)
    if theirs:
        result["pgx"] = rules.compare(game, theirs, batch, args.rounds)
    if args.json:
        print_json(result)
    else:
        _print(result)
    return 0


def _run_suite(args: Args) -> int:
    out = pathlib.Path(args.out or SUITE)
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out {out} is a file: name a folder")
    # This process starts no device: a GPU's memory belongs to its children, one after the other.
    code, held = suite.run(out, plan.chosen(args.parts), args.minutes, args.long)
    if args.json:
        print_json(held)
    else:
        print_text(figures.table(held))
    return code


def check_memory(args: Args, game: Game[Any], batch: int) -> None:
    """Says what trees and network take. Raises ValueError if they do not fit."""
    config = _run_config(args, batch)
    has = this_machine(pathlib.Path(), config.learner.batch)
    need = estimate.needs(config, game, has)
    say(
        f"memory: tree {in_words(need.tree)} on each of {has.players} devices, "
        f"network at least {in_words(need.play)}"
    )
    problems = estimate.search_problems(config, game, has, "--batch")
    if problems:
        raise ValueError("; ".join(problems))


def _run_config(args: Args, batch: int) -> RunConfig:
    config = presets.preset(args.preset, args.game)
    self_play = dataclasses.replace(config.self_play, batch=batch)
    return dataclasses.replace(
        config, network=args.network, search=args.search, self_play=self_play
    )


def less_memory(args: Args) -> str:
    """Returns what to change when a device has run out of memory."""
    batch = args.batch or presets.preset(args.preset, args.game).self_play.batch
    return f"lower --batch from {batch} to {batch // 2}"


def _print(result: dict[str, Any], indent: str = "") -> None:
    for name, value in result.items():
        if value == "":  # no advice
            continue
        if isinstance(value, dict):
            print_text(f"{indent}{name}:")
            _print(value, indent + "  ")
        else:
            shown = f"{value:,.4g}" if isinstance(value, float) else str(value)
            print_text(f"{indent}{name:22} {shown}")
