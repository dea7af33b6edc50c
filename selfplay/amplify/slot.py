"""Amplify: ways to make a stronger, slower decision maker out of a network, in one slot.

`amplifier(variables, states, key, history=None) -> SearchResult`: a player (`selfplay.players`)
that takes the network's variables as well. In iterated distillation and amplification (Christiano,
Shlegeris and Amodei 2018, https://arxiv.org/abs/1810.08575) it is Amplify(H, A): H is what it does,
A the network that it consults. `prior` and `raw_value` of its results are A's own, so that the gap
between A and Amplify(A) can be measured.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from games import plug_in
from games.game import Game, State
from mcts import (
    Evaluate,
    SearchConfig,
    SearchResult,
    Variables,
    empty_trees,
    keep,
    search,
    search_on,
)
from selfplay.amplify.spec import parse_committee, problems
from selfplay.players import FORFEIT, Act, Player, check_form, policy_player


class OverseerError(RuntimeError):
    """An engine, or another overseer outside the device, did not decide; the message says why."""


class Memory(NamedTuple):
    """What an amplifier on the device may remember from ply to ply, within a self-play call."""

    start: Callable[[State], Any]  # (states), of games of which nothing is known yet
    act: Callable[..., tuple[SearchResult, Any]]  # (variables, states, key, memory)
    keep: Callable[[Any, jax.Array], Any]  # (memory, int32[B] action); nothing of games that ended


@dataclasses.dataclass(frozen=True, eq=False)
class Amplifier:
    """Chooses moves in B games at once with the help of a network."""

    name: str
    act: Act  # act(variables, states, key), outside the device with `history` as fourth argument
    on_device: bool = True
    memory: Memory | None = None  # used where games are played on, in place of `act`

    def __call__(
        self,
        variables: Variables,
        states: State,
        key: jax.Array,
        history: np.ndarray | None = None,
    ) -> SearchResult:
        """Returns a move and values for each of B positions.

        Args:
          variables: the network's, as its `evaluate` takes them.
          states: batched, each leaf `[B, ...]`.
          key: PRNG key, consumed.
          history: int32[B, T], the actions so far, padded with -1; only outside the device.

        Raises:
          ValueError: the answer is no `SearchResult` of these positions.
        """
        given = (variables, states, key) if self.on_device else (variables, states, key, history)
        return check_form(f"amplifier {self.name!r}", self.act(*given), states)

    def as_player(self, game: Game[Any], variables: Variables) -> Player:
        """Returns Amplify(A) for one A, as matches and measurements take it."""
        return Player(self.name, game, self, variables, self.on_device)


def load(
    spec: str,
    game: Game[Any],
    evaluate: Evaluate,
    search_config: SearchConfig,
    load_player: Callable[[str], Player],
    decisions: str = "",
    game_spec: str = "",
) -> Amplifier:
    """Returns the amplifier that `spec` names.

    Args:
      spec: one of
        `search`;
        `policy`, the network's own sampled play (no amplification);
        `committee`, with options as in `committee:members=8,considered=4`;
        `player:SPEC`, any player as the overseer;
        `engine:COMMAND`, a GTP engine, short for `player:gtp:COMMAND`;
        `human`, a person at the terminal, or `human:PROGRAM`, with A's search as assistant;
        `module:function`, called with (variables, states, key), and with `history` too unless it
        has an attribute `on_device = True`. It is given `game`, `evaluate` and `search_config` if
        it has keyword-only parameters of these names.
      evaluate: the network, called with `variables`.
      search_config: of every search in it.
      load_player: finds the player of `player:SPEC`.
      decisions: the file that a person's decisions are kept in; empty: nobody will be asked.
      game_spec: the game's name, as decisions bear it.

    Raises:
      ValueError: there is no such amplifier.

    Example:
      >>> from selfplay.amplify import slot
      >>> amplifier = slot.load("policy", game, knows_nothing, config.search, training.load_player)
      >>> result = amplifier((), states, jax.random.key(2))
      >>> jnp.allclose(result.prior, 1 / 9).item()
      True
    """
    for problem in problems(spec):
        raise ValueError(problem)
    kind, _, rest = spec.partition(":")
    if spec == "search":
        return search_amplifier(game, evaluate, search_config)
    if spec == "policy":
        return Amplifier(spec, policy_player(spec, game, evaluate, (), temperature=1.0).act)
    # What follows is imported when it is named: a search needs none of it, and overseers are a room
    # of their own.
    if kind == "committee":
        from selfplay.amplify import committee

        act = committee.committee_act(game, evaluate, search_config, parse_committee(rest))
        return Amplifier(spec, act)
    if kind in ("player", "engine"):
        player = load_player(rest if kind == "player" else f"gtp:{rest}")
        return player_amplifier(spec, player, game, evaluate)
    if kind == "human":
        from selfplay.amplify import human

        overseer = human.program(rest) if rest else human.person(decisions, game_spec, game)
        act = human.human_act(overseer, game, game_spec, evaluate, search_config)
        return Amplifier(spec, act, on_device=False)
    return _plug_in(spec, {"game": game, "evaluate": evaluate, "search_config": search_config})


def search_amplifier(game: Game[Any], evaluate: Evaluate, config: SearchConfig) -> Amplifier:
    """Returns tree search as AlphaGo Zero uses it: with its noise, for it explores in self-play."""

    def act(variables: Variables, states: State, key: jax.Array) -> SearchResult:
        return search(game, evaluate, variables, states, key, config)

    def act_on(
        variables: Variables, states: State, key: jax.Array, trees: Any
    ) -> tuple[SearchResult, Any]:
        return search_on(game, evaluate, variables, states, key, config, trees)

    if not config.reuse_nodes:
        return Amplifier("search", act)
    memory = Memory(
        start=lambda states: empty_trees(game, states, config),
        act=act_on,
        keep=lambda trees, action: keep(trees, action, config),
    )
    return Amplifier("search", act, memory=memory)


def player_amplifier(name: str, player: Player, game: Game[Any], evaluate: Evaluate) -> Amplifier:
    """Returns an overseer that does not consult A: an engine, a run, any player.

    It is asked from the host, whatever it is, with the games' history. Where it resigns, A plays on
    by itself. Where it did not search (no visits), as engines that only name a move, the values are
    A's own: to have none must not teach that every position is even.

    Raises:
      OverseerError: when it is asked, the player failed.
    """

    def act(variables: Variables, states: State, key: jax.Array, history: Any) -> SearchResult:
        known = len(player.faults)
        result = jax.device_get(player(states, key, history))
        own = jax.device_get(policy_player("network", game, evaluate, variables)(states, key))
        failed = int((result.action == FORFEIT).sum())
        if failed:
            fault = next(iter(player.faults[known:]), "it did not say why")
            raise OverseerError(
                f"overseer {player.name!r} failed in {failed} of {len(result.action)} games, in "
                "the "
                f"first because it {fault}: mend that, then the same command goes on"
            )
        searched = result.visit_counts.sum(axis=1) > 0
        result = result._replace(
            value=np.where(searched, result.value, own.value),
            q=np.where(searched[:, None], result.q, own.q),
        )
        plays = result.action >= 0
        chosen = [
            np.where(plays.reshape(-1, *[1] * (own_field.ndim - 1)), field, own_field)
            for field, own_field in zip(result, own, strict=True)
        ]
        return SearchResult(*chosen)._replace(prior=own.prior, raw_value=own.raw_value)

    return Amplifier(name, act, on_device=False)


def check_choices(name: str, game: Game[Any], states: State, result: SearchResult) -> None:
    """Checks what an amplifier outside the device decided.

    Raises:
      ValueError: an action is illegal, or weights are no distribution over legal actions; the
        message shows the position.
    """
    legal, action = np.asarray(states.legal_action_mask), np.asarray(result.action)
    weights = np.asarray(result.action_weights)
    envs = np.arange(len(action))
    known = (action >= 0) & (action < game.num_actions)
    wrong = ~(known & legal[envs, np.where(known, action, 0)])
    uneven = ~np.isclose(np.where(legal, weights, 0.0).sum(axis=1), 1.0, atol=1e-3)
    uneven |= ~np.isclose(weights.sum(axis=1), 1.0, atol=1e-3) | (weights < 0).any(axis=1)
    if not (wrong | uneven).any():
        return
    env = int(np.flatnonzero(wrong | uneven)[0])
    fault = (
        f"chose action {action[env]}, which is illegal"
        if wrong[env]
        else f"gave action_weights {weights[env].tolist()}, no distribution over legal actions"
    )
    state = jax.tree.map(lambda leaf: np.asarray(leaf)[env], states)
    raise ValueError(
        f"amplifier {name!r} {fault}; legal: {np.flatnonzero(legal[env]).tolist()}\n"
        f"{game.render(state)}"
    )


def _plug_in(spec: str, offered: dict[str, Any]) -> Amplifier:
    what = f"amplify {spec!r}"
    function = plug_in.import_function(spec, what)
    on_device = bool(getattr(function, "on_device", False))
    bound = plug_in.fill_keywords(function, offered)
    given = ("variables", "states", "key")
    plug_in.check_call(bound, given if on_device else (*given, "history"), what)
    return Amplifier(spec, bound, on_device)
