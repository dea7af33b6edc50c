"""The memory that self-play and training take on a card of a given size, which need not be there.

    python -m scripts.developer.check_gpu_memory 24
    python -m scripts.developer.check_gpu_memory 12 gpu-small
    python -m scripts.developer.check_gpu_memory 16 gpu connect_four v5e:2x2

prints for each game of a preset (`gpu` unless another one is named), or for one game, what XLA's
compiler plans on a card of so many GB, or on a TPU of that topology, beside what `train` expects
from shapes alone, and whether it fits. What cuDNN takes to work in is found out only on the card.
"""

import argparse
import sys
from typing import Any, NamedTuple

import jax

import games
from scripts.developer import check_gpu_card
from scripts.terminal.console import print_text
from training import presets
from training.config import RunConfig
from training.preflight import estimate
from training.preflight.estimate import Needs, Scale, in_words
from training.preflight.machine import Machine

OTHERS = "gomoku"  # stands for the games without settings of their own: the largest board of them
SHARE = 0.75  # of a card's memory, which jax takes unless it is told otherwise


class Plan(NamedTuple):
    """What a run takes of a card."""

    game: str
    expected: Needs  # from shapes alone
    planned: Needs  # by the compiler
    has: Machine
    problems: list[str]  # why it does not fit


def main() -> int:
    """Prints a line a game; returns 1 if one does not fit."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("gigabytes", type=float, help="of the card, such as 24")
    parser.add_argument("preset", nargs="?", default="gpu", choices=sorted(presets.PRESETS))
    parser.add_argument("game", nargs="?", default="all")
    parser.add_argument("device", nargs="?", default=check_gpu_card.H100, help="or a TPU")
    asked = parser.parse_args()
    size = int(asked.gigabytes * 1e9)
    jax.config.update("jax_platforms", "cpu")  # a card that is there is left alone
    card = check_gpu_card.absent(asked.device, size)
    fits = True
    for game in games_of(asked.preset) if asked.game == "all" else [asked.game]:
        config = presets.preset(asked.preset, game)
        play = check_gpu_card.compile_self_play(card, config)
        found = plan(config, play, check_gpu_card.compile_training(card, config), size)
        print_text(described(found))
        fits = fits and not found.problems
    return 0 if fits else 1


def games_of(name: str) -> list[str]:
    """Returns the games that a preset has settings for, and one that stands for the others."""
    return [game or OTHERS for game in presets.PRESETS[name]]


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


if __name__ == "__main__":
    sys.exit(main())
