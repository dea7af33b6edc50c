"""`selfplay bench`."""

import dataclasses
import pathlib
import statistics
import time
from collections.abc import Callable
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np

import games
from games import pgx_adapter
from games.game import Game
from mcts import Evaluation, SearchConfig, search
from mcts.config import Engine
from scripts.benchmarks import loop, rules
from scripts.flags.bench import Args
from scripts.terminal.console import (
    announce_devices,
    print_json,
    print_text,
    progress,
    say,
)
from selfplay import devices, self_play
from selfplay.config import SelfPlayConfig
from training import presets
from training.config import RunConfig
from training.network import Network
from training.preflight import estimate
from training.preflight.estimate import in_words
from training.preflight.machine import this_machine
from training.settings import NetworkConfig

OPENING_PLIES = 8  # random plies before the positions that are searched
Work = dict[str, tuple[Callable[[], Any], int]]  # by name: a call, and units of it a game


def run(args: Args) -> int:
    """Runs the command; returns its exit code."""
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
        result["mctx"]["same_visit_counts"] = _agreement(game, args.network, args.search, batch)
    if theirs:
        result["pgx"] = rules.compare(game, theirs, batch, args.rounds)
    if args.json:
        print_json(result)
    else:
        _print(result)
    return 0


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


def measure(
    game: Game[Any], network_config: NetworkConfig, config: SearchConfig, batch: int, rounds: int
) -> dict[str, Any]:
    """Returns rates per second over all devices, their ratio, compile seconds and peak bytes."""
    network = Network(network_config, game.observation_shape, game.num_actions)
    weights = network.fold(network.init(jax.random.key(0)))
    variables = devices.replicate(weights)
    settings = SelfPlayConfig(batch=batch, plies_per_call=2, random_opening_plies=OPENING_PLIES)
    start = self_play.start(game, settings, jax.random.key(1))
    states, key = start.game, jax.random.key(2)
    evaluations = max(config.simulations, 8)

    def evaluate_many(variables: Any, states: Any, key: jax.Array) -> Any:
        del key
        observation = jax.vmap(game.observe)(states)

        def once(_: jax.Array, carry: Any) -> Any:
            observation, _ = carry
            evaluation = network.evaluate(variables, observation)
            # Never true, but the compiler cannot know: it may not hoist the loop's work. Nor may it
            # leave out a head, whose output the next round might need.
            flipped = (evaluation.value > 2)[:, None, None, None]
            return jnp.where(flipped, jnp.ones_like(observation), observation), evaluation

        begin = observation, network.evaluate(variables, observation)
        return jax.lax.fori_loop(1, evaluations, once, begin)[1]

    def search_once(variables: Any, states: Any, key: jax.Array) -> Any:
        return search(game, network.evaluate, variables, states, key, config)

    play = self_play.make_play(game, network.evaluate, settings, config)
    began = time.perf_counter()
    compiled = play.lower(variables, start, key).compile()  # type: ignore[attr-defined]
    compile_seconds = time.perf_counter() - began
    work: Work = {
        "network": (_jitted(evaluate_many, variables, states, key), evaluations),
        "env": rules.compiled(rules.stepper(game), batch),
        "search": (_jitted(search_once, variables, states, key), config.simulations + 1),
        "self_play": (lambda: compiled(variables, start, key), settings.plies_per_call),
    }
    rates = _rates(work, batch, rounds)
    # Pairwise: each round's search against the same round's network.
    ratios = [s / n for s, n in zip(rates["search"], rates["network"], strict=True)]
    median = {name: statistics.median(values) for name, values in rates.items()}
    share = config.simulations / (config.simulations + 1)
    step = median["network"] / median["env"]
    return {
        "network_evals_per_s": median["network"],
        "env_steps_per_s": median["env"],
        "simulations_per_s": median["search"] * share,
        "positions_per_s": median["self_play"],
        "search_to_network": statistics.median(ratios),
        "step_to_evaluation": step,
        "advice": rules.advice(step),
        "compile_s": compile_seconds,
        "peak_bytes": _peak_bytes(compiled),
    }


def _rates(work: Work, batch: int, rounds: int) -> dict[str, list[float]]:
    """Returns how much of each work is done in a second, by round; they take turns."""
    rates: dict[str, list[float]] = {name: [] for name in work}
    done = 0
    with progress("bench", (rounds + 1) * len(work)) as update:
        for round_number in range(rounds + 1):
            for name, (call, units) in work.items():
                seconds = _seconds(call)
                if round_number:  # the first compiles and warms up
                    rates[name].append(batch * units / seconds)
                done += 1
                update(done)
    return rates


def _agreement(
    game: Game[Any], network_config: NetworkConfig, config: SearchConfig, batch: int
) -> float:
    """Returns the share of positions in which both engines, without noise or ties, visit alike."""
    network = Network(network_config, game.observation_shape, game.num_actions)
    variables = devices.replicate(network.fold(network.init(jax.random.key(0))))
    settings = SelfPlayConfig(batch=batch, random_opening_plies=OPENING_PLIES)
    states = self_play.start(game, settings, jax.random.key(1)).game
    counts = []

    def evaluate(variables: Any, observation: jax.Array) -> Evaluation:
        # On an empty board a new network likes all moves alike, and mctx draws lots among them.
        evaluation = network.evaluate(variables, observation)
        slope = jnp.linspace(0, 0.01, game.num_actions)[None]
        return evaluation._replace(prior_logits=evaluation.prior_logits + slope)

    for engine in get_args(Engine):
        quiet = dataclasses.replace(config.without_noise(), engine=engine)

        def visits(variables: Any, states: Any, key: jax.Array, quiet: Any = quiet) -> jax.Array:
            return search(game, evaluate, variables, states, key, quiet).visit_counts

        counts.append(np.asarray(_jitted(visits, variables, states, jax.random.key(2))()))
    return float((counts[0] == counts[1]).all(axis=1).mean())


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


def _jitted(function: Callable[[Any, Any, jax.Array], Any], *args: Any) -> Callable[[], Any]:
    compiled = jax.jit(devices.data_parallel(function)).lower(*args).compile()
    return lambda: compiled(*args)


def _seconds(call: Callable[[], Any], least: float = 0.3) -> float:
    """Returns seconds a call, over as many calls as fill `least` seconds."""
    jax.block_until_ready(call())
    calls = 1
    while True:
        began = time.perf_counter()
        for _ in range(calls):
            result = call()
        jax.block_until_ready(result)
        seconds = time.perf_counter() - began
        if seconds >= least:
            return seconds / calls
        calls = max(calls + 1, int(calls * least / max(seconds, 1e-4)) + 1)


def _peak_bytes(compiled: Any) -> int:
    """Returns the device's peak, or, on a CPU, what the compiler plans for self-play."""
    stats = jax.local_devices()[0].memory_stats()
    if stats and "peak_bytes_in_use" in stats:
        return int(stats["peak_bytes_in_use"])
    plan = compiled.memory_analysis()
    return int(plan.temp_size_in_bytes + plan.argument_size_in_bytes + plan.output_size_in_bytes)
