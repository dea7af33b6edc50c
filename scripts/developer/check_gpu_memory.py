"""The memory that self-play and training take on a card of a given size, which need not be there.

What XLA's compiler plans is shown beside what `train` expects from shapes alone. What cuDNN takes
to work in is found out only on the card.
"""

from typing import Any, NamedTuple

import games
from training.config import RunConfig
from training.preflight import estimate
from training.preflight.estimate import Needs, Scale, in_words
from training.preflight.machine import Machine

SHARE = 0.75  # of a card's memory, which jax takes unless it is told otherwise


class Plan(NamedTuple):
    """What a run takes of a card."""

    game: str
    expected: Needs  # from shapes alone
    planned: Needs  # by the compiler
    has: Machine
    problems: list[str]  # why it does not fit


def plan(config: RunConfig, play: Any, training: Any, size: int) -> Plan:
    """Returns what a run takes of a card of `size` bytes, from its two compiled programs."""
    game = games.load(config.game)
    has = Machine(1, 1, False, int(SHARE * size), None, None)
    floor = estimate.needs(config, game, has)
    scale = Scale(
        max(_planned(play) - floor.tree, 0) / floor.play, _planned(training) / floor.train
    )
    return Plan(
        game=config.game,
        expected=floor,
        planned=estimate.scaled(floor, scale),
        has=has,
        problems=estimate.problems(config, game, has, scale),
    )


def described(plan: Plan) -> str:
    """Returns a plan as a line."""
    most, told = (estimate.memory(need, plan.has) for need in (plan.planned, plan.expected))
    parts = [
        f"self-play {in_words(plan.planned.tree + plan.planned.play)}",
        f"a training step {in_words(plan.planned.train)}",
        f"weights {in_words(plan.planned.weights)}",
    ]
    verdict = "; ".join(plan.problems) or "fits"
    return (
        f"{plan.game}: {', '.join(parts)}; at once {in_words(most)}, from shapes alone at least "
        f"{in_words(told)}, of {in_words(plan.has.device_bytes or 0)}: {verdict}"
    )


def _planned(compiled: Any) -> int:
    """Returns the bytes that the compiler plans for a call, beside its arguments."""
    analysis = compiled.memory_analysis()
    new = analysis.output_size_in_bytes - analysis.alias_size_in_bytes
    return int(analysis.temp_size_in_bytes + new)
