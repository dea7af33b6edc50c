"""Matches that are killed and go on, on disk; and sequential tests that stop them."""

import itertools
import json

import jax
import pytest

from scripts import arena as command
from scripts.terminal import console, match_report
from selfplay.arena import match, openings
from selfplay.arena.folder import MatchFolder, match_settings
from selfplay.arena.result import BY_FORFEIT, PlayedGame, result_of
from selfplay.players import random_player
from selfplay.rating.sprt import Sprt
from tests.support.pile_players import PILE, SECOND

RANDOM = random_player(PILE)
SPEC = "tests.toys.double_move:Pile:stones=12"


def settings(games=20, block=8, seed=3, second=SECOND):
    opened = openings.make_openings(PILE, games // 2, jax.random.key(seed), 2)
    found = match_settings((RANDOM, second), SPEC, opened, seed, 0, block)
    return opened, found


def play(path, stop_after=9, **changes):
    """Plays on for so many blocks; returns the games of the folder."""
    opened, found = settings(**changes)
    folder = MatchFolder(path, found)
    with folder.open() as played:
        blocks = match.play_blocks(
            RANDOM, SECOND, PILE, opened, found["seed"], found["block"], done=len(played)
        )
        for games in itertools.islice(blocks, stop_after):
            folder.append(("random", "second"), games)
    return (path / "games.jsonl").read_bytes()


def test_a_match_killed_anywhere_ends_with_the_games_of_an_undisturbed_one(tmp_path):
    whole = play(tmp_path / "whole")
    lines = whole.splitlines(keepends=True)
    assert len(lines) == 20
    assert [json.loads(line)["players"] for line in lines[:2]] == [
        ["random", "second"],
        ["second", "random"],
    ]
    (tmp_path / "started").mkdir()
    (tmp_path / "started" / "lock").touch()
    (tmp_path / "started" / "match.json.partial").write_text('{"for')
    assert play(tmp_path / "started") == whole, "killed before the first game"
    for kept in (b"", lines[0][:7], b"".join(lines[:8]), b"".join(lines[:11]) + lines[11][:20]):
        killed = tmp_path / f"killed{len(kept)}"
        play(killed, stop_after=1)
        (killed / "games.jsonl").write_bytes(kept)
        assert play(killed) == whole, f"killed after {len(kept)} bytes"
        assert play(killed) == whole, "played on after its end"


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"seed": 4}, "seed: 3 there, 4 asked for"),
        ({"games": 22}, "games: 20 there, 22 asked for"),
        ({"block": 4}, "block: 8 there, 4 asked for"),
        ({"second": random_player(PILE)}, "'second'.* there, .'random', 'random'. asked for"),
    ],
)
def test_a_match_of_other_settings_is_refused(tmp_path, changes, wanted):
    before = play(tmp_path / "match", stop_after=1)
    with (
        pytest.raises(ValueError, match=wanted),
        MatchFolder(tmp_path / "match", settings(**changes)[1]).open(),
    ):
        pass
    assert (tmp_path / "match" / "games.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("match.json", b"[" * 50_000),
        ("match.json", b"[1]"),
        ("match.json", b"\xff{"),
        ("games.jsonl", b"{\n" * 8),
        ("games.jsonl", b"[" * 50_000 + b"\n" * 8),
    ],
)
def test_a_damaged_file_of_a_match_is_named(tmp_path, file, content):
    play(tmp_path / "match", stop_after=1)
    (tmp_path / "match" / file).write_bytes(content)
    with (
        pytest.raises(ValueError, match=rf"{file}.*(damaged|not JSON|no JSON object)"),
        MatchFolder(tmp_path / "match", settings()[1]).open(),
    ):
        pass


def test_other_weights_are_refused_and_so_is_a_second_process(tmp_path):
    opened, found = settings()
    strong = RANDOM.__class__("random", PILE, RANDOM.act, {"w": jax.numpy.ones(3)})
    other = match_settings((strong, SECOND), SPEC, opened, 3, 0, 8)
    with (
        MatchFolder(tmp_path / "match", found).open(),
        pytest.raises(BlockingIOError, match="in use by process"),
        MatchFolder(tmp_path / "match", found).open(),
    ):
        pass
    with (
        pytest.raises(ValueError, match="weights_sha256"),
        MatchFolder(tmp_path / "match", other).open(),
    ):
        pass
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    with (
        pytest.raises(ValueError, match="holds no match"),
        MatchFolder(tmp_path / "other", found).open(),
    ):
        pass


def run(capsys, *words):
    args = console.parse(command.Args, [str(word) for word in words], "arena")
    code = command.run(args)
    return code, capsys.readouterr()


def test_ctrl_c_keeps_the_finished_blocks_and_the_same_command_goes_on(
    tmp_path, capsys, monkeypatch
):
    words = ("random", "random", "--game", "tic_tac_toe", "--games", 24, "--block", 8, "--json")
    _, whole = run(capsys, *words, "--out", tmp_path / "whole")
    blocks = match.play_blocks

    def interrupted(*args, **options):
        yield from [next(blocks(*args, **options))]
        raise KeyboardInterrupt

    monkeypatch.setattr(match, "play_blocks", interrupted)
    code, said = run(capsys, *words, "--out", tmp_path / "match")
    assert code == 75
    assert "8 games" in said.err
    assert "the same command goes on" in said.err
    assert said.out == ""
    monkeypatch.setattr(match, "play_blocks", blocks)
    code, again = run(capsys, *words, "--out", tmp_path / "match")
    assert (code, again.out) == (0, whole.out)
    assert "8 games are there already" in again.err


def test_a_match_begun_with_other_openings_goes_on_with_them_unless_it_is_told(capsys, tmp_path):
    words = ("random", "random", "--game", "tic_tac_toe", "--games", 8, "--json", "--out", tmp_path)
    _, first = run(capsys, *words, "--opening-plies", 4)
    assert json.loads((tmp_path / "match.json").read_text())["opening_plies"] == 4
    code, again = run(capsys, *words)
    assert (code, again.out) == (0, first.out)
    with pytest.raises(ValueError, match="holds a match of other settings"):
        run(capsys, *words, "--opening-plies", 1)


def test_a_sequential_test_stops_at_the_first_block_that_decides_it(capsys):
    words = ("uniform:simulations=48", "random", "--game", "tic_tac_toe", "--opening-plies", 1)
    options = ("--games", 2000, "--block", 32, "--sprt", 0, 200)
    code, said = run(capsys, *words, *options, "--json")
    found = json.loads(said.out)
    assert code == 0
    assert found["sprt"]["verdict"] == "H1"
    assert found["games"] in (32, 64, 96), found
    assert found["sprt"]["llr"] > found["sprt"]["bounds"][1] == pytest.approx(2.944, abs=1e-3)


def test_three_players_meet_all_against_all(capsys, tmp_path):
    words = ("random", "tests.toys.lowest_player:lowest", "uniform:simulations=2,policy=puct")
    options = ("--game", "tic_tac_toe", "--games", 8, "--opening-plies", 1, "--out", tmp_path)
    _, said = run(capsys, *words, *options, "--json")
    matches = json.loads(said.out)["matches"]
    assert [tuple(match["players"]) for match in matches] == [
        (words[0], words[1]),
        (words[0], words[2]),
        (words[1], words[2]),
    ]
    assert all(match["games"] == 8 for match in matches)
    _, said = run(capsys, *words, *options)  # nothing is played again
    assert f"{words[1]} - {words[2]}" in said.out
    assert said.err.count("8 games are there already") == 3


def test_faults_alone_rate_nobody_and_decide_no_test():
    fault = PlayedGame((0,), (1.0, -1.0), BY_FORFEIT, "it hung")
    draw, fair = PlayedGame((1,), (0.0, 0.0)), PlayedGame((2,), (-1.0, 1.0))
    test = Sprt(0, 200)
    pairs = [fault, fault._replace(returns=(-1.0, 1.0))] * 40
    pairs = [game._replace(moves=(i,)) for i, game in enumerate(pairs)]
    for games, rated in [
        (pairs, False),
        ([*pairs, draw, draw], False),
        ([*pairs, fair, fair], True),
    ]:
        result = result_of(("a", "b"), games, 41)
        assert result.decided_by_faults != rated
        assert (result.decide(test).verdict == "undecided") != rated
        told = match_report.summary(result)
        assert [told[key] is not None for key in ("interval", "elo", "elo_interval", "los")] == [
            rated
        ] * 4
        text = match_report.describe(result, match_report.Conditions("random", 4, (32,)))
        assert ("Elo" in text) == rated, text
        assert ("decided by faults alone" in text) != rated
        assert "b lost 80 games by a fault: it hung" in text
    assert not result_of(("a", "b"), [draw, draw], 1).decided_by_faults
