"""The laws tried on sampled positions: the end, illegal actions, a past recalled, notation."""

import collections
from typing import Any

import jax
import numpy as np

from games.conformance.cases import Trial
from games.conformance.moves import ABSORBS, LastMoves
from games.conformance.playouts import (
    Batch,
    batched,
    choose,
    differs,
    fill,
    one,
    take,
)
from games.game import Remembering
from games.plug_in import described

FINALS = 4  # final positions on which every action is tried
NAMED_POSITIONS, NAMED_ACTIONS = 24, 64  # whose notation is read back, the latter a position
RECALLED_PLIES = 12  # after which a past is still recalled
NONSENSE = "no such move"
LATE = (
    "whatever the last mover does, the game ends with that result, so it was decided a move "
    "earlier: is the end tested on the board before the move, a ply late?"
)


def check_illegal(trial: Trial, at: Batch) -> None:
    """Plays a random illegal action in every env; whatever follows must be finite."""
    action = choose(~at.mask, trial.rng)
    after = trial.rules.step(at.state, action)
    for part in ("state", "observation", "returns"):
        trial.blame(
            "illegal actions",
            "step to stay finite after an illegal action: the search may try one",
            f"NaN or infinity in the {part}",
            ~_finite(getattr(after, part)) & ~at.mask.all(axis=1),
            at.state,
            action,
            after.state,
        )


def _finite(tree: Any) -> np.ndarray:
    """Returns bool[N]: envs without NaN or infinity."""
    envs = [
        np.isfinite(leaf.astype(np.float32)).reshape(len(leaf), -1).all(axis=1)
        for leaf in jax.tree.leaves(tree)
    ]
    return np.logical_and.reduce(envs)


def check_end(trial: Trial, finals: Batch) -> None:
    """Plays every action in a few final positions, the latest: nothing may change."""
    last = take(finals, slice(-FINALS, None))
    num_actions, count = trial.game.num_actions, trial.envs.count
    pairs = np.arange(len(last.terminated) * num_actions, dtype=np.int32)
    for start in range(0, len(pairs), count):
        env, action = np.divmod(fill(pairs[start : start + count], count), np.int32(num_actions))
        before = take(last, env)
        after = trial.rules.step(before.state, action)
        bad = differs(before, after)
        move = (before.state, action, after.state)
        if trial.blame("end", ABSORBS, "another position", bad, *move):
            return


def check_early_end(trial: Trial, last: LastMoves) -> tuple[str, float]:
    """Tries other moves where games were won, for a game that ends a ply late.

    Returns:
      What it means if none of the moves matters, and how often each of them loses: a seat that is
      about to lose may do so at once, but seldom by any move.
    """
    count = trial.envs.count
    # Games that lasted as long as any may end by a count.
    choice = (last.before.mask.sum(axis=1) > 2) & (last.after.returns[:, 0] != 0)
    choice &= last.plies < last.plies.max()
    if choice.sum() < FINALS:
        return "", 0.0
    chosen = fill(trial.rng.permutation(np.flatnonzero(choice)), count)
    at, move, first = take((last.before, last.action, last.after), chosen)
    every = np.arange(count)
    lost = first.returns[every, np.clip(at.to_play, 0, 1)] < 0
    left, same = at.mask.copy(), np.ones(count, bool)
    for _ in range(2):  # other moves than the one that was played
        left[every, move] = False
        move = left.argmax(axis=1).astype(np.int32)
        after = trial.rules.step(at.state, move)
        same &= after.terminated & ~differs(after.returns, first.returns)
    losing = float((same & lost).mean())
    return (LATE if same.mean() > 0.9 or losing > 0.3 else ""), losing


def cut_after(trial: Trial, last: LastMoves) -> int:
    """Returns the plies after which games end whatever is played, by a count; 0 without such."""
    choice = (last.plies == last.plies.max()) & (last.before.mask.sum(axis=1) > 2)
    if choice.sum() < FINALS:
        return 0
    at = fill(take(last.before, choice), trial.envs.count)
    actions = [choose(at.mask, trial.rng) for _ in range(3)]
    ends = all(trial.rules.step(at.state, action).terminated.all() for action in actions)
    return int(last.plies.max()) if ends else 0


def check_past(trial: Trial, at: Batch) -> None:
    """Plays on from positions, and beside that from what forgetting and recalling make of them."""
    game = trial.game
    if not isinstance(game, Remembering):
        return
    forget = jax.jit(jax.vmap(game.forget))
    recall = jax.jit(jax.vmap(game.recall, in_axes=(0, 0, 1)))
    forgetful = batched(game)  # other shapes of states: compiled apart
    line, now = [forget(at.state)] * RECALLED_PLIES, at
    for ply in range(RECALLED_PLIES):
        action = choose(now.mask, trial.rng)
        passed = jax.tree.map(lambda *leaves: np.stack(leaves), *line)
        recalled = forgetful.step(recall(forget(now.state), at.state, passed), action)
        before, now = now, trial.rules.step(now.state, action)
        pairs = [r._replace(state=forget(r.state)) for r in (recalled, now)]
        if trial.blame(
            "past",
            "step to lead to the same position from a recalled state as from the state itself",
            f"another position, {ply} plies after the root",
            differs(*jax.tree.map(np.asarray, pairs)),
            before.state,
            action,
            now.state,
        ):
            return
        line[ply] = forget(before.state)


def check_notation(trial: Trial, at: Batch, finals: Batch | None) -> None:
    """Writes and reads back legal actions, on the host; renders an end of each result too."""
    if finals is not None:
        for env in np.unique(finals.returns[:, 0], return_index=True)[1].tolist():
            with trial.findings.trying("notation", doing="render at the end of a game"):
                _check_text(trial, one(finals.state, env))
    for env in range(min(NAMED_POSITIONS, len(at.terminated))):
        state, names = one(at.state, env), _check_names(trial, at, env)
        _check_text(trial, state)
        for action in list(names)[:: -(-len(names) // NAMED_ACTIONS) or 1]:
            back, found = _read(trial, state, names[action])
            if back != action or not isinstance(back, int | np.integer):
                _add(
                    trial,
                    "string_to_action to read back what action_to_string wrote, as an int",
                    f"{names[action]!r}, written for {action}: {found}",
                    at,
                    env,
                    action,
                )
        texts = ["", NONSENSE, f"{next(iter(names.values()), '')} {NONSENSE}"]
        for text in [*texts, *_illegal_names(trial, state, at.mask[env], names)]:
            back, found = _read(trial, state, text)
            if not isinstance(back, ValueError):
                expected = "string_to_action to raise ValueError for what is not a legal move"
                _add(trial, expected, f"{text!r}: {found}", at, env)


def _add(
    trial: Trial, expected: str, found: str, at: Batch, env: int, action: int | None = None
) -> None:
    if not trial.findings.has("notation", expected):
        case = trial.case(at.state, env, action)
        number = "" if action is None else f"number {action}"  # its name is in question
        trial.findings.add("notation", expected, found, *case._replace(action=number))


def _read(trial: Trial, state: Any, text: str) -> tuple[Any, str]:
    """Returns the action that a text is read as, or the error, and words for it."""
    try:
        back = trial.game.string_to_action(state, text)
    except Exception as error:  # whatever a broken game raises
        return error, described(error)
    return back, f"it returned {back!r}"


def _check_text(trial: Trial, state: Any) -> None:
    text: object = trial.game.render(state)
    if not (isinstance(text, str) and text.strip()):
        trial.findings.add("notation", "render to return text", repr(text))


def _check_names(trial: Trial, at: Batch, env: int) -> dict[int, str]:
    """Returns the names of the legal actions, by their numbers."""
    state, legal = one(at.state, env), np.flatnonzero(at.mask[env]).tolist()
    names = {action: trial.game.action_to_string(state, action) for action in legal}
    shared = [name for name, count in collections.Counter(names.values()).items() if count > 1]
    if shared or not all(isinstance(name, str) and name for name in names.values()):
        expected = "action_to_string to give every legal action a name of its own"
        _add(trial, expected, f"{shared[0]!r} twice" if shared else f"{names}", at, env)
    return names


def _illegal_names(trial: Trial, state: Any, mask: np.ndarray, names: dict[int, str]) -> list[str]:
    """Returns what the first illegal actions are called, where that is no legal action's name."""
    texts = []
    for action in np.flatnonzero(~mask)[:3].tolist():
        try:
            texts.append(trial.game.action_to_string(state, action))
        except Exception:  # an illegal action need not have a name
            continue
    return [text for text in texts if text not in names.values()]
