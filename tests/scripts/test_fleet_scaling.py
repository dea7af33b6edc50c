"""scripts.developer.fleet_scaling: its stub workers send what a learner takes, and never hurry."""

import dataclasses

import numpy as np
import pytest

import games
from scripts.developer import stub_workers
from scripts.developer.fleet_tables import BUDGETS, tables
from scripts.developer.stub_workers import Packed, Schedule
from training.workers import batch
from training.workers.batch import BatchError, Expected, Header, Key

HEADER = Header(
    format_version=batch.FORMAT_VERSION,
    run_id="a run",
    digest="settings",
    code="code",
    game="tic_tac_toe",
    slot=2,
    incarnation=5,
    seq=0,
    version=0,
    weights_step=0,
    rows=0,
    plies=96,
    games=0,
    devices=1,
    device_kind="stub",
    seconds=1.0,
    kl=0.0,
    entropy=0.0,
)


def test_the_formula_gives_the_workers_that_were_computed_by_hand():
    # ../shared/reports/scale-out.md, section 5: at 4 and at 1.5 samples a row.
    by_hand = [(3.1, 8.3), (3.6, 9.6), (33, 88), (6.4, 17), (37, 99)]
    for budget, expected in zip(BUDGETS, by_hand, strict=True):
        found = [budget.fed(reuse) for reuse in (4.0, 1.5)]
        assert found == pytest.approx(expected, rel=0.02), budget
    assert [round(budget.rows()) for budget in BUDGETS] == [172_000, 24_500, 2_233, 422, 72]


def test_time_in_which_a_worker_was_blocked_is_lost():
    schedule, sent, unacknowledged = Schedule(period=10, first=0), [], 0
    for now in range(100):
        if now == 55:
            unacknowledged = 0  # the learner was away since the second batch
        if schedule.ends(now):
            sent.append(now)
            unacknowledged += 1
        schedule.begin(now, unacknowledged)
        if now > 55:
            unacknowledged = 0
    assert sent == [10, 20, 65, 75, 85, 95]


def test_stub_batches_are_whole_games_that_a_learner_takes(tiny_config):
    columns = stub_workers.play(tiny_config, 60)
    rows, ended = len(columns["ply"]), len(np.unique(columns["game_id"]))
    assert 50 < rows <= 60
    header = dataclasses.replace(HEADER, rows=rows, games=ended)
    packed = Packed(columns, header)
    game = games.load(tiny_config.game)
    expected = Expected(
        run_id="a run",
        digest="settings",
        code="code",
        game="tic_tac_toe",
        forms=batch.forms(game, ()),
        plies=96,
        max_rows=1_000,
        max_plies=game.max_plies,
        key=Key(2, 5, 7),
        versions={3: 30},
        oldest=3,
        first=0,
    )
    parcel = packed.parcel(7, version=3, step=30)
    read, call, _ = batch.read(parcel.content, parcel.sha256, expected)
    assert read == dataclasses.replace(header, seq=7, version=3, weights_step=30)
    np.testing.assert_array_equal(call.rows.policy_target, columns["policy_target"])
    parcel = packed.parcel(8, version=3, step=30)
    with pytest.raises(BatchError, match="expected slot 2, incarnation 5, batch 7"):
        batch.read(parcel.content, parcel.sha256, expected)


def test_tables_show_medians_and_what_one_host_takes():
    line = {"part": "stub", "game": "connect_four", "learner_cpu": 5.0, "workers_cpu": 1.0}
    line |= {"seconds": 10.0, "plies": 0.0, "steps": 0.0, "reuse": 0.0, "efficiency": 1.0}
    held = [
        line | {"workers": workers, "repeat": repeat, "rows": 1e6 * rows}
        for workers, figures in ((4, (6.8, 1.0, 9.0)), (0, (8.6, 1.0, 9.0)))
        for repeat, rows in enumerate(figures)
    ]
    text = tables(held)
    assert "| connect_four | 4 | 1.000 | 680,000 | 0.50 | 0.10 |" in text
    assert "| connect_four | Gumbel, 32 | 172,000 | 3.1 | 8.3 | 5.0 |" in text
