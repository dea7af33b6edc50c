"""The human as amplifier: what a person or their program decides is what is learned, asked once."""

import dataclasses
import json
import sys

import jax
import numpy as np
import pytest

from selfplay import positions
from selfplay.amplify import human, slot
from tests.support import ROOT
from tests.support.amplified import GAME, SEARCH, VARIABLES, evaluate, moves_of, two_calls
from tests.support.runs import assert_same, run_once
from training.storage.run_folder import RunFolder

PROGRAM = f"{sys.executable} {ROOT / 'tests' / 'toys' / 'mixed_overseer.py'}"


def load(spec, decisions=""):
    return slot.load(spec, GAME, evaluate, SEARCH, None, decisions, "tic_tac_toe")


def decisions_of(amplifier, lines):
    states = positions.replay(GAME, lines).states
    return amplifier(VARIABLES, states, jax.random.key(0), positions.pad_moves(lines))


def test_a_programs_decisions_take_the_place_of_the_searchs_and_no_more_than_that():
    lines = [(), (4,), (4, 0), (4, 0, 8)]
    got, plain = decisions_of(load(f"human:{PROGRAM}"), lines), decisions_of(load("policy"), lines)
    weights = np.zeros((4, 9), np.float32)
    weights[0, 0] = 1.0  # it plays the lowest of two, ...
    weights[1, [0, 8]] = 0.25, 0.75  # ... weighs the lowest and the highest, ...
    weights[2, 8] = 1.0  # ... looks at both and plays the highest, ...
    np.testing.assert_allclose(got.action_weights[:3], weights[:3], atol=1e-6)
    np.testing.assert_array_equal(got.action[:3], [0, 8, 8])
    np.testing.assert_allclose(got.value[1], 0.5)
    assert (got.visit_counts.sum(axis=1) > 0).all()  # ... and leaves the last to A's search.
    assert got.action_weights[3, [0, 4, 8]].tolist() == [0.0] * 3
    np.testing.assert_allclose(got.action_weights[3].sum(), 1.0, rtol=1e-5)
    np.testing.assert_allclose(got.prior, plain.prior, rtol=1e-5)
    np.testing.assert_allclose(got.raw_value, plain.raw_value, rtol=1e-5)


@pytest.mark.slow
def test_self_play_is_the_programs_where_it_decides():
    games_played = moves_of(two_calls(load(f"human:{PROGRAM}")))
    assert len(games_played) > 10
    for moves in games_played.values():
        for ply in range(3, len(moves)):  # after the random opening and the drawn moves
            free = sorted(set(range(9)) - set(moves[:ply]))
            if ply % 4 != 3:
                assert moves[ply] == (free[0] if ply % 4 == 0 else free[-1]), moves


@pytest.mark.slow
def test_a_run_by_a_program_that_is_stopped_and_resumed_equals_one_that_was_not(
    tiny_config, tmp_path
):
    config = dataclasses.replace(
        tiny_config,
        amplify=f"human:{PROGRAM}",
        iterations=3,
        evaluation=dataclasses.replace(tiny_config.evaluation, every=0),
    )
    assert not run_once(tmp_path / "stopped", config, stop_after=2)
    assert run_once(tmp_path / "stopped", config)
    assert run_once(tmp_path / "whole", config)
    assert_same(tmp_path / "stopped", tmp_path / "whole")


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("human:no-such-x", "program 'no-such-x': there is no such command"),
        ("human:'x", "does not start: No closing quotation"),
        ("human: ", "there is no such command"),
        ("human", "there is no terminal; human:PROGRAM"),
        ("human:", "amplify must be .*human:PROGRAM.* got 'human:'"),
        ("engine:", "amplify must be .*engine:COMMAND.* got 'engine:'"),
    ],
)
def test_an_overseer_that_cannot_be_asked_is_refused_at_once(spec, sentence):
    with pytest.raises(ValueError, match=sentence):
        load(spec)


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("false", r"overseer 'false': after \[4\], the program ended"),
        ("sh -c 'read x; echo []'", r"after \[4\], a bad answer: a decision is"),
        ("""sh -c 'read x; echo "{\\"play\\": 4}"'""", r"bad answer: action 4 is illegal here"),
    ],
)
def test_a_program_that_fails_stops_the_run_with_the_position(command, sentence):
    with pytest.raises(ValueError, match=sentence):
        decisions_of(load(f"human:{command}"), [(4,)])


def test_an_engine_is_the_player_of_its_command():
    asked = []

    def load_player(spec):
        asked.append(spec)
        raise ValueError("enough")

    for spec in ("engine:gnugo --mode gtp", "player:gtp:gnugo --mode gtp"):
        with pytest.raises(ValueError, match="enough"):
            slot.load(spec, GAME, evaluate, SEARCH, load_player)
    assert asked == ["gtp:gnugo --mode gtp"] * 2


class Person:
    """Plays the highest legal move, and looks first; quits after some positions."""

    def __init__(self, monkeypatch, patience):
        self.left, self.lines = patience, []
        monkeypatch.setattr(human, "_ask", self.answer)
        monkeypatch.setattr(human, "_write", self.lines.append)
        for stream in (sys.stdin, sys.stderr):
            monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)

    def answer(self, prompt):
        free = [name for name in ("c1", "b1", "a1", "c2") if name in self._free()]
        if not self.left:
            return "quit"
        self.left -= 1
        return f"play {free[0]}" if free else "skip"

    def _free(self):
        board = next(line for line in reversed(self.lines) if "seat" in line).splitlines()[2:]
        rows = [row.split()[-3:] for row in board if row.strip()][:3]
        names = {f"{'abc'[c]}{3 - r}": rows[r][c] for r in range(3) for c in range(3)}
        return [name for name, cell in names.items() if cell not in "XO"]


@pytest.mark.slow
def test_what_a_person_decided_is_kept_and_never_asked_again(tiny_config, tmp_path, monkeypatch):
    config = dataclasses.replace(
        tiny_config,
        amplify="human",
        iterations=2,
        self_play=dataclasses.replace(tiny_config.self_play, batch=4, plies_per_call=3),
        evaluation=dataclasses.replace(tiny_config.evaluation, every=0),
    )
    Person(monkeypatch, patience=6)
    with pytest.raises(KeyboardInterrupt):
        run_once(tmp_path / "run", config)
    file = RunFolder(tmp_path / "run").decisions
    before = file.read_text().splitlines()
    assert 0 < len(before) <= 6
    Person(monkeypatch, patience=1000)
    assert run_once(tmp_path / "run", config)
    after = file.read_text().splitlines()
    assert after[: len(before)] == before
    decided = [tuple(json.loads(line)["moves"]) for line in after]
    assert len(decided) == len(set(decided)) > len(before)


def test_a_person_is_not_asked_about_what_only_is_measured(tiny_config):
    measured = dataclasses.replace(tiny_config.evaluation, gap_positions=8)
    config = dataclasses.replace(tiny_config, amplify="human", evaluation=measured)
    assert any("gap_positions must be 0" in problem for problem in config.problems())
