"""Tiny runs: made, read whole, and compared bit by bit."""

import numpy as np

from training.evaluation.train_run import train_folder
from training.settings import CheckpointConfig
from training.source import LOCAL
from training.storage.checkpoint import CheckpointStore
from training.storage.run_folder import RunFolder

NEVER_SAVE_BETWEEN = CheckpointConfig(every_seconds=1e9)


def run_once(path, config, stop_after=None, source=None, examples_from=LOCAL):
    """Trains in a folder; stops when `stop_after` iterations have been reported."""
    folder = RunFolder(path)
    if not folder.exists():
        folder.create(config)
    seen = []

    def watch(line):
        seen.append(line)

    def stop():
        lines = [line for line in seen if line["kind"] == "iteration"]
        # an iteration's line comes with the next one, when its losses are known
        return stop_after is not None and len(lines) + 1 >= stop_after

    with folder.lock():
        return train_folder(folder, config, watch, stop, source, source=examples_from)


def everything(path):
    """All that a run has learned, minus the clock."""
    store = CheckpointStore(path)
    saved = store.load(store.steps()[-1])
    counters = {k: v for k, v in saved.counters.items() if "seconds" not in k}
    for name in ("trained_from", "ended"):  # the clock, and by which limit it ended
        del counters[name]
    lines = [
        {k: v for k, v in line.items() if not k.startswith("seconds")}
        for line in RunFolder(path).read_metrics()
    ]
    chunks = [
        column for file in sorted((path / "replay").iterdir()) for column in np.load(file).items()
    ]
    examples = {}
    for name, column in chunks:
        examples.setdefault(name, []).append(column)
    # Of older examples, as many stay on disk as share a chunk, so a save, with one that is needed.
    capacity = RunFolder(path).read_config().replay.capacity
    examples = {name: np.concatenate(columns)[-capacity:] for name, columns in examples.items()}
    records = (path / "games" / "self_play.jsonl").read_text()
    return saved.train_state | saved.games | examples, counters, lines, records


def assert_same(one, two):
    arrays, counters, lines, records = everything(one)
    other_arrays, other_counters, other_lines, other_records = everything(two)
    assert counters == other_counters
    assert arrays.keys() == other_arrays.keys()
    for name in arrays:
        np.testing.assert_array_equal(arrays[name], other_arrays[name], err_msg=name)
    assert lines == other_lines
    assert records == other_records
