"""The laws tried on sampled positions: the end, stale masks, a past recalled, notation, ..."""

import collections
from typing import Any

import jax
import numpy as np

from games.conformance.cases import action_name, rendered, scene
from games.conformance.playouts import (
    Batch,
    Rules,
    batched,
    choose,
    differs,
    fill,
    join,
    one,
    take,
    without_mask,
)
from games.game import Game, Remembering
from games.laws import Findings
from games.plug_in import described

FINALS = 4  # final positions on which every action is tried
TRANSPOSED = 3  # batches of positions on which moves are tried in two orders
NAMED_POSITIONS, NAMED_ACTIONS = 24, 64  # whose notation is read back, the latter a position
RECALLED_PLIES = 12  # after which a past is still recalled
NONSENSE = "no such move"


def check_illegal(
    findings: Findings, game: Game[Any], rules: Rules, at: Batch, rng: np.random.Generator
) -> None:
    """Plays a random illegal action on every lane; whatever follows must be finite."""
    action = choose(~at.mask, rng)
    after = rules.step(at.state, action)
    for part in ("state", "observation", "returns"):
        bad = np.flatnonzero(~_finite(getattr(after, part)) & ~at.mask.all(axis=1))
        if len(bad):
            lane = int(bad[0])
            findings.add(
                "illegal actions",
                "step to stay finite after an illegal action: the search may try one",
                f"NaN or infinity in the {part}",
                rendered(game, at.state, lane),
                action_name(game, at.state, lane, int(action[lane])) + ", illegal",
                [scene(at.state, lane, action[lane], after.state)],
            )


def _finite(tree: Any) -> np.ndarray:
    """Returns bool[N]: lanes without NaN or infinity."""
    lanes = [
        np.isfinite(leaf.astype(np.float32)).reshape(len(leaf), -1).all(axis=1)
        for leaf in jax.tree.leaves(tree)
    ]
    return np.logical_and.reduce(lanes)


def check_end(
    findings: Findings, game: Game[Any], rules: Rules, finals: list[Batch], count: int
) -> None:
    """Plays every action in a few final positions: nothing may change. Uses `count` lanes."""
    if not finals:
        findings.notes.append("end: no game ended, so that no final position was tried")
        return
    last = take(join(*finals[-FINALS:]), slice(FINALS))
    size = len(last.terminated)
    pairs = np.stack(np.divmod(np.arange(size * game.num_actions), game.num_actions), axis=1)
    for start in range(0, len(pairs), count):
        lane, action = fill(pairs[start : start + count], count).T
        before = take(last, lane)
        after = rules.step(before.state, action.astype(np.int32))
        bad = np.flatnonzero(differs(before, after))
        if len(bad):
            findings.add(
                "end",
                "no action to change anything at the end (jax.tree.map over old and new state)",
                "another position",
                rendered(game, before.state, int(bad[0])),
                action_name(game, before.state, int(bad[0]), int(action[bad[0]])),
                [scene(before.state, int(bad[0]), action[bad[0]], after.state)],
            )
            return


def check_early_end(
    rules: Rules, lasts: list[tuple[Batch, np.ndarray]], count: int
) -> tuple[str, float]:
    """Tries other moves where games were won, for a game that ends a ply late.

    Returns:
      What it means if none of the moves matters, and how often each of them loses: a seat that is
      about to lose may do so at once, but seldom by any move.
    """
    for before, action in lasts:
        seats = (np.arange(len(action)), np.clip(before.to_play, 0, 1))
        results = rules.step(fill(before.state, count), fill(action, count)).returns[: len(action)]
        choice = (before.mask.sum(axis=1) > 2) & (results[:, 0] != 0)
        if choice.sum() < FINALS:
            continue
        at, played = fill(take((before, action), choice), count)
        lost = fill(results[seats][choice] < 0, count)
        wins = [rules.step(at.state, played)]
        other = at.mask.copy()
        other[np.arange(count), played] = False
        for _ in range(2):
            another = other.argmax(axis=1).astype(np.int32)
            wins.append(rules.step(at.state, another))
            other[np.arange(count), another] = False
        ended = np.logical_and.reduce([after.terminated for after in wins])
        alike = np.logical_and.reduce([~differs(w.returns, wins[0].returns) for w in wins])
        told = (
            "whatever the last mover does, the game ends with that result, so it was decided a "
            "move earlier: is the end tested on the board before the move, a ply late?"
        )
        same = ended & alike
        losing = float((same & lost).mean())
        return (told if same.mean() > 0.9 or losing > 0.3 else ""), losing
    return "", 0.0


def ends_anyway(rules: Rules, latest: list[Batch], count: int, rng: np.random.Generator) -> bool:
    """Returns whether games that lasted longest end there whatever is played: by a count."""
    for at in latest:
        at = take(at, at.mask.sum(axis=1) > 2)
        if len(at.mask) < FINALS:
            return False
        at = fill(at, count)
        return all(rules.step(at.state, choose(at.mask, rng)).terminated.all() for _ in range(3))
    return False


def check_transpositions(
    findings: Findings,
    game: Game[Any],
    rules: Rules,
    positions: list[Batch],
    count: int,
    rng: np.random.Generator,
) -> None:
    """Plays three moves in two orders; where they lead to one position, so must the masks.

    A mask that describes an earlier position depends on which move was the last.
    """
    half = count // 2
    for batch in positions[:TRANSPOSED]:
        at = take(batch, rng.integers(0, len(batch.terminated), half))
        order = np.argsort(~at.mask + rng.random(at.mask.shape), axis=1)[:, :3].astype(np.int32)
        if order.shape[1] < 3:
            return
        now = fill(join(at, at), count)
        legal = np.ones(count, bool)
        for ply in range(3):
            action = fill(np.concatenate([order[:, ply], order[:, 2 - ply]]), count)
            legal &= now.mask[np.arange(count), action]
            now = rules.step(now.state, action)
        first, second = take(now, slice(half)), take(now, slice(half, 2 * half))
        rest = without_mask(first), without_mask(second)
        alike = legal[:half] & legal[half : 2 * half] & ~differs(*rest) & ~first.terminated
        bad = np.flatnonzero(alike & (first.mask != second.mask).any(axis=1))
        if len(bad):
            _blame_mask(findings, game, at, order, (first, second), int(bad[0]))
            return


def _blame_mask(
    findings: Findings,
    game: Game[Any],
    at: Batch,
    order: np.ndarray,
    ends: tuple[Batch, Batch],
    lane: int,
) -> None:
    names = [
        "-".join(action_name(game, at.state, lane, int(action)) for action in moves)
        for moves in (order[lane], order[lane, ::-1])
    ]
    wrong = int(np.flatnonzero(ends[0].mask[lane] != ends[1].mask[lane])[0])
    findings.add(
        "mask",
        "the mask to be a function of the position reached, whatever move was the last "
        "(computed from the new board, not the old one)",
        f"the moves {names[0]} and {names[1]} lead to one position with two masks",
        rendered(game, ends[0].state, lane),
        action_name(game, ends[0].state, lane, wrong) + ", legal after one of the orders only",
        [
            scene(end.state, lane, wrong, about=f"after {name}")
            for end, name in zip(ends, names, strict=True)
        ],
    )


def check_past(
    findings: Findings, game: Game[Any], rules: Rules, at: Batch, rng: np.random.Generator
) -> None:
    """Plays on from positions, and beside that from what forgetting and recalling make of them."""
    if not isinstance(game, Remembering):
        return
    forget = jax.jit(jax.vmap(game.forget))
    recall = jax.jit(jax.vmap(game.recall, in_axes=(0, 0, 1)))
    forgetful = batched(game)  # other shapes of states: compiled apart
    line, now = [forget(at.state)] * RECALLED_PLIES, at
    for ply in range(RECALLED_PLIES):
        action = choose(now.mask, rng)
        passed = jax.tree.map(lambda *leaves: np.stack(leaves), *line)
        recalled = forgetful.step(recall(forget(now.state), at.state, passed), action)
        before, now = now, rules.step(now.state, action)
        pairs = [r._replace(state=forget(r.state)) for r in (recalled, now)]
        bad = np.flatnonzero(differs(*jax.tree.map(np.asarray, pairs)))
        if len(bad):
            findings.add(
                "past",
                "step to lead to the same position from a recalled state as from the state itself",
                f"another position, {ply} plies after the root",
                rendered(game, before.state, int(bad[0])),
                action_name(game, before.state, int(bad[0]), int(action[bad[0]])),
                [scene(before.state, int(bad[0]), action[bad[0]], now.state)],
            )
            return
        line[ply] = forget(before.state)


def check_notation(findings: Findings, game: Game[Any], at: Batch, finals: list[Batch]) -> None:
    """Writes and reads back legal actions, on the host; renders an end of each result too."""
    if finals:
        ended = join(*finals)
        for lane in np.unique(ended.returns[:, 0], return_index=True)[1].tolist():
            with findings.trying("notation", doing="render at the end of a game"):
                _check_text(findings, game.render(one(ended.state, lane)))
    for lane in range(min(NAMED_POSITIONS, len(at.terminated))):
        state = one(at.state, lane)
        _check_text(findings, game.render(state))
        legal = np.flatnonzero(at.mask[lane]).tolist()
        names = {action: game.action_to_string(state, action) for action in legal}
        _check_names(findings, game, at, lane, names)
        for action in legal[:: -(-len(legal) // NAMED_ACTIONS) or 1]:
            try:
                back = game.string_to_action(state, names[action])
                observed = f"read as {back!r}"
            except Exception as error:
                back, observed = None, described(error)
            if back != action or not isinstance(back, int | np.integer):
                findings.add(
                    "notation",
                    "string_to_action to read back what action_to_string wrote, as an int",
                    f"{names[action]!r}, written for {action}: {observed}",
                    rendered(game, at.state, lane),
                    f"number {action}",
                    [scene(at.state, lane, action)],
                )
        nonsense = ["", NONSENSE, f"{next(iter(names.values()), '')} {NONSENSE}"]
        for bad_text in [*nonsense, *_illegal_names(game, state, at.mask[lane], names)]:
            _check_refused(findings, game, at, lane, bad_text)


def _check_text(findings: Findings, text: object) -> None:
    if not (isinstance(text, str) and text.strip()):
        findings.add("notation", "render to return text", repr(text))


def _check_names(
    findings: Findings, game: Game[Any], at: Batch, lane: int, names: dict[int, str]
) -> None:
    shared = [name for name, count in collections.Counter(names.values()).items() if count > 1]
    if shared or not all(isinstance(name, str) and name for name in names.values()):
        findings.add(
            "notation",
            "action_to_string to give every legal action a name of its own",
            f"{shared[0]!r} twice" if shared else f"{names}",
            rendered(game, at.state, lane),
            scenes=[scene(at.state, lane)],
        )


def _illegal_names(
    game: Game[Any], state: Any, mask: np.ndarray, names: dict[int, str]
) -> list[str]:
    """Returns what the first illegal actions are called, where that is no legal action's name."""
    texts = []
    for action in np.flatnonzero(~mask)[:3].tolist():
        try:
            texts.append(game.action_to_string(state, action))
        except Exception:  # an illegal action need not have a name
            continue
    return [text for text in texts if text not in names.values()]


def _check_refused(findings: Findings, game: Game[Any], at: Batch, lane: int, text: str) -> None:
    try:
        observed = f"it returned {game.string_to_action(one(at.state, lane), text)!r}"
    except ValueError:
        return
    except Exception as error:
        observed = described(error)
    findings.add(
        "notation",
        "string_to_action to raise ValueError for what is not a legal move",
        f"{text!r}: {observed}",
        rendered(game, at.state, lane),
        scenes=[scene(at.state, lane)],
    )
