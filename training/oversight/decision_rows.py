"""An overseer's decisions as rows to learn from, mixed into every minibatch."""

import functools
import hashlib
import pathlib
from typing import Any, NamedTuple

import jax
import numpy as np

from games.game import Game
from selfplay import positions, row
from selfplay.oversight import decisions, images
from selfplay.row import Sample
from training.losses import NO_GAME
from training.settings import OverseerConfig


class DecisionRows(NamedTuple):
    """Decisions to learn from, one a position, and what is to be known of their file."""

    rows: Sample | None  # None if there are none
    digests: tuple[str, ...]  # of the decisions, in their order
    problems: list[str]  # of lines that are left out
    whose: str = ""  # who made how many of them
    unlike: str = ""  # a sentence, if they are not alike where positions are


NOTHING = DecisionRows(None, (), [])


def load(config: OverseerConfig, spec: str, game: Game[Any]) -> DecisionRows:
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
    scanned = decisions.scan(path, spec, game)
    if scanned.states is None:
        why = f": {scanned.problems[0]}" if scanned.problems else ""
        raise ValueError(f"overseer.decisions: no decision in {path} can be learned from{why}")
    newest = {decision.moves: i for i, decision in enumerate(scanned.decisions)}
    chosen = np.array(sorted(newest.values()))
    kept = [scanned.decisions[i] for i in chosen]
    observation, legal = jax.device_get(_see(game, scanned.states))
    digests = [
        hashlib.sha256(repr((d.moves, sorted(d.weights.items()), d.value)).encode()).hexdigest()
        for d in kept
    ]
    unlike = ""
    if config.augment:
        likeness = images.compare(game, kept, positions.take(scanned.states, chosen))
        unlike = images.in_words(game, likeness)
    return DecisionRows(
        _rows(kept, observation[chosen], legal[chosen]),
        tuple(digests),
        scanned.problems,
        decisions.tally(kept),
        unlike,
    )


def mix(
    decision_rows: DecisionRows,
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
    if decision_rows.rows is None or not count:
        return rows, symmetry
    drawn = rng.integers(0, len(decision_rows.rows.ply), count)
    # Spread evenly: each device norms by the statistics of its own share of the batch.
    places = np.arange(count) * len(symmetry) // count
    columns = {name: column.copy() for name, column in row.flat(rows).items()}
    decided = row.flat(decision_rows.rows)
    for name, column in columns.items():
        # Decisions have no targets: 0, of weight 0.
        column[places] = decided[name][drawn] if name in decided else 0
    if not config.augment:
        symmetry = symmetry.copy()
        symmetry[places] = 0  # the first one is the identity
    return row.nested(Sample, columns), symmetry


def policy_of_games(decision_rows: DecisionRows, config: OverseerConfig) -> tuple[float, float]:
    """Returns the weights of the policy's loss on rows of games, and on those of them that win.

    They are 1 where nobody decides.
    """
    if decision_rows.rows is None:
        return 1.0, 1.0
    return config.games_policy, config.wins_policy


def counters(decision_rows: DecisionRows) -> dict[str, Any]:
    """Returns what a checkpoint notes of the decisions in use."""
    return {
        "decisions": len(decision_rows.digests),
        "decisions_sha256": _digest(decision_rows.digests),
    }


def changes(decision_rows: DecisionRows, saved: dict[str, Any]) -> str:
    """Returns how the decisions differ from those of a checkpoint's counters; "" if they do not."""
    before, now = saved["decisions"], len(decision_rows.digests)
    if saved["decisions_sha256"] == _digest(decision_rows.digests[:before]):
        if before == now:
            return ""
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
    for weights, decision in zip(target, kept, strict=True):
        for action, weight in decision.weights.items():
            weights[action] = weight
    value = np.array([decision.value for decision in kept], np.float32)
    return row.make(
        observation=observation,
        legal_action_mask=legal,
        policy_target=target,
        action=[decision.action for decision in kept],
        q=np.broadcast_to(value[:, None], legal.shape),
        outcome=value,
        root_value=value,
        raw_value=value,
        ply=[len(decision.moves) for decision in kept],
        game_id=NO_GAME,
        weights_step=-1,
    )
