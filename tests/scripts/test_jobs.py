"""docs/jobs: the script, with stand-ins for Slurm's commands; what a container is built from."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tomllib

import pytest

from tests.support import ROOT
from tests.support.processes import tiny_flags, wait_until

SCRIPT = ROOT / "docs" / "jobs" / "train.sbatch"
# `srun` becomes the step, so that its process is known; `squeue` says what the test has written.
STAND_INS = {
    "srun": 'while [[ $1 == --* ]]; do shift; done\necho $$ >> "$SLURM/steps"\nexec "$@"',
    "squeue": 'cat "$SLURM/state"',
    "scontrol": 'echo "$@" >> "$SLURM/asked"',
}
# Ends at once with the next of some codes, or at a signal with 75.
SELFPLAY = """
echo "$@" >> "$SLURM/said"
read -r code rest < "$SLURM/codes"
echo "$rest" > "$SLURM/codes"
if [ "$code" = waits ]; then
  trap 'sleep 0.3; exit 75' TERM
  echo ready >> "$SLURM/ready"
  while true; do sleep 0.05; done
fi
exit "$code"
"""


class Slurm:
    """Starts a job, tells it what Slurm would, and starts it again when it is put back."""

    def __init__(self, folder: pathlib.Path, selfplay: str) -> None:
        self.folder = folder
        for name, text in {**STAND_INS, "selfplay": selfplay}.items():
            program = folder / name
            program.write_text(f"#!/bin/bash\n{text}\n")
            program.chmod(0o755)
        (folder / "state").write_text("RUNNING\n")

    def lines(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Starts the script, as a node does with a job that has come to its turn."""
        found = f"{self.folder}{os.pathsep}{os.environ['PATH']}"
        variables = {"SLURM": str(self.folder), "SLURM_JOB_ID": "7", "SLURM_CPUS_PER_TASK": "2"}
        job = ["bash", str(SCRIPT), *words]
        return subprocess.Popen(job, env={**os.environ, **variables, "PATH": found}, cwd=ROOT)

    def tell_step(self) -> None:
        """Sends what `--signal=TERM@300` does: to the step alone."""
        os.kill(int(self.lines("steps")[-1]), signal.SIGTERM)

    def run(self, *words: str) -> list[int]:
        """Runs a job until nobody puts it back; returns its exit codes."""
        codes = []
        while len(self.lines("asked")) == len(codes) < 9:
            codes.append(self.start(*words).wait(60))
        return codes


@pytest.mark.parametrize("codes", [[0], [75, 75, 0], [1], [2], [75, 1], [137]])
def test_a_job_is_put_back_as_long_as_the_same_command_goes_on_and_else_ends(tmp_path, codes):
    slurm = Slurm(tmp_path, SELFPLAY)
    (tmp_path / "codes").write_text(" ".join(map(str, codes)) + "\n")
    assert slurm.run("runs/a b", "--game", "go:size=9") == codes
    assert slurm.lines("asked") == ["requeue 7"] * (len(codes) - 1)
    assert slurm.lines("said") == ["train --run-dir runs/a b --game go:size=9"] * len(codes)


# Who is told, and what Slurm then says of the job: before its time is up, or to make room for
# another one; as the node has told all processes; and when the user cancels it.
TOLD = {"the step": "RUNNING", "the shell too": "RUNNING", "all, to cancel it": "COMPLETING"}


@pytest.mark.parametrize("who", TOLD)
def test_a_job_that_is_told_to_end_waits_for_the_save_and_returns_unless_cancelled(tmp_path, who):
    slurm = Slurm(tmp_path, SELFPLAY)
    (tmp_path / "codes").write_text("waits\n")
    job = slurm.start("runs/a")
    try:
        wait_until("the step begins", lambda: slurm.lines("ready"), 30)
        (tmp_path / "state").write_text(f"{TOLD[who]}\n")
        if who != "the step":
            job.send_signal(signal.SIGTERM)
        slurm.tell_step()
        assert job.wait(30) == 75
    finally:
        job.kill()
    assert slurm.lines("asked") == ["requeue 7"] * (TOLD[who] == "RUNNING")


def test_a_job_without_the_name_of_a_run_says_what_is_missing(tmp_path):
    slurm = Slurm(tmp_path, SELFPLAY)
    assert slurm.run() == [1]
    assert not slurm.lines("steps")


def test_the_container_is_built_from_all_that_the_wheel_is_made_of():
    lines = (ROOT / "docs" / "jobs" / "Containerfile").read_text().splitlines()
    copied = [word for line in lines if line.startswith("COPY ") for word in line.split()[1:-1]]
    copied = [word for word in copied if not word.startswith(("--from", "/"))]
    assert all((ROOT / name).exists() for name in copied)
    built = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {name.split(".")[0] for name in built["tool"]["setuptools"]["packages"]}
    files = {built["project"]["readme"], *built["project"]["license-files"], "pyproject.toml"}
    assert packages | files | {"constraints.txt"} == {*copied}


@pytest.mark.slow  # each start imports jax; what a signal does to `train` is in test_cli.py
def test_a_run_in_pieces_has_every_iteration_once(tmp_path):
    slurm = Slurm(tmp_path, f'exec "{sys.executable}" -m scripts.cli "$@"')
    run, most = tmp_path / "run", 60
    metrics = run / "metrics.jsonl"
    words, codes = [str(run), *tiny_flags(most)], []
    for least in (3, 20, most + 1):
        job = slurm.start(*words)
        try:
            there = lambda least=least: _iterations(metrics)[-1:] >= [least]  # noqa: E731
            if least <= most:
                wait_until(f"iteration {least}", there, 120)
                slurm.tell_step()
            codes.append(job.wait(120))
        finally:
            job.kill()
    assert codes == [75, 75, 0]
    assert slurm.lines("asked") == ["requeue 7"] * 2
    assert _iterations(metrics) == [*range(1, most + 1)]


def _iterations(metrics: pathlib.Path) -> list[int]:
    whole = metrics.read_text().split("\n")[:-1] if metrics.exists() else []
    lines = [json.loads(line) for line in whole]
    return [line["iteration"] for line in lines if line["kind"] == "iteration"]
