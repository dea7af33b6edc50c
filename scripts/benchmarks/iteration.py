"""Where an iteration's time goes: each part as computed for an H100, and as measured here.

An iteration is a self-play call and the training that its plies allow. The host's parts run beside
the devices' work: what these wait for is in the gaps, and the whole is not their sum.
"""

import pathlib
from typing import Any, NamedTuple

import jax

import games
from games.game import Game
from mcts import tree_bytes
from scripts.benchmarks import device, rules, speed, timing
from scripts.terminal import signals
from selfplay.example import parse_targets
from training import cards, flops, learner
from training.config import RunConfig
from training.network import Network
from training.players import network_of
from training.preflight import estimate
from training.preflight.trial import run_trial
from training.storage.run_folder import RunFolder


class Kernels(NamedTuple):
    """Of a simulation by Gumbel's search without its network, as `make check-gpu` counts them."""

    rules: int
    others: int


KERNELS = {
    "connect_four": Kernels(4, 24),
    "othello": Kernels(7, 27),
    "go:size=9": Kernels(18, 32),  # other games count as this one, the dearest
}

# What is assumed, and nobody has measured, of an H100 and the host beside it.
PEAK, MEMORY, LINK = cards.PEAKS["H100"], 3.35e12, 25e9  # FLOP/s; its bytes/s; to and from the host
TF32 = 0.5  # of the peak, where the network computes in float32
PLAYS, TRAINS = 0.45, 0.30  # shares of the peak that convolutions reach, of FULL channels or more
FULL = 128  # channels that fill a tile
KERNEL = 3.7e-6  # seconds from a small kernel to the next
HEADS = 6  # kernels of an evaluation beside the convolutions of its blocks
RECORDS = DRAWS = 1e9  # bytes of examples a second, by the main thread: a core of an EPYC
EVALUATES = 0.05  # of the time: evaluation's aim

# The parts, in their order; then the whole. Those of the devices, one after another:
NETWORK, SEARCH, RULES = "network evaluations of self-play", "other kernels of the search", "rules"
TRAINING = "training steps"
# those of the host's main thread, beside them:
RECORD, FETCH = "recording", "fetching the trajectory"
DRAW, SAVE = "drawing and sending minibatches", "saves"
EVALUATION, GAPS, WHOLE = "evaluation", "gaps: no device works", "the whole iteration"
SECONDS = 5.0  # of measurement of a call and a training step

Parts = dict[str, float]  # seconds an iteration


def measure(config: RunConfig, loop: dict[str, Any]) -> dict[str, Any]:
    """Returns the parts, computed and measured, and shares of the devices' peak.

    Args:
      loop: what `loop.summary` says of the same settings.
    """
    game = games.load(config.game)
    with signals.scratch() as scratch:
        trial = run_trial(RunFolder(pathlib.Path(scratch, "run")), config, SECONDS)
    setup = speed.prepare(game, config.network, config.self_play.batch)
    evaluations, evaluation = speed.network_work(setup, speed.EVALUATIONS)[::-1]
    step, steps = rules.compiled(rules.stepper(game), config.self_play.batch)
    network = network_of(config, game)
    batches = _batches(config, game, network)
    each = loop["stages"]  # seconds of one
    parts = {
        NETWORK: batches * timing.seconds_of(evaluation) / evaluations,
        RULES: batches * timing.seconds_of(step) / steps,
        TRAINING: _steps(config) * trial.step_s,
        RECORD: each["record"] - each["wait"] - each["fetch"],
        FETCH: each["fetch"],
        DRAW: _steps(config) * loop["draw_s"],
        SAVE: each["save"] * loop["iteration_s"] / config.checkpoint.every_seconds,
        EVALUATION: each["evaluate"] / config.evaluation.every if config.evaluation.every else 0.0,
        GAPS: loop["gaps_s"],
    }
    parts[SEARCH] = trial.call_s - parts[NETWORK] - parts[RULES]
    parts[WHOLE] = loop["iteration_s"] + parts[EVALUATION]
    expected = computed(config, game)
    return {
        "call_share_of_peak": device.share_of_peak(trial.call_flops / trial.call_s),
        "step_share_of_peak": device.share_of_peak(trial.step_flops / trial.step_s),
        "share_of_peak": device.share_of_peak(trial.iteration_flops / parts[WHOLE]),
        "parts": {
            name: {"h100_computed_s": expected[name], "measured_s": parts[name]}
            for name in expected
        },
    }


def computed(config: RunConfig, game: Game[Any]) -> Parts:
    """Returns the parts on one H100, from counted operations, bytes and kernels."""
    network, own = network_of(config, game), config.network
    work, batch = flops.work_of(config, game, network), config.self_play.batch
    positions, batches = batch * config.self_play.plies_per_call, _batches(config, game, network)
    row = estimate.held_bytes(game, tuple(parse_targets(config.targets)))
    state = jax.eval_shape(
        lambda key: learner.init(network, config.learner, key), jax.random.key(0)
    )
    # Operations a second where all is well; a narrow network fills tiles in part.
    rate = PEAK * (1.0 if own.dtype == "bfloat16" else TF32) * min(1.0, own.channels / FULL)
    kernels = KERNELS.get(config.game.split(":")[0], KERNELS["go:size=9"])
    node = tree_bytes(game, config.search, batch) / (config.search.simulations + 1)  # of each game
    trained = _steps(config) * config.learner.batch
    parts = {
        NETWORK: batches
        * max(batch * work.evaluation / (rate * PLAYS), (2 * own.blocks + HEADS) * KERNEL),
        SEARCH: batches * max(kernels.others * KERNEL, 2 * node / MEMORY),  # read and written
        RULES: batches * kernels.rules * KERNEL,
        TRAINING: trained * work.example / (rate * TRAINS),
    }
    devices = sum(parts.values())
    parts |= {
        RECORD: positions * row / RECORDS,
        DRAW: trained * row * (1 / DRAWS + 1 / LINK),
        FETCH: positions * row / LINK,
    }
    host = sum(parts.values()) - devices
    busy = max(devices, host)
    # Weights are fetched; all else of a save has a thread of its own.
    parts[SAVE] = estimate.bytes_of(state) / LINK * busy / config.checkpoint.every_seconds
    parts[EVALUATION] = busy * EVALUATES
    parts[GAPS] = busy - devices + parts[SAVE]
    parts[WHOLE] = devices + parts[EVALUATION] + parts[GAPS]
    return parts


def table(parts: dict[str, dict[str, float]], kind: str) -> list[str]:
    """Returns lines of Markdown: milliseconds an iteration, and shares of the whole."""
    lines = [
        f"| part of an iteration | computed for an H100 | measured on {kind} |",
        "|---|---|---|",
    ]
    for name, figures in parts.items():
        cells = (
            f"{1e3 * seconds:,.3g} ms, {seconds / parts[WHOLE][column]:.1%}"
            for column, seconds in figures.items()
        )
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _batches(config: RunConfig, game: Game[Any], network: Network) -> int:
    """Returns how often the network evaluates a position of each game, in an iteration."""
    return config.self_play.plies_per_call * flops.evaluations_of_decision(config, game, network)


def _steps(config: RunConfig) -> float:
    """Returns the mean number of training steps of an iteration."""
    positions = config.self_play.batch * config.self_play.plies_per_call
    return positions * config.replay.samples_per_example / config.learner.batch
