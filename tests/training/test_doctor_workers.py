"""The doctor's check of workers: one that is unlike the others is named, and nobody else is."""

import types

import numpy as np
import pytest

from training.doctor.workers import workers
from training.metrics import FleetLine, WorkerFigures

LINES = 12


def worker(rng, number, games, drift, bias=0.0, error=0.3, plies=20.0):
    """Returns a worker's figures: means over so many games, with the noise that these have."""
    noise = rng.standard_normal(3) / np.sqrt(games)
    return WorkerFigures(
        slot=number,
        incarnation=number,
        worker=f"worker-{number}",
        host="a-host",
        device="1 x cpu",
        batches=10,
        rows=1000,
        rate=100.0,
        best_rate=120.0,
        silent=0.1,
        lag=3,
        call_seconds=0.5,
        games=games,
        game_plies=plies + 5 * noise[0],
        value_bias=bias + drift + 0.5 * noise[1],
        value_error=error + drift / 4 + 0.3 * noise[2],
    )


def evidence(seed=0, count=4, games=300, lines=LINES, odd=None):
    """Returns lines of a fleet whose values drift as it learns; `odd`: what worker 2 is like."""
    rng = np.random.default_rng(seed)
    fleets = []
    for line in range(lines):
        drift = 0.3 - 0.5 * line / lines
        members = tuple(
            worker(rng, number, games, drift, **(odd if odd and number == 2 else {}))
            for number in range(count)
        )
        fleets.append(
            FleetLine(
                iteration=line,
                step=line,
                seconds=10.0 * line,
                rate=400.0,
                wanted_reuse=4.0,
                is_learner_bound=False,
                duplicates=0,
                refused=0,
                workers=members,
            )
        )
    return types.SimpleNamespace(fleets=fleets)


@pytest.mark.parametrize(
    ("odd", "what"),
    [
        ({"bias": 0.1}, "value bias"),
        ({"bias": -0.1}, "value bias"),
        ({"error": 0.5}, "squared error"),
        ({"plies": 15.0}, "plies a game"),
    ],
)
def test_a_worker_with_a_planted_fault_is_named_and_no_other(odd, what):
    result = workers(evidence(odd=odd))
    assert {finding.fault for finding in result.findings} == {"worker-odd"}
    assert all("worker-2 (slot 2, 1 x cpu on a-host)" in f.sentence for f in result.findings)
    assert any(what in finding.sentence for finding in result.findings)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("games", [25, 300])
def test_workers_that_are_alike_are_not_named(seed, games):
    assert not workers(evidence(seed, games=games)).findings


def test_nobody_is_judged_by_few_lines_by_few_games_or_alone():
    odd = {"bias": 0.5}
    assert not workers(evidence(odd=odd, lines=5)).findings
    assert not workers(evidence(odd=odd, games=10)).findings
    alone = workers(evidence(count=1))
    assert not alone.findings
    assert alone.summary == "1 worker so far, 0 beside others"


def test_a_run_without_workers_says_so():
    result = workers(types.SimpleNamespace(fleets=[]))
    assert (result.verdict, result.summary) == ("healthy", "no workers: this run plays by itself")
