"""Players: ways to choose a move, with one signature, `player(states, key) -> SearchResult`.

A player on the device is a pure, batched function `act(variables, states, key)` and the variables
to call it with. Players with the same `act` share its compilations: two checkpoints of one run
differ in `variables` only. So every `act` here comes from a cached factory, whose arguments, the
game among them, must be hashable.

No player adds noise to its choice: it plays the best action, ties to the lowest, unless a
temperature above 0 asks for a draw from `action_weights ** (1 / temperature)`.

A player outside the device may end a game by its action: `RESIGN` gives it up; `FORFEIT` says that
the player failed (an engine crashed, hung, or made an illegal move). Either loses that game, and
the match goes on. For each `FORFEIT` of an answer, in order, the player appends one sentence to
its list `faults`. A single game that cannot go on must not raise: an exception ends the match.
"""

import contextlib
import contextvars
import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from games import plug_in
from games.game import Game, State
from mcts import (
    Evaluate,
    Evaluation,
    SearchConfig,
    SearchResult,
    Variables,
    keys,
    mask_illegal,
    search,
)
from selfplay import devices, positions

# On the device `act(variables, states, key)`; outside it takes `history` as fourth argument.
Act: TypeAlias = Callable[..., SearchResult]
RESIGN, FORFEIT = -1, -2  # actions that lose the game at once, of players outside the device


class _Terms(NamedTuple):
    """How players answer, see `answering`."""

    check: Callable[[], None] = lambda: None
    batch: int = 0  # 0: all positions at once


_USUAL = _Terms()
_TERMS = contextvars.ContextVar("how players answer", default=_USUAL)


@contextlib.contextmanager
def answering(check: Callable[[], None], batch: int) -> Iterator[None]:
    """Within it, players on the device are asked about `batch` positions at a time.

    So a player is compiled once, however many positions each measurement has: more are split, and
    fewer are filled up.

    Args:
      check: called before each answer of any player. What it raises ends a match or measurement,
        so that a long evaluation can be left within one call of the device.
    """
    token = _TERMS.set(_Terms(check, batch))
    try:
        yield
    finally:
        _TERMS.reset(token)


@dataclasses.dataclass(frozen=True, eq=False)
class Player:
    """Chooses moves in B games at once."""

    name: str
    game: Game[Any]
    act: Act
    variables: Variables = ()
    on_device: bool = True
    faults: list[str] = dataclasses.field(default_factory=list)  # a sentence for each `FORFEIT`
    is_stochastic: bool = False  # it breaks ties by its key, and takes one a position too
    # `(variables, observation) -> float32[B, 3]`, probabilities of win, draw and loss, if any.
    outcomes: Callable[..., Any] | None = None

    def __call__(
        self, states: State, key: jax.Array, history: np.ndarray | None = None
    ) -> SearchResult:
        """Returns a move and values for each of B positions.

        Args:
          states: batched, each leaf `[B, ...]`.
          key: PRNG key, consumed; or B of them for a player that draws lots: then a position has
            the same answer in every batch of B.
          history: int32[B, T], the actions so far, padded with -1; only players outside the device
            look at it.

        Raises:
          ValueError: `states` has no batch axis.
        """
        if np.ndim(states.to_play) != 1:
            raise ValueError(
                f"a player needs a batch of positions, got to_play of shape "
                f"{np.shape(states.to_play)}"
            )
        _TERMS.get().check()
        # Players on the device are jitted and split over devices; others get NumPy on the host.
        if self.on_device:
            if isinstance(states.to_play, jax.core.Tracer):  # part of a larger jitted function
                return self.act(self.variables, states, key)
            return _act_on_device(self.act, self.variables, states, key)
        return self.act(self.variables, states, key, history)

    def draw_probability(self, states: State) -> jax.Array | None:
        """Returns float32[B], its network's word without search; None if that says none."""
        if self.outcomes is None:
            return None
        return _draw_probability(_by_value(self.outcomes), self.game, self.variables, states)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _draw_probability(
    outcomes: Callable[..., Any], game: Game[Any], variables: Variables, states: State
) -> jax.Array:
    draw: jax.Array = outcomes(variables, jax.vmap(game.observe)(states))[:, 1]
    return draw


def batch_asked() -> int:
    """The positions that players on the device are asked about at a time; 0: any number."""
    return _TERMS.get().batch


def _act_on_device(act: Act, variables: Variables, states: State, key: jax.Array) -> SearchResult:
    """The one place where a player's work reaches the devices: each takes a share of the batch."""
    count = len(states.to_play)
    size = batch_asked() or count
    if size == count:
        return _act_on_batch(act, variables, states, key)
    by_position, results = keys.by_position(key), []
    states = jax.device_get(states)
    for number, start in enumerate(range(0, count, size)):
        _TERMS.get().check()
        rows = np.minimum(np.arange(start, start + size), count - 1)
        own_key = key[rows] if by_position else jax.random.fold_in(key, number)
        batch = _act_on_batch(act, variables, positions.take(states, rows), own_key)
        results.append(jax.device_get(batch))
    joined: SearchResult = jax.tree.map(lambda *parts: np.concatenate(parts)[:count], *results)
    return joined


def _act_on_batch(act: Act, variables: Variables, states: State, key: jax.Array) -> SearchResult:
    count = len(states.to_play)
    # Placed alike, wherever they come from, so that one compilation serves.
    result = _act_in_shares(act, variables, devices.replicate(states), key)
    if devices.mesh().size > 1:
        # By way of the host: joining shares on the devices is an exchange, see `learner_mesh`.
        result = jax.device_get(result)
    kept: SearchResult = jax.tree.map(lambda leaf: leaf[:count], result)
    return kept


@functools.partial(jax.jit, static_argnums=0)
def _act_in_shares(act: Act, variables: Variables, states: State, key: jax.Array) -> SearchResult:
    """Returns the result for the batch, filled up with its last position to equal shares."""
    # Each device needs an equal share, so the batch is padded with its last position.
    missing = -len(states.to_play) % devices.mesh().size

    def fill(leaf: jax.Array) -> jax.Array:
        return jnp.concatenate([leaf, jnp.repeat(leaf[-1:], missing, axis=0)])

    if keys.by_position(key):

        def act_by_position(variables: Variables, envs: tuple[State, jax.Array], own: jax.Array):  # type: ignore[no-untyped-def]
            del own  # of this device: each position has brought its key
            return act(variables, *envs)

        envs = jax.tree.map(fill, (states, key)) if missing else (states, key)
        known: SearchResult = devices.data_parallel(act_by_position)(variables, envs, key[0])
        return known
    padded = jax.tree.map(fill, states) if missing else states
    result: SearchResult = devices.data_parallel(act)(variables, padded, key)
    return result


def search_player(
    name: str,
    game: Game[Any],
    evaluate: Evaluate,
    variables: Variables,
    config: SearchConfig,
    temperature: float = 0.0,
) -> Player:
    """Returns a player that searches with a network; noise in `config` is switched off."""
    _check_temperature(temperature)
    # Evaluators that are equal share one compiled program.
    act = _search_act(game, _by_value(evaluate), config.without_noise(), temperature)  # type: ignore[arg-type]
    return Player(name, game, act, variables)


def policy_player(
    name: str,
    game: Game[Any],
    evaluate: Evaluate,
    variables: Variables,
    temperature: float = 0.0,
) -> Player:
    """Returns a player that plays the network's raw policy, without search."""
    _check_temperature(temperature)
    act = _policy_act(game, _by_value(evaluate), temperature)  # type: ignore[arg-type]
    return Player(name, game, act, variables)


def _check_temperature(temperature: float) -> None:
    if temperature < 0:
        raise ValueError(f"a player's temperature must be at least 0, got {temperature}")


def random_player(game: Game[Any]) -> Player:
    """Returns a player that plays every legal action equally often."""
    return Player("random", game, _random_act)


def uniform_player(game: Game[Any], config: SearchConfig) -> Player:
    """Returns a player that searches with a uniform prior and zero value.

    Gumbel noise stays on: here it only breaks ties. Without it, a search would look at the 16
    actions of lowest number and at no other.
    """
    act = _search_act(game, _UniformEvaluate(game.num_actions), config, 0.0)  # type: ignore[arg-type]
    return Player("uniform", game, act, is_stochastic=True)


def plug_in_player(spec: str, game: Game[Any]) -> Player:
    """Returns the player of `module:function`, the current folder last on the import path."""
    what = f"player {spec!r}"
    # The user's own function, from a module in the current folder or installed.
    function = plug_in.import_function(spec, what)
    on_device = bool(getattr(function, "on_device", False))
    plug_in.check_call(
        function, ("states", "key") if on_device else ("states", "key", "history"), what
    )
    return Player(spec, game, _plug_in_act(function, what), on_device=on_device)


def check_form(what: str, answer: Any, states: State) -> SearchResult:
    """Returns an answer about B positions in the contract's dtypes.

    Raises:
      ValueError: `what`, as messages call it, has answered something else.
    """
    if not isinstance(answer, SearchResult):
        raise ValueError(f"{what} must return a SearchResult, got {type(answer).__name__}")
    # Fields of shape [B, A]; the others are [B].
    per_action = ("action_weights", "visit_counts", "q", "prior")
    shape, fields = np.shape(states.legal_action_mask), {}
    for field, value in answer._asdict().items():
        wanted = shape if field in per_action else shape[:1]
        if np.shape(value) != wanted:
            raise ValueError(f"{what}: {field} must have shape {wanted}, got {np.shape(value)}")
        fields[field] = jnp.asarray(value)
    if not jnp.issubdtype(fields["action"].dtype, jnp.integer):
        raise ValueError(f"{what}: action must be whole numbers, got {fields['action'].dtype}")
    return SearchResult(
        **{
            field: value.astype(jnp.int32 if field in ("action", "visit_counts") else jnp.float32)
            for field, value in fields.items()
        }
    )


@functools.cache
def _search_act(
    game: Game[Any], evaluate: Evaluate, config: SearchConfig, temperature: float
) -> Act:
    def act(variables: Variables, states: State, key: jax.Array) -> SearchResult:
        # Search, then perhaps draw by temperature.
        search_key, action_key = keys.split(key)
        result = search(game, evaluate, variables, states, search_key, config)
        return _at_temperature(result, states, action_key, temperature)

    return act


@functools.cache
def _policy_act(game: Game[Any], evaluate: Evaluate, temperature: float) -> Act:
    def act(variables: Variables, states: State, key: jax.Array) -> SearchResult:
        evaluation = evaluate(variables, jax.vmap(game.observe)(states))
        legal = states.legal_action_mask
        # The raw policy, with illegal actions masked out.
        logits = mask_illegal(evaluation.prior_logits, legal)
        result = without_search(logits.argmax(axis=-1), jax.nn.softmax(logits), evaluation.value)
        return _at_temperature(result, states, key, temperature)

    return act


@functools.cache
def _plug_in_act(function: Callable[..., Any], what: str) -> Act:
    def act(variables: Variables, states: State, key: jax.Array, *history: Any) -> SearchResult:
        del variables
        answer = function(states, key, *history)
        if not isinstance(answer, SearchResult):
            answer = _of_moves(what, answer, states)
        return check_form(what, answer, states)

    return act


def _of_moves(what: str, moves: Any, states: State) -> SearchResult:
    """Returns moves alone, int[B], as a player that does not search would answer."""
    legal = states.legal_action_mask
    if np.shape(moves) != legal.shape[:1]:
        got = f"{type(moves).__name__} of shape {np.shape(moves)}"
        raise ValueError(
            f"{what} must return moves, int[{len(legal)}], or a SearchResult, got {got}"
        )
    action = jnp.asarray(moves)
    if not jnp.issubdtype(action.dtype, jnp.integer):
        raise ValueError(f"{what}: moves must be whole numbers, got {action.dtype}")
    policy = jax.nn.one_hot(action, legal.shape[1])
    return without_search(action, policy, jnp.zeros(len(legal)))


def _random_act(variables: Variables, states: State, key: jax.Array) -> SearchResult:
    del variables
    legal = states.legal_action_mask
    logits = mask_illegal(jnp.zeros(legal.shape), legal)
    action = positions.random_actions(key, legal)
    return without_search(action, jax.nn.softmax(logits), jnp.zeros(legal.shape[0]))


def without_search(action: jax.Array, policy: jax.Array, value: jax.Array) -> SearchResult:
    """Returns the answer of a player that does not search: its moves, policy and values."""
    return SearchResult(
        action=action.astype(jnp.int32),
        action_weights=policy,
        visit_counts=jnp.zeros(policy.shape, jnp.int32),
        value=value,
        q=jnp.broadcast_to(value[:, None], policy.shape),
        prior=policy,
        raw_value=value,
    )


def _at_temperature(
    result: SearchResult, states: State, key: jax.Array, temperature: float
) -> SearchResult:
    if temperature == 0:
        return result
    log_weights = jnp.log(jnp.maximum(result.action_weights, jnp.finfo(jnp.float32).tiny))
    logits = mask_illegal(log_weights / temperature, states.legal_action_mask)
    return result._replace(action=jax.random.categorical(key, logits).astype(jnp.int32))


@dataclasses.dataclass(frozen=True)
class _UniformEvaluate:
    """An `Evaluate` without preferences."""

    num_actions: int

    def __call__(self, variables: Variables, observation: jax.Array) -> Evaluation:
        del variables
        games = observation.shape[0]
        return Evaluation(jnp.zeros((games, self.num_actions)), jnp.zeros(games))


@dataclasses.dataclass(frozen=True)
class _Method:
    """A bound method that is equal to that of an equal object; Python's own compare by identity."""

    function: Callable[..., Any]
    owner: Any

    def __call__(self, *args: Any) -> Any:
        return self.function(self.owner, *args)


def _by_value(evaluate: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a method such that those of two equal networks are equal cache keys."""
    owner = getattr(evaluate, "__self__", None)
    if owner is None:
        return evaluate
    try:
        hash(owner)
    except TypeError:
        return evaluate  # by identity then: it works, but is compiled once for each network
    return _Method(evaluate.__func__, owner)  # type: ignore[attr-defined]
