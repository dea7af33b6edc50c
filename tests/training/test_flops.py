"""The operations of a run: against formulas by hand, and against what programs really call."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

import games
from selfplay import devices
from training import flops
from training.config import RunConfig
from training.flops import Work
from training.players import network_of
from training.presets import preset
from training.progress import Progress, first_horizon
from training.settings import NetworkConfig

TINY = RunConfig(game="tic_tac_toe", network=NetworkConfig(blocks=1, channels=8))


def _count(function, *shapes):
    given = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    return flops.of_program(jax.make_jaxpr(function)(*given))


def test_a_dense_layer_is_two_operations_a_weight_and_position_wherever_it_is_called():
    dense = 2 * 5 * 7 * 3

    def layer(x, w):
        return x @ w

    def scanned(x, w):
        return jax.lax.scan(lambda carry, _: (carry, layer(x, w)), 0, length=11)[1]

    def branched(x, w):
        return jax.lax.cond(x.sum() > 0, lambda: layer(x, w), lambda: layer(layer(x, w), w.T @ w))

    def known_loop(x, w):
        return jax.lax.fori_loop(0, 4, lambda i, y: y + layer(x, w), jnp.zeros((5, 3)))

    assert _count(layer, (5, 7), (7, 3)) == dense
    assert _count(jax.jit(layer), (5, 7), (7, 3)) == dense
    assert _count(scanned, (5, 7), (7, 3)) == 11 * dense
    assert _count(branched, (5, 7), (7, 3)) == dense + 2 * 7 * 3 * 3 + 2 * 5 * 3 * 3
    assert _count(known_loop, (5, 7), (7, 3)) == 4 * dense
    assert _count(jax.vmap(layer, (0, None)), (6, 5, 7), (7, 3)) == 6 * dense
    assert _count(jax.checkpoint(layer), (5, 7), (7, 3)) == dense
    assert _count(lambda x: jnp.tanh(x).sum() * 2, (5, 7)) == 0


def test_every_device_counts_for_its_share():
    spread = devices.data_parallel(lambda w, x, key: x @ w)
    count = 2 * devices.mesh().size
    key = jax.ShapeDtypeStruct((2,), jnp.uint32)
    given = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((7, 3), (count, 7))]
    assert flops.of_program(jax.make_jaxpr(spread)(*given, key)) == 2 * count * 7 * 3


@pytest.mark.parametrize(
    ("strides", "padding", "groups", "outputs"),
    [((1, 1), "SAME", 1, 6 * 7), ((2, 2), "SAME", 1, 3 * 4), ((1, 1), "VALID", 2, 4 * 5)],
)
def test_a_convolution_counts_its_whole_kernel_at_every_output(strides, padding, groups, outputs):
    def convolve(x, kernel):
        form = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(
            x, kernel, strides, padding, dimension_numbers=form, feature_group_count=groups
        )

    counted = _count(convolve, (2, 6, 7, 4), (3, 3, 4 // groups, 10))
    assert counted == 2 * 2 * outputs * 3 * 3 * (4 // groups) * 10


def test_the_tower_counts_as_its_layers_by_hand_and_training_threefold_with_its_heads():
    config = preset("quick", "connect_four")  # 2 blocks of 32; heads of 8 and 4 channels
    network = network_of(config, games.load("connect_four"))
    cells, planes = 6 * 7, network.observation_shape[-1]
    stem = cells * 9 * planes * 32
    blocks = 2 * 2 * cells * 9 * 32 * 32
    policy = cells * 32 * 8 + cells * 8 * 7
    value = cells * 32 * 4 + cells * 4 * 64 + 64
    assert flops.of_evaluation(network) == 2 * (stem + blocks + policy + value)
    assert flops.of_training_example(network) == 3 * flops.of_evaluation(network)
    wide = dataclasses.replace(config.network, blocks=0, dtype="bfloat16")
    assert flops.of_evaluation(dataclasses.replace(network, config=wide)) == 2 * (
        stem + policy + value
    )


def _calls(config):
    """Returns the evaluations of a decision that the amplifier's program really calls."""
    game = games.load(config.game)
    return flops._traced_evaluations(config, game, network_of(config, game))


@pytest.mark.parametrize(
    ("amplify", "search", "expected"),
    [
        ("search", {"simulations": 7, "leaves": 3}, 8),
        ("search", {"simulations": 5, "average_symmetries": True}, 13),
        ("search", {"simulations": 5, "reuse_nodes": 4}, 6),
        ("search", {"simulations": 3, "policy": "puct", "proven": True}, 4),
        ("committee:members=3", {"simulations": 4}, 15),
        ("policy", {}, 1),
    ],
)
def test_a_decision_takes_the_evaluations_that_its_program_calls(amplify, search, expected):
    settings = dataclasses.replace(TINY.search, **search)
    config = dataclasses.replace(TINY, amplify=amplify, search=settings)
    game = games.load("tic_tac_toe")
    told = flops.evaluations_of_decision(config, game, network_of(config, game))
    assert told == expected == _calls(config)


def twice(variables, states, key, *, evaluate, game):
    """An amplifier of a user's own that asks the network twice, then environment by environment."""
    seen = jax.vmap(game.observe)(states)
    evaluate(variables, seen)
    return jax.vmap(lambda one: evaluate(variables, one[None]))(seen)


def aside(variables, states, key, history):
    """One that never looks at the network."""


def test_a_function_of_the_users_own_counts_what_it_asks_of_the_network():
    game, network = games.load("tic_tac_toe"), network_of(TINY, games.load("tic_tac_toe"))
    twice.on_device = True
    for name, expected in (("twice", 2), ("aside", 0)):
        config = dataclasses.replace(TINY, amplify=f"{__name__}:{name}")
        assert flops.evaluations_of_decision(config, game, network) == expected
    engine = dataclasses.replace(TINY, amplify="engine:gnugo --mode gtp")
    assert flops.evaluations_of_decision(engine, game, network) == 1


WORK = Work(decision=10, evaluation=100, example=300)


def test_a_limit_of_operations_ends_a_run_and_gives_its_schedule_the_same_horizon_as_iterations():
    config = preset("quick", "tic_tac_toe")
    positions = config.self_play.batch * config.self_play.plies_per_call
    each = positions * 10 * 100 + positions * config.replay.samples_per_example * 300
    assert WORK.of_iteration(config) == each
    ten = dataclasses.replace(config, minutes=0.0, iterations=10)
    limited = dataclasses.replace(ten, iterations=0, flops=10.0 * each)
    assert first_horizon(limited, WORK) == first_horizon(ten, WORK) > 0
    both = dataclasses.replace(ten, flops=5.0 * each)
    assert first_horizon(both, WORK) == first_horizon(ten, WORK) / 2
    assert first_horizon(dataclasses.replace(ten, iterations=0), WORK) == 0

    progress = Progress(positions=10 * positions, step=7, measured=11)
    progress.count(WORK, config.learner.batch)
    assert progress.flops == 10 * positions * 1000 + 7 * config.learner.batch * 300
    assert progress.flops_measured == 1100
    assert progress.where()["flops"] == progress.flops
    at = float(progress.flops)
    for limit, ended in ((0.0, False), (at + 1, False), (at, True)):
        assert progress.finished(dataclasses.replace(limited, flops=limit)) == ended, limit


def test_counts_stay_whole_where_floats_no_longer_tell_neighbours_apart():
    assert Work(33, 10**9, 3 * 10**9).so_far(10**12, 1) % 10**10 == 3 * 10**9
