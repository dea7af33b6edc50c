"""The overseer's desk in the browser: the terminal's decisions, one desk a run, nothing lost."""

import json
import re
import shutil
import subprocess
import sys
import threading

import pytest

from scripts import oversee as command
from scripts.web.ops import oversee
from selfplay.files import durable
from tests.support import ROOT
from tests.support.asking import Listener, ask, refused
from tests.support.browser import needs_browser, session
from training.oversight import desk
from training.storage.run_folder import RunFolder

SIMULATIONS = 4


@pytest.fixture
def run_path(tiny_run, tmp_path):
    shutil.copytree(tiny_run, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture(autouse=True)
def desks(monkeypatch):
    monkeypatch.setattr(oversee, "DESKS", oversee.Desks())
    return oversee.DESKS


def begin(run_path, **args):
    return ask("oversee_begin", run=str(run_path), **{"simulations": SIMULATIONS, **args})


class Page:
    """A page with a session: says what position it shows in each request, as a browser does."""

    def __init__(self, run_path, **args):
        self.view = begin(run_path, **args)
        self.do("state")

    def do(self, what, **args):
        given = {"session": self.view["session"], "dealt": self.view["dealt"], "candidates": True}
        answer = ask(f"oversee_{what}", **given | args)
        self.view = answer if "dealt" in answer else self.view
        return answer


def lines(run_path):
    return RunFolder(run_path).decisions.read_text().splitlines()


def action_of(view, name):
    return next(row["action"] for row in view["candidates"]["candidates"] if row["name"] == name)


def test_decisions_of_a_page_are_bytewise_those_of_the_terminal_but_for_who_and_when(
    run_path, tmp_path, capsys
):
    script = tmp_path / "script.txt"
    script.write_text("candidates\nlook b2 a1, c3\nplay b2\ncandidates\nplay c1 value=0.5\nundo\n"
                      "candidates\nweights a1=0.25 c1=0.75 value=-0.5\nplay b3\n")  # fmt: skip
    args = command.Args(str(run_path), simulations=SIMULATIONS, play=True, script=str(script))
    assert command.run(args) == 0
    by_terminal = lines(run_path)
    RunFolder(run_path).decisions.unlink()

    page = Page(run_path, play=True)
    cell = {name: action_of(page.view, name) for name in ("a1", "b2", "c1", "c3", "b3")}
    page.do("look", lines=[[cell["b2"], cell["a1"]], [cell["c3"]]])
    page.do("decide", play=cell["b2"])
    page.do("decide", play=cell["c1"], value=0.5)
    page.do("undo")
    weights = {str(cell["a1"]): 0.25, str(cell["c1"]): 0.75}
    page.do("decide", weights=weights, value=-0.5, candidates=False)
    page.do("decide", play=cell["b3"], candidates=False)
    page.do("end")

    def anonymous(line):
        line = re.sub(r'"time": "[^"]{25}"', '"time": ""', line)
        return re.sub(r'"by": "[^"]*"', '"by": ""', line)

    assert len(by_terminal) == 3
    assert list(map(anonymous, lines(run_path))) == list(map(anonymous, by_terminal))
    assert json.loads(lines(run_path)[0])["by"] == desk.user_name()


def test_the_positions_are_the_terminals_in_their_order(run_path, tmp_path):
    script = tmp_path / "script.txt"
    script.write_text("skip\n" * 6)
    seen = []
    original = command.terminal.follow_script

    def note(session, *others):
        seen.extend(session.waiting)
        original(session, *others)

    command.terminal.follow_script = note
    try:
        args = command.Args(
            str(run_path), simulations=SIMULATIONS, count=6, seed=3, script=str(script)
        )
        assert command.run(args) == 0
    finally:
        command.terminal.follow_script = original
    page, met = Page(run_path, count=6, seed=3), []
    while page.view["moves"] is not None:
        met.append(tuple(page.view["moves"]))
        page.do("decide", play=page.view["candidates"]["best"])
    assert met == seen
    assert page.view["summary"]["decided"] == len(page.view["log"]) == 6
    assert page.view["summary"]["agrees"] == 1.0
    page.do("end")


def test_positions_that_are_decided_do_not_come_again(run_path):
    page, met = Page(run_path, count=300), []
    for _ in range(3):
        met.append(page.view["moves"])
        page.do("decide", play=page.view["candidates"]["best"])
    following = page.view["moves"]
    page.do("end")
    again = Page(run_path, count=300)
    assert again.view["moves"] == following != met[0]


def test_what_a_page_looks_at_is_the_sessions_answer_and_illegal_moves_are_refused(run_path):
    page = Page(run_path, play=True)
    looked = page.do("look", lines=[[4], [4, 0, 3, 1, 5]])["lines"]
    assert [line["names"] for line in looked] == [["b2"], ["b2", "a3", "a2", "b3", "c2"]]
    assert looked[1]["over"]
    assert looked[1]["value"] == 1.0  # seat 0 has b2, a2 and c2
    given = {"session": page.view["session"], "dealt": 0}
    for bad in ([], [[]], [[4, 4]], [["4"]], "4", [[9]], [[4]] * 99):
        assert refused("oversee_look", **given, lines=bad)["error"]
    for bad in ({}, {"play": 9}, {"play": "4"}, {"play": 4, "weights": {"4": 1}}, {"play": None},
                {"weights": {"4": 0.5}}, {"weights": {"4": -1.0, "0": 2.0}}, {"weights": {}},
                {"play": 4, "value": 2}, {"weights": {"<b>": 1.0}}):  # fmt: skip
        assert refused("oversee_decide", **given, **bad)["error"]
    assert not RunFolder(run_path).decisions.exists()


def test_candidates_are_in_the_decision_only_if_they_were_shown(run_path):
    page = Page(run_path, play=True)
    page.do("state")
    page.do("decide", play=4, candidates=False)
    assert page.view["candidates"] is None
    page.do("decide", play=0, candidates=False)
    assert [json.loads(line)["asked"] for line in lines(run_path)] == [[{"candidates": True}], []]


def test_a_second_click_on_a_position_that_is_dealt_with_does_nothing(run_path):
    page = Page(run_path, count=3)
    old = {"session": page.view["session"], "dealt": 0}
    best = page.view["candidates"]["best"]
    page.do("decide", play=best)
    for op, more in (("decide", {"play": best}), ("skip", {}), ("undo", {})):
        assert "another position is in hand" in refused(f"oversee_{op}", **old, **more)["error"]
    assert len(lines(run_path)) == 1
    page.do("skip")
    page.do("undo")
    page.do("undo")
    assert lines(run_path) == []
    assert "nothing to take back" in refused("oversee_undo", **old)["error"]
    assert page.view["log"] == []


def test_a_run_is_decided_by_one_and_another_process_is_named(run_path):
    page = Page(run_path, by="ann", play=True)
    with pytest.raises(BlockingIOError):
        command.run(command.Args(str(run_path), simulations=SIMULATIONS, play=True))
    page.do("end")
    with durable.lock(desk.lock_of(RunFolder(run_path))) as holder:
        said = refused("oversee_begin", run=str(run_path), simulations=SIMULATIONS)["error"]
        assert durable.name_of(holder) in said
        assert "selfplay oversee" in said
    begin(run_path, play=True)


def test_a_page_that_begins_ends_the_session_of_another_and_keeps_its_decisions(run_path):
    first = Page(run_path, by="ann", play=True)
    first.do("decide", play=4)
    second = begin(run_path, by="ben", play=True)
    assert second["moves"] is not None
    assert first.do("decide", play=0) == {"ended": oversee.ENDED}
    assert len(lines(run_path)) == 1
    assert ask("oversee_state", session="<script>") == {"ended": oversee.ENDED}


def test_a_page_that_leaves_while_its_session_begins_keeps_no_desk(run_path):
    gone = Listener(patience=1)
    assert gone.ask("oversee_begin", run=str(run_path), simulations=SIMULATIONS, play=True) is None
    begin(run_path, play=True)


def test_a_page_that_leaves_while_it_decides_has_decided(run_path):
    view = begin(run_path, play=True)
    gone = Listener(patience=0)
    given = {"session": view["session"], "dealt": 0}
    assert gone.ask("oversee_decide", **given, play=4) is None
    assert len(lines(run_path)) == 1


def test_requests_at_once_deal_with_one_position_each(run_path):
    page = Page(run_path, count=2)
    best, said = page.view["candidates"]["best"], []

    def click():
        try:
            page_args = {"session": page.view["session"], "dealt": 0}
            said.append(ask("oversee_decide", **page_args, play=best)["dealt"])
        except ValueError as error:
            said.append(str(error))

    threads = [threading.Thread(target=click) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, said)) == ["1", *[oversee.STALE] * 7]
    assert len(lines(run_path)) == 1


HOLD = """
import sys
from tests.support.asking import ask
view = ask("oversee_begin", run=sys.argv[1], simulations=4, play=True)
ask("oversee_decide", session=view["session"], dealt=0, play=4)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_worker_that_is_killed_gives_the_desk_back_and_loses_no_decision(run_path):
    worker = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run_path)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert worker.stdout.readline() == "held\n"
        said = refused("oversee_begin", run=str(run_path), simulations=SIMULATIONS)["error"]
        assert f"process {worker.pid} on " in said
    finally:
        worker.kill()
        worker.communicate()
    assert [json.loads(line)["moves"] for line in lines(run_path)] == [[]]
    begin(run_path, play=True)


def test_hostile_names_are_kept_as_text_and_long_ones_refused(run_path):
    name = '<script>alert("x")</script>\n{"game": 1}'
    page = Page(run_path, by=name, play=True)
    assert page.view["by"] == name
    page.do("decide", play=4)
    (line,) = lines(run_path)
    assert json.loads(line)["by"] == name
    page.do("end")
    assert "at most 80" in refused("oversee_begin", run=str(run_path), by="a" * 81)["error"]


def test_what_is_damaged_in_the_file_of_decisions_is_said_and_kept(run_path):
    file = RunFolder(run_path).decisions
    file.parent.mkdir(exist_ok=True)
    file.write_text("{\n")
    page = Page(run_path, play=True)
    assert "not JSON" in page.view["notes"][0]
    page.do("decide", play=4)
    page.do("undo")
    assert file.read_text() == "{\n"


@needs_browser
def test_a_click_is_answered_in_words_with_a_way_back_and_the_board_shows_that_it_waits(run_path):
    with session(run_path) as opened:
        page = opened.open(f"oversee?run={run_path}&source=play&simulations={SIMULATIONS}")
        page.get_by_role("button", name="Begin").click()
        page.locator(".candidates tbody tr").first.wait_for()
        assert "A, the run's network with its search" in page.inner_text("main")
        held = []
        page.route("**/api/ask/oversee_decide", lambda route: held.append(route))
        page.locator('.desk [aria-busy="false"] .spot.live').first.click()
        page.locator('.desk [aria-busy="true"]').wait_for()
        assert page.locator(".desk .spot.live").count() == 0
        held.pop().continue_()
        page.locator(".desk-said", has_text=re.compile("^Decided [abc][123]")).wait_for()
        assert len(lines(run_path)) == 1
        page.locator(".desk-said").get_by_role("button", name="Undo").click()
        page.get_by_text("Taken back.").wait_for()
        page.get_by_text("Position 1:").wait_for()
