"""A network of a user's own: a flax nnx module, or two pure functions `init` and `apply`."""

import dataclasses
import functools
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from games import plug_in, registry
from mcts import Evaluation
from selfplay.example import Kind, shape
from training.network import CHECKED, Network, Weights, read_value
from training.networks.module import ModuleNetwork
from training.settings import NetworkConfig


class Spec(NamedTuple):
    """What a network is made for."""

    observation_shape: tuple[int, ...]  # of a position; a batch has the game's own dtype
    num_actions: int  # A
    targets: Mapping[str, tuple[int, ...]]  # the shape of each head beside policy and value
    sizes: int = 0  # as in `training.network.Network`
    value: str = "tanh"  # in [-1, 1], [B]; or "wdl": logits of win, draw and loss, [B, 3]
    adjacency: np.ndarray | None = None  # bool[N, N] of a `Graph`'s nodes; None of another game


def load(
    config: NetworkConfig,
    observation_shape: tuple[int, ...],
    num_actions: int,
    targets: tuple[tuple[str, Kind], ...],
    sizes: int,
    edges: bytes,
    target: str,
    texts: dict[str, str],
) -> Network:
    """Returns the network that `target`, a `module:factory`, makes with the options `texts`.

    The factory is a subclass of `nnx.Module`, called with `(spec, rngs=...)`, or a function, called
    with `(spec)`, which returns an object with pure functions `init(key) -> (params, state)` and
    `apply(params, state, observation, train) -> (outputs, state)`.

    Raises:
      ValueError: there is none, or its results are not as they should be.
    """
    what = f"network {config.name!r}"
    factory = plug_in.import_function(target, what)
    options = registry.read_options(_options(inspect.unwrap(factory)), texts, what)
    given = config, observation_shape, num_actions, targets, sizes, edges
    spec = Spec(
        *(observation_shape, num_actions),
        targets={name: shape(kind, observation_shape, num_actions) for name, kind in targets},
        sizes=sizes,
        value=config.value,
        adjacency=np.frombuffer(edges, bool).reshape(math.isqrt(len(edges)), -1) if edges else None,
    )
    network: Network
    if _is_module(inspect.unwrap(factory)):
        network = OwnModule(*given, factory=functools.partial(factory, spec, **options))
    else:
        plug_in.check_call(factory, ("spec",), what)
        functions = factory(spec, **options)
        for name in ("init", "apply"):
            if not callable(getattr(functions, name, None)):
                raise ValueError(
                    f"{what} must return an object with functions init and apply, or be a class "
                    f"of flax's nnx.Module; got {type(functions).__name__}, without {name}"
                )
        network = OwnFunctions(*given, functions=functions)
    _check_shapes(network, what)
    return network


@dataclasses.dataclass(frozen=True)
class OwnModule(ModuleNetwork):
    """A network from an nnx module of a user's own."""

    factory: Callable[..., Any] = dataclasses.field(default=nnx.Module, compare=False)

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """Returns the module."""
        module: nnx.Module = self.factory(rngs=rngs)
        return module

    def read(self, outputs: Any, count: int) -> tuple[Evaluation, dict[str, jax.Array]]:
        """Returns what the module says in the forms that all else expects."""
        return _read(self, outputs, count)


@dataclasses.dataclass(frozen=True)
class OwnFunctions(Network):
    """A network from two pure functions of a user's own; any trees of arrays are its weights."""

    functions: Any = dataclasses.field(default=None, compare=False)

    @functools.partial(jax.jit, static_argnums=0)
    def init(self, key: jax.Array) -> Weights:
        """Returns freshly drawn weights."""
        made = self.functions.init(key)
        if not (isinstance(made, tuple) and len(made) == 2):
            raise ValueError(
                f"network {self.config.name!r}: init must return (params, state), got "
                f"{type(made).__name__}"
            )
        return Weights(*made)

    def forward_all(
        self, weights: Weights, observation: jax.Array
    ) -> tuple[Evaluation, dict[str, jax.Array], Any]:
        """Scores a training batch."""
        return self._apply(weights, observation, train=True)

    def evaluate_all(
        self, variables: Any, observation: jax.Array
    ) -> tuple[Evaluation, dict[str, jax.Array]]:
        """Scores positions; changes nothing."""
        evaluation, said, _ = self._apply(variables, observation, train=False)
        return evaluation, said

    def _apply(
        self, weights: Weights, observation: jax.Array, train: bool
    ) -> tuple[Evaluation, dict[str, jax.Array], Any]:
        said = self.functions.apply(weights.params, weights.batch_stats, observation, train)
        if not (isinstance(said, tuple) and len(said) == 2):
            raise ValueError(
                f"network {self.config.name!r}: apply must return (outputs, state), got "
                f"{type(said).__name__}"
            )
        outputs, state = said
        return *_read(self, outputs, len(observation)), state


def _is_module(factory: Any) -> bool:
    return isinstance(factory, type) and issubclass(factory, nnx.Module)


def _options(factory: Callable[..., Any]) -> dict[str, Any]:
    """Returns the options of a factory and their defaults: its arguments that have one."""
    # nnx's metaclass hides what a class takes.
    called = factory.__init__ if _is_module(factory) else factory
    parameters = inspect.signature(called).parameters.values()
    return {p.name: p.default for p in parameters if isinstance(p.default, registry.READABLE)}


def _read(network: Network, outputs: Any, count: int) -> tuple[Evaluation, dict[str, jax.Array]]:
    """Returns outputs, `(policy, value)` or a mapping of heads, as Evaluation and targets.

    Raises:
      ValueError: a head is missing, or has another shape than it should.
    """
    what = f"network {network.config.name!r}"
    if isinstance(outputs, tuple) and len(outputs) == 2:
        outputs = {"policy": outputs[0], "value": outputs[1]}
    if not isinstance(outputs, Mapping):
        raise ValueError(
            f"{what} must return (policy logits, value), or a dict of heads, got "
            f"{type(outputs).__name__}"
        )
    actions, observation = network.num_actions, network.observation_shape
    is_wdl = network.config.value == "wdl"
    wanted: dict[str, tuple[int, ...]] = {"policy": (actions,), "value": (3,) if is_wdl else ()}
    wanted |= {name: shape(kind, observation, actions) for name, kind in network.targets}
    if missing := [name for name in wanted if name not in outputs]:
        raise ValueError(
            f"{what} lacks the head {missing[0]!r}; it has {', '.join(map(str, outputs)) or 'none'}"
        )
    for name, form in wanted.items():
        found = np.shape(outputs[name])
        if found != (count, *form):
            hint = "; take [:, 0] of it" if found == (count, *form, 1) else ""
            if is_wdl and name == "value":
                hint = "; network.value is wdl: logits of win, draw and loss"
            raise ValueError(
                f"{what}: head {name!r} must be float{[count, *form]} for {count} positions, got "
                f"shape {list(found)}{hint}"
            )
    heads = {name: jnp.asarray(outputs[name], jnp.float32) for name in wanted}
    policy, value = heads.pop("policy"), heads.pop("value")
    value, said = read_value(value) if is_wdl else (value, {})
    return Evaluation(policy, value), said | heads


def _check_shapes(network: Network, what: str) -> None:
    """Raises ValueError where weights or results have other forms than they should."""
    weights = jax.eval_shape(network.init, jax.eval_shape(jax.random.key, 0))
    observation = jax.ShapeDtypeStruct((CHECKED, *network.observation_shape), jnp.bool_)
    for path, leaf in jax.tree_util.tree_leaves_with_path(weights.params):
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise ValueError(
                f"{what}: params{jax.tree_util.keystr(path)} is {leaf.dtype}: parameters must be "
                "floats; what else a network keeps is its state"
            )
    jax.eval_shape(network.evaluate, weights, observation)
    *_, state = jax.eval_shape(network.forward_all, weights, observation)

    def forms(tree: Any) -> Any:
        return jax.tree.structure(tree), [(x.shape, x.dtype) for x in jax.tree.leaves(tree)]

    if forms(state) != forms(weights.batch_stats):
        raise ValueError(f"{what}: the state after a step has another form than at its start")
