"""A comparison of amplifiers and losses: the table and the plot of docs/ida/comparison.md.

    python -m scripts.developer.compare_slots --game tic_tac_toe --iterations 40 --out runs/slots
    python -m scripts.developer.compare_slots --game tic_tac_toe --iterations 40 --out runs/slots \
        --plot docs/ida.png

Every run has the same small network, seed, plies and training steps, bounded by iterations: its
figures do not depend on the machine's speed. A run that is there already is not run again.
"""

import dataclasses
import pathlib
import sys

from scripts.terminal.console import parse, say
from training import metrics, presets
from training.config import RunConfig
from training.evaluation.train_run import train_folder
from training.report.curves import Plot, Series
from training.report.drawing import draw
from training.storage.run_folder import RunFolder

SIMULATIONS = 16
# (amplify, distil, simulations)
MODES = [
    ("search", "imitation", SIMULATIONS),
    ("search", "cloning", SIMULATIONS),
    ("search", "action_values", SIMULATIONS),
    ("search", "reinforce", SIMULATIONS),
    ("policy", "imitation", SIMULATIONS),
    ("policy", "reinforce", SIMULATIONS),
    ("committee:members=4", "imitation", SIMULATIONS // 4),
    ("search", "imitation", SIMULATIONS // 4),
]


@dataclasses.dataclass(frozen=True)
class Args:
    """Compares amplifiers and losses on one game and budget."""

    game: str = "tic_tac_toe"
    """A game with an oracle."""
    iterations: int = 40
    """Self-play calls of each run."""
    seed: int = 0
    """Of every run."""
    out: str = "runs/slots"
    """Where the runs are."""
    plot: str = ""
    """A PNG to write: mistakes of the raw policy over the positions played."""


def main() -> None:
    """Runs what is missing, prints a line each, and plots."""
    args = parse(Args, sys.argv[1:], "compare_slots")
    curves = []
    for amplify, distil, simulations in MODES:
        config = _config(args, amplify, distil, simulations)
        decider = amplify if amplify == "policy" else f"{amplify} of {simulations}"
        name = f"{decider}, {distil}"
        folder = RunFolder(pathlib.Path(args.out) / f"{args.game}, {name}, {args.seed}")
        with folder.lock():
            if not folder.exists():
                folder.create(config)
            train_folder(folder, config, lambda line: None, lambda: False)
        evaluations = metrics.history(folder.read_metrics()).evaluations
        rates = [line.perfect for line in evaluations if line.perfect is not None]
        told = [f"{k} raw {r.raw:.1%}, search {r.search:.1%}" for k, r in rates[-1].items()]
        say(f"{name}: {'; '.join(told)}")
        means = [sum(rate.raw for rate in sets.values()) / len(sets) for sets in rates]
        curves.append(Series(name, [float(line.positions) for line in evaluations], means))
    if args.plot:
        title = f"Mistakes of the raw policy, {args.game}"
        plot = Plot("slots", title, "share", "", curves, "positions")
        pathlib.Path(args.plot).write_bytes(draw(plot))


def _config(args: Args, amplify: str, distil: str, simulations: int) -> RunConfig:
    base = presets.preset("quick", args.game)
    return dataclasses.replace(
        base,
        minutes=0.0,
        seed=args.seed,
        iterations=args.iterations,
        amplify=amplify,
        distil=distil,
        network=dataclasses.replace(base.network, blocks=1, channels=16),
        search=dataclasses.replace(base.search, simulations=simulations),
        self_play=dataclasses.replace(base.self_play, batch=64),
        replay=dataclasses.replace(base.replay, samples_per_row=4.0),
        learner=dataclasses.replace(base.learner, batch=256),
        evaluation=dataclasses.replace(
            base.evaluation, every=args.iterations // 8, simulations=SIMULATIONS, positions=1000
        ),
    )


if __name__ == "__main__":
    main()
