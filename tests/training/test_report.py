"""Reports and plots: what a name, a link or a file of settings may not do to them."""

import json
import shutil

import matplotlib
import numpy as np
import pytest

from scripts import cli
from training import metrics
from training.config import RunConfig
from training.report import curves, drawing, history, pngs, table, text
from training.report.curves import Plot, Series
from training.report.ladder_plot import Point, plot_ladder
from training.storage.run_folder import RunFolder

NAMES = [r"a$\foo$b", "\x1b[2J\n\ud800"]
MORE_NAMES = ["$", "a$b", r"a\$b$", "$x^2$", "_hidden"]
CURVE = ([0.0, 1.0], [0.0, 1.0])


@pytest.mark.parametrize(
    "name", [*NAMES, *(pytest.param(name, marks=pytest.mark.slow) for name in MORE_NAMES)]
)
def test_a_report_draws_a_run_of_any_name(name, tiny_run, tmp_path):
    if name.isprintable():
        run = tmp_path / name
        shutil.copytree(tiny_run, run)
        assert all(path.is_file() for path in pngs.write([RunFolder(run)], tmp_path / "out"))
    assert drawing.draw(Plot("name", name, "axis", "", [Series(name, *CURVE)]))


def test_a_name_is_drawn_letter_by_letter_and_not_as_a_formula():
    def legend(name):
        found = []

        def draw(axes):
            axes.plot(*CURVE, label=drawing.plain(name))
            (text,) = axes.legend().get_texts()
            axes.figure.draw_without_rendering()
            found.append(text._preprocess_math(text.get_text()))

        drawing.render(draw, 2)
        return found[0]

    for name in [NAMES[0], *MORE_NAMES[:4]]:
        assert legend(name) == (name, False)


def points(run):
    return [Point(run, step, 8, float(step), step, None, float(step), 0.0, 2.0) for step in (1, 2)]


def test_plots_replace_a_link_and_leave_what_it_points_to(tiny_run, tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("mine")
    out = tmp_path / "out"
    out.mkdir()
    names = ["losses.png", "evaluations.png", "elo-minutes.png"]
    for name in names:
        (out / name).symlink_to(precious)
    assert cli.run(["runs", str(tiny_run), "--out", str(out), "--png"]) == 0
    plot_ladder(out, points(r"a$\foo$b"), r"b$\bar$")
    assert precious.read_text() == "mine"
    for name in names:
        assert (out / name).read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    "words", [["runs", "RUN", "--png"], ["evaluate", "RUN", "--against", "overseer"]]
)
def test_a_run_whose_report_is_a_link_writes_nothing_through_it(words, tiny_run, tmp_path, capsys):
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    shutil.copytree(tiny_run, run, ignore=shutil.ignore_patterns("report"))
    elsewhere.mkdir()
    (run / "report").symlink_to(elsewhere)
    assert cli.run([str(run) if word == "RUN" else word for word in words]) == 2
    assert f"{run}/report is a symbolic link" in capsys.readouterr().err
    assert not list(elsewhere.iterdir())


def test_plots_do_not_depend_on_a_file_of_matplotlibs_settings():
    plot = Plot("name", "title", "axis", "", [Series("a", *CURVE)])
    usual = drawing.draw(plot)
    steered = {"text.usetex": True, "axes.facecolor": "red", "savefig.dpi": 9, "font.size": 90.0}
    with matplotlib.rc_context(steered):
        assert drawing.draw(plot) == usual
        assert matplotlib.rcParams["font.size"] == 90.0, "a caller's own settings are left"
    np.testing.assert_equal(usual[:4], b"\x89PNG")


def test_what_a_run_computed_is_told_and_strength_drawn_over_it(tmp_path):
    random = {"games": 2, "score": 0.75, "interval": [0.5, 1.0]}
    line = {"kind": "evaluation", "iteration": 1, "step": 9, "seconds": 60.0, "games": 1}
    line |= {"positions": 9, "random": random, "loss": 0.25, "simulations": 8}
    line |= {"flops": 41 * 10**12, "flops_measured": 12 * 10**11}
    said = text.summary(RunConfig(), metrics.history([line]))
    assert said.endswith("41 TFLOP of self-play and training, 1.2 of measuring")
    assert "FLOP" not in text.summary(RunConfig(), metrics.history([]))
    folder = run_of(tmp_path / "run", line)
    told = {"a": history.curves(run_of(tmp_path / "none")), "b": history.curves(folder)}
    [plot] = [p for p in curves.plots(told) if p.name == "evaluations-flops"]
    assert [(curve.x, curve.values) for curve in plot.series] == [([41.0], [0.75])]
    assert "TFLOP" in plot.across
    summary = table.summary(folder)
    assert (summary["flops"], summary["flops_measured"]) == (41 * 10**12, 12 * 10**11)


def run_of(path, *lines):
    folder = RunFolder(path)
    folder.create(RunConfig(game="tic_tac_toe", iterations=1))
    folder.metrics_file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_a_run_that_learns_targets_has_a_plot_of_their_losses_and_no_other_has(tmp_path):
    line = {"kind": "iteration", "iteration": 1, "step": 9, "seconds": 60.0, "games": 1}
    line |= {"positions": 9, "examples": 9, "flops": 9, "flops_measured": 0}
    plain = history.curves(run_of(tmp_path / "plain", line))
    more = {"loss_score": 0.5, "loss_answer": 2.0}
    learning = history.curves(run_of(tmp_path / "learning", line | more))
    assert "targets" not in {plot.name for plot in curves.plots({"a": plain})}
    [plot] = [p for p in curves.plots({"a": plain, "b": learning}) if p.name == "targets"]
    assert sorted((series.label, series.values) for series in plot.series) == [
        ("b loss_answer", [2.0]),
        ("b loss_score", [0.5]),
    ]
