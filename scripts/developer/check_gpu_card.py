"""An H100 that need not be there, and our programs compiled for it, by `jax[cuda13]`."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
from jax.experimental import topologies
from jax.sharding import NamedSharding

import games
from games.game import Game
from mcts import Evaluation, SearchConfig, search
from selfplay import devices, example, self_play
from selfplay.amplify.slot import search_amplifier
from training import learner, losses, targets
from training.config import RunConfig
from training.losses import Minibatch
from training.network import Network
from training.players import network_of

H100_BYTES = 84929347584
H100_TARGET = """
gpu_device_info {
  threads_per_block_limit: 1024 threads_per_warp: 32 threads_per_core_limit: 2048
  shared_memory_per_block: 49152 shared_memory_per_core: 233472
  shared_memory_per_block_optin: 232448 registers_per_core_limit: 65536
  registers_per_block_limit: 65536 core_count: 132 fpus_per_core: 128
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  memory_bandwidth: 3352320000000 l2_cache_size: 52428800 clock_rate_ghz: 1.98
  device_memory_size: %d cuda_compute_capability { major: 9 }
}
platform_name: "CUDA" dnn_version_info { major: 9 minor: 7 }
runtime_version { major: 12 minor: 8 } device_description_str: "NVIDIA H100 80GB HBM3"
"""
EVALUATIONS = 3  # in the loop that a tower is looked at in


def absent(memory: int = H100_BYTES) -> Any:
    """Returns an H100 that need not be there.

    Args:
      memory: its bytes; the compiler saves memory where a program would need more.

    Raises:
      SystemExit: its compiler is not installed; says what brings it.
    """
    flags = os.environ.get("XLA_FLAGS", "")  # kernels cannot be tried out
    os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_autotune_level=0".strip()
    target = H100_TARGET % memory
    try:
        card = topologies.get_topology_desc(platform="cuda", target_config=target, topology="1x1x1")
    except NotImplementedError:
        raise SystemExit("NVIDIA's compiler is not installed: `make check-gpu` has it") from None
    return card.devices[0]


@contextlib.contextmanager
def on(card: Any) -> Iterator[None]:
    """What is built inside, and compiled there, sees this device alone."""
    with mock.patch.object(jax, "local_devices", return_value=[card]):
        yield


def shapes(tree: Any, by_env: bool = False) -> Any:
    """Inside `on`: returns a tree's shapes there, whole or split along the batch."""
    spec = devices.BY_ENV if by_env else devices.WHOLE
    place = NamedSharding(devices.mesh(), spec)
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), tree)


def compile_evaluations(card: Any, network: Network, batch: int) -> Any:
    """Compiles a loop of evaluations: what stands in it is done anew in each, as in the search."""

    def run(folded: Any, observations: jax.Array) -> Any:
        return jax.lax.scan(lambda _, x: (None, network.evaluate(folded, x)), None, observations)[1]

    observations = jax.ShapeDtypeStruct((EVALUATIONS, batch, *network.observation_shape), bool)
    with on(card):
        return jax.jit(run).lower(shapes(_folded(network)), shapes(observations)).compile()


def compile_search(card: Any, game: Game[Any], config: SearchConfig, batch: int) -> Any:
    """Compiles a search by a network that does nothing: what is left is rules and tree."""

    def evaluate(variables: Any, observation: jax.Array) -> Evaluation:
        del variables
        value = observation.reshape(batch, -1)[:, 0].astype(float)
        return Evaluation(jnp.tile(value[:, None], (1, game.num_actions)), value)

    def run(state: Any) -> Any:
        return search(game, evaluate, (), state, _key(), config)

    roots = jax.eval_shape(lambda: jax.vmap(game.init)(jax.random.split(_key(), batch)))
    with on(card):
        return jax.jit(run).lower(shapes(roots)).compile()


def compile_self_play(card: Any, config: RunConfig) -> Any:
    """Compiles a call of self-play, as a run makes it."""
    game = games.load(config.game)
    network, wanted = network_of(config, game), example.parse_targets(config.targets)
    amplifier = search_amplifier(game, network.evaluate, config.search)
    opened = jax.eval_shape(lambda key: self_play.start(game, config.self_play, key), _key())
    with on(card):
        play: Any = self_play.make_amplified_play(
            game, amplifier, config.self_play, targets.computes(wanted)
        )
        arguments = shapes(_folded(network)), shapes(opened, by_env=True), shapes(_key())
        return play.lower(*arguments).compile()


def compile_training(card: Any, config: RunConfig) -> Any:
    """Compiles a training step, as a run makes it."""
    game = games.load(config.game)
    network, wanted = network_of(config, game), example.parse_targets(config.targets)
    state = jax.eval_shape(lambda key: learner.init(network, config.learner, key), _key())
    rows = _rows(game, wanted, config.learner.batch)
    horizon = jax.ShapeDtypeStruct((), jnp.float32)
    with on(card):
        step: Any = learner.make_train_step(
            network, game, config.learner, losses.load(config.distil), wanted
        )
        return step.lower(shapes(state), shapes(rows, by_env=True), shapes(horizon)).compile()


def _key() -> jax.Array:
    return jax.random.key(0)


def _folded(network: Network) -> Any:
    return jax.eval_shape(lambda key: network.fold(network.init(key)), _key())


def _rows(game: Game[Any], wanted: Any, count: int) -> Minibatch:
    """Returns the shapes of a minibatch."""
    forms = targets.forms(game, wanted) | {
        "symmetry": example.Form((), jnp.dtype("int32")),
        "policy_weight": example.Form((), jnp.dtype("float32")),
    }
    made = {
        name: jax.ShapeDtypeStruct((count, *form.shape), form.dtype) for name, form in forms.items()
    }
    fields: dict[str, Any] = {name: made[name] for name in Minibatch._fields if name in made}
    for field in ("targets", "target_weights"):
        names = [name for name in made if name.startswith(f"{field}/")]
        fields[field] = {name.removeprefix(f"{field}/"): made[name] for name in names}
    return Minibatch(**fields)
