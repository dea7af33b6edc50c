"""`selfplay runs R --page`: one file that opens from disk and lets nothing but itself run."""

import base64
import hashlib
import html.parser
import json
import random
import re
import shutil

import pytest

from games import consent
from scripts import cli
from scripts.web import report_game, report_page
from tests.support import long_runs
from training.config import RunConfig
from training.report import verdict
from training.storage.run_folder import RunFolder

HOSTILE = "</script><script>alert(1)</script><!--<b>&amp;\u2028"
DIAGNOSIS = {
    **{"step": 3, "healthy": True, "findings": []},
    "checks": [
        {"check": "rules", "verdict": "healthy", "summary": HOSTILE, "unjudged": "", "notes": []}
    ],
}
DIAGNOSIS["checks"][0]["healthy"] = ""


class Page(html.parser.HTMLParser):
    """A page as a browser takes it apart: elements with their attributes, and their text."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.texts, self.open = [], {}, ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.open = f"{tag}#{dict(attrs).get('id', '')}"
        self.texts.setdefault(self.open, []).append("")

    def handle_data(self, data):
        if self.open:
            self.texts[self.open][-1] += data

    def handle_endtag(self, tag):
        self.open = ""

    @property
    def data(self):
        [text] = self.texts["script#data"]
        return json.loads(text)


@pytest.fixture
def shown(tiny_run, tmp_path):
    """A copy of a tiny run with a diagnosis, and what its report shows."""
    run = RunFolder(shutil.copytree(tiny_run, tmp_path / "run"))
    assert not verdict.keep(run, DIAGNOSIS)
    assert cli.run(["runs", str(run.path), "--page"]) == 0
    return run, Page((run.report / "index.html").read_text())


def source(text):
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_the_page_allows_its_own_script_and_style_by_their_sums_and_nothing_else(shown):
    _, page = shown
    [policy] = [a["content"] for tag, a in page.elements if a.get("http-equiv")]
    [script], [style] = page.texts["script#"], page.texts["style#"]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules == {
        "default-src": "'none'",
        "script-src": source(script),
        "style-src": source(style),
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    kinds = [attributes.get("type") for tag, attributes in page.elements if tag == "script"]
    assert kinds == ["application/json", None]
    first = [tag for tag, _ in page.elements][:4]
    assert first == ["html", "head", "meta", "meta"], "the policy stands before all that it rules"


def test_the_page_asks_for_nothing_from_anywhere(shown):
    _, page = shown
    for tag, attributes in page.elements:
        assert not {"src", "href", "style", "srcset"} & attributes.keys(), tag
        assert not [name for name in attributes if name.startswith("on")], tag
    assert "url(" not in page.texts["style#"][0]
    assert "@import" not in page.texts["style#"][0]
    plotter = (report_page.STATIC / report_page.PLOTTER).read_text()
    for word in ("fetch(", "XMLHttpRequest", "import(", "eval(", "innerHTML"):
        assert word not in page.texts["script#"][0].replace(plotter, ""), word


def test_the_page_says_first_what_was_trained_and_what_the_doctor_said(shown):
    run, page = shown
    [told] = page.data["runs"]
    described = told["described"]
    last = [line for line in run.read_metrics() if line["kind"] == "iteration"][-1]
    assert (described["game"], described["preset"]) == ("tic_tac_toe", "quick")
    assert (described["step"], described["games"]) == (last["step"], last["games"])
    assert described["devices"]
    assert "network.channels" in {one["name"] for one in described["differs"]}
    assert described["verdict"]["step"] == 3
    assert described["verdict"]["checks"][0]["summary"] == HOSTILE
    assert "step" in told["curves"]["columns"]
    [text] = page.texts["h1#"]
    assert text == str(run.path), "programs that run no script see what it is, too"


def test_the_page_shows_the_last_game_ply_by_ply(shown):
    run, page = shown
    [told] = page.data["runs"]
    game = told["game"]
    record = json.loads((run.games / "self_play.jsonl").read_text().splitlines()[-1])
    assert game["about"].startswith("The last game of games/")
    assert len(game["pictures"]) == len(game["captions"])
    assert all(picture.startswith("<svg") for picture in game["pictures"])
    if "self_play" in game["about"]:
        assert len(game["pictures"]) == len(record["moves"]) + 1


@pytest.mark.parametrize("moves", [[0, 0], [0, 99], [4, -1], [0, 3, 1, 4, 2, 5]])
def test_a_recorded_game_that_cannot_have_been_played_ends_where_it_goes_wrong(
    moves, tiny_run, tmp_path
):
    run = RunFolder(shutil.copytree(tiny_run, tmp_path / "run"))
    shutil.rmtree(run.games)
    run.games.mkdir()
    line = {"game": "tic_tac_toe", "moves": moves, "returns": ["x", 3], "players": "no list"}
    others = [{**line, "game": "connect_four", "moves": []}, {**line, "moves": "0"}, [], 3]
    lines = [line, *others]
    text = "".join(json.dumps(one) + "\n" for one in lines)
    (run.games / "self_play.jsonl").write_text(text + '{"game": \n')
    game = report_game.shown(run)
    legal = {(0, 0): 1, (0, 99): 1, (4, -1): 1, (0, 3, 1, 4, 2, 5): 5}[tuple(moves)]
    assert len(game["pictures"]) == len(game["captions"]) == legal + 1
    assert game["captions"][-1].endswith(f"move {legal + 1} is illegal")


def test_a_game_whose_code_was_not_allowed_is_not_shown_and_not_run(tmp_path, monkeypatch):
    (tmp_path / "evil.py").write_text("open('executed', 'w').close()\nclass Game: pass\n")
    monkeypatch.chdir(tmp_path)
    run = RunFolder(tmp_path / "run")
    run.games.mkdir(parents=True)
    (run.games / "self_play.jsonl").write_text('{"game": "evil:Game", "moves": [0]}\n')
    monkeypatch.setattr(RunFolder, "read_config", lambda self: RunConfig(game="evil:Game"))
    consent.close(())
    try:
        game = report_game.shown(run)
    finally:
        consent.reset()
    assert game["pictures"] == []
    assert "--allow evil:Game" in game["why"]
    assert not (tmp_path / "executed").exists()


def test_hostile_text_of_runs_ends_no_element_and_is_read_back_as_it_is(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.create(RunConfig(game="connect_four", iterations=9))
    line = long_runs.iteration(1, random.Random(0), **{f"loss_{HOSTILE}": 0.5})
    run.metrics_file.write_text(json.dumps(line) + "\n" + HOSTILE + "\n")
    content = report_page.content_of([run])
    content["runs"][0]["label"] = HOSTILE
    content["runs"][0]["described"]["summary"] = HOSTILE
    text = report_page.page(content)
    page = Page(text)
    assert page.data == content
    assert not {"<", ">", "&"} & set(page.texts["script#data"][0])
    assert page.texts["title#"] == [f"Report: {HOSTILE}"]
    assert [tag for tag, _ in page.elements].count("script") == 2
    assert f"loss_{HOSTILE}" in page.data["runs"][0]["curves"]["columns"]
    assert "b" not in [tag for tag, _ in page.elements]


def top_level(text):
    """Returns the names that a module declares at its top level."""
    kinds = r"(?:export )?(?:async )?(?:function\*?|const|let|var|class)"
    return re.findall(rf"^{kinds} (\w+)", text, re.MULTILINE)


def test_the_names_at_the_top_level_of_the_joined_modules_are_unique():
    assert report_page.modules()[-1] == report_page.ENTRY
    names = [
        name
        for file in report_page.modules()
        for name in top_level((report_page.STATIC / file).read_text())
    ]
    assert len(names) > 40
    twice = {name for name in names if names.count(name) > 1}
    assert not twice


def test_a_module_imports_every_function_of_the_others_that_it_calls():
    texts = {file: (report_page.STATIC / file).read_text() for file in report_page.modules()}
    for file, text in texts.items():
        known = {
            name for names, _ in report_page.IMPORT.findall(text) for name in names.split(", ")
        }
        for other in texts.keys() - {file}:
            for name in set(top_level(texts[other])) - known:
                called = re.search(rf"(?<![\w.])(?:\.\.\.)?{name}\(", text)
                assert not called, f"{file} calls {name} of {other}"


def test_the_joined_script_has_no_import_and_no_export_left_and_imports_come_first():
    code = report_page.script()
    assert not re.findall(r"^\s*(?:import|export)\b.*", code, re.M)
    order = report_page.modules()
    for file in order:
        for name, other in report_page.IMPORT.findall((report_page.STATIC / file).read_text()):
            found = [at for at, one in enumerate(order) if one.endswith(other.lstrip("./"))]
            assert found, (file, name)
            assert found[0] < order.index(file), (file, other)


def test_what_a_module_imports_is_what_the_other_one_exports():
    static = report_page.STATIC
    files = [file for file in static.rglob("*.js") if file.parent.name != "vendor"]
    assert len(files) > 30
    for file in files:
        for names, other in report_page.IMPORT.findall(file.read_text()):
            text = (file.parent / other).read_text()
            for name in names.split(", "):
                exported = rf"^export (?:async )?(?:function\*?|const|let|class) {name}\b"
                assert re.search(exported, text, re.M), f"{file.name}: {name} of {other}"


def test_what_is_vendored_is_as_it_was_published_with_its_licence():
    vendor = report_page.STATIC / "vendor"
    noted = json.loads((vendor / "vendor.json").read_text())
    sums = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in vendor.iterdir()
        if path.name != "vendor.json"
    }
    assert sums == noted["sha256"]
    assert noted["version"] in (vendor / "uPlot.iife.min.js").read_text()[:80]
    assert "MIT License" in (vendor / "uPlot.LICENSE").read_text()
    assert noted["licence"] == "MIT"


def test_two_runs_are_one_page_and_pngs_come_when_asked_for(tiny_run, tmp_path, capsys):
    run = shutil.copytree(tiny_run, tmp_path / "other")
    out = tmp_path / "out"
    words = ("--out", str(out), "--page")
    assert cli.run(["runs", str(tiny_run), str(run), *words, "--png", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    page = Page((out / "index.html").read_text())
    assert [one["label"] for one in page.data["runs"]] == [str(tiny_run), str(run)]
    assert set(told["written"]) == {str(path) for path in out.iterdir()}
    assert len(told["written"]) > 6
    shutil.rmtree(out)
    assert cli.run(["runs", str(run), *words]) == 0
    assert [path.name for path in out.iterdir()] == ["index.html"]
