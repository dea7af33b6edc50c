"""The terminal: nothing in somebody's text is obeyed, and progress is readable."""

import ast
import io
import json
import re
import unicodedata

import pytest
import rich.console

from scripts import cli
from scripts.terminal import console, match_report
from selfplay.arena.result import MatchResult, PlayedGame
from tests.support import ROOT

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\x7f\r\u202etxt.exe\u2066\ud800"
SHOWN = r"\x1b]0;owned\x07\x1b[2J\x9b31m\x7f\x0d\u202etxt.exe\u2066\ud800"


def test_a_character_is_printed_as_it_is_unless_a_terminal_obeys_it_or_cannot_show_it():
    turning = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    for code in range(0x11000):
        letter = chr(code)
        harmless = letter in "\n\t" or (
            unicodedata.category(letter) not in ("Cc", "Cs")
            and unicodedata.bidirectional(letter) not in turning
        )
        escape = f"x{code:02x}" if code < 256 else f"u{code:04x}"
        shown = console.printable(f"a{letter}b")
        assert shown == (f"a{letter}b" if harmless else f"a\\{escape}b"), hex(code)


def test_names_of_a_file_reach_the_terminal_as_text(tmp_path, capfd):
    path = tmp_path / "games.jsonl"
    game = {"moves": [0, 3, 1, 4, 2], "returns": [1, -1], "players": [HOSTILE, "b"]}
    stopped = {"ended_by": HOSTILE, "returns": [0, 0]}
    lines = [{"game": "tic_tac_toe"}, {"game": "tic_tac_toe"} | stopped, {"game": HOSTILE}]
    path.write_text("".join(json.dumps(game | line) + "\n" for line in lines))
    for flags in ([], ["--number", "1"], ["--number", "2"]):
        assert cli.run(["runs", str(path), *flags]) == 0
        out, err = capfd.readouterr()
        assert SHOWN in out
        assert "line 3: unknown game" in err
        assert console.printable(out + err) == out + err


def test_what_is_said_and_printed_is_text(capfd):
    console.say(HOSTILE)
    console.print_text(HOSTILE)
    assert capfd.readouterr() == (f"{SHOWN}\n", f"{SHOWN}\n")


def test_names_and_faults_of_players_are_printed_as_text(capfd):
    played = (PlayedGame((0,), (1.0, -1.0), "forfeit", HOSTILE),) * 2
    result = MatchResult(players=(HOSTILE, "b"), played=played, distinct_openings=1)
    for results in ([result], [result, result]):
        match_report.report_all(results, match_report.Conditions("random", 4, (32,)), False)
        out, _ = capfd.readouterr()
        assert out.count(SHOWN) > 1
        assert console.printable(out) == out


def test_progress_shows_text_that_looks_like_markup_or_escapes_as_it_is(monkeypatch):
    shown = io.StringIO()
    terminal = rich.console.Console(file=shown, force_terminal=True, width=200)
    monkeypatch.setattr(console.rich.console, "Console", lambda stderr: terminal)
    monkeypatch.setattr(console.sys.stderr, "isatty", lambda: True, raising=False)
    with console.progress("runs/[/red]\x1b]0;owned\x07", 2) as update:
        update(1, "note [/b]")
    assert r"runs/[/red]\x1b]0;owned\x07 note [/b]" in shown.getvalue()
    assert "\x1b]0;owned" not in shown.getvalue()


def test_commands_print_through_the_console_alone():
    names = {name.replace(" ", "_") for name in cli.COMMANDS} - {"web"}
    names |= {
        "dry_run",
        "run_report",
        "run_games",
        "arena_ladder",
        "evaluate_overseer",
        "train_imitate",
    }
    names |= {"terminal/match_report", "web/__init__", "web/serve", "web/app"}
    for name in names:
        tree = ast.parse((ROOT / "scripts" / f"{name}.py").read_text())
        bare = [
            node.lineno
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"
        ]
        assert not bare, f"scripts/{name}.py prints by itself in lines {bare}"


@pytest.mark.parametrize("width", [60, 80, 100])
def test_a_bar_shows_share_and_time_left_before_the_text_that_a_terminal_cuts_off(
    monkeypatch, width
):
    shown = io.StringIO()
    terminal = rich.console.Console(file=shown, force_terminal=True, width=width)
    monkeypatch.setattr(console.rich.console, "Console", lambda stderr: terminal)
    monkeypatch.setattr(console.sys.stderr, "isatty", lambda: True, raising=False)
    with console.progress("train", 200) as update:
        update(1)
        update(62, "iteration 13 step 411 " + "and more " * 20)
    *_, last = (line for line in re.split(r"[\r\n]", shown.getvalue()) if "31%" in line)
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", last)
    assert re.search(r"31% [-\d: ]+ train iteration 13", plain), plain
    assert len(plain) <= width


def test_without_a_terminal_progress_says_unit_share_and_time_left(monkeypatch, capsys):
    clock = iter(range(0, 1000, 11))
    monkeypatch.setattr(console.time, "monotonic", lambda: float(next(clock)))
    with console.progress("arena", 2000, "games") as update:
        update(0)
        update(500)
    line = capsys.readouterr().err.splitlines()[-1]
    assert re.fullmatch(r"arena: 500 of 2,000 games \(25%, \d+:\d\d left\)", line), line


def test_what_is_typed_through_a_pipe_is_shown_and_its_end_begins_a_line(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("b2\n\x1b[2J\n"))
    assert [console.ask("move: ") for _ in range(3)] == ["b2", "\x1b[2J", None]
    assert capsys.readouterr().out == "move: b2\nmove: \\x1b[2J\nmove: \n"


@pytest.mark.parametrize(
    ("players", "said"),
    [
        (("runs/a@1", "random"), "openings: 1 random ply, 32 simulations"),
        (("runs/a@1", "runs/a@1:policy=puct,simulations=8"), "random ply, 32 simulations"),
        (("runs/a@1:simulations=64", "gtp:gnugo --mode gtp"), "openings: 1 random ply"),
    ],
)
def test_a_match_names_the_simulations_that_one_of_its_players_used(players, said):
    assert match_report.Conditions("random", 1, (32,)).in_words(players).endswith(said)
