"""Loading an overseer's decisions from their file, as examples to learn from."""

import functools
import hashlib
import pathlib
from typing import Any

import jax
import numpy as np

from games.game import Game
from selfplay import positions, row
from selfplay.oversight import decisions, images
from selfplay.row import Sample
from training.decision_rows import NOTHING, DecisionRows
from training.losses import NO_GAME
from training.settings import OverseerConfig


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
    unlike, likeness = "", images.Likeness(0, 0, None)
    if config.augment:
        likeness = images.compare(game, kept, positions.take(scanned.states, chosen))
        unlike = images.in_words(game, likeness)
    return DecisionRows(
        _rows(kept, observation[chosen], legal[chosen]),
        tuple(digests),
        scanned.problems,
        decisions.tally(kept),
        unlike,
        likeness.pairs,
        likeness.otherwise,
    )


@functools.partial(jax.jit, static_argnums=0)
def _see(game: Game[Any], states: Any) -> tuple[jax.Array, jax.Array]:
    return jax.vmap(game.observe)(states), states.legal_action_mask


def _rows(kept: list[decisions.Decision], observation: np.ndarray, legal: np.ndarray) -> Sample:
    """Returns an example a decision. Its value stands for outcome, root value and each action's."""
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
