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
from scripts.benchmarks import device, rules
from scripts.benchmarks.timing import Timed, rates_of, ratio
from selfplay import devices, self_play
from selfplay.config import SelfPlayConfig
from selfplay.self_play import SelfPlayState
from training import flops
from training.config import RunConfig
from training.network import Network
from training.players import network_of
from training.settings import NetworkConfig

OPENING_PLIES = 8  # random plies before the positions that are searched
EVALUATIONS = 64  # of the network alone in a call: with 8, devices wait for each other too long
MAX_SAID = 200  # characters of an error


class Setup(NamedTuple):
    """What is measured: a fresh network, and games a few random plies after their beginning."""

    game: Game[Any]
    network: Network
    variables: Any  # folded, on every device
    settings: SelfPlayConfig
    start: SelfPlayState


def prepare(game: Game[Any], network_config: NetworkConfig, batch: int) -> Setup:
    """Returns a network and `batch` games for the measurements below."""
    network = network_of(RunConfig(network=network_config), game)
    variables = devices.replicate(network.fold(network.init(jax.random.key(0))))
    settings = SelfPlayConfig(batch=batch, plies_per_call=2, random_opening_plies=OPENING_PLIES)
    start = self_play.start(game, settings, jax.random.key(1))
    return Setup(game, network, variables, settings, start)


def measure(setup: Setup, config: SearchConfig, rounds: int) -> dict[str, Any]:
    """Returns rates per second over all devices, their ratios, compile seconds and peak bytes.

    Shares of the peak are None where the device's peak is not known.
    """
    batch = setup.settings.batch
    compiled, compile_seconds = compile_play(setup, config)
    work = {
        "network": network_work(setup, EVALUATIONS),
        "env": rules.compiled(rules.stepper(setup.game), batch),
        "search": search_work(setup, config),
        "self_play": play_work(setup, compiled),
    }
    rates = rates_of(work, batch, rounds)
    median = {name: statistics.median(values) for name, values in rates.items()}
    step = median["network"] / median["env"]
    decision = flops.evaluations_of_search(config, setup.game, config.simulations)
    evaluation = flops.of_evaluation(setup.network)
    return {
        "network_evals_per_s": median["network"],
        "env_steps_per_s": median["env"],
        "simulations_per_s": median["search"] * config.simulations / (config.simulations + 1),
        "positions_per_s": median["self_play"],
        "search_to_network": ratio(rates["search"], rates["network"]),
        "step_to_evaluation": step,
        "advice": rules.advice(step),
        "network_share_of_peak": device.share_of_peak(median["network"] * evaluation),
        "self_play_share_of_peak": device.share_of_peak(
            median["self_play"] * decision * evaluation
        ),
        "compile_s": compile_seconds,
        "peak_bytes": _peak_bytes(compiled),
    }


def beside_mctx(setup: Setup, config: SearchConfig, rounds: int) -> dict[str, Any]:
    """Returns the same search by mctx, and in what share of positions both visit alike.

    Both searches and the network take turns: `ours_to_mctx` is the ratio of the searches' rates.
    Where mctx does not work, `error` says why: it is not installed, or out of memory.
    """
    theirs = dataclasses.replace(config, engine="mctx")
    try:
        work = {
            "network": network_work(setup, EVALUATIONS),
            "ours": search_work(setup, config),
            "mctx": search_work(setup, theirs),
        }
        rates = rates_of(work, setup.settings.batch, rounds, "bench, mctx")
        same = agreement(setup, config)
    except Exception as error:  # ours is measured, and counts
        return {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:MAX_SAID]}"}
    share = config.simulations / (config.simulations + 1)
    return {
        "simulations_per_s": statistics.median(rates["mctx"]) * share,
        "search_to_network": ratio(rates["mctx"], rates["network"]),
        "ours_to_mctx": ratio(rates["ours"], rates["mctx"]),
        "same_visit_counts": same,
    }


def network_work(setup: Setup, evaluations: int) -> Timed:
    """Returns the network alone, so many evaluations of each game's position in a call."""
    game, network = setup.game, setup.network

    def evaluate_many(variables: Any, states: Any, key: jax.Array) -> Any:
        del key
        observation = jax.vmap(game.observe)(states)

        # Each of other positions: what stands in the loop can neither be hoisted nor left out.
        shifted = jnp.stack([jnp.roll(observation, i, axis=0) for i in range(evaluations)])
        return jax.lax.scan(lambda _, x: (None, network.evaluate(variables, x)), None, shifted)[1]

    return _jitted(evaluate_many, setup), evaluations


def search_work(setup: Setup, config: SearchConfig) -> Timed:
    """Returns a search of each game's position; a unit is an evaluation, of the root too."""

    def search_once(variables: Any, states: Any, key: jax.Array) -> Any:
        return search(setup.game, setup.network.evaluate, variables, states, key, config)

    return _jitted(search_once, setup), config.simulations + 1


def visits_of(setup: Setup, config: SearchConfig) -> jax.Array:
    """Returns int32[B, A], the visit counts of a search without noise and ties."""
    quiet = config.without_noise()

    def evaluate(variables: Any, observation: jax.Array) -> Evaluation:
        # On an empty board a new network likes all moves alike: mctx picks one of them at random.
        evaluation = setup.network.evaluate(variables, observation)
        slope = jnp.linspace(0, 0.01, setup.game.num_actions)[None]
        return evaluation._replace(prior_logits=evaluation.prior_logits + slope)

    def visits(variables: Any, states: Any, key: jax.Array) -> jax.Array:
        return search(setup.game, evaluate, variables, states, key, quiet).visit_counts

    counts: jax.Array = _jitted(visits, setup)()
    return counts


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


def agreement(setup: Setup, config: SearchConfig) -> float:
    """Returns the share of positions in which both engines, without noise or ties, visit alike."""
    engines = [dataclasses.replace(config, engine=engine) for engine in get_args(Engine)]
    ours, theirs = (np.asarray(visits_of(setup, engine)) for engine in engines)
    return float((ours == theirs).all(axis=1).mean())


def _jitted(function: Callable[[Any, Any, jax.Array], Any], setup: Setup) -> Callable[[], Any]:
    args = setup.variables, setup.start.game, jax.random.key(2)
    compiled = jax.jit(devices.data_parallel(function)).lower(*args).compile()
    return lambda: compiled(*args)


def _peak_bytes(compiled: Any) -> int:
    """Returns the device's peak, or, on a CPU, what the compiler plans for self-play."""
    stats = jax.local_devices()[0].memory_stats()
    if stats and "peak_bytes_in_use" in stats:
        return int(stats["peak_bytes_in_use"])
    plan = compiled.memory_analysis()
    return int(plan.temp_size_in_bytes + plan.argument_size_in_bytes + plan.output_size_in_bytes)
