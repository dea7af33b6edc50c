"""Plays games in ours and in another program's rules side by side, and compares them at each ply.

The other rules are OpenSpiel's, or plain Python written in a test from the rules alone.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Protocol

import jax
import numpy as np
import pytest

from games import Game, State


class Reference(Protocol):
    """A game in progress under the other rules: what we need of an OpenSpiel state."""

    def is_terminal(self) -> bool: ...
    def current_player(self) -> int: ...
    def returns(self) -> Sequence[float]: ...
    def legal_actions(self) -> Sequence[int]: ...
    def apply_action(self, action: int) -> None: ...
    def history(self) -> Sequence[int]: ...


def openspiel(name: str) -> Callable[[], Reference]:
    """Returns a function that starts a game of OpenSpiel's `name`; skips the test without it."""
    pyspiel = pytest.importorskip("pyspiel")
    return pyspiel.load_game(name).new_initial_state


def same_action(reference: Reference, action: int) -> int:
    """The translation between rules that number actions alike."""
    del reference
    return action


def any_action(reference: Reference, rng: np.random.Generator) -> int:
    return int(rng.choice(reference.legal_actions()))


def assert_agrees(
    game: Game,
    start: Callable[[], Reference],
    num_games: int,
    to_ours: Callable[[Reference, int], int] = same_action,
    choose: Callable[[Reference, np.random.Generator], int] = any_action,
    seed: int = 0,
) -> list[Reference]:
    """Asserts that games agree on legal moves, mover, end and returns, ply by ply.

    Finished games are stepped on with arbitrary actions, which must change nothing.

    Args:
      to_ours: maps a legal action of the reference's numbering to that of ours.
      choose: picks one of the reference's legal actions.

    Returns:
      The finished games, for a test to see that they contain what it wants to have tested.
    """
    rng = np.random.default_rng(seed)
    references = [start() for _ in range(num_games)]
    step, returns_of = jax.jit(jax.vmap(game.step)), jax.jit(jax.vmap(game.returns))
    states = jax.jit(jax.vmap(game.init))(jax.random.split(jax.random.key(0), num_games))
    for _ in range(game.max_plies + 1):
        arrays = (states.to_play, states.legal_action_mask, states.terminated, returns_of(states))
        columns = zip(references, *(np.asarray(array) for array in arrays), strict=True)
        actions = np.zeros(num_games, np.int32)
        for i, (reference, to_play, mask, terminated, returns) in enumerate(columns):
            case = (game, list(reference.history()))
            assert terminated == reference.is_terminal(), case
            assert returns.tolist() == list(reference.returns()), (case, returns)
            legal = [to_ours(reference, action) for action in reference.legal_actions()]
            assert np.flatnonzero(mask).tolist() == sorted(legal), case
            if terminated:
                actions[i] = rng.integers(game.num_actions)
                continue
            assert to_play == reference.current_player(), case
            action = choose(reference, rng)
            actions[i] = to_ours(reference, action)
            reference.apply_action(action)
        if all(reference.is_terminal() for reference in references) and states.terminated.all():
            return references
        before, states = states, step(states, actions)
        for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(states), strict=True):
            over = np.asarray(before.terminated)
            assert np.array_equal(np.asarray(old)[over], np.asarray(new)[over]), game
    raise AssertionError(f"{game} is not over after max_plies = {game.max_plies} plies")


def play(game: Game, moves: str) -> State:
    """Returns the position after `moves`, in the game's own notation with blanks between them."""
    state = jax.jit(game.init)(jax.random.key(0))
    for move in moves.split():
        state = _compiled_step(game)(state, game.string_to_action(state, move))
    return state


@functools.cache
def _compiled_step(game: Game) -> Callable[[State, int], State]:
    return jax.jit(game.step)


def assert_symmetric(game: Game, num_games: int = 4, seed: int = 0) -> None:
    """Asserts that mapped random games, played from the start, look as the mapped originals."""
    symmetries = game.symmetries()
    np.testing.assert_array_equal(symmetries[0].action, np.arange(game.num_actions))
    assert len({tuple(s.action.tolist()) for s in symmetries}) == len(symmetries)
    observation = np.stack([s.observation for s in symmetries])[:, None]
    action = np.stack([s.action for s in symmetries])[:, None]
    image_of = np.argsort(action[:, 0], axis=1)  # action a becomes image_of[a]
    rng = np.random.default_rng(seed)
    step, observe = jax.jit(jax.vmap(game.step)), jax.jit(jax.vmap(game.observe))
    envs = len(symmetries) * num_games
    states = jax.jit(jax.vmap(game.init))(jax.random.split(jax.random.key(0), envs))
    for ply in range(game.max_plies):
        seen = np.asarray(observe(states)).reshape(*image_of.shape[:1], num_games, -1, planes(game))
        mask = np.asarray(states.legal_action_mask).reshape(len(symmetries), num_games, -1)
        moved = np.take_along_axis(seen[:1], observation[..., None], axis=2)
        np.testing.assert_array_equal(seen, moved, err_msg=f"{game}, observation at ply {ply}")
        moved = np.take_along_axis(mask[:1], action, axis=2)
        np.testing.assert_array_equal(mask, moved, err_msg=f"{game}, legal actions at ply {ply}")
        if states.terminated.all():
            return
        actions = [rng.choice(np.flatnonzero(m)) if m.any() else 0 for m in mask[0]]
        states = step(states, image_of[:, actions].reshape(-1).astype(np.int32))


def planes(game: Game) -> int:
    return game.observation_shape[-1]
