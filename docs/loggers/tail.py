"""Sends what a run measures to wandb, MLflow or trackio as it goes: `tail.py runs/go9 wandb`."""

import contextlib
import json
import pathlib
import sys
import time

from training.report import listing
from training.storage.run_folder import RunFolder
from training.storage.tail import Tail


def to_wandb(name, state):
    """Returns what logs to a run of wandb."""
    import wandb

    run = wandb.init(project="selfplay", name=name, id=state["id"], resume="allow")
    run.define_metric("*", step_metric="iteration")
    return lambda values, iteration: run.log({**values, "iteration": iteration})


def to_mlflow(name, state):
    """Returns what logs to a run of MLflow, whose id is MLflow's to choose, and ours to keep."""
    import mlflow

    mlflow.set_experiment("selfplay")
    run = mlflow.start_run(run_id=state.get("run_id"), run_name=name)
    state["run_id"] = run.info.run_id
    return lambda values, iteration: mlflow.log_metrics(values, step=iteration)


def to_trackio(name, state):
    """Returns what logs to a run of trackio."""
    import trackio

    trackio.init(project="selfplay", name=name, resume="allow")
    return lambda values, iteration: trackio.log(values, step=iteration)


def numbers(name, value):
    """Yields name and value of each number in an entry; `a/b` is entry b of entry a."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from numbers(f"{name}/{key}", inner)
    elif isinstance(value, int | float):
        yield name, float(value)


def follow(path, logger):
    """Logs each iteration's lines once, until the run has ended; started again, it goes on."""
    path = pathlib.Path(path).resolve()
    folder, kept = RunFolder(path), path.with_name(f"{path.name}.{logger}.json")
    if not folder.exists():
        sys.exit(f"{path} holds no run yet: start it first")
    state = {"id": folder.run_id(), "logged": {}}  # the last iteration of each kind of line
    if kept.exists():
        state = json.loads(kept.read_text())
    logged = state["logged"]
    try:
        log = LOGGERS[logger](f"{folder.path.name}-{state['id'][:8]}", state)
    except ImportError as error:
        sys.exit(f"{logger} cannot be used ({error}): pip install {logger}, beside selfplay-zero")
    tail = Tail(folder.logs["metrics"])
    while True:
        state_before = listing.describe(path, sized=False).state  # all it wrote is read below
        if tail.is_changed():  # the run went on from a save, and writes later lines anew
            tail = Tail(folder.logs["metrics"])
        for line in map(json.loads, (line.raw for line in tail.lines())):
            kind, iteration = line.pop("kind"), line.pop("iteration")
            if iteration > logged.get(kind, -1):
                log(dict(numbers(kind, line)), iteration)
                logged[kind] = iteration
        kept.write_text(json.dumps(state))
        if state_before in ("limit reached", "done"):
            return
        time.sleep(10)


LOGGERS = {"wandb": to_wandb, "mlflow": to_mlflow, "trackio": to_trackio}

if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[2] not in LOGGERS:
        sys.exit(f"usage: tail.py RUN {'|'.join(LOGGERS)}")
    with contextlib.suppress(KeyboardInterrupt):
        follow(*sys.argv[1:])
