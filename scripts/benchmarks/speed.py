"""The speed of network, rules, search and self-play, each alone, at one batch in one process."""

import dataclasses
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np

from games.game import Game
from mcts import Evaluation, SearchConfig, search
from mcts.config import Engine
from scripts.benchmarks import rules
from scripts.terminal.console import progress
from selfplay import devices, self_play
from selfplay.config import SelfPlayConfig
from selfplay.self_play import SelfPlayState
from training.network import Network
from training.settings import NetworkConfig

OPENING_PLIES = 8  # random plies before the positions that are searched
Timed = tuple[Callable[[], Any], int]  # a call, and its units of work a game
Work = dict[str, Timed]  # by name


class Setup(NamedTuple):
    """What is measured: a fresh network, and games a few random plies after their beginning."""

    game: Game[Any]
    network: Network
    variables: Any  # folded, on every device
    settings: SelfPlayConfig
    start: SelfPlayState


def prepare(game: Game[Any], network_config: NetworkConfig, batch: int) -> Setup:
    """Returns a network and `batch` games for the measurements below."""
    network = Network(network_config, game.observation_shape, game.num_actions)
    variables = devices.replicate(network.fold(network.init(jax.random.key(0))))
    settings = SelfPlayConfig(batch=batch, plies_per_call=2, random_opening_plies=OPENING_PLIES)
    start = self_play.start(game, settings, jax.random.key(1))
    return Setup(game, network, variables, settings, start)


def measure(
    game: Game[Any], network_config: NetworkConfig, config: SearchConfig, batch: int, rounds: int
) -> dict[str, Any]:
    """Returns rates per second over all devices, their ratio, compile seconds and peak bytes."""
    setup = prepare(game, network_config, batch)
    compiled, compile_seconds = compile_play(setup, config)
    work: Work = {
        "network": network_work(setup, max(config.simulations, 8)),
        "env": rules.compiled(rules.stepper(game), batch),
        "search": search_work(setup, config),
        "self_play": play_work(setup, compiled),
    }
    rates = rates_of(work, batch, rounds)
    median = {name: statistics.median(values) for name, values in rates.items()}
    share = config.simulations / (config.simulations + 1)
    step = median["network"] / median["env"]
    return {
        "network_evals_per_s": median["network"],
        "env_steps_per_s": median["env"],
        "simulations_per_s": median["search"] * share,
        "positions_per_s": median["self_play"],
        "search_to_network": ratio(rates["search"], rates["network"]),
        "step_to_evaluation": step,
        "advice": rules.advice(step),
        "compile_s": compile_seconds,
        "peak_bytes": _peak_bytes(compiled),
    }


def network_work(setup: Setup, evaluations: int) -> Timed:
    """Returns the network alone, so many evaluations of each game's position in a call."""
    game, network = setup.game, setup.network

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

    return _jitted(evaluate_many, setup), evaluations


def search_work(setup: Setup, config: SearchConfig) -> Timed:
    """Returns a search of each game's position; a unit is an evaluation, of the root too."""

    def search_once(variables: Any, states: Any, key: jax.Array) -> Any:
        return search(setup.game, setup.network.evaluate, variables, states, key, config)

    return _jitted(search_once, setup), config.simulations + 1


def visits_work(setup: Setup, config: SearchConfig) -> Timed:
    """Returns the same without noise and ties, for its visit counts: what two engines agree on."""
    quiet = config.without_noise()

    def evaluate(variables: Any, observation: jax.Array) -> Evaluation:
        # On an empty board a new network likes all moves alike, and mctx draws lots among them.
        evaluation = setup.network.evaluate(variables, observation)
        slope = jnp.linspace(0, 0.01, setup.game.num_actions)[None]
        return evaluation._replace(prior_logits=evaluation.prior_logits + slope)

    def visits(variables: Any, states: Any, key: jax.Array) -> jax.Array:
        return search(setup.game, evaluate, variables, states, key, quiet).visit_counts

    return _jitted(visits, setup), config.simulations + 1


def compile_play(setup: Setup, config: SearchConfig) -> tuple[Any, float]:
    """Returns the program of a self-play call, and the seconds of its compilation."""
    play = self_play.make_play(setup.game, setup.network.evaluate, setup.settings, config)
    began = time.perf_counter()
    compiled = play.lower(setup.variables, setup.start, jax.random.key(2)).compile()  # type: ignore[attr-defined]
    return compiled, time.perf_counter() - began


def play_work(setup: Setup, compiled: Any) -> Timed:
    """Returns a self-play call; a unit is a ply."""
    key = jax.random.key(2)
    return lambda: compiled(setup.variables, setup.start, key), setup.settings.plies_per_call


def rates_of(work: Work, batch: int, rounds: int) -> dict[str, list[float]]:
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


def ratio(rates: list[float], others: list[float]) -> float:
    """Returns the median of the rounds' ratios: each rate by that of the same round."""
    return statistics.median(rate / other for rate, other in zip(rates, others, strict=True))


def agreement(
    game: Game[Any], network_config: NetworkConfig, config: SearchConfig, batch: int
) -> float:
    """Returns the share of positions in which both engines, without noise or ties, visit alike."""
    setup = prepare(game, network_config, batch)
    engines = [dataclasses.replace(config, engine=engine) for engine in get_args(Engine)]
    ours, theirs = (visits_work(setup, engine)[0]() for engine in engines)
    return alike(ours, theirs)


def alike(ours: jax.Array, theirs: jax.Array) -> float:
    """Returns the share of the rows of two int32[B, A] that are equal."""
    return float((np.asarray(ours) == np.asarray(theirs)).all(axis=1).mean())


def _jitted(function: Callable[[Any, Any, jax.Array], Any], setup: Setup) -> Callable[[], Any]:
    args = setup.variables, setup.start.game, jax.random.key(2)
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
