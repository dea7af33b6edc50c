"""Makes a player that comes with the package out of a run: `shipped:NAME` (selfplay/shipped/).

    python -m scripts.developer.ship_player RUN NAME --command "selfplay train ..." --machine "..."

The folder gets the run's settings, the averaged weights of its newest checkpoint, and the recipe:
command, seed, minutes, operations, machine, versions. What was there under that name is replaced.
"""

import argparse
import json
import shutil

from selfplay import shipped
from training import checkpoint_steps
from training.config import RunConfig
from training.storage.checkpoint import Checkpoint, CheckpointStore
from training.storage.manifest import COUNTERS
from training.storage.run_folder import RunFolder

AVERAGES = "state/average_"  # how the names of averaged weights begin


def ship(run: str, name: str, recipe: dict[str, str]) -> None:
    """Writes `shipped:NAME` from the newest checkpoint of a run.

    Args:
      recipe: what the run does not know of itself: the command, and the machine.
    """
    source, target = RunFolder(run), RunFolder(shipped.FOLDER / name)
    step = checkpoint_steps(run)[-1]
    saved = CheckpointStore(source.path).load(step, with_replay=False)
    config = source.read_config()
    if target.path.exists():
        shutil.rmtree(target.path)
    target.create(config)
    weights = {key: leaf for key, leaf in saved.train_state.items() if key.startswith(AVERAGES)}
    store = CheckpointStore(target.path)
    store.save(Checkpoint(step, weights, {}, dict.fromkeys(COUNTERS, 0)), 0, [])
    store.wait()
    store.close()
    target.games.rmdir()
    told = {"game": config.game, **recipe, **_told(source, config, saved)}
    (target.path / shipped.RECIPE).write_text(json.dumps(told, indent=1) + "\n")


def _told(source: RunFolder, config: RunConfig, saved: Checkpoint) -> dict[str, object]:
    """Returns what a run knows of how it was made."""
    about = json.loads(source.config_file.read_text())
    return {
        "seed": config.seed,
        "minutes": round(saved.counters["seconds"] / 60, 1),
        "operations": saved.counters["flops"],
        "games": saved.counters["games"],
        "positions": saved.counters["positions"],
        "commit": about["commit"],
        "versions": about["versions"],
    }


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("run")
    parser.add_argument("name")
    parser.add_argument("--command", required=True)
    parser.add_argument("--machine", required=True)
    args = parser.parse_args()
    ship(args.run, args.name, {"command": args.command, "machine": args.machine})


if __name__ == "__main__":
    main()
