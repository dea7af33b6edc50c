"""Many games of one kind played at once, for a check to watch: each ply, on the host, in NumPy.

N environments (slots of a batch of games) run side by side through one compiled `step`. Beside the
*main* ones, which play at random, there are envs that try something on a game that a main env
plays:

- *branching* envs: eight at a time try eight moves from one position, and go on from one that does
  not end the game if there is any, so that long games occur; half of them like the last action;
- *twins*: the same moves, but seat 1 began, on a board that may be turned for that;
- *images*: the mirrored, turned, ... moves, one group of envs for each symmetry.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from games.game import Game, Symmetry, as_board

MOVES_TRIED = 8  # by a branching player, from each position
LONGEST = 4096  # plies, after which play-outs stop even if max_plies is larger


class Batch(NamedTuple):
    """N positions and what the game says of them, as NumPy arrays."""

    state: Any  # the game's State, each leaf [N, ...]
    to_play: np.ndarray  # int8[N]
    mask: np.ndarray  # bool[N, A]
    terminated: np.ndarray  # bool[N]
    observation: np.ndarray  # [N, H, W, C], by `as_board` whatever the game's own shape is
    returns: np.ndarray  # float32[N, 2]


class Rules(NamedTuple):
    """A game's methods for N envs; each compiled once, results on the host."""

    init: Callable[[np.ndarray], Batch]  # from uint32[N] seeds
    step: Callable[[Any, np.ndarray], Batch]  # from states and int32[N] actions
    look: Callable[[Any], Batch]  # at states


class Ply(NamedTuple):
    """One move on every env."""

    number: int  # 1 for the first
    before: Batch
    action: np.ndarray  # int32[N]
    after: Batch


@dataclasses.dataclass(frozen=True)
class Envs:
    """Which envs do what."""

    main: int  # envs 0 .. main-1
    branching: int  # groups of MOVES_TRIED envs, next
    twins: int  # of the first main envs, next
    images: int  # of the first main envs, for each of `symmetries` maps, last
    symmetries: int

    @property
    def real(self) -> int:
        """Envs before this one play by the rules whatever the game got wrong."""
        return self.main + MOVES_TRIED * self.branching

    @property
    def twin(self) -> slice:
        return slice(self.real, self.real + self.twins)

    def image(self, symmetry: int) -> slice:
        start = self.real + self.twins + symmetry * self.images
        return slice(start, start + self.images)

    @property
    def count(self) -> int:
        return self.real + self.twins + self.symmetries * self.images

    def source(self) -> np.ndarray:
        """Returns int[N]: the env whose opening each env starts from."""
        branching = np.repeat(np.arange(self.branching), MOVES_TRIED)
        images = np.tile(np.arange(self.images), self.symmetries)
        return np.concatenate([np.arange(self.main), branching, np.arange(self.twins), images])


def envs_for(games: int, symmetries: int) -> Envs:
    """Returns envs for `games` random games and what goes with them."""
    return Envs(
        main=games,
        branching=max(games // 16, 1),
        twins=max(games // 4, 1),
        images=max(games // 8, 1),
        symmetries=symmetries,
    )


def batched(game: Game[Any]) -> Rules:
    """Returns the game's methods over envs."""
    seeded = jax.vmap(lambda seed: look(game, game.init(jax.random.key(seed))))
    stepped = jax.vmap(lambda state, action: look(game, game.step(state, action)))
    seen = jax.vmap(lambda state: look(game, state))

    def on_host(function: Callable[..., Any]) -> Callable[..., Batch]:
        compiled = jax.jit(function)
        return lambda *args: jax.tree.map(np.asarray, compiled(*args))

    return Rules(on_host(seeded), on_host(stepped), on_host(seen))


def look(game: Game[Any], state: Any) -> Batch:
    """Returns one position and what the game says of it; callers vmap this.

    The fields are read here, on the device, for a field may also be a property that computes it.
    """
    turn: Any = (state.to_play, state.legal_action_mask, state.terminated)
    seen = game.observe(state).reshape(as_board(game.observation_shape))
    results: Any = (seen, game.returns(state))
    return Batch(state, *turn, *results)


def take(tree: Any, envs: Any) -> Any:
    """Returns those envs (an index array, a slice, or one env) of every leaf."""
    return jax.tree.map(lambda leaf: leaf[envs], tree)


def join(*trees: Any) -> Any:
    """Returns the envs of all trees, one after the other."""
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *trees)


def one(states: Any, env: int) -> Any:
    """Returns one env's State as jax arrays, as a game's methods on one position want it."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf[env]), states)


def fill(tree: Any, count: int) -> Any:
    """Returns the tree with its envs repeated or cut to `count`, so that nothing recompiles."""
    size = len(jax.tree.leaves(tree)[0])
    return take(tree, np.arange(count) % size)


def image(symmetry: Symmetry, at: Batch) -> Batch:
    """Returns what the images of those positions must look like, their states left as they are."""
    return at._replace(
        observation=symmetry.on_observation(at.observation), mask=symmetry.on_actions(at.mask)
    )


def without_mask(at: Batch) -> Any:
    """Returns the batch with neither the mask nor the field of the state that holds it."""
    paths = jax.tree_util.tree_leaves_with_path(at.state)
    rest = [leaf for path, leaf in paths if "legal_action_mask" not in jax.tree_util.keystr(path)]
    return rest, at._replace(state=(), mask=np.zeros(len(at.terminated)))


def differs(a: Any, b: Any) -> np.ndarray:
    """Returns bool[N]: envs on which any leaf differs."""
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    unequal = [~_same(x, y).reshape(len(x), -1).all(axis=1) for x, y in pairs]
    return np.logical_or.reduce(unequal)


def _same(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    if np.issubdtype(x.dtype, np.floating):
        return np.isclose(x, y, rtol=1e-5, atol=1e-6, equal_nan=True)
    return np.asarray(x == y)


def choose(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns int32[N]: a random legal action for each env, any action where none is legal."""
    scores = rng.random(mask.shape, dtype=np.float32) + mask
    return scores.argmax(axis=1).astype(np.int32)


def play(
    rules: Rules,
    envs: Envs,
    openings: Batch,
    inverse_actions: list[np.ndarray],
    twin_actions: np.ndarray | None,
    max_plies: int,
    rng: np.random.Generator,
) -> Iterator[Ply]:
    """Yields ply after ply until every real env has ended, or `max_plies` have been played.

    Args:
      openings: the first position of every env.
      inverse_actions: for each symmetry, int32[A]: where it sends an action.
      twin_actions: int32[A], the twins' action for each of a main env's; None if it is the same.
    """
    before = openings
    for number in range(1, min(max_plies, LONGEST) + 1):
        if before.terminated[: envs.real].all():
            return
        action = _actions(envs, before.mask, inverse_actions, twin_actions, rng)
        after = rules.step(before.state, action)
        yield Ply(number, before, action, after)
        before = take(after, _kept(envs, after.terminated, before.terminated))


def _actions(
    envs: Envs,
    mask: np.ndarray,
    inverse_actions: list[np.ndarray],
    twin_actions: np.ndarray | None,
    rng: np.random.Generator,
) -> np.ndarray:
    action = choose(mask, rng)
    # A quarter of the main envs prefers low or high actions: passes, corners, one full column.
    every, last = np.arange(envs.main), mask.shape[1] - 1
    prefer = (rng.random(envs.main) < 0.8) & mask[: envs.main].any(axis=1)
    low, high = (prefer & (every % 8 == rest) for rest in (1, 2))
    action[: envs.main][low] = mask[: envs.main].argmax(axis=1)[low]
    action[: envs.main][high] = last - mask[: envs.main, ::-1].argmax(axis=1)[high]
    for env in range(envs.main, envs.real, MOVES_TRIED):
        tried = rng.permutation(np.flatnonzero(mask[env]))
        if len(tried):
            if env // MOVES_TRIED % 2 and rng.random() < 0.5:
                tried = np.append(tried.max(), tried)  # the swap or the pass
            action[env : env + MOVES_TRIED] = np.resize(tried, MOVES_TRIED)
    same = action[: envs.twins]
    action[envs.twin] = same if twin_actions is None else twin_actions[same]
    for symmetry, inverse in enumerate(inverse_actions):
        action[envs.image(symmetry)] = inverse[action[: envs.images]]
    return action


def _kept(envs: Envs, ended: np.ndarray, ended_before: np.ndarray) -> np.ndarray:
    """Returns int[N]: the env from which each env goes on."""
    kept = np.arange(envs.count)
    for env in range(envs.main, envs.real, MOVES_TRIED):
        group = slice(env, env + MOVES_TRIED)
        kept[group] = env + (0 if ended_before[env] else (~ended[group]).argmax())
    return kept
