"""Long runs: what must stay flat over many iterations, and what is equal between runs."""

import dataclasses
import hashlib
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from tests import soak
from tests.support import ROOT
from training.evaluation.train_run import train_folder
from training.settings import CheckpointConfig
from training.storage.checkpoint import CheckpointStore
from training.storage.log import Log
from training.storage.run_folder import RunFolder

PAGE = os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(
    ("iterations", "megabytes"), [(60, 100), pytest.param(3000, 40, marks=pytest.mark.slow)]
)
def test_memory_and_file_handles_stay_flat(iterations, megabytes, tiny_config, tmp_path):
    config = dataclasses.replace(
        tiny_config,
        iterations=iterations,
        evaluation=dataclasses.replace(tiny_config.evaluation, every=0),
        replay=dataclasses.replace(tiny_config.replay, samples_per_example=0.5),
        checkpoint=CheckpointConfig(every_seconds=1.0),
    )
    folder, seen = RunFolder(tmp_path / "run"), []
    folder.create(config)

    def watch(line):
        resident = int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * PAGE
        seen.append((resident, len(os.listdir("/proc/self/fd"))))

    with folder.lock():
        assert train_folder(folder, config, watch, lambda: False)
    early, late = np.array(seen)[[len(seen) // 3, -1]]
    assert late[0] - early[0] < megabytes << 20, (early, late)
    # The least of each third: a save in progress holds some more for a moment.
    _, before, after = (min(example[1] for example in third) for third in np.array_split(seen, 3))
    assert after <= before + 4, seen


def test_a_log_goes_on_in_parts_and_reads_as_one(tmp_path):
    log = Log(tmp_path / "metrics.jsonl", max_bytes=100)
    for i in range(50):
        log.append(f'{{"kind": "x", "iteration": {i}}}\n')
        assert [line["iteration"] for line in log.read()] == list(range(i + 1))
    assert len(log.parts()) > 9
    assert max(part.stat().st_size for part in log.parts()) < 150
    assert log.parts()[-1].name == "metrics.jsonl"


@pytest.mark.slow
def test_a_few_kills_change_nothing():
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-m", "tests.soak", "--kills", "4", "--iterations", "6"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "done: 4 kills" in done.stdout


@pytest.mark.slow
def test_runs_are_equal_on_equal_device_counts_and_work_on_others(tmp_path):
    sums = {}
    for name, count in (("1", 1), ("2", 2), ("2 again", 2), ("4", 4)):
        path = tmp_path / name.replace(" ", "-")
        argv = [*soak.command(4), "--run-dir", str(path)]
        flags = f"--xla_force_host_platform_device_count={count}"
        environment = os.environ | {"XLA_FLAGS": flags, "PYTHONPATH": str(ROOT)}
        code = "from scripts.cli import main; main()"
        subprocess.run([sys.executable, "-c", code, *argv], env=environment, check=True)
        store = CheckpointStore(path)
        saved = store.load(store.steps()[-1])
        assert all(np.isfinite(array).all() for array in saved.train_state.values())
        content = b"".join(array.tobytes() for array in saved.train_state.values())
        sums[name] = hashlib.sha256(content).hexdigest()
        lines = [x for x in RunFolder(path).read_metrics() if x["kind"] == "iteration"]
        assert [line["iteration"] for line in lines] == [1, 2, 3, 4]
    assert sums["2"] == sums["2 again"]
