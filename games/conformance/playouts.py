"""Many games of one kind played at once, for a check to watch: each ply, on the host, in NumPy.

N lanes run side by side through one compiled `step`. Beside the *main* lanes, which play at random,
there are lanes that try something on a game that a main lane plays:

- *branching* lanes: eight at a time try eight moves from one position, and go on from one that does
  not end the game if there is any, so that long games occur; half of them like the last action;
- *twins*: the same moves, but seat 1 began, on a board that may be turned for that;
- *images*: the mirrored, turned, ... moves, one group of lanes for each symmetry.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from games.game import Game

MOVES_TRIED = 8  # by a branching player, from each position
LONGEST = 4096  # plies, after which play-outs stop even if max_plies is larger


class Batch(NamedTuple):
    """N positions and what the game says of them, as NumPy arrays."""

    state: Any  # the game's State, each leaf [N, ...]
    to_play: np.ndarray  # int8[N]
    mask: np.ndarray  # bool[N, A]
    terminated: np.ndarray  # bool[N]
    observation: np.ndarray  # [N, H, W, C]
    returns: np.ndarray  # float32[N, 2]


class Rules(NamedTuple):
    """A game's methods for N lanes; each compiled once, results on the host."""

    init: Callable[[np.ndarray], Batch]  # from uint32[N] seeds
    step: Callable[[Any, np.ndarray], Batch]  # from states and int32[N] actions
    look: Callable[[Any], Batch]  # at states


class Ply(NamedTuple):
    """One move on every lane."""

    number: int  # 1 for the first
    before: Batch
    action: np.ndarray  # int32[N]
    after: Batch


@dataclasses.dataclass(frozen=True)
class Lanes:
    """Which lanes do what."""

    main: int  # lanes 0 .. main-1
    branching: int  # groups of MOVES_TRIED lanes, next
    twins: int  # of the first main lanes, next
    images: int  # of the first main lanes, for each of `symmetries` maps, last
    symmetries: int

    @property
    def real(self) -> int:
        """Lanes before this one play by the rules whatever the game got wrong."""
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
        """Returns int[N]: the lane whose opening each lane starts from."""
        branching = np.repeat(np.arange(self.branching), MOVES_TRIED)
        images = np.tile(np.arange(self.images), self.symmetries)
        return np.concatenate([np.arange(self.main), branching, np.arange(self.twins), images])


def lanes_for(games: int, symmetries: int) -> Lanes:
    """Returns lanes for `games` random games and what goes with them."""
    return Lanes(
        main=games,
        branching=max(games // 16, 1),
        twins=max(games // 4, 1),
        images=max(games // 8, 1),
        symmetries=symmetries,
    )


def batched(game: Game[Any]) -> Rules:
    """Returns the game's methods over lanes."""
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
    results: Any = (game.observe(state), game.returns(state))
    return Batch(state, turn[0], turn[1], turn[2], results[0], results[1])


def take(tree: Any, lanes: Any) -> Any:
    """Returns those lanes (an index array, a slice, or one lane) of every leaf."""
    return jax.tree.map(lambda leaf: leaf[lanes], tree)


def join(*trees: Any) -> Any:
    """Returns the lanes of all trees, one after the other."""
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *trees)


def one(states: Any, lane: int) -> Any:
    """Returns one lane's State as jax arrays, as a game's methods on one position want it."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf[lane]), states)


def fill(tree: Any, count: int) -> Any:
    """Returns the tree with its lanes repeated or cut to `count`, so that nothing recompiles."""
    size = len(jax.tree.leaves(tree)[0])
    return take(tree, np.arange(count) % size)


def without_mask(at: Batch) -> Any:
    """Returns the batch with neither the mask nor the field of the state that holds it."""
    paths = jax.tree_util.tree_leaves_with_path(at.state)
    rest = [leaf for path, leaf in paths if "legal_action_mask" not in jax.tree_util.keystr(path)]
    return rest, at._replace(state=(), mask=np.zeros(len(at.terminated)))


def differs(a: Any, b: Any) -> np.ndarray:
    """Returns bool[N]: lanes on which any leaf differs."""
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    unequal = [~_same(x, y).reshape(len(x), -1).all(axis=1) for x, y in pairs]
    return np.logical_or.reduce(unequal)


def _same(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    if np.issubdtype(x.dtype, np.floating):
        return np.isclose(x, y, rtol=1e-5, atol=1e-6, equal_nan=True)
    return np.asarray(x == y)


def choose(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns int32[N]: a random legal action for each lane, any action where none is legal."""
    scores = rng.random(mask.shape, dtype=np.float32) + mask
    return scores.argmax(axis=1).astype(np.int32)


def play(
    rules: Rules,
    lanes: Lanes,
    openings: Batch,
    inverse_actions: list[np.ndarray],
    twin_actions: np.ndarray | None,
    max_plies: int,
    rng: np.random.Generator,
) -> Iterator[Ply]:
    """Yields ply after ply until every real lane has ended, or `max_plies` have been played.

    Args:
      openings: the first position of every lane.
      inverse_actions: for each symmetry, int32[A]: where it sends an action.
      twin_actions: int32[A], the twins' action for each of a main lane's; None if it is the same.
    """
    before = openings
    for number in range(1, min(max_plies, LONGEST) + 1):
        if before.terminated[: lanes.real].all():
            return
        action = _actions(lanes, before.mask, inverse_actions, twin_actions, rng)
        after = rules.step(before.state, action)
        yield Ply(number, before, action, after)
        before = take(after, _kept(lanes, after.terminated, before.terminated))


def _actions(
    lanes: Lanes,
    mask: np.ndarray,
    inverse_actions: list[np.ndarray],
    twin_actions: np.ndarray | None,
    rng: np.random.Generator,
) -> np.ndarray:
    action = choose(mask, rng)
    # A quarter of the main lanes prefers low or high actions: passes, corners, one full column.
    prefer = rng.random(lanes.main) < 0.8
    low = prefer & (np.arange(lanes.main) % 8 == 1) & mask[: lanes.main].any(axis=1)
    high = prefer & (np.arange(lanes.main) % 8 == 2) & mask[: lanes.main].any(axis=1)
    last = mask.shape[1] - 1
    action[: lanes.main][low] = mask[: lanes.main].argmax(axis=1)[low]
    action[: lanes.main][high] = last - mask[: lanes.main, ::-1].argmax(axis=1)[high]
    for group in range(lanes.branching):
        lane = lanes.main + group * MOVES_TRIED
        legal = np.flatnonzero(mask[lane])
        if len(legal):
            tried = rng.permutation(legal)
            if group % 2 and rng.random() < 0.5:  # the swap or the pass has the highest number
                tried = np.concatenate([legal[-1:], tried])
            action[lane : lane + MOVES_TRIED] = np.resize(tried, MOVES_TRIED)
    same = action[: lanes.twins]
    action[lanes.twin] = same if twin_actions is None else twin_actions[same]
    for symmetry, inverse in enumerate(inverse_actions):
        action[lanes.image(symmetry)] = inverse[action[: lanes.images]]
    return action


def _kept(lanes: Lanes, ended: np.ndarray, ended_before: np.ndarray) -> np.ndarray:
    """Returns int[N]: the lane from which each lane goes on."""
    kept = np.arange(lanes.count)
    for group in range(lanes.branching):
        lane = lanes.main + group * MOVES_TRIED
        goes_on = np.flatnonzero(~ended[lane : lane + MOVES_TRIED])
        if not ended_before[lane] and len(goes_on):
            kept[lane : lane + MOVES_TRIED] = lane + goes_on[0]
        else:
            kept[lane : lane + MOVES_TRIED] = lane
    return kept
