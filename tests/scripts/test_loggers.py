"""docs/loggers/tail.py, with stand-ins for wandb, MLflow and trackio: what arrives there."""

import json
import runpy
import shutil
import sys
import types

import pytest

from tests.support import ROOT
from training.config import RunConfig
from training.storage.run_folder import RunFolder

SCRIPT = ROOT / "docs" / "loggers" / "tail.py"


class StandIns:
    """The three loggers' calls that the script makes, and what they were given."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, dict[str, float]]] = []
        self.began: list[dict[str, object]] = []

    def modules(self) -> dict[str, types.SimpleNamespace]:
        def begin(**given):
            self.began.append(given)
            return types.SimpleNamespace(
                define_metric=lambda name, step_metric: None,
                log=lambda values: log({**values}, values["iteration"]),
                info=types.SimpleNamespace(run_id="chosen by MLflow"),
            )

        def log(values, step):
            values.pop("iteration", None)
            self.sent.append((step, values))

        return {
            "wandb": types.SimpleNamespace(init=begin),
            "mlflow": types.SimpleNamespace(
                start_run=begin, log_metrics=log, set_experiment=lambda name: None
            ),
            "trackio": types.SimpleNamespace(init=begin, log=log),
        }


def line(iteration, kind="iteration", **entries):
    return json.dumps({"kind": kind, "iteration": iteration, **entries}) + "\n"


@pytest.mark.parametrize("logger", ["wandb", "mlflow", "trackio"])
def test_each_line_arrives_once_over_restarts_full_parts_and_a_run_that_went_back(
    logger, tmp_path, monkeypatch
):
    run, stand_ins = tmp_path / "run", StandIns()
    RunFolder(run).create(RunConfig())
    for name, module in stand_ins.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    log = run / "metrics.jsonl"
    rates = {"perfect": {"all": {"raw": 0.25, "by_ply": [{"ply": 1}]}}, "verdict": "a text"}

    def grown():
        log.write_text(line(1, loss=1.5) + line(2) + line(3)[:-9])
        yield
        log.write_text(line(1, loss=1.5) + line(2) + line(3, "evaluation", **rates) + line(3))
        log.rename(run / "metrics-000001.jsonl")
        log.write_text(line(4) + line(5))
        yield
        raise KeyboardInterrupt  # the script is started again
        yield

    def went_back():
        yield
        log.write_text(line(4) + line(5, again=1.0) + line(6))
        yield
        raise KeyboardInterrupt
        yield

    for time in (grown(), went_back()):
        if time.__name__ == "grown":
            next(time)  # the run is there before the script
        monkeypatch.setattr("time.sleep", lambda seconds, time=time: next(time))
        with pytest.raises(KeyboardInterrupt):
            runpy.run_path(str(SCRIPT))["follow"](f"{run}/", logger)
    assert (tmp_path / f"run.{logger}.json").exists()  # beside the folder, not in it
    assert stand_ins.sent == [
        (1, {"iteration/loss": 1.5}),
        (2, {}),
        (3, {"evaluation/perfect/all/raw": 0.25}),
        *((iteration, {}) for iteration in (3, 4, 5, 6)),
    ]
    first, second = stand_ins.began
    if logger == "mlflow":  # it names its runs itself
        assert (first.pop("run_id"), second.pop("run_id")) == (None, "chosen by MLflow")
    assert first == second
    assert f"run-{RunFolder(run).run_id()[:8]}" in first.values()


def test_it_ends_when_its_run_has_ended_and_all_is_sent(tiny_run, tmp_path, monkeypatch):
    run, stand_ins = RunFolder(shutil.copytree(tiny_run, tmp_path / "run")), StandIns()
    monkeypatch.setitem(sys.modules, "wandb", stand_ins.modules()["wandb"])
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail("it waits for more"))
    runpy.run_path(str(SCRIPT))["follow"](str(run.path), "wandb")
    assert len(stand_ins.sent) == len(run.read_metrics())


def test_a_logger_that_is_not_installed_is_a_sentence(tmp_path, monkeypatch):
    RunFolder(tmp_path).create(RunConfig())
    monkeypatch.setitem(sys.modules, "trackio", None)
    with pytest.raises(SystemExit, match=r"^trackio cannot be used .*pip install trackio"):
        runpy.run_path(str(SCRIPT))["follow"](str(tmp_path), "trackio")


def test_a_run_that_is_not_there_is_refused_and_nothing_is_kept_of_it(tmp_path):
    with pytest.raises(SystemExit, match="holds no run yet"):
        runpy.run_path(str(SCRIPT))["follow"](str(tmp_path / "run"), "wandb")
    assert not list(tmp_path.iterdir())
