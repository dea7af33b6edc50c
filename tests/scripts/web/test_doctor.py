"""The doctor in the browser says what it says in a terminal, and how far it is."""

import json

import pytest

from scripts.web.ops import doctor
from tests.support.asking import Listener, ask, refused
from training.doctor import CHECKS, Diagnosis, diagnose


@pytest.mark.slow  # it trains networks
def test_a_diagnosis_is_the_commands_and_says_how_far_it_is(tiny_run, monkeypatch):
    page, made = Listener(), []

    def noted(*args):
        made.append(diagnose(*args))
        return made[-1]

    monkeypatch.setattr(doctor, "diagnose", noted)
    told = page.ask("doctor", run=str(tiny_run), seconds=1)
    assert told == json.loads(json.dumps(made[0].as_json()))
    assert len(told["checks"]) == CHECKS
    assert all(f"of {CHECKS} checks done; " in line["note"] for line in page.lines)
    assert len(page.lines) > 3


def test_numbers_that_are_none_are_null_and_a_page_that_has_gone_ends_it(tiny_run, monkeypatch):
    def of_nothing(folder, seconds, progress):
        for done in range(CHECKS):
            progress(done, "rules")
        return Diagnosis(3, ())

    monkeypatch.setattr(doctor, "diagnose", of_nothing)
    assert ask("doctor", run=str(tiny_run))["healthy"] is True
    gone = Listener(patience=1)
    assert gone.ask("doctor", run=str(tiny_run)) is None
    monkeypatch.setattr(Diagnosis, "as_json", lambda self: {"measured": [float("nan"), (1, 2.5)]})
    assert ask("doctor", run=str(tiny_run)) == {"measured": [None, [1, 2.5]]}


def test_a_folder_without_a_run_is_refused(tmp_path):
    assert refused("doctor", run=str(tmp_path))["error"]
