"""Self-play on the device: B games at once, T plies a call, first moves drawn at a temperature.

An environment whose game ends starts the next one at once, from a pool of openings that is played
once a call. Unfinished games carry over to the next call, so none is truncated and none is thrown
away. An amplifier (`selfplay.amplify`) chooses the moves. One outside the device is called by the
host between plies, and all else is the same.
"""

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from games.game import Game, drawn_plies
from mcts import Evaluate, SearchConfig, SearchResult, Variables
from selfplay import devices, example
from selfplay.amplify.slot import Amplifier, check_choices, search_amplifier
from selfplay.config import SelfPlayConfig
from selfplay.information import cross_entropy, kl_divergence
from selfplay.positions import NO_ACTION, random_actions


class SelfPlayState(NamedTuple):
    """The games in flight; K is `random_opening_plies`, and the game's own `drawn_plies`."""

    game: Any  # the game's State, leaves [B, ...]
    ply: jax.Array  # int32[B], plies played in the environment's game
    game_number: jax.Array  # int32[B], games that the environment has finished
    opening: jax.Array  # int16[B, K], the random first actions of each game, -1 for none
    # int32[B, max_plies], its actions so far, padded with -1; only if the amplifier asks for them
    history: jax.Array | None = None


class Openings(NamedTuple):
    """The games that a call opens, in the order in which they are taken: a pool."""

    games: SelfPlayState  # leaves [P, ...]
    taken: jax.Array  # int32[1], how many; after P of them the first ones come again


class Trajectory(NamedTuple):
    """T plies of B games; what a ply was decided on, then what it led to."""

    observation: (
        Any  # bool[T, B, *observation_shape] as `Bits`, or another dtype of the game's as it is
    )
    legal_action_mask: Any  # bool[T, B, A] as `Bits`
    action_weights: jax.Array  # float16[T, B, A], the policy target
    q: jax.Array  # float16[T, B, A]
    action: jax.Array  # int16[T, B]
    to_play: jax.Array  # int8[T, B], the seat that decided
    root_value: jax.Array  # float32[T, B], for that seat
    raw_value: jax.Array  # float32[T, B], likewise
    kl: jax.Array  # float32[T, B], nats from the network's policy to the search's
    entropy: jax.Array  # float32[T, B], nats, of the network's policy
    ply: jax.Array  # int32[T, B]
    game_number: jax.Array  # int32[T, B]
    opening: jax.Array  # int16[T, B, K]
    terminated: jax.Array  # bool[T, B], whether this ply ended the game
    returns: jax.Array  # float32[T, B, 2], by seat, zero before the end
    # bool[T, B]: all numbers are finite, the seat is one, the action is legal, and so are all that
    # have a weight
    sound: jax.Array
    # What is also learned, by name of `example.TARGETS`: [T, B, ...] of those known at the ply, for
    # the seat that decided; [T, B, 2, ...] of those known at the end, by seat, zero before it.
    targets: Mapping[str, jax.Array] = {}
    end_targets: Mapping[str, jax.Array] = {}


Play = Callable[..., tuple[SelfPlayState, Trajectory]]  # of variables, state, and key
# Of state, openings, search result and key: the state and openings after a ply, and what it was.
Finish = Callable[..., tuple[SelfPlayState, Openings, Trajectory]]


# How a target of `example.TARGETS` is computed, of one position. One known at the ply, for the seat
# to play: `(game, before, result, action, after)`, the states before and after the ply, with the
# search's result and the action of that position. One known at the end: `(game, final)`, a value
# for each of the two seats.
Compute = Callable[..., jax.Array]
Computes = Mapping[str, Compute]
WEIGHTS_ERROR = 0.01  # of float16 weights that should sum to 1
NO_TARGETS: Computes = {}


def start(
    game: Game[Any],
    config: SelfPlayConfig,
    key: jax.Array,
    history: bool = False,
    first: int = 0,
) -> SelfPlayState:
    """Returns B games at their openings; with their `history` for an amplifier outside the device.

    Args:
      first: of our devices, among those of several processes (`devices.data_parallel`).

    Raises:
      ValueError: the batch does not divide by the number of devices.
    """
    count = devices.mesh().size
    if config.batch % count:
        raise ValueError(
            f"self_play.batch must be a multiple of the {count} devices, got {config.batch}"
        )
    open_games = devices.data_parallel(
        lambda _, envs, key: _open(game, config, envs.shape[0], key, history)
    )
    # A dummy array of B elements tells each device how many environments are its own.
    envs = devices.split_envs(jnp.zeros(config.batch))
    return jax.jit(open_games)((), envs, key, jnp.int32(first))


def make_play(
    game: Game[Any], evaluate: Evaluate, config: SelfPlayConfig, search_config: SearchConfig
) -> Play:
    """Returns the jitted `play(variables, state, key) -> (state, Trajectory)` that searches."""
    return make_amplified_play(game, search_amplifier(game, evaluate, search_config), config)


def make_amplified_play(
    game: Game[Any], amplifier: Amplifier, config: SelfPlayConfig, targets: Computes = NO_TARGETS
) -> Play:
    """Returns `play(variables, state, key) -> (state, Trajectory)`, jitted if it can be.

    One that is jitted takes `first`, too, as `devices.data_parallel` says.

    Args:
      targets: what each ply also notes, by name of `example.TARGETS`.
    """
    # What follows the search is the same wherever the search runs.
    finish = functools.partial(_finish_ply, game, config, targets)
    if not amplifier.on_device:
        return _make_host_play(game, amplifier, config, finish)

    def play(
        variables: Variables, state: SelfPlayState, key: jax.Array
    ) -> tuple[SelfPlayState, Trajectory]:
        ply = functools.partial(_play_ply, amplifier, finish, variables)
        openings = _pool(game, config, state, key)
        # What an amplifier remembers never goes to the next call, whose weights may be new.
        memory = amplifier.memory.start(state.game) if amplifier.memory else None
        # One rollout is a scan over plies: a single dispatch for all of them.
        keys = jax.random.split(key, config.plies_per_call)
        (state, _, _), trajectory = jax.lax.scan(ply, (state, openings, memory), keys)
        return state, trajectory

    # States are split over devices by environment, trajectories by their second axis.
    specs = (devices.BY_ENV, PartitionSpec(None, devices.AXIS))
    return jax.jit(devices.data_parallel(play, out_specs=specs))


def _make_host_play(
    game: Game[Any], amplifier: Amplifier, config: SelfPlayConfig, finish: Finish
) -> Play:
    """Returns a `play` that asks the amplifier on the host, between plies.

    It draws moves and openings with the keys of the jitted one: given the same answers, it plays
    the same games.
    """

    def finish_share(
        ply: jax.Array, batch: Any, key: jax.Array
    ) -> tuple[SelfPlayState, Openings, Trajectory]:
        state, openings, result = batch
        ply_key = jax.random.split(key, config.plies_per_call)[ply]
        return finish(state, openings, result, ply_key)

    # The rules stay on the device; only the amplifier is asked on the host.
    finish_ply = jax.jit(devices.data_parallel(finish_share))
    pool = jax.jit(devices.data_parallel(lambda _, state, key: _pool(game, config, state, key)))

    def play(
        variables: Variables, state: SelfPlayState, key: jax.Array
    ) -> tuple[SelfPlayState, Trajectory]:
        plies, openings = [], pool((), state, key)
        for ply, search_key in enumerate(jax.random.split(key, config.plies_per_call)):
            states = jax.device_get(state.game)
            result = amplifier(variables, states, search_key, np.asarray(state.history))
            # A person or program outside may answer anything: illegal actions stop here.
            check_choices(amplifier.name, game, states, result)
            result = devices.split_envs(result)
            batch = state, openings, result
            state, openings, trajectory = finish_ply(jnp.int32(ply), batch, key)
            plies.append(jax.device_get(trajectory))
        return state, jax.tree.map(lambda *leaves: np.stack(leaves), *plies)

    return play


def _play_ply(
    amplifier: Amplifier,
    finish: Finish,
    variables: Variables,
    carried: tuple[SelfPlayState, Openings, Any],
    key: jax.Array,
) -> tuple[tuple[SelfPlayState, Openings, Any], Trajectory]:
    """Plays one ply in every environment, on the device.

    It carries the games, the openings of those to come, and what the amplifier remembers.
    """
    state, openings, memory = carried
    # Amplify: search from each position with the network.
    search_key, _ = jax.random.split(key)
    if amplifier.memory is None:
        result = amplifier(variables, state.game, search_key)
        after, openings, played = finish(state, openings, result, key)
        return (after, openings, None), played
    # Tree reuse: the search goes on from the subtree of the last move.
    result, memory = amplifier.memory.act(variables, state.game, search_key, memory)
    after, openings, played = finish(state, openings, result, key)
    memory = amplifier.memory.keep(memory, played.action.astype(jnp.int32))
    return (after, openings, memory), played


def _finish_ply(
    game: Game[Any],
    config: SelfPlayConfig,
    targets: Computes,
    state: SelfPlayState,
    openings: Openings,
    result: SearchResult,
    key: jax.Array,
) -> tuple[SelfPlayState, Openings, Trajectory]:
    """Plays what the search decided in every environment; ended games make room for new ones."""
    _, action_key = jax.random.split(key)
    # The first plies are drawn at a temperature, so that games differ; then the best is played.
    before = state.game
    action = _choose(result, state.ply, action_key, config)
    # Play the moves.
    after = jax.vmap(game.step)(before, action)
    ended = after.terminated
    observation = jax.vmap(game.observe)(before)
    # What the replay will need, for the seat that decided.
    trajectory = Trajectory(
        observation=example.packed(observation),
        legal_action_mask=example.packed(before.legal_action_mask),
        action_weights=result.action_weights.astype(jnp.float16),
        q=result.q.astype(jnp.float16),
        action=action.astype(jnp.int16),
        to_play=before.to_play,
        root_value=result.value,
        raw_value=result.raw_value,
        kl=kl_divergence(result.action_weights, result.prior),
        entropy=cross_entropy(result.prior, result.prior),
        ply=state.ply,
        game_number=state.game_number,
        opening=state.opening,
        terminated=ended,
        returns=jax.vmap(game.returns)(after),
        sound=jnp.ones_like(ended),
        targets={
            name: example.packed(_ply_target(name, compute, game, (before, result, action, after)))
            for name, compute in targets.items()
            if example.TARGETS[name].at == "ply"
        },
        end_targets={
            name: _end_target(name, compute, game, after)
            for name, compute in targets.items()
            if example.TARGETS[name].at == "end"
        },
    )
    trajectory = trajectory._replace(
        sound=_is_sound(trajectory, observation, before.legal_action_mask)
    )
    # An amplifier outside the device is told the moves, for it has no state of the game.
    history = state.history
    if history is not None:
        history = history.at[jnp.arange(len(action)), state.ply].set(action)
    # Environments whose game goes on.
    went_on = SelfPlayState(
        after, state.ply + 1, state.game_number + ended.astype(jnp.int32), state.opening, history
    )
    # Each ended game takes the next opening of the pool.
    places = openings.taken + jnp.cumsum(ended) - 1
    size = openings.games.ply.shape[0]
    opened = jax.tree.map(lambda leaf: leaf[places % size], openings.games)
    restarted = select(ended, opened, went_on)._replace(game_number=went_on.game_number)
    openings = openings._replace(taken=openings.taken + ended.sum(dtype=jnp.int32))
    return restarted, openings, trajectory


def _is_sound(trajectory: Trajectory, observation: jax.Array, legal: jax.Array) -> jax.Array:
    """Returns bool[B]: whether `training.non_finite` has nothing to say of a ply."""
    # Whatever holds NaN or infinity, also targets.
    numbers = trajectory._replace(observation=observation)
    finite = [
        jnp.isfinite(leaf).reshape(len(legal), -1).all(axis=1)
        for leaf in jax.tree.leaves(numbers)
        if jnp.issubdtype(leaf.dtype, jnp.floating)
    ]
    # A search never chooses what is illegal; a person or a program outside might.
    weights = jnp.where(legal, trajectory.action_weights, 0).sum(axis=1, dtype=jnp.float32)
    chosen = jnp.take_along_axis(legal, trajectory.action[:, None].astype(int), axis=1)[:, 0]
    allowed = chosen & (abs(weights - 1) <= WEIGHTS_ERROR)
    seat = (trajectory.to_play == 0) | (trajectory.to_play == 1)
    return functools.reduce(jnp.logical_and, finite) & allowed & seat


def _ply_target(name: str, compute: Compute, game: Game[Any], ply: tuple[Any, ...]) -> jax.Array:
    """Returns a target of each environment, for the seat that decided."""
    shape = example.form(example.TARGETS[name].column, game).shape
    return jax.vmap(lambda env: _as_column(name, compute(game, *env), shape))(ply)


def _end_target(name: str, compute: Compute, game: Game[Any], after: Any) -> jax.Array:
    """Returns a target of each environment for both seats, zero where the game goes on."""
    form = example.form(example.TARGETS[name].column, game)
    # Of every position: to skip a ply in which no game ends, a GPU would wait for the host.
    of_env = functools.partial(compute, game)
    values = jax.vmap(lambda env: _as_column(name, of_env(env), (2, *form.shape)))(after)
    ended_values: jax.Array = select(after.terminated, values, jnp.zeros_like(values))
    return ended_values


def _as_column(name: str, value: Any, shape: tuple[int, ...]) -> jax.Array:
    """Returns a target's value in its column's dtype. Raises ValueError if its shape is another."""
    if jnp.shape(value) != shape:
        raise ValueError(
            f"target {name!r} must be computed with the shape {shape}, got {jnp.shape(value)}"
        )
    return jnp.asarray(value).astype(example.TARGETS[name].column.dtype)


def _choose(
    result: SearchResult, ply: jax.Array, key: jax.Array, config: SelfPlayConfig
) -> jax.Array:
    """Returns int32[B]: drawn from the search's weights in the first plies, then its action."""
    # Sample from pi^(1/temperature), as AlphaGo Zero does in its first 30 moves.
    logits = jnp.log(result.action_weights) / config.temperature  # -inf, never drawn, at weight 0
    drawn = jax.random.categorical(key, logits)
    return jnp.where(ply < config.temperature_plies, drawn, result.action)


def _pool(
    game: Game[Any], config: SelfPlayConfig, state: SelfPlayState, key: jax.Array
) -> Openings:
    """Returns the openings of a call, played beforehand.

    Opening a game costs several plies of rules. Done where a game ends, all environments would
    compute it in every ply; skipped where none ends, a GPU would wait for the host in every ply.
    """
    envs, plies = state.ply.shape[0], config.plies_per_call
    # One more in each environment than end there if games take half of their longest.
    size = envs * (1 + math.ceil(2 * plies / game.max_plies))
    key = jax.random.fold_in(key, plies)  # 0 to T-1 are the plies' own
    games = _open(game, config, size, key, state.history is not None)
    return Openings(games, jnp.zeros(1, jnp.int32))


def _open(
    game: Game[Any], config: SelfPlayConfig, envs: int, key: jax.Array, with_history: bool
) -> SelfPlayState:
    """Returns new games after their random first plies, none of which ends a game."""
    init_key, count_key, ply_key = jax.random.split(key, 3)
    # Each game begins with a random number of random plies, up to the setting.
    drawn = drawn_plies(game)
    most = drawn + config.random_opening_plies
    plies = jax.random.randint(count_key, (envs,), drawn, most + 1)

    # Plies beyond a game's own number leave it as it is, so that all have one length.
    def random_ply(state: Any, step: tuple[jax.Array, jax.Array]) -> tuple[Any, jax.Array]:
        index, key = step
        action = random_actions(key, state.legal_action_mask)
        after = jax.vmap(game.step)(state, action)
        plays = (index < plies) & ~after.terminated
        return select(plays, after, state), jnp.where(plays, action, -1).astype(jnp.int16)

    state = jax.vmap(game.init)(jax.random.split(init_key, envs))
    steps = (jnp.arange(most), jax.random.split(ply_key, most))
    state, actions = jax.lax.scan(random_ply, state, steps)
    ply = (actions >= 0).sum(axis=0, dtype=jnp.int32)
    opening = actions.T
    # Only amplifiers outside the device need the moves.
    history = _as_history(opening, game.max_plies) if with_history else None
    return SelfPlayState(state, ply, jnp.zeros(envs, jnp.int32), opening, history)


def _as_history(opening: jax.Array, plies: int) -> jax.Array:
    """Returns int32[B, plies]: the openings without their gaps, padded with -1."""
    # A stable sort moves the gaps to the end and keeps the order of moves.
    order = jnp.argsort(opening == NO_ACTION, axis=1, stable=True)
    played = jnp.take_along_axis(opening, order, axis=1).astype(jnp.int32)[:, :plies]
    return jnp.pad(played, ((0, 0), (0, plies - played.shape[1])), constant_values=NO_ACTION)


def select(envs: jax.Array, chosen: Any, other: Any) -> Any:
    """Returns the tree whose leaves come from `chosen` where bool[B] `envs`, else `other`."""

    def pick(a: jax.Array, b: jax.Array) -> jax.Array:
        return jnp.where(envs.reshape(envs.shape + (1,) * (a.ndim - 1)), a, b)

    return jax.tree.map(pick, chosen, other)
