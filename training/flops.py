"""FLOPs of a run, counted from what its network computes.

A FLOP is a multiplication or an addition of a convolution or dense layer; all else is cheap
beside these. As usual, each output position of a convolution counts its whole kernel, also where
"SAME" padding feeds it zeros: 2 H W k k C_in C_out. What plays counts as it runs, folded. An
example of a training step counts three ways forward, heads of targets included, for the gradient
costs twice the way forward. They are counted in the traced program, so that any network is.
"""

import functools
import inspect
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend import core

from games import plug_in
from games.game import Game
from mcts import Evaluation, SearchConfig
from selfplay.amplify import slot
from selfplay.amplify.spec import parse_committee
from training.config import RunConfig
from training.network import Network

PASSES = 3  # ways forward that an example of a training step costs
OF_NETWORK = "evaluation_of_the_network"  # the name of a call, in traced programs
ENVS = 2  # positions that a traced amplifier decides


class Work(NamedTuple):
    """What the units of a run's self-play and training cost; it never changes in a run."""

    decision: int  # network evaluations of a decision of self-play
    evaluation: int  # operations of one of them
    example: int  # operations of an example of a training step

    def so_far(self, positions: int, examples: int) -> int:
        """Returns the operations of so many plies of self-play and examples of training steps."""
        return positions * self.decision * self.evaluation + examples * self.example

    def of_iteration(self, config: RunConfig) -> float:
        """The operations of an iteration: a rollout, and the training on its examples.

        Examples come late, once their games have ended, so it is a mean over many.
        """
        positions = config.self_play.batch * config.self_play.plies_per_call
        return (
            self.so_far(positions, 0) + positions * config.replay.samples_per_example * self.example
        )


def work_of(config: RunConfig, game: Game[Any], network: Network) -> Work:
    """The operations that a run's self-play and training cost."""
    return Work(
        decision=evaluations_of_decision(config, game, network),
        evaluation=of_evaluation(network),
        example=of_training_example(network),
    )


@functools.cache
def of_evaluation(network: Network) -> int:
    """Returns the operations in which the folded network evaluates one position."""
    folded = jax.eval_shape(network.fold, _weights(network))
    return of_program(jax.make_jaxpr(network.evaluate)(folded, _observations(network, 1)))


@functools.cache
def of_training_example(network: Network) -> int:
    """Returns the operations of one example of a training step."""
    given = _weights(network), _observations(network, 1)
    return PASSES * of_program(jax.make_jaxpr(network.forward_all)(*given))


def evaluations_of_search(config: SearchConfig, game: Game[Any], simulations: int) -> int:
    """Returns the network evaluations of a search: its root, and a leaf for each simulation.

    Leaves that end the game are evaluated too, and `average_symmetries` evaluates the root through
    each symmetry. Trees that are kept save simulations nothing: they come on top.
    """
    return simulations + (len(game.symmetries()) if config.average_symmetries else 1)


def evaluations_of_decision(config: RunConfig, game: Game[Any], network: Network) -> int:
    """Returns the evaluations of a run's own network that a decision of Amplify(A) takes.

    What else an overseer computes is not counted: of an engine or player, there is the network's
    opinion that its result is compared with. A function of the user's own is traced if it runs on
    the device; if not, it counts for one evaluation where it asks for `evaluate`, else for none.
    """
    kind, _, rest = config.amplify.partition(":")
    searched = evaluations_of_search(config.search, game, config.search.simulations)
    if kind == "committee":
        return parse_committee(rest).members * searched
    if kind in ("search", "human"):
        return searched
    if kind in ("policy", "player", "engine"):
        return 1
    function = plug_in.import_function(config.amplify, f"amplify {config.amplify!r}")
    if getattr(function, "on_device", False):
        return _traced_evaluations(config, game, network)
    return int("evaluate" in inspect.signature(function).parameters)


def _traced_evaluations(config: RunConfig, game: Game[Any], network: Network) -> int:
    def evaluate(variables: Any, observation: jax.Array) -> Evaluation:
        return network.evaluate(variables, observation)

    evaluate.__name__ = OF_NETWORK
    no_players: Any = None  # a function of the user's own names none
    amplifier = slot.load(config.amplify, game, jax.jit(evaluate), config.search, no_players)
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), ENVS))
    states = jax.eval_shape(jax.vmap(game.init), keys)
    folded = jax.eval_shape(network.fold, _weights(network))
    program = jax.make_jaxpr(amplifier.act)(folded, states, jax.eval_shape(jax.random.key, 0))
    return round(of_program(program, OF_NETWORK) / of_evaluation(network) / ENVS)


def of_program(program: core.ClosedJaxpr, within: str = "") -> int:
    """Returns the operations of a traced program, of a branch the dearest way.

    Of what is written for each platform apart, the cheapest way counts: it needs no more.

    A loop whose length is known only when it runs counts once.

    Args:
      within: count only inside calls of functions of this name; empty: everywhere.
    """
    return _of_equations(program.jaxpr, within)


def results_of(program: core.ClosedJaxpr) -> list[int]:
    """Returns the bytes of each result of a convolution or dense layer in a traced program."""
    return list(_results(program.jaxpr))


def _results(jaxpr: core.Jaxpr) -> Iterator[int]:
    for equation in jaxpr.eqns:
        if equation.primitive.name in ("dot_general", "conv_general_dilated"):
            result: Any = equation.outvars[0].aval
            yield math.prod(result.shape) * result.dtype.itemsize
        for inner in _programs_in(equation.params):
            yield from _results(inner)


def _of_equations(jaxpr: core.Jaxpr, within: str) -> int:
    return sum(_of_equation(equation, within) for equation in jaxpr.eqns)


def _of_equation(equation: Any, within: str) -> int:
    name, params = equation.primitive.name, equation.params
    if within and params.get("name") == within:
        within = ""
    if name == "dot_general":
        return 0 if within else _of_dot(equation)
    if name == "conv_general_dilated":
        return 0 if within else _of_convolution(equation)
    inner = [_of_equations(jaxpr, within) for jaxpr in _programs_in(params)]
    if name == "cond":
        # What is written anew for a platform is no more work, though it may multiply zeros.
        return min(inner) if params.get("branches_platforms") else max(inner)
    # The program of a shard is what each device runs on its share.
    times = {"scan": lambda: params["length"], "shard_map": lambda: params["mesh"].size}
    return times.get(name, lambda: 1)() * sum(inner)


def _of_dot(equation: Any) -> int:
    (contracted, _), _ = equation.params["dimension_numbers"]
    shape = equation.invars[0].aval.shape
    summed = math.prod(shape[axis] for axis in contracted)
    return 2 * math.prod(equation.outvars[0].aval.shape) * summed


def _of_convolution(equation: Any) -> int:
    kernel = equation.invars[1].aval.shape
    outputs = kernel[equation.params["dimension_numbers"].rhs_spec[0]]
    return 2 * math.prod(equation.outvars[0].aval.shape) * math.prod(kernel) // outputs


def _programs_in(params: dict[str, Any]) -> Iterator[core.Jaxpr]:
    for value in params.values():
        for part in value if isinstance(value, tuple | list) else (value,):
            if isinstance(part, core.ClosedJaxpr):
                yield part.jaxpr
            elif isinstance(part, core.Jaxpr):
                yield part


def _weights(network: Network) -> Any:
    return jax.eval_shape(network.init, jax.eval_shape(jax.random.key, 0))


def _observations(network: Network, count: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((count, *network.observation_shape), jnp.float32)
