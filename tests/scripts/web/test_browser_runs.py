"""Pages about runs in a real browser: live, damaged, deleted, and with names that mean harm."""

import contextlib
import dataclasses
import json
import random
import re
import shutil
import urllib.parse

import pytest

from selfplay.records.game_record import GameRecord, append_records
from tests.support import long_runs
from tests.support.browser import needs_browser, page_of
from tests.support.web import serving
from training.storage.run_folder import RunFolder

pytestmark = needs_browser

HARM = "<img src=x onerror=window.harmed=1><script>window.harmed=1</script>"
ITERATIONS = 30


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for name in ("live", "deleted", "damaged", "two"):
        long_runs.write(folder / name, ITERATIONS, every=10)
    return folder


@pytest.fixture(scope="module")
def server(runs):
    with serving(runs) as client:
        yield client


def open_screen(page, server, fragment):
    page.goto(f"{server.url.partition('?')[0]}#{fragment}")


def append(run, numbers):
    """Adds lines to a run's metrics, as its trainer does."""
    rng = random.Random(1)
    with (run / "metrics.jsonl").open("a") as file:
        for number in numbers:
            file.write(json.dumps(long_runs.iteration(number, rng)) + "\n")


def shows(page, said):
    """Waits until the page says a text, or a number as people write it."""
    text = said if isinstance(said, str) else f"{said:,}"
    page.wait_for_function(
        "text => document.querySelector('main').textContent.includes(text)", arg=text
    )


def test_curves_and_figures_of_a_run_grow_while_the_page_is_open(browser, server, runs):
    run = runs / "live"
    with page_of(browser, server) as page:
        open_screen(page, server, f"run?run={run}")
        shows(page, 32 * ITERATIONS)
        page.evaluate("window.same = true")
        append(run, range(ITERATIONS + 1, 2 * ITERATIONS + 1))
        shows(page, 32 * 2 * ITERATIONS)
        assert page.evaluate("window.same")
        assert page.query_selector(".uplot canvas")
        # Of plots that are out of sight too, and where the newest row says nothing of a curve.
        page.wait_for_function(
            "() => [...document.querySelectorAll('.legend b')]"
            ".every(value => /[0-9]/.test(value.textContent))"
        )


def test_a_damaged_line_is_told_and_the_rest_is_drawn(browser, server, runs):
    run = runs / "damaged"
    text = run / "metrics.jsonl"
    lines = text.read_text().splitlines(keepends=True)
    text.write_text("".join([*lines[:5], '{"kind": "iteration", "iter\x00\n', *lines[5:]]))
    append(run, [ITERATIONS + 1])
    with page_of(browser, server) as page:
        open_screen(page, server, f"run?run={run}")
        shows(page, 32 * (ITERATIONS + 1))
        shows(page, "line 6")


def test_a_run_deleted_under_its_page_is_said_to_be_gone_and_the_server_lives_on(
    browser, server, runs
):
    run = runs / "deleted"
    with page_of(browser, server) as page:
        open_screen(page, server, f"run?run={run}")
        shows(page, 32 * ITERATIONS)
        shutil.rmtree(run)
        page.wait_for_selector(".error")
        assert "deleted" in page.text_content(".error")
        open_screen(page, server, "runs")
        page.wait_for_selector("text=live")
        assert all("404" in text for text in page.complaints)
        page.complaints.clear()


def test_two_browsers_see_the_same_run_at_once(browser, server, runs):
    run = runs / "two"
    with page_of(browser, server) as one, page_of(browser, server, dark=True) as other:
        for page in (one, other):
            open_screen(page, server, f"run?run={run}")
            shows(page, 32 * ITERATIONS)
        append(run, [ITERATIONS + 1])
        for page in (one, other):
            shows(page, 32 * (ITERATIONS + 1))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A run whose name, and whose records' fields, are markup."""
    folder = tmp_path_factory.mktemp("hostile")
    run = folder / HARM.replace("/", "_")
    long_runs.write(run, 3, every=3)
    moves, extra = (0, 1, 0, 1, 0, 1, 0), {"event": HARM, HARM: HARM}
    record = GameRecord("connect_four", moves, (1.0, -1.0), (HARM, HARM), extra)
    append_records(run / "games" / "self_play.jsonl", [record])
    with (run / "games" / "self_play.jsonl").open("a") as file:
        fields = {"game": HARM, "moves": [0], "returns": [0, 0], "players": [HARM, HARM]}
        file.write(json.dumps(fields) + "\n")
    match = folder / f"match{HARM.replace('/', '_')}"
    match.mkdir()
    settings = {"format_version": 1, "game": HARM, "players": [HARM, HARM], "games": 2}
    (match / "match.json").write_text(json.dumps(settings))
    with serving(folder) as client:
        yield client, run, match


def test_names_that_are_markup_are_shown_as_text(browser, hostile):
    client, run, match = hostile
    screens = {
        "runs": {},
        "run": {"run": run},
        "games": {"run": run, "file": "games/self_play.jsonl"},
        "play": {"run": run, "file": "games/self_play.jsonl", "index": 0},
        "compare": {"match": match},
        "replay": {"run": run},
        "game": {"game": HARM},
    }
    with contextlib.ExitStack() as held:
        pages = {screen: held.enter_context(page_of(browser, client)) for screen in screens}
        for screen, page in pages.items():
            open_screen(page, client, f"{screen}?{urllib.parse.urlencode(screens[screen])}")
            page.wait_for_selector(".screen h1, .error")
        pages["game"].wait_for_timeout(1500)
        for screen, page in pages.items():
            assert page.evaluate("window.harmed") is None, screen
            assert page.query_selector("main img, main script") is None, screen
            if screen in ("runs", "run", "games"):
                assert "<img src=x" in page.text_content("main"), screen
            # What is not there may be said; that something was refused to run may not.
            page.complaints[:] = [
                text for text in page.complaints if not re.search(r"status of (400|404)", text)
            ]


def test_a_run_says_how_much_of_it_is_left_by_its_limits(browser, tmp_path_factory):
    folder = tmp_path_factory.mktemp("limited")
    long_runs.write(folder / "run", 12, every=20)
    run = RunFolder(folder / "run")
    run.write_config(dataclasses.replace(run.read_config(), minutes=4.0))
    with serving(folder) as client, page_of(browser, client) as page:
        open_screen(page, client, f"run?run={folder / 'run'}")
        shows(page, "0.7 of 4 min, about 3:20 left")  # 40.4 s are done


def test_settings_that_differ_between_runs_are_folded_and_counted(browser, server, runs):
    run = RunFolder(runs / "two")
    run.write_config(dataclasses.replace(run.read_config(), minutes=7.0))
    with page_of(browser, server) as page:
        others = json.dumps([str(runs / "two")])
        open_screen(page, server, f"run?run={runs / 'live'}&with={others}")
        folded = page.locator("details", has_text="Settings that differ between the runs (1)")
        folded.wait_for()
        assert not folded.get_by_role("table").is_visible()
        folded.locator("summary").click()
        folded.get_by_role("cell", name="7").wait_for()


def test_one_evaluation_is_told_as_numbers_and_a_second_one_makes_a_curve(
    browser, tmp_path_factory
):
    folder = tmp_path_factory.mktemp("once")
    long_runs.write(folder / "run", 12, every=10)
    with serving(folder) as client, page_of(browser, client) as page:
        open_screen(page, client, f"run?run={folder / 'run'}")
        card = page.locator(".plot", has=page.get_by_role("heading", name="Evaluations"))
        card.get_by_text("Measured once so far").wait_for()
        assert card.locator("canvas").count() == 0
        lines = (folder / "run" / "metrics.jsonl").read_text().splitlines()
        (evaluation,) = [x for x in map(json.loads, lines) if x["kind"] == "evaluation"]
        last = json.loads(lines[-1])
        again = evaluation | {name: last[name] for name in ("iteration", "step", "seconds")}
        with (folder / "run" / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(again) + "\n")
        card.locator("canvas").wait_for()


FOUND = {
    "game": "g", "games": 8, "seconds": 1.0, "violations": [], "portrait": [],
    "laws": [{"law": "mask", "about": "as `step` says", "verdict": "holds"}],
}  # fmt: skip
NOTE = {"text": "mask: is `a9` a move?", "position": "a board", "scenes": []}


@pytest.mark.parametrize(
    ("notes", "kind", "said"),
    [([], "good", "g keeps the laws"), ([NOTE], "warn", "keeps the laws; 1 thing is worth a look")],
)
def test_a_check_with_notes_is_not_headed_as_a_clean_one(browser, server, notes, kind, said):
    answer = json.dumps({"result": FOUND | {"notes": notes}}) + "\n"
    with page_of(browser, server) as page:
        page.route("**/api/ask/check", lambda route: route.fulfill(body=answer))
        open_screen(page, server, "game?game=tic_tac_toe")
        page.get_by_role("button", name="Check").click()
        head = page.locator(f".status .{kind}", has_text=said)
        head.wait_for()
        assert page.locator(".violation pre").count() == len(notes)
        assert "`" not in page.inner_text("main")
