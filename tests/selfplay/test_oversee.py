"""The overseer: decisions are stored, checked, and learned from, in every way that can go wrong."""

import dataclasses
import json
import pathlib
import re
import shutil
import sys

import jax
import numpy as np
import pytest

import games
import training
from scripts import oversee
from scripts.flags import train as train_flags
from selfplay import example, positions
from selfplay.engines.process import EngineFault
from selfplay.example import Sample
from selfplay.oversight import decisions, images
from selfplay.oversight.program import Program
from selfplay.oversight.terminal import HELP
from tests.support import ROOT
from tests.support.mixed import mixed
from tests.support.runs import assert_same, run_once
from training import decision_examples
from training.evaluation.train_run import train_folder
from training.losses import minibatch
from training.oversight import decision_file
from training.oversight.queries import from_file, with_images
from training.settings import OverseerConfig
from training.storage.run_folder import RunFolder

GAME = games.load("tic_tac_toe")
PROGRAM = f"{sys.executable} {ROOT / 'tests' / 'planted' / 'odd_overseer.py'}"
LINES = (0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6)


def legal_after(moves):
    """The free cells after moves from the opening, in plain Python; none once a line is there."""
    seats = [set(moves[0::2]), set(moves[1::2])]
    assert sorted(moves) == sorted(set(moves) & set(range(9))), moves
    over = any(set(line) <= seat for line in LINES for seat in seats)
    return [] if over else sorted(set(range(9)) - set(moves))


@pytest.fixture
def run_path(tiny_run, tmp_path):
    shutil.copytree(tiny_run, tmp_path / "run")
    return tmp_path / "run"


def stored(run_path):
    return [json.loads(line) for line in RunFolder(run_path).decisions.read_text().splitlines()]


def do(run_path, **settings):
    assert oversee.run(oversee.Args(str(run_path), simulations=4, **settings)) == 0


def test_a_programs_decisions_are_stored_and_its_mistakes_cost_one_position_each(run_path, capsys):
    do(run_path, program=PROGRAM, count=10, json=True)
    shown = capsys.readouterr()
    said = json.loads(shown.out)
    assert (said["decided"], said["skipped"], said["faults"]) == (6, 4, 3), shown.err
    assert said["by"] == f"program {PROGRAM}"
    assert f"holds 6 by program {PROGRAM}" in shown.err
    for complaint in ("not JSON", "action 99 is illegal", "look must be a list", "a bad answer"):
        assert complaint in shown.err
    found = stored(run_path)
    for line in found:
        legal = legal_after(line["moves"])
        heaviest = max(line["weights"], key=line["weights"].get)
        assert int(heaviest) == legal[0], line
        assert line["player"].startswith(str(run_path))
        assert line["by"] == f"program {PROGRAM}"
    assert (found[0]["value"], found[0]["value_by"]) == (0.25, "overseer")
    assert [len(line["asked"]) for line in found[:2]] == [3, 1]  # candidates, and two lines
    assert found[1]["weights"].keys() > {str(legal_after(found[1]["moves"])[0])}
    do(run_path, program=f"{PROGRAM} 7", count=5)
    everything = [tuple(line["moves"]) for line in stored(run_path)]
    assert len(everything) == 11 == len(set(everything))  # none comes twice


@pytest.mark.parametrize(
    ("command", "seconds", "sentence"),
    [
        ("false", 60, "ended"),
        (f"{PROGRAM} hangs", 0.3, "did not answer 'a position' in time"),
        ("no-such-x", 60, "start"),
    ],
)
def test_a_program_that_crashes_or_hangs_is_named_and_ended(command, seconds, sentence):
    program = Program(command, seconds)
    with pytest.raises(EngineFault, match=sentence):
        program.ask({"legal": [0]})
    assert program._process is None


def test_a_script_decides_takes_back_and_stops_at_a_wrong_line(run_path, tmp_path, capsys):
    script = tmp_path / "script.txt"
    lines = ["# comment", "play b2", "undo", "help", "candidates", "look a3 b2, c1"]
    lines += ["weights b2=0.5 a3=0.5 value=-0.5", '{"moves": [4, 0], "play": 8}', "play z9"]
    script.write_text("\n".join(lines) + "\n")
    kept = rf"script.txt, line 9: no legal move 'z9'.*; 2 decided before it, kept in {run_path}"
    with pytest.raises(ValueError, match=kept):
        do(run_path, script=str(script), play=True)
    first, second = stored(run_path)
    assert (first["moves"], first["value"]) == ([], -0.5)
    assert first["weights"] == {"4": 0.5, "0": 0.5}
    assert [line.get("look") for line in first["asked"]] == [None, [0, 4], [8]]
    assert (second["moves"], second["weights"]) == ([4, 0], {"8": 1.0})
    told = capsys.readouterr().out
    assert told.index(HELP) < told.index("value for seat 0")


def by_lowest(moves, by="lowest", symmetric=False):
    """A decision for the lowest free cell, or for all free cells alike."""
    free = legal_after(moves)
    weights = dict.fromkeys(free, 1 / len(free)) if symmetric else {free[0]: 1.0}
    return decisions.Decision("tic_tac_toe", tuple(moves), weights, 0.0, {"by": by})


def compared(made):
    states = positions.replay(GAME, [decision.moves for decision in made]).states
    return images.compare(GAME, made, states)


def test_decisions_that_differ_in_turned_positions_are_named_and_others_are_not():
    two = [[4, 1], [4, 7]]  # the lowest free cell is 0 in both; mirrored, it would be 6
    likeness = compared([by_lowest(moves) for moves in two])
    assert (likeness.pairs, likeness.otherwise) == (1, 1)
    assert (likeness.example.one.moves, likeness.example.other.moves) == ((4, 7), (4, 1))
    assert likeness.example.wanted in (6, 8)  # by mirroring, or by a half turn
    told = images.in_words(GAME, likeness)
    for part in ("1 of 1", "after b2 b1 it is", "--overseer.no-augment", "--learner.no-augment"):
        assert part in told
    turned = decisions.Decision("tic_tac_toe", (4, 7), {8: 1.0}, 0.0)
    for alike in (
        [by_lowest(moves, symmetric=True) for moves in two],
        [by_lowest(two[0], by="unknown"), turned],  # turned as the position is
        [by_lowest(two[0]), by_lowest(two[1], by="another")],  # nobody contradicts himself
        [by_lowest([])],  # an empty board has many images, which are all itself
        [by_lowest([4, 1, 0, 8]), by_lowest([0, 1, 4, 8])],  # the same position on two ways
        [],
    ):
        likeness = compared(alike)
        assert likeness.otherwise == 0, alike
        assert images.in_words(GAME, likeness) == ""


def test_a_tenth_of_what_a_program_decides_are_images_of_the_first_ones():
    asked = [tuple(np.random.default_rng(i).permutation(9)[:3].tolist()) for i in range(40)]
    asked = list(dict.fromkeys(asked))[:30]
    shown = with_images(GAME, asked, ())
    assert len(set(shown)) == len(asked)
    assert shown[:27] == asked[:27]
    likeness = compared([by_lowest(moves, symmetric=True) for moves in shown])
    assert likeness.pairs >= 3
    known = with_images(GAME, asked, set(shown))  # what is decided does not come again
    assert not set(known[27:]) & set(shown[27:])


def test_training_says_whose_decisions_it_learns_from_and_that_they_are_not_alike(
    tiny_config, run_path, tmp_path
):
    file, notices = run_path / "decisions.jsonl", []
    for decision in [by_lowest([4, 1]), by_lowest([4, 7]), by_lowest([4, 1], by="ann")]:
        decisions.append(file, decision)
    augmented = decision_file.load(OverseerConfig(str(file)), "tic_tac_toe", GAME)
    assert augmented.whose == "1 by lowest, 1 by ann"  # the last one of a position counts
    decisions.append(file, by_lowest([4, 1]))
    for augment in (True, False):
        config = dataclasses.replace(
            tiny_config, iterations=1, overseer=OverseerConfig(str(file), augment=augment)
        )
        folder = RunFolder(tmp_path / str(augment))
        folder.create(config)
        with folder.lock():
            train_folder(folder, config, notices.append, stop=lambda: True)
        said = [line["text"] for line in notices if line["kind"] == "notice"]
        assert any(f"of {file}: 2 by lowest" in text for text in said)
        assert any("--overseer.no-augment" in text for text in said) == augment
        notices.clear()


def test_a_file_gives_all_positions_of_a_game_that_is_over_and_the_last_of_another(tmp_path):
    file = tmp_path / "games.jsonl"
    games_in_it = [[0, 3, 1, 4, 2], [4, 0], [4, 4], [0, 3]]
    file.write_text("".join(json.dumps({"moves": moves}) + "\n" for moves in games_in_it) + "?\n")
    found, problems = from_file(str(file), "tic_tac_toe", GAME)
    assert found == [(), (0,), (0, 3), (0, 3, 1), (0, 3, 1, 4), (4, 0)]
    assert len(problems) == 2
    assert any("line 3: move 2, action 4, is illegal" in problem for problem in problems)
    assert any("line 5: not JSON" in problem for problem in problems)


def good_line(**changes):
    fields = {"game": "tic_tac_toe", "moves": [4, 0], "weights": {"8": 1.0}, "value": 0.5}
    return json.dumps(fields | changes)


BAD_LINES = [
    ("{", "not JSON"),
    ("[]", "a decision is a JSON object"),
    (good_line(game="othello"), "wanted is 'tic_tac_toe'"),
    (good_line(moves=[4, 4]), "move 2, action 4, is illegal"),
    (good_line(moves=[4, 10**30]), "is illegal"),
    (good_line(moves=[4, -1]), "move 2, action -1, is illegal"),
    (good_line(moves="4"), "moves must be a list"),
    (good_line(moves=[0, 3, 1, 4, 2]), "the game is over"),
    (good_line(weights={"4": 1.0}), "weighs action 4, which is illegal"),
    (good_line(weights={"8": 0.5}), "must sum to 1, got 0.5"),
    (good_line(weights={"8": 2.0, "7": -1.0}), "a number from 0 on, got -1.0"),
    (good_line(weights={"8": 0.5, "08": 0.5}), "by action number, got '08'"),
    (good_line(weights={}), "weights must be an object"),
    (good_line(weights={"8": float("nan")}), "got nan"),
    (good_line(value=None), "value must be a number"),
    (good_line(value=1.5), "value must be a number from -1 to 1"),
]


def test_damaged_lines_of_a_file_are_named_and_the_others_are_learned_from(tmp_path):
    file = tmp_path / "decisions.jsonl"
    lines = [text for bad, _ in BAD_LINES for text in (good_line(), bad)]
    file.write_text("\n".join(lines) + "\n")
    found = decisions.scan(file, "tic_tac_toe", GAME)
    assert len(found.decisions) == len(BAD_LINES)
    problems = {p.partition(": ")[0]: p for p in found.problems}
    for number, (line, sentence) in enumerate(BAD_LINES):
        place = f"{file}, line {2 * number + 2}"
        assert sentence in problems[place], line
    np.testing.assert_array_equal(
        found.states.board, np.tile([1, -1, -1, -1, 0, -1, -1, -1, -1], (len(BAD_LINES), 1))
    )
    decided = decision_file.load(OverseerConfig(str(file)), "tic_tac_toe", GAME)
    assert len(decided.digests) == 1  # the same position, decided again and again


def test_a_file_with_any_bytes_changed_is_read_or_refused_by_its_name(tmp_path):
    file, rng = tmp_path / "decisions.jsonl", np.random.default_rng(0)
    whole = (good_line() + "\n" + good_line(moves=[4, 1]) + "\n").encode()
    for _ in range(200):
        data = bytearray(whole)
        for place in rng.integers(0, len(data), 3):
            data[place] = rng.integers(0, 256)
        file.write_bytes(data)
        found, refused = None, str(file)
        try:
            found = decisions.scan(file, "tic_tac_toe", GAME)
        except ValueError as error:
            refused = str(error)
        assert str(file) in refused, data
        for decision in found.decisions if found else ():
            assert set(decision.weights) <= set(legal_after(decision.moves)), data


def no_corners(run_path, count):
    """Decisions, in random positions, for a cell that is no corner where there is one."""
    rng = np.random.default_rng(1)
    seen = {}
    while len(seen) < count:
        moves = rng.permutation(9)[: rng.integers(0, 6)].tolist()
        free = [cell for cell in legal_after(moves) if cell not in (0, 2, 6, 8)]
        if free:
            seen[tuple(moves)] = decisions.Decision(
                "tic_tac_toe", tuple(moves), {free[0]: 1.0}, 0.0
            )
    file = run_path / "no_corners.jsonl"
    for decision in seen.values():
        decisions.append(file, decision)
    return file, list(seen)


def plays_corner(folder, moves):
    player = training.load_player(folder, simulations=0)
    states = positions.replay(GAME, moves).states
    return np.isin(np.asarray(player(states, jax.random.key(0)).action), (0, 2, 6, 8)).mean()


@pytest.mark.slow
def test_the_distilled_network_shows_the_overseers_preference_without_search(
    tiny_config, run_path, tmp_path
):
    file, moves = no_corners(run_path, 64)
    learner = dataclasses.replace(tiny_config.learner, warmup_steps=5, ema_decay=0.9)
    config = dataclasses.replace(
        tiny_config,
        overseer=OverseerConfig(str(file), weight=0.75),
        iterations=6,
        learner=dataclasses.replace(learner, learning_rate=0.02),
        replay=dataclasses.replace(tiny_config.replay, samples_per_example=12.0),
        evaluation=dataclasses.replace(tiny_config.evaluation, every=0),
    )
    steps = training.checkpoint_steps(run_path)
    assert run_once(tmp_path / "taught", config, source=(RunFolder(run_path), steps[-1]))
    before, after = plays_corner(run_path, moves), plays_corner(tmp_path / "taught", moves)
    assert before > 0.3
    assert after < 0.15


@pytest.mark.slow
def test_a_plug_in_amplifiers_preference_is_shown_without_search(
    tiny_config, tmp_path, monkeypatch
):
    page = (pathlib.Path(games.__file__).parent.parent / "docs" / "ida" / "overseer.md").read_text()
    (code,) = [
        c for c in re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S) if "CORNERS" in c
    ]
    (tmp_path / "my_overseer.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    learner = dataclasses.replace(tiny_config.learner, warmup_steps=5, ema_decay=0.9)
    config = dataclasses.replace(
        tiny_config,
        amplify="my_overseer:no_corners",
        iterations=8,
        learner=dataclasses.replace(learner, learning_rate=0.02),
        replay=dataclasses.replace(tiny_config.replay, samples_per_example=12.0),
        evaluation=dataclasses.replace(tiny_config.evaluation, every=0),
    )
    assert run_once(tmp_path / "plugged", config)
    _, moves = no_corners(tmp_path, 64)
    assert plays_corner(tmp_path / "plugged", moves) < 0.15


@pytest.mark.slow
def test_a_run_with_decisions_that_is_stopped_and_resumed_equals_one_that_was_not(
    tiny_config, run_path, tmp_path
):
    file, _ = no_corners(run_path, 8)
    config = dataclasses.replace(
        tiny_config,
        overseer=OverseerConfig(str(file), augment=False),
        evaluation=dataclasses.replace(tiny_config.evaluation, every=0),
    )
    assert not run_once(tmp_path / "stopped", config, stop_after=2)
    assert run_once(tmp_path / "stopped", config)
    assert run_once(tmp_path / "whole", config)
    assert_same(tmp_path / "stopped", tmp_path / "whole")


def decisions_of(digests):
    return decision_examples.NOTHING._replace(digests=tuple(digests))


def test_what_changed_since_a_checkpoint_is_said():
    saved = decision_examples.counters(decisions_of("ab"))
    assert decision_examples.changes(decisions_of("ab"), saved) == ""
    assert "1 new" in decision_examples.changes(decisions_of("abc"), saved)
    assert "other decisions" in decision_examples.changes(decisions_of("ac"), saved)
    assert "other decisions" in decision_examples.changes(decisions_of("a"), saved)
    none = decision_examples.counters(decision_examples.NOTHING)
    assert decision_examples.changes(decision_examples.NOTHING, none) == ""


@pytest.mark.parametrize("weight", [0.01, 0.25, 0.5, 1.0])
def test_decisions_take_their_share_of_a_minibatch_spread_over_it(weight):
    rows = example.nested(Sample, {name: np.zeros((64, 1)) for name in example.COLUMNS})
    taught = example.nested(
        Sample, {n: np.full((3, 1), i + 1.0) for i, n in enumerate(example.COLUMNS)}
    )
    decided = decision_examples.DecisionExamples(taught, ("a", "b", "c"), [])
    config = OverseerConfig("file", weight, augment=False)
    symmetry = np.arange(1, 65)
    batch, shown = mixed(decided, config, rows, symmetry)
    for i, column in enumerate(example.flat(batch).values()):
        is_decided = column[:, 0] == i + 1
        assert is_decided.sum() == round(weight * 64)
        assert abs(int(is_decided[:32].sum()) - int(is_decided[32:].sum())) <= 1
        np.testing.assert_array_equal(shown, np.where(is_decided, 0, symmetry))


def test_from_a_run_that_has_a_policy_decisions_alone_teach_it(run_path):
    fresh = train_flags.defaults(["--game", "tic_tac_toe"]).config.overseer
    going_on = train_flags.defaults(["--from", str(run_path)]).config.overseer
    file, _ = no_corners(run_path, 4)
    decided = decision_file.load(OverseerConfig(str(file)), "tic_tac_toe", GAME)
    weights = decision_examples.policy_of_games
    assert weights(decision_examples.NOTHING, going_on) == (1.0, 1.0)  # nobody decides
    assert weights(decided, fresh) == (1.0, 1.0)
    assert weights(decided, going_on) == (0.0, 1.0)  # a win at once is not forgotten
    old = OverseerConfig(games_policy=0.0, wins_policy=0.0)
    assert weights(decided, old) == (0.0, 0.0)  # a run goes on as it began
    q = np.zeros((4, 9), np.float16)
    q[1, 3], q[2, 3], q[3, :] = 1.0, 0.99, 1.0  # the last one wins by illegal actions alone
    legal = np.ones((4, 9), bool)
    legal[3] = False
    rows = decided.examples._replace(game_id=np.arange(4), q=q, legal_action_mask=legal)
    symmetry = np.zeros(4, np.int32)
    for taken, given, wanted in (
        (decided.examples, (0.0, 0.0), [1.0] * 4),
        (rows, (0.0, 0.5), [0.0, 0.5, 0.0, 0.0]),
        (rows, (0.25, 0.0), [0.25] * 4),
    ):
        assert minibatch(taken, symmetry, *given).policy_weight.tolist() == wanted


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"overseer": OverseerConfig(games_policy=1.5)}, "overseer.games_policy must be between 0"),
        ({"overseer": OverseerConfig(weight=0.0)}, "overseer.weight must be above 0"),
        (
            {"overseer": OverseerConfig("file"), "distil": "action_values"},
            "'action_values' learns from values",
        ),
    ],
)
def test_settings_that_cannot_work_are_named(tiny_config, setting, sentence):
    assert any(
        sentence in problem for problem in dataclasses.replace(tiny_config, **setting).problems()
    )
