"""Run folders as long runs leave them, written in seconds."""

import json
import math
import random

from training.config import RunConfig
from training.storage.log import MAX_BYTES
from training.storage.run_folder import RunFolder


def iteration(number, rng, **more):
    """Returns the line of an iteration of a run that learns."""
    left = math.exp(-number / 8_000)
    return {
        "kind": "iteration",
        "iteration": number,
        "step": 32 * number,
        "seconds": round(1.7 * number + 20.0, 3),
        "games": 100 * number,
        "positions": 2_048 * number,
        "flops": 98_400_000_000 * number,
        "flops_measured": 1_200_000_000 * number,
        "kl": 0.05 + 0.4 * left + 0.02 * rng.random(),
        "entropy": 0.3 + 1.5 * left + 0.05 * rng.random(),
        "new_games": 100,
        "new_examples": 2_048,
        "game_plies": 21 + rng.random(),
        "value_error": 0.4 + 0.5 * left + 0.1 * rng.random(),
        "examples": 2_048 * number,
        "window": min(2_048 * number, 200_000),
        "gradient_norm": 0.5 + rng.random(),
        "learning_rate": 0.016 * max(0.0, 1 - number / 60_000),
        "policy_loss": 0.5 + left + 0.05 * rng.random(),
        "value_loss": 0.3 + 0.5 * left + 0.05 * rng.random(),
        **more,
    }


def evaluation(number, rng):
    """Returns the line of an evaluation with all that one may hold."""
    left, gap = math.exp(-number / 8_000), {"value": 0.1, "changed": 0.1, "regret": 0.02}
    elo = 900 * (1 - left)
    match = {"games": 64, "score": 0.6, "interval": [0.5, 0.7], "elo": 70.0}
    match |= {"elo_interval": [0.5, 147.5]}
    mistakes = {"positions": 3_000, "raw": 0.3 * left + 0.05, "search": 0.2 * left + 0.01}
    return {
        "kind": "evaluation",
        "iteration": number,
        "step": 32 * number,
        "seconds": round(1.7 * number + 20.5, 3),
        "games": 100 * number,
        "positions": 2_048 * number,
        "flops": 98_400_000_000 * number,
        "flops_measured": 1_200_000_000 * number,
        "loss": 0.2 * left + 0.01,
        "simulations": 16,
        "perfect": {"random": mistakes, "quiet": mistakes},
        "random": {"games": 64, "score": 1 - 0.5 * left, "interval": [1 - 0.6 * left, 1.0]},
        "ladder": {
            **{"elo": elo, "interval": [elo - 40, elo + 40], "games": 400},
            **{"best_step": 32 * max(number - 100, 0), "over_best": 10 * left + rng.random()},
            "over_best_error": 8.0,
        },
        "fixed_point": {
            **{
                name: {"kl": 0.4 * left + 0.01, "blunders": 0.0, **gap} for name in ("own", "fresh")
            },
            "probe": {"kl": 0.5 * left + 0.02, "blunders": 0.0, **gap},
            **{"strength": {"16": match}, "distilled": {"amplified_step": 32, **match}},
        },
    }


def write(path, iterations=50_000, every=100, config=None, seed=0, **more):
    """Writes a run's folder, its metrics in parts as a run of so many iterations leaves them."""
    folder, rng = RunFolder(path), random.Random(seed)
    folder.create(config or RunConfig(game="connect_four", iterations=iterations))
    lines, size, part = [], 0, 1
    for number in range(1, iterations + 1):
        made = [iteration(number, rng, **more)]
        made += [evaluation(number, rng)] * (number % every == 0)
        lines += [json.dumps(line) + "\n" for line in made]
        size += sum(map(len, lines[-len(made) :]))
        if size >= MAX_BYTES:
            (folder.path / f"metrics-{part:06d}.jsonl").write_text("".join(lines))
            lines, size, part = [], 0, part + 1
    folder.metrics_file.write_text("".join(lines))
    return folder
