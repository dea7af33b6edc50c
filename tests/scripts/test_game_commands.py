"""The commands `check`, `games` and `new-game`, called as the command line calls them."""

import json
import os
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

import games
from games import registry
from games.conformance import LAWS, Report, Violation, compare, reference
from scripts import cli, game_check, game_new
from scripts import game_list as games_command

BROKEN = """
import dataclasses
from games.tic_tac_toe import TicTacToe

@dataclasses.dataclass(frozen=True)
class Broken(TicTacToe):
    max_plies = 8
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty current folder; import path and modules are put back."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        if (tmp_path / f"{name}.py").exists():
            del sys.modules[name]


def test_check_prints_one_line_a_law_and_returns_0(monkeypatch, capsys):
    report = Report((), ("a note",), frozenset(LAWS))
    monkeypatch.setattr(game_check, "check", lambda game, games, seed, quick: report)
    assert game_check.run(game_check.Args("tic_tac_toe")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[: len(LAWS)]] == ["holds"] * len(LAWS)
    assert "note: a note" in lines
    assert lines[-1].startswith("tic_tac_toe conforms")


def test_check_of_a_broken_game_returns_1_and_shows_the_case(folder, capsys):
    (folder / "broken.py").write_text(BROKEN)
    assert game_check.run(game_check.Args("broken:Broken", games=32)) == 1
    out = capsys.readouterr().out
    assert "broken     length" in out
    assert "max_plies = 8" in out
    assert "a b c" in out, "no board is shown"


LACKING = """
import dataclasses
from games.tic_tac_toe import TicTacToe

@dataclasses.dataclass(frozen=True)
class Lacking(TicTacToe):
    symmetries = None

@dataclasses.dataclass(frozen=True)
class Branching(TicTacToe):
    def step(self, state, action):
        return state if state.terminated else TicTacToe.step(self, state, action)
"""


@pytest.mark.parametrize(
    ("name", "said"),
    [("Lacking", "no symmetries"), ("Branching", "Python `if`, `while`")],
)
def test_training_on_a_game_that_cannot_be_traced_is_refused_as_the_check_would(
    folder, capsys, name, said
):
    (folder / "lacking.py").write_text(LACKING)
    assert cli.run(["train", "--game", f"lacking:{name}", "--iterations", "1"]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert f"selfplay game check lacking:{name} shows all" in told
    assert not (folder / "runs").exists()


def test_check_json_is_one_object_on_stdout(monkeypatch, capsys):
    case = Violation("length", "an end", "none", "a board", "a move")
    report = Report((case,), (), frozenset(LAWS) - {"notation"})
    monkeypatch.setattr(game_check, "check", lambda game, games, seed, quick: report)
    assert game_check.run(game_check.Args("tic_tac_toe", games=32, json=True)) == 1
    result = json.loads(capsys.readouterr().out)
    assert result["conforms"] is False
    assert result["laws"] == {
        law: {"length": "broken", "notation": "not tried"}.get(law, "holds") for law in LAWS
    }
    told = ("law", "expected", "found", "position", "action")
    assert result["violations"] == [dict(zip(told, case[:5], strict=True))]
    assert (result["game"], result["games"], result["notes"]) == ("tic_tac_toe", 32, [])


def test_check_of_a_module_that_cannot_be_imported_says_where(folder):
    (folder / "torn.py").write_text("import jax\nthis is no Python\n")
    with pytest.raises(ValueError, match=r"SyntaxError: invalid syntax \(torn.py, line 2\)"):
        game_check.run(game_check.Args("torn:Torn"))


@pytest.mark.parametrize("spec", ["no_such_game", "games.tic_tac_toe:NoSuchClass"])
def test_a_wrong_name_is_the_callers_mistake(folder, spec):
    with pytest.raises(ValueError, match=spec):
        game_check.run(game_check.Args(spec))


def test_check_refuses_to_play_no_games():
    with pytest.raises(ValueError, match="--games must be at least 1, got 0"):
        game_check.run(game_check.Args("tic_tac_toe", games=0))


def test_games_lists_every_name_with_its_sizes(capsys):
    assert games_command.run(games_command.Args()) == 0
    table = capsys.readouterr().out
    assert games_command.run(games_command.Args(json=True)) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["games"]}
    assert set(rows) == set(games.names())
    for name in registry.BUILT_IN:
        game, row = games.load(name), rows[name]
        assert row["actions"] == game.num_actions
        assert row["max_plies"] == game.max_plies
        assert row["board"] == list(game.observation_shape[:2])
        assert row["about"]
        assert any(line.split()[:1] == [name] for line in table.splitlines())
        for option, value in row["options"].items():
            assert games.load(f"{name}:{option}={str(value).lower()}") == game


def test_games_survives_a_plug_in_that_cannot_be_loaded(monkeypatch, capsys):
    monkeypatch.setattr(games, "names", lambda: ("tic_tac_toe", "torn"))
    assert games_command.run(games_command.Args()) == 0
    assert "cannot be loaded" in capsys.readouterr().out


def test_the_template_conforms_as_it_is_and_passes_its_own_test(folder, capsys):
    assert game_new.run(game_new.Args("three_up")) == 0
    said = capsys.readouterr().out
    assert "selfplay game check three_up:ThreeUp" in said
    assert "three_up:ThreeUp --against test_three_up.py:Reference" in said
    assert "selfplay train --game three_up:ThreeUp" in said
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "test_three_up.py"]
    env = {**os.environ, "PYTHONPATH": str(pathlib.Path(games.__file__).parent.parent)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_template_finds_lines_in_all_directions(folder):
    game_new.run(game_new.Args("lines"))
    game = games.load("lines:Lines:rows=4,cols=5,line=4")
    lines = ["a1 b1 c1 d1", "b1 c1 d1 e1", "e1 e2 e3 e4", "a1 b2 c3 d4", "b4 c3 d2 e1"]
    step = jax.jit(game.step)
    for line in lines:
        others = [cell for cell in ("a4", "c4", "e2", "a2", "d3", "c2") if cell not in line]
        state = game.init(jax.random.key(0))
        for own, other in zip(line.split(), others, strict=False):
            assert not bool(state.terminated), line
            state = step(state, jnp.int32(game.string_to_action(state, own)))
            if not bool(state.terminated):
                state = step(state, jnp.int32(game.string_to_action(state, other)))
        assert game.returns(state).tolist() == [1.0, -1.0], line


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("(1, 1), (1, -1)", "(1, 1)"),
        ("board != EMPTY).all()", "board != EMPTY).all(axis=0).any()"),
        ("jnp.where(won, state.to_play", "jnp.where(won | terminated, state.to_play"),
    ],
)
def test_the_templates_reference_notices_what_is_changed_in_the_game(folder, right, wrong):
    game_new.run(game_new.Args("changed"))
    text = (folder / "changed.py").read_text()
    assert right in text
    (folder / "changed.py").write_text(text.replace(right, wrong))
    game = games.load("changed:Changed")
    assert not compare(game, reference.load("test_changed.py:Reference", game), games=64).agrees


def test_new_game_overwrites_nothing(folder):
    (folder / "test_mine.py").write_text("precious")
    with pytest.raises(ValueError, match=r"test_mine\.py"):
        game_new.run(game_new.Args("mine"))
    assert (folder / "test_mine.py").read_text() == "precious"
    assert not (folder / "mine.py").exists()


@pytest.mark.parametrize("name", ["My", "2go", "a-b", "class", "", "../up", "json", "jax"])
def test_new_game_refuses_a_name_that_cannot_be_imported(folder, name):
    with pytest.raises(ValueError, match="name"):
        game_new.run(game_new.Args(name))
    assert not list(folder.iterdir())
