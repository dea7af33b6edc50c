"""What a run measures of itself: its budget, its best weights, and that a resume rates alike."""

import dataclasses
import json
from types import SimpleNamespace

import jax
import pytest

import games
from selfplay.player_spec import parse_player
from tests.support.runs import NEVER_SAVE_BETWEEN, assert_same, run_once
from training.doctor import games as doctor_games
from training.evaluation import budget, in_run, ladder
from training.evaluation.evaluator import RunEvaluator
from training.evaluation.fixed_point import Decided
from training.evaluation.in_run import Evaluated, Played
from training.evaluation.train_run import train_folder
from training.flops import Work
from training.metrics import AgainstRandom, EvaluationLine, Rating
from training.presets import preset
from training.progress import Progress
from training.report import columns
from training.storage.checkpoint import CheckpointStore
from training.storage.run_folder import RunFolder

GO = preset("quick", "go:size=5")
GO = dataclasses.replace(GO, learner=dataclasses.replace(GO.learner, batch=512))
WORK = Work(decision=33, evaluation=1, example=3)  # in network evaluations


def _asked(config, progress, spent=0, plies=30):
    match = SimpleNamespace(moves=((0,) * plies, (0,) * 5))
    context = SimpleNamespace(config=config, game=games.load(config.game), work=WORK)
    return in_run._ladder_games(context, progress, Played({}, 0, match), spent)


def _with(config, **changes):
    return dataclasses.replace(config, evaluation=dataclasses.replace(config.evaluation, **changes))


@pytest.mark.parametrize("fixed", [0, 20_000, 90_000])
def test_a_rating_by_budget_keeps_all_measuring_below_a_twentieth(fixed):
    progress, played = Progress(), 0
    for _ in range(40):
        progress.positions += 25 * 128 * 16
        progress.step += 25 * 24
        games_now, each = _asked(GO, progress, fixed)
        assert each == 30 * 33
        played += games_now
        progress.measured += fixed + games_now * each
        progress.rated += games_now * each
        # In plain Python: 33 evaluations a position, three an example of 512 a step.
        learning = progress.positions * 33 + progress.step * 512 * 3
        assert progress.measured <= 0.05 * (learning + progress.measured)
    assert played >= (0.03 * learning - 40 * fixed) / each, "the budget lies idle"
    assert played > 0


def test_a_rating_has_a_quarter_of_the_budget_where_fixed_measurements_take_all():
    progress = Progress()
    for _ in range(40):
        progress.positions += 25 * 128 * 16
        progress.step += 25 * 24
        games_now, each = _asked(GO, progress, 10**6)
        progress.measured += 10**6 + games_now * each
        progress.rated += games_now * each
    computed = progress.positions * 33 + progress.step * 512 * 3 + progress.measured
    assert 0.01 * computed < progress.rated <= 0.0125 * computed


def test_an_explicit_number_stays_and_with_perfect_play_known_there_is_no_rating():
    much = Progress(step=10**6, positions=10**9)
    assert _asked(_with(GO, ladder_games=6), Progress(), 10**9)[0] == 6
    assert _asked(_with(GO, ladder_games=0), much)[0] == 0
    assert _asked(GO, much)[0] == in_run.MOST_GAMES
    assert _asked(preset("quick", "connect_four"), much)[0] == 0
    assert _asked(preset("quick", "othello:size=6"), much)[0] > 0, "endings alone are no strength"
    assert _asked(GO, dataclasses.replace(much, step=0))[0] == 0, "nothing has been learned yet"


def _evaluated(loss, over_best=None, oracle=False, endings=False):
    rating = None if over_best is None else ladder.Rated({}, over_best >= 0, False)
    entries = {"loss": loss, "perfect" if oracle else "random": {}}
    entries |= {"perfect": {}} if endings else {}
    return Evaluated(entries, Decided(), 0.0, 0, 0, rating)


def test_the_best_is_by_rating_or_by_mistakes_and_of_equals_the_newest():
    before = Progress(best_loss=0.0, best_step=7)
    assert in_run.is_best(before, _evaluated(0.0)), "a tie is the newest's"
    assert not in_run.is_best(before, _evaluated(0.01))
    assert in_run.is_best(before, _evaluated(0.5, over_best=0.0)), "a tie by rating too"
    assert not in_run.is_best(before, _evaluated(0.0, over_best=-1.0))
    assert not in_run.is_best(before, _evaluated(0.0, over_best=-1.0, endings=True))
    rated = dataclasses.replace(before, rated=1)
    assert not in_run.is_best(rated, _evaluated(0.0)), "without games it cannot be told"
    for progress in (before, rated):
        assert in_run.is_best(progress, _evaluated(0.0, over_best=-1.0, oracle=True))
        assert not in_run.is_best(progress, _evaluated(0.1, over_best=50.0, oracle=True))


@pytest.mark.slow
def test_a_resumed_run_is_rated_as_one_that_was_not_stopped(tmp_path, tiny_config, monkeypatch):
    monkeypatch.setattr(budget, "SHARE", 0.8)
    monkeypatch.setattr(ladder, "RUNG", -1e4)  # each is a rung, so some play no more
    config = dataclasses.replace(
        tiny_config,
        game="gomoku:rows=3,cols=3,k=3",
        iterations=12,
        checkpoint=NEVER_SAVE_BETWEEN,
    )
    assert run_once(tmp_path / "whole", config)
    assert not run_once(tmp_path / "halved", config, stop_after=9)
    store = CheckpointStore(tmp_path / "halved")
    saved = store.load(store.steps()[-1])
    assert run_once(tmp_path / "halved", config)
    assert_same(tmp_path / "whole", tmp_path / "halved")
    lines = RunFolder(tmp_path / "whole").read_metrics()
    ratings = [line["ladder"] for line in lines if "ladder" in line]
    assert len(ratings) > 2
    assert all(rating["over_best_error"] > 0 for rating in ratings)
    assert len(saved.counters["rungs"]) >= 1
    text = (tmp_path / "whole" / "ladder" / "games.jsonl").read_text()
    players = {name for line in text.splitlines() for name in json.loads(line)["players"]}
    steps = CheckpointStore(tmp_path / "whole").steps()
    gone = players - {"random"} - {f".@{step}:simulations=4" for step in steps}
    assert gone, "no player is gone, so that part was not tried"


def _line(step, elo, best_step, over_best):
    rating = Rating(
        elo=elo,
        interval=(0.0, 0.0),
        games=9,
        best_step=best_step,
        over_best=over_best,
        over_best_error=10.0,
    )
    counts = {"iteration": 1, "games": 1, "positions": 1, "simulations": 4}
    counts |= {"flops": 1, "flops_measured": 0}
    random = AgainstRandom(score=1.0, interval=(0.5, 1.0))
    return EvaluationLine(
        step=step, seconds=60.0 * step, random=random, loss=0.0, ladder=rating, **counts
    )


def test_the_curve_of_ratings_adds_up_gains_whatever_the_level_of_each_fit():
    lines = [
        _line(1, 900.0, 0, 300.0),
        _line(2, 1900.0, 1, 50.0),
        _line(3, 400.0, 2, -20.0),  # no better: step 2 stays the best
        _line(4, 700.0, 2, 40.0),
    ]
    levels = {}
    points = [columns.gained(line, levels) for line in lines]
    assert [point["gained"] for point in points] == [300.0, 350.0, 330.0, 390.0]
    spread = points[1]["gained.high"] - points[1]["gained.low"]
    assert spread == pytest.approx(2 * 1.96 * 10, rel=1e-3)
    assert columns.gained(dataclasses.replace(lines[0], ladder=None), levels) == {}


def test_a_run_that_falls_behind_its_best_is_told_and_one_within_the_noise_is_not():
    fallen = Rating(
        elo=0.0, interval=(0.0, 0.0), games=9, best_step=7, over_best=-150.0, over_best_error=40.0
    )
    assert doctor_games._fallen(fallen).holds
    for changes in (
        {"over_best_error": 60.0},
        {"over_best": -90.0, "over_best_error": 10.0},
        {"over_best": None},
    ):
        assert not doctor_games._fallen(dataclasses.replace(fallen, **changes)).holds


def _measured(seconds, evaluations):
    return Evaluated({}, Decided(), seconds, evaluations, 0, None)


def test_a_run_by_minutes_measures_itself_before_half_its_time_is_over():
    timed = dataclasses.replace(GO, minutes=1.0, iterations=0)
    early = Progress(seconds=10.0)
    assert not in_run.is_early(timed, early)
    late = Progress(seconds=25.0)
    assert in_run.is_early(timed, late)
    assert not in_run.is_early(timed, dataclasses.replace(late, evaluated=1))
    assert not in_run.is_early(dataclasses.replace(timed, minutes=0.0, iterations=5), late)
    assert not in_run.is_early(_with(timed, every=0), late)


def test_the_time_of_the_next_measurement_leaves_out_what_the_first_one_compiled():
    """24 s of the run were 2,000 network evaluations in 20 s and a measurement of 4 s."""
    work = WORK._replace(decision=20)
    progress = Progress(seconds=24.0, positions=100, evaluations=1)
    seconds = in_run.next_seconds(GO, work, progress, _measured(4.0, 100))
    assert seconds == pytest.approx(1.0, rel=0.02)
    assert in_run.next_seconds(GO, work, progress, _measured(4.0, 10**6)) == 4.0
    progress.evaluations = 2
    assert in_run.next_seconds(GO, work, progress, _measured(4.0, 100)) == 4.0


def test_a_stop_leaves_an_evaluation_at_once_and_a_resume_takes_it_again(
    tiny_config, tiny_run, tmp_path
):
    folder = RunFolder(tmp_path / "run")
    folder.create(tiny_config)
    asked, evaluating = [], []

    def stop():
        if evaluating and not asked:
            asked.append(True)  # a player was asked once; at the second question we are told
            return False
        return bool(evaluating)

    with folder.lock():
        given = folder, tiny_config, lambda line: None, stop
        assert not train_folder(*given, on_activity=lambda text: _note(text, evaluating))
    lines = folder.read_metrics()
    assert [line["kind"] for line in lines] == ["iteration", "iteration"]
    assert run_once(folder.path, tiny_config)
    assert_same(folder.path, tiny_run)


def _note(text, evaluating):
    if text.startswith("evaluating"):
        evaluating.append(text)


def test_lines_of_a_run_are_in_the_order_of_its_clock(tiny_run):
    lines = RunFolder(tiny_run).read_metrics()
    kinds = [line["kind"] for line in lines]
    assert kinds == ["iteration", "iteration", "evaluation"] * 2
    seconds = [line["seconds"] for line in lines]
    assert seconds == sorted(seconds)
    assert lines[-1]["seconds_measured"] > lines[2]["seconds_measured"] > 0


@pytest.mark.parametrize(
    ("progress", "last", "has_time"),
    [  # of a run of 10 minutes, which may measure for 2
        (Progress(evaluated=4, evaluations=1, evaluation_seconds=50.0), False, True),
        (Progress(evaluated=4, evaluations=1, evaluation_seconds=70.0), False, False),
        (Progress(evaluated=4, evaluations=1, evaluation_seconds=70.0), True, True),
        (Progress(evaluations=1, evaluation_seconds=70.0, seconds_measured=60.0), True, False),
        (Progress(compile_seconds=40.0), True, True),
        (Progress(compile_seconds=400.0), True, False),
    ],
)
def test_an_evaluation_is_left_out_that_a_fifth_of_the_minutes_does_not_hold(
    progress, last, has_time
):
    timed = dataclasses.replace(GO, minutes=10.0, iterations=0)
    why_not = in_run.lacks_time(timed, progress, last)
    assert (why_not == "") == has_time
    assert not in_run.lacks_time(dataclasses.replace(timed, minutes=0.0), progress, last)


def test_an_evaluation_that_takes_all_the_time_for_it_is_given_up_and_said(monkeypatch):
    told, asked = [], []

    def evaluate(context, state, monitor, last):
        uniform = parse_player("uniform", games.load("tic_tac_toe"), 2, None)
        opening = jax.vmap(uniform.game.init)(jax.random.split(jax.random.key(0), 1))
        while True:  # as long as it is let
            asked.append(uniform(opening, jax.random.key(0)))

    monkeypatch.setattr(in_run, "evaluate", evaluate)
    config = dataclasses.replace(_with(GO, gap_positions=0), minutes=10.0, iterations=0)
    log = SimpleNamespace(notice=told.append, activity=told.append)
    context = SimpleNamespace(config=config, metrics=log)
    progress = Progress(seconds=590.0, iteration=3, iteration_seconds=30.0, seconds_measured=119.0)
    state = SimpleNamespace(progress=progress, line=None)
    decision = RunEvaluator(context).after_iteration(context, state, lambda: False)
    assert decision.ended
    assert len(asked) >= 1
    assert "given up after 1 s" in told[-1]
    assert progress.seconds_measured < 140
    assert progress.evaluated == 3, "it is not tried again"


def test_the_limits_that_are_named_are_those_that_were_reached():
    config = dataclasses.replace(GO, iterations=10, minutes=1.0, flops=1e13)
    reached = {"iterations": 10, "minutes": 1.0, "flops": 1e13}
    for name, progress in (
        ("iterations", Progress(iteration=165)),
        ("minutes", Progress(seconds=58.0, iteration_seconds=3.0)),
        ("flops", Progress(flops=10**13)),
    ):
        assert progress.reached(config) == {name: reached[name]}
    assert Progress(iteration=9, seconds=50.0, flops=10**13 - 1).reached(config) == {}


def test_what_ended_a_run_is_kept_so_that_the_same_command_does_nothing(tiny_config, tiny_run):
    """The last evaluation took less time than was left for it: that opens no run again."""
    limits = dataclasses.replace(tiny_config, iterations=0, minutes=9.0)
    ended = Progress(seconds=432.0, ended={"minutes": 9.0})
    assert ended.finished(limits)
    assert ended.is_complete(limits)
    assert not ended.finished(dataclasses.replace(limits, minutes=10.0))
    assert not ended.is_complete(tiny_config), "another limit than that which ended it"
    saved = CheckpointStore(tiny_run).load(CheckpointStore(tiny_run).steps()[-1])
    assert saved.counters["ended"] == {"iterations": tiny_config.iterations}
    by_flops = Progress(flops=5 * 10**12, ended={"flops": 4e12})
    assert dataclasses.asdict(Progress.of(dataclasses.asdict(by_flops)))["ended"] == {"flops": 4e12}
    for counter, wrong in (
        ("iteration", 10**300),
        ("seconds", 1e308),
        ("step", -1),
        ("games", "9"),
    ):
        with pytest.raises(ValueError, match=f"the checkpoint's {counter} is"):
            Progress.of(dataclasses.asdict(ended) | {counter: wrong})
    for wrong in ({"seed": 1}, {"minutes": "9"}, [1], None):
        with pytest.raises(ValueError, match="the checkpoint's ended is"):
            Progress.of(dataclasses.asdict(ended) | {"ended": wrong})
