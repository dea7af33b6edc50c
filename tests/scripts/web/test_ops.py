"""What the worker answers: searches that deepen, moves, reviews, games as text; consent; cancel."""

import copy
import json
import pathlib
import random
import sys
import threading

import pytest

import games
from games import consent
from scripts.web.ops import analysis, permission, player_argument
from scripts.web.ops.permission import ConsentError
from scripts.web.ops.question import Tell
from selfplay.records.game_record import read_records, scan_records
from tests.oracles.go import PlainGo
from tests.support.asking import Asked, ask
from tests.support.lines import line_of
from training.config import RunConfig
from training.storage.run_folder import RunFolder

TTT = {"game": "tic_tac_toe"}
UNIFORM = {**TTT, "player": "uniform", "simulations": 32}
DRAWN = [4, 0, 8, 2, 1, 7, 6, 3, 5]
PLAYERS = ["person", "<b>player</b>"]


def test_a_search_deepens_in_few_steps_that_end_at_the_wanted_one():
    assert analysis.stages(0) == [0]
    assert analysis.stages(1) == [0, 1]
    assert analysis.stages(64) == [0, 64]
    assert analysis.stages(200) == [0, 64, 200]
    assert analysis.stages(1000) == [0, 64, 256, 1000]
    assert analysis.stages(64, least=1) == [64]
    for wanted in range(1, 3000, 7):
        steps = analysis.stages(wanted)
        assert steps == sorted(set(steps))
        assert steps[-1] == wanted


def test_an_analysis_tells_every_legal_move_and_lines_that_can_be_played():
    moves = [4, 0]
    asked = Asked("analyse", {**UNIFORM, "moves": moves, "plies": 4})
    result = asked.result
    assert {one["action"] for one in result["candidates"]} == set(range(9)) - set(moves)
    assert sum(one["visits"] for one in result["candidates"]) == result["simulations"] == 32
    assert sum(one["weight"] for one in result["candidates"]) == pytest.approx(1, abs=1e-3)
    assert result["best"] == result["candidates"][0]["action"]
    assert result["to_play"] == 0
    for one in result["candidates"]:
        assert one["line"][0] == one["action"]
        assert len(one["line"]) == len(one["names"]) <= 4
        assert len({*moves, *one["line"]}) == len(moves) + len(one["line"])
        assert (one["q"] is None) == (one["visits"] == 0)
    line = result["candidates"][0]["line"]
    assert len(line) == 4 or ask("position", **TTT, moves=[*moves, *line])["over"]
    lengths = [len(part["candidates"][0]["line"]) for part in asked.parts]
    assert lengths[0] == 1  # the first answer does not wait for lines
    assert lengths == sorted(lengths)


def test_a_value_is_for_the_seat_to_play_and_a_win_in_one_is_seen():
    result = ask("analyse", **UNIFORM, moves=[4, 0, 2, 1])  # seat 0 wins by 6
    assert result["best"] == 6
    best = result["candidates"][0]
    assert best["q"] == 1.0
    assert best["line"] == [6]
    result = ask("analyse", **TTT, player="perfect", moves=[4, 0, 8, 2, 6])  # seat 1 wins by 1
    assert (result["to_play"], result["value"], result["best"]) == (1, 1.0, 1)


def test_a_cancelled_analysis_stops_at_its_next_word():
    whole = Asked("analyse", {**UNIFORM, "moves": []})
    cut = Asked("analyse", {**UNIFORM, "moves": []}, cancel_after=1)
    assert len(whole.parts) > 2
    assert cut.cancelled
    assert len(cut.parts) == 1


def test_a_move_is_the_best_one_and_varies_with_the_seed_only_at_a_temperature():
    args = {**UNIFORM, "moves": []}
    plain = {ask("move", **args, seed=seed)["action"] for seed in range(4)}
    assert plain == {ask("analyse", **args)["best"]}
    varied = [ask("move", **args, seed=seed, temperature=1.0) for seed in range(12)]
    assert len({answer["action"] for answer in varied}) > 1
    again = ask("move", **args, seed=3, temperature=1.0)
    assert again == varied[3]
    assert again["forfeits"] == ""
    assert ask("move", **UNIFORM, moves=DRAWN[:8], seed=1, temperature=9.0)["action"] == 5


def test_a_review_tells_each_position_and_finds_the_move_that_lost_for_certain():
    moves = [4, 0, 8, 2, 6, 1]
    asked = Asked("review", {**UNIFORM, "moves": moves})
    assert [part["ply"] for part in asked.parts] == list(range(7))
    assert asked.parts == asked.result["plies"]
    assert asked.result["mistakes"] == [4]
    exact = asked.parts[4]["exact"]
    assert exact == {"best": 0, "played": -1, "kept": False}
    assert [part["certain"] for part in asked.parts] == [0, 0, 0, 0, 0, -1, None]
    assert asked.parts[4]["played_name"] == "a1"
    assert asked.parts[6]["value"] == -1.0
    cut = Asked("review", {**UNIFORM, "moves": moves}, cancel_after=2)
    assert cut.cancelled
    assert len(cut.parts) == 2


def test_a_review_waits_while_somebody_searches():
    args, parts, done = {**UNIFORM, "moves": [4, 0, 8, 2, 6, 1]}, [], []
    searching = threading.Event()
    ask("review", **args)  # so that nothing compiles below

    def say(line):
        parts.extend([line["part"]] if "part" in line else [])

    def look_back():
        done.append(analysis.review(args, Tell(say, lambda: False, searching.is_set)))

    work = threading.Thread(target=look_back)
    searching.set()
    work.start()
    work.join(timeout=1.0)
    assert (len(parts), done) == (1, [])
    searching.clear()
    work.join(timeout=60.0)
    assert len(done[0]["plies"]) == 7


@pytest.mark.parametrize(
    ("op", "args"),
    [
        ("analyse", {**UNIFORM, "moves": DRAWN}),
        ("move", {**UNIFORM, "moves": DRAWN}),
        ("analyse", {**UNIFORM, "moves": [0, 0]}),
        ("analyse", {**UNIFORM, "moves": [10**40]}),
        ("analyse", {**UNIFORM, "moves": "0"}),
        ("analyse", {**UNIFORM, "simulations": 10**9}),
        ("analyse", {**UNIFORM, "simulations": True}),
        ("analyse", {**UNIFORM, "plies": 0}),
        ("analyse", {**UNIFORM, "player": "nobody"}),
        ("analyse", {**UNIFORM, "player": ["x"]}),
        ("move", {**UNIFORM, "temperature": float("nan")}),
        ("move", {**UNIFORM, "seed": -1}),
        ("position", {"game": "no_such_game"}),
        ("write", {**TTT, "moves": [0], "players": PLAYERS, "form": "pdf"}),
        ("write", {**TTT, "moves": [0], "players": PLAYERS, "form": "sgf"}),
        ("write", {**TTT, "moves": [0], "players": "ab", "form": "jsonl"}),
        ("write", {**TTT, "moves": [0], "players": PLAYERS, "form": "jsonl", "ended_by": "magic"}),
        ("write", {**TTT, "moves": [0], "players": PLAYERS, "form": "jsonl", "ended_by": "time",
                   "returns": [5, -5]}),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_refused_with_a_sentence(op, args):
    with pytest.raises(ValueError, match=r"\w+ .*\w+"):
        Asked(op, {"moves": [], **args})


def test_code_that_a_request_names_is_not_imported_before_a_person_allows_it(tmp_path, monkeypatch):
    (tmp_path / "named_by_a_page.py").write_text(
        "from games.tic_tac_toe import TicTacToe as Mine\n"
        "from tests.toys.lowest_player import lowest\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    spec, player = "named_by_a_page:Mine", "named_by_a_page:lowest"
    consent.close(())
    try:
        line = json.dumps(line_of([4, 0], game=spec))
        (record,) = ask("parse", text=line, name="x.jsonl")["records"]
        assert record["consent"] == spec
        assert record["moves"] == [4, 0]
        for op, args in (
            ("position", {"game": spec}),
            ("analyse", {"game": spec, "player": "uniform"}),
            ("move", {**TTT, "player": player}),
            ("move", {**TTT, "player": "gtp:touch /tmp/never"}),
            ("move", {**TTT, "player": "uci:nodes=1:touch /tmp/never"}),
        ):
            with pytest.raises(ConsentError):
                ask(op, moves=[], **args)
        assert "named_by_a_page" not in sys.modules
        permission.permit(spec, str(tmp_path))
        assert ask("position", game=spec, moves=[])["to_play"] == 0
    finally:
        permission.PERMITTED.clear()
        consent.reset()
        sys.modules.pop("named_by_a_page", None)


def test_a_finished_game_that_is_written_is_a_record_that_all_commands_read(tmp_path):
    for form, spec, moves in (
        ("jsonl", "tic_tac_toe", DRAWN),
        ("jsonl", "go:size=5,komi=0.5", [12, 25, 25]),
        ("sgf", "go:size=5,komi=0.5", [12, 25, 25]),
        ("sgf", "hex:size=2,swap=true", [0, 4, 1, 2, 3]),
    ):
        told = ask("write", game=spec, moves=moves, players=PLAYERS, form=form)
        path = tmp_path / told["name"]
        path.write_text(told["text"])
        (record,) = read_records(path)
        assert (record.game, list(record.moves), list(record.players)) == (spec, moves, PLAYERS)
        (again,) = ask("parse", text=told["text"], name=told["name"])["records"]
        assert (again["moves"], again["returns"]) == (moves, list(record.returns))
        assert (again["finished"], again["problem"]) == (True, "")


@pytest.mark.parametrize(
    ("form", "spec"), [("jsonl", "tic_tac_toe"), ("sgf", "go:size=5,komi=0.5")]
)
def test_an_unfinished_game_can_be_saved_and_is_no_record_for_commands(tmp_path, form, spec):
    told = ask("write", game=spec, moves=[3, 4, 7], players=PLAYERS, form=form)
    path = tmp_path / told["name"]
    path.write_text(told["text"])
    scan = scan_records(path)
    assert not scan.records
    assert len(scan.problems) == 1
    (again,) = ask("parse", text=told["text"], name=told["name"])["records"]
    assert (again["moves"], again["returns"], again["problem"]) == ([3, 4, 7], None, "")
    assert not again["finished"]


# Black leads on the board; the file has taken stones off and says otherwise.
SAID = "(;GM[1]SZ[5]KM[0.5]RE[W+3.5];B[cc];W[];B[])"


def test_a_files_own_result_is_told_and_written_as_it_was():
    (read,) = ask("parse", text=SAID, name="x.sgf")["records"]
    assert (read["result"], read["returns"], read["ended_by"]) == ("W+3.5", [-1, 1], "agreement")
    assert (read["players"], read["over"], read["problem"]) == (["", ""], True, "")
    given = {
        key: read[key] for key in ("game", "moves", "players", "returns", "ended_by", "result")
    }
    written = ask("write", **given, form="sgf")["text"]
    assert "RE[W+3.5]" in written
    for form, name in (("sgf", "x.sgf"), ("jsonl", "x.jsonl")):
        (again,) = ask("parse", text=ask("write", **given, form=form)["text"], name=name)["records"]
        assert {key: again[key] for key in given} == given
    (alone,) = ask("parse", text=SAID.replace("W+3.5", "B+24.5"), name="x.sgf")["records"]
    assert alone["ended_by"] == ""  # as the rules say


def test_a_damaged_game_of_chess_is_told_with_its_place_and_shows_no_board():
    for name in ("x.pgn", "x.txt"):
        (read,) = ask("parse", text='[Event "x"]\n\n1. e4 e5 2. Ke3 1-0', name=name)["records"]
        assert read["problem"].startswith("game 1 (line 1): line 3, move 2. Ke3 is illegal")
        assert (read["game"], read["moves"]) == ("", [])


GO = {"game": "go:size=5,komi=0.5"}
# Beside black 0, white 6: one line goes on from there, the other has a stone put upon a stone.
BESIDE = [[2, 12], [3, 18], [1, 0], [5, 7], [4, 25]]


def test_the_names_of_a_whole_tree_are_one_question_and_illegal_lines_are_said():
    told = ask("names", **GO, moves=[0, 6], variations=BESIDE)
    line = ask("names", **GO, moves=[0, 6, 12, 18, 25])
    assert [one and one["name"] for one in told["variations"]] == [
        *line["names"][2:4], None, None, line["names"][4],
    ]  # fmt: skip
    assert [one and one["seat"] for one in told["variations"]] == [0, 1, None, None, 0]
    assert told["names"] == line["names"][:2]
    assert told["notes"] == ["1 variation is cut before a move that the rules forbid"]
    assert (line["variations"], line["notes"]) == ([], [])


def test_the_moves_of_variations_that_are_named_are_those_that_plain_go_allows():
    rng = random.Random(2)
    known, variations, expected = [PlainGo(5, 0.5)], [], []
    for _ in range(400):
        live = [number for number, plain in enumerate(known) if plain]
        parent = rng.choice(live[-20:]) if rng.random() < 0.9 else rng.randrange(len(known))
        action, before, after = rng.randrange(26), known[parent], None
        if before is not None and action in before.legal():
            after = copy.deepcopy(before)
            after.play(action)
        known.append(after)
        variations.append([parent, action])
        expected.append(None if after is None else before.to_play)
    told = ask("names", **GO, moves=[], variations=variations)["variations"]
    assert [one and one["seat"] for one in told] == expected
    assert 50 < expected.count(None) < 350, expected


@pytest.mark.parametrize(
    "bad", [[[3, 1]], [[-1, 1]], [[0]], [[0, "1"]], [[0, True]], [0], "0", {"a": 1}]
)
def test_variations_that_are_none_are_refused(bad):
    with pytest.raises(ValueError, match="'variations'"):
        ask("names", **GO, moves=[0, 6], variations=bad)


def test_a_tree_is_written_and_read_whole_if_it_is_legal():
    legal = [[2, 12], [3, 18], [1, 7], [4, 25], [0, 3]]
    given = GO | {"moves": [0, 6], "players": PLAYERS, "form": "sgf"}
    (again,) = ask("parse", text=ask("write", **given, variations=legal)["text"], name="x.sgf")[
        "records"
    ]
    assert (again["moves"], again["notes"], again["problem"]) == ([0, 6, 12, 18, 25], [], "")
    assert again["variations"] == [[1, 7], [0, 3]]
    for illegal in ([[1, 0]], [[2, 99]], [[2, -1]]):
        with pytest.raises(ValueError, match="is illegal in position"):
            ask("write", **given, variations=illegal)
    assert ask("write", **given, variations=[]) == ask("write", **given)
    lines = given | {"form": "jsonl"}
    assert ask("write", **lines, variations=legal) == ask("write", **lines)


def test_an_illegal_main_line_takes_only_the_variations_behind_it_with_it():
    text = "(;SZ[5]KM[0.5];B[aa](;W[bb](;B[aa](;W[cc])(;W[dd]))(;B[ee];W[ed]))(;W[ab]))"
    (read,) = ask("parse", text=text, name="x.sgf")["records"]
    assert (read["moves"], read["problem"]) == ([0, 6], "move 3, A5, is illegal here")
    assert read["variations"] == [[2, 24], [3, 19], [1, 5]]
    assert "the variations after that move are left out" in read["notes"]


def test_hostile_lines_are_told_one_by_one():
    good = line_of(DRAWN, winner=None, players=["<script>", "b"])
    lines = [
        json.dumps(good), "nonsense", json.dumps(good | {"moves": [0, 0]}),
        json.dumps(good | {"returns": [1.0, -1.0]}), json.dumps(good | {"moves": [10**30]}),
        json.dumps(good | {"game": "no_such"}), json.dumps(good | {"moves": [0]}),
        json.dumps(good)[:-1] + ', "x": NaN}', '{"a":' * 4000,
    ]  # fmt: skip
    records = ask("parse", text="\n".join(lines), name="mine.jsonl")["records"]
    assert [bool(record["problem"]) for record in records] == [False] + [True] * 8
    assert records[0]["players"] == ["<script>", "b"]
    assert records[2]["moves"] == [0]  # up to the illegal one


def run_of(tmp_path, tiny_config):
    from training.storage.run_folder import RunFolder

    folder = RunFolder(tmp_path / "run")
    folder.create(tiny_config)
    return folder


def test_a_finished_game_is_kept_in_the_run_while_its_trainer_holds_it(tmp_path, tiny_config):
    folder = run_of(tmp_path, tiny_config)
    args = {**TTT, "run": str(folder.path), "players": PLAYERS}
    with folder.lock():
        ask("keep", **args, moves=DRAWN)
        ask("keep", **args, moves=DRAWN[:3], ended_by="resignation", returns=[-1, 1])
        records = read_records(folder.games / "played.jsonl")
        folder.check_held()
    assert [list(record.moves) for record in records] == [DRAWN, DRAWN[:3]]
    assert [record.returns for record in records] == [(0.0, 0.0), (-1.0, 1.0)]
    assert records[1].ended_by == "resignation"
    with folder.lock():  # and a resume finds nothing strange
        pass


def test_what_may_not_be_kept_changes_nothing(tmp_path, tiny_config):
    folder = run_of(tmp_path, tiny_config)
    args = {**TTT, "run": str(folder.path), "players": PLAYERS}
    file = folder.games / "played.jsonl"
    with pytest.raises(ValueError, match="not finished"):
        ask("keep", **args, moves=DRAWN[:3])
    victim = tmp_path / "victim"
    victim.write_text("mine\n")
    file.symlink_to(victim)
    with pytest.raises(OSError, match="link"):
        ask("keep", **args, moves=DRAWN)
    assert victim.read_text() == "mine\n"
    file.unlink()
    for gone in (folder.config_file, folder.games, folder.path):
        gone.rename(tmp_path / f"gone-{gone.name}")
        with pytest.raises(ValueError, match="moved or deleted"):
            ask("keep", **args, moves=DRAWN)
        assert not pathlib.Path(gone).exists()


def test_a_run_of_this_users_own_code_is_not_played_before_a_person_permits_it(
    tmp_path, monkeypatch
):
    name = "trained_by_its_owner"
    (tmp_path / f"{name}.py").write_text("from games.tic_tac_toe import TicTacToe as Mine\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    consent.close(())
    try:
        consent.allow(f"{name}:Mine", str(tmp_path))
        run = RunFolder(tmp_path / "run")
        run.create(RunConfig(game=f"{name}:Mine"))  # signed: reading it lets the module run
        consent.reset()
        consent.close(())
        for _ in range(2):
            with pytest.raises(ConsentError):
                player_argument.player_of({"player": str(run.path)}, games.load("tic_tac_toe"))
        assert name not in sys.modules
    finally:
        consent.reset()
