"""An overseer's decisions as rows to learn from, mixed into every minibatch."""

import functools
import hashlib
import pathlib
from typing import Any, NamedTuple

import jax
import numpy as np

from games.game import Game
from selfplay.oversight import decisions
from selfplay.recorder import Sample
from training.config import OverseerConfig
from training.losses import NO_GAME


class Lessons(NamedTuple):
    """Decisions to learn from, one a position, and what is to be known of their file."""

    rows: Sample | None  # None if there are none
    digests: tuple[str, ...]  # of the decisions, in their order
    problems: list[str]  # of lines that are left out


NOTHING = Lessons(None, (), [])


def load(config: OverseerConfig, spec: str, game: Game[Any]) -> Lessons:
    """Returns what there is to learn; of several decisions in one position the last one holds.

    Raises:
      ValueError: there is no such file, or no decision in it is right.
    """
    if not config.decisions:
        return NOTHING
    path = pathlib.Path(config.decisions)
    if not path.is_file():
        raise ValueError(
            f"overseer.decisions: there is no file {path}; `selfplay oversee` makes it"
        )
    found = decisions.scan(path, spec, game)
    if found.states is None:
        why = f": {found.problems[0]}" if found.problems else ""
        raise ValueError(f"overseer.decisions: no decision in {path} can be learned from{why}")
    newest = {decision.moves: i for i, decision in enumerate(found.decisions)}
    chosen = np.array(sorted(newest.values()))
    kept = [found.decisions[i] for i in chosen]
    observation, legal = jax.device_get(_see(game, found.states))
    digests = [
        hashlib.sha256(repr((d.moves, sorted(d.weights.items()), d.value)).encode()).hexdigest()
        for d in kept
    ]
    return Lessons(_rows(kept, observation[chosen], legal[chosen]), tuple(digests), found.problems)


def mix(
    lessons: Lessons,
    config: OverseerConfig,
    rows: Sample,
    symmetry: np.ndarray,
    rng: np.random.Generator,
) -> tuple[Sample, np.ndarray]:
    """Returns a minibatch in which decisions take the place of `weight` of the rows.

    Args:
      symmetry: int32[M], through which each row is shown.
    """
    count = round(config.weight * len(symmetry))
    if lessons.rows is None or not count:
        return rows, symmetry
    drawn = rng.integers(0, len(lessons.rows.ply), count)
    # Spread evenly: each device norms by the statistics of its own share of the batch.
    places = np.arange(count) * len(symmetry) // count
    mixed = Sample(*(column.copy() for column in rows))
    for column, lesson in zip(mixed, lessons.rows, strict=True):
        column[places] = lesson[drawn]
    if not config.symmetries:
        symmetry = symmetry.copy()
        symmetry[places] = 0  # the first one is the identity
    return mixed, symmetry


def games_policy(lessons: Lessons, config: OverseerConfig) -> float:
    """Returns the weight of the policy's loss on rows of games: 1 where nobody decides."""
    return 1.0 if lessons.rows is None else config.games_policy


def counters(lessons: Lessons) -> dict[str, Any]:
    """Returns what a checkpoint notes of the decisions in use."""
    return {"decisions": len(lessons.digests), "decisions_sha256": _digest(lessons.digests)}


def changes(lessons: Lessons, saved: dict[str, Any]) -> str:
    """Returns how the decisions differ from those of a checkpoint's counters; "" if they do not."""
    before, now = saved.get("decisions", 0), len(lessons.digests)
    if before == now and saved.get("decisions_sha256", _digest(())) == _digest(lessons.digests):
        return ""
    if saved.get("decisions_sha256", _digest(())) == _digest(lessons.digests[:before]):
        return f"{now - before} new decisions are learned from, beside {before}"
    return f"other decisions are learned from now: {now}, where there were {before}"


def _digest(digests: tuple[str, ...]) -> str:
    return hashlib.sha256("".join(digests).encode()).hexdigest()


@functools.partial(jax.jit, static_argnums=0)
def _see(game: Game[Any], states: Any) -> tuple[jax.Array, jax.Array]:
    return jax.vmap(game.observe)(states), states.legal_action_mask


def _rows(kept: list[decisions.Decision], observation: np.ndarray, legal: np.ndarray) -> Sample:
    """Returns a row a decision. Its value stands for outcome, root value and each action's."""
    target = np.zeros(legal.shape, np.float16)
    for row, decision in zip(target, kept, strict=True):
        for action, weight in decision.weights.items():
            row[action] = weight
    value = np.array([decision.value for decision in kept], np.float32)
    return Sample(
        observation=observation,
        legal_action_mask=legal,
        policy_target=target,
        action=np.array([decision.action for decision in kept], np.int16),
        q=np.broadcast_to(value[:, None], legal.shape).astype(np.float16),
        outcome=value,
        root_value=value,
        raw_value=value,
        weight=np.ones_like(value),
        ply=np.array([len(decision.moves) for decision in kept], np.int32),
        game_id=np.full(len(kept), NO_GAME, np.int64),
        weights_step=np.full(len(kept), -1, np.int64),
    )
