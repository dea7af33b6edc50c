"""Comparisons as the browser asks for them: the figures of the commands, and of plain Python."""

import json
import math
import pathlib
import shutil

import jax
import numpy as np
import pytest

import games
import training
from scripts import arena
from scripts.terminal import console
from scripts.web.ops import OPS
from scripts.web.ops.compare import recorded_games
from scripts.web.ops.question import Cancelled, Tell
from scripts.web.reading import READERS
from scripts.web.shelf import Shelf
from selfplay import positions
from selfplay.records.game_record import GameRecord, append_records
from tests.support.asking import Listener, ask

GAME = games.load("tic_tac_toe")


@pytest.fixture(scope="module")
def played(tiny_run, tmp_path_factory):
    """A folder with a match, and what `selfplay arena --json` printed of it."""
    import contextlib
    import io

    root = tmp_path_factory.mktemp("shelf")
    words = [f"{tiny_run}", "uniform", "--games", "24", "--out", f"{root}/match", "--json"]
    words += ["--simulations", "4", "--sprt", "0", "40"]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert arena.run(console.parse(arena.Args, words, "arena")) == 0
    return Shelf([str(root)]), str(root / "match"), json.loads(printed.getvalue())


def test_a_match_has_the_figures_that_arena_prints(played):
    shelf, name, printed = played
    found = READERS["match"](shelf, {"match": name, "elo0": "0", "elo1": "40"})
    names = (
        *("games", "wins", "draws", "losses", "score", "interval", "distinct_games", "elo"),
        *("elo_interval", "los", "resigned", "faults"),
    )
    for of_figure in names:
        assert found[of_figure] == printed[of_figure], of_figure
    for of_test in ("elo0", "elo1", "alpha", "beta", "bounds", "llr", "verdict"):
        assert found["sprt"][of_test] == printed["sprt"][of_test], of_test
    assert found["sprt"]["course"]["llr"][-1] == pytest.approx(printed["sprt"]["llr"])
    assert found["sprt"]["course"]["elo"][-1] == pytest.approx(printed["elo"])
    assert (found["playing"], found["of"], found["unfinished"]) == (False, 24, 0)
    assert sum(found["pairs"]) == 12
    assert np.sum(found["by_seat"], axis=0).tolist() == [
        printed[name] for name in ("wins", "draws", "losses")
    ]
    json.dumps(found, allow_nan=False)


def test_pairs_are_the_games_of_the_file_and_part_where_they_differ(played):
    shelf, name, _ = played
    found = READERS["pairs"](shelf, {"match": name})
    lines = list(map(json.loads, pathlib.Path(name, "games.jsonl").read_text().splitlines()))
    assert found["count"] == len(found["pairs"]) == 12
    for pair in found["pairs"]:
        two = lines[2 * pair["number"] : 2 * pair["number"] + 2]
        assert [list(game["moves"]) for game in pair["games"]] == [line["moves"] for line in two]
        common = pair["parting"]
        first, second = (line["moves"] for line in two)
        assert first[:common] == second[:common]
        assert first[common : common + 1] != second[common : common + 1] or first == second
        points = two[0]["returns"][0] / 2 + two[1]["returns"][1] / 2 + 1
        assert pair["points"] == points
    by_points = [
        READERS["pairs"](shelf, {"match": name, "points": str(k)})["count"] for k in range(5)
    ]
    assert by_points == READERS["match"](shelf, {"match": name})["pairs"]
    assert READERS["pairs"](shelf, {"match": name, "from": "10"})["pairs"] == found["pairs"][10:]


@pytest.mark.parametrize(
    "args",
    [
        {"elo0": "50", "elo1": "0"},
        {"elo0": "nan"},
        {"alpha": "0.9"},
        {"beta": "x"},
        {"elo1": "1e999"},
    ],
)
def test_a_test_that_cannot_be_is_refused_with_a_sentence(played, args):
    shelf, name, _ = played
    with pytest.raises(ValueError, match=r"elo0|alpha|beta"):
        READERS["match"](shelf, {"match": name, **args})


def test_a_match_json_that_is_hostile_is_an_error_and_its_texts_stay_texts(played, tmp_path):
    _, name, _ = played
    folder = tmp_path / "root" / "m"
    shutil.copytree(name, folder)
    shelf = Shelf([str(tmp_path / "root")])
    settings = json.loads((folder / "match.json").read_text())
    evil = {"players": ["<script>alert(1)</script>", "b"], "game": "<b>", "simulations": {"x": 1}}
    (folder / "match.json").write_text(json.dumps(settings | evil))
    found = READERS["match"](shelf, {"match": str(folder)})
    assert found["players"][0] == "<script>alert(1)</script>"
    assert "simulations" not in found["settings"]
    (folder / "match.json").write_text("{")
    with pytest.raises(ValueError, match=r"match\.json"):
        READERS["match"](shelf, {"match": str(folder)})


def test_two_players_are_compared_as_each_is_analysed_alone(tiny_run):
    steps = training.checkpoint_steps(tiny_run)
    names = [f"{tiny_run}@{steps[0]}", f"{tiny_run}@{steps[-1]}"]
    page = Listener()
    found = page.ask("compare", game="tic_tac_toe", players=names, moves=[4, 0], simulations=8)
    assert [line["part"]["player"]["player"] for line in page.lines if "part" in line] == names
    policies = []
    for name, view in zip(names, found["players"], strict=True):
        alone = ask("analyse", game="tic_tac_toe", player=name, moves=[4, 0], simulations=8)
        for one in (*alone["candidates"], *view["candidates"]):
            one.pop("line"), one.pop("names")  # `compare` searches no lines
        assert view == {"player": name, **alone}
        policies.append({one["action"]: one["weight"] for one in view["candidates"]})
    assert found["apart"]["policy"] == pytest.approx(divergence(*policies), abs=1e-4)
    values = [view["value"] for view in found["players"]]
    assert found["apart"]["value"] == pytest.approx(abs(values[0] - values[1]))


def divergence(one, other):
    """The Jensen-Shannon divergence, in plain Python."""

    def kl(p, q):
        return sum(p[a] * math.log(p[a] / q[a]) for a in p if p[a] > 0)

    half_way = {a: (one[a] + other[a]) / 2 for a in one}
    return (kl(one, half_way) + kl(other, half_way)) / 2


def test_one_position_goes_through_all_checkpoints_that_can_be_read(tiny_run, tmp_path):
    path = tmp_path / "run"
    shutil.copytree(tiny_run, path)
    steps = training.checkpoint_steps(path)
    assert len(steps) > 2
    (path / "checkpoints" / str(steps[1]) / "train_state" / "arrays.npz").write_bytes(b"damaged")
    page = Listener()
    found = page.ask("through", run=str(path), moves=[0], simulations=0)
    assert [view["step"] for view in found["checkpoints"]] == [steps[0], *steps[2:]]
    assert [line["part"]["checkpoint"]["step"] for line in page.lines if "part" in line] == [
        view["step"] for view in found["checkpoints"]
    ]
    assert [one["step"] for one in found["missing"]] == [steps[1]]
    states = positions.replay(GAME, [[0]]).states
    for view in found["checkpoints"]:
        player = training.load_player(path, simulations=0, checkpoint=view["step"])
        result = jax.device_get(player(states, jax.random.key(0)))
        assert view["raw_value"] == pytest.approx(float(result.raw_value[0]), abs=1e-4)
        for one in view["candidates"]:
            assert one["prior"] == pytest.approx(float(result.prior[0, one["action"]]), abs=1e-4)


def test_a_finished_game_is_nothing_to_compare(tiny_run):
    over = [0, 3, 1, 4, 2]
    for op, args in (
        ("compare", {"game": "tic_tac_toe", "players": [str(tiny_run), "uniform"]}),
        ("through", {"run": str(tiny_run)}),
    ):
        with pytest.raises(ValueError, match="the game is over"):
            ask(op, **args, moves=over, simulations=4)


@pytest.mark.parametrize("players", [None, [], ["uniform"], "uniform", [1, 2], [["a"], "b"]])
def test_two_players_must_be_named(tiny_run, players):
    for op in ("compare", "disagree"):
        with pytest.raises(ValueError, match="players"):
            ask(op, game="tic_tac_toe", players=players, moves=[], run=str(tiny_run))


def canonical(moves):
    """The least image of a board of tic-tac-toe, in plain Python."""
    board = [0] * 9
    for ply, action in enumerate(moves):
        board[action] = 1 + ply % 2
    turned = [[(c // 3, c % 3) for c in range(9)]]
    for _ in range(3):
        turned.append([(x, 2 - y) for y, x in turned[-1]])
    turned += [[(y, 2 - x) for y, x in cells] for cells in turned]
    return min(tuple(board[3 * y + x] for y, x in cells) for cells in turned)


def test_disagreements_are_the_largest_of_all_positions_and_each_once(tiny_run):
    steps = training.checkpoint_steps(tiny_run)
    names = [f"{tiny_run}@{steps[0]}", f"{tiny_run}@{steps[-1]}"]
    args = {"game": "tic_tac_toe", "players": names, "run": str(tiny_run), "simulations": 0}
    lists = recorded_games(tiny_run / "games")
    prefixes = {tuple(moves[:ply]) for moves in lists for ply in range(len(moves))}
    classes = {canonical(moves) for moves in prefixes}
    players = [training.load_player(tiny_run, 0, step) for step in (steps[0], steps[-1])]
    for measure in ("policy", "value", "both"):
        found = ask("disagree", **args, count=100, measure=measure)
        shown = [canonical(one["moves"]) for one in found["found"]]
        assert len(set(shown)) == len(shown) == min(100, len(classes))
        sizes = [one[measure] for one in found["found"]]
        assert sizes == sorted(sizes, reverse=True)
        for one in found["found"][:5]:
            states = positions.replay(GAME, [one["moves"]]).states
            results = [jax.device_get(player(states, jax.random.key(0))) for player in players]
            legal = [a for a in range(9) if a not in one["moves"]]
            policies = [{a: float(r.action_weights[0, a]) for a in legal} for r in results]
            values = [float(r.value[0]) for r in results]
            assert one["policy"] == pytest.approx(divergence(*policies), abs=1e-4)
            assert one["value"] == pytest.approx(abs(values[0] - values[1]), abs=1e-4)
            both = (one["policy"] / math.log(2) + one["value"] / 2) / 2
            assert one["both"] == pytest.approx(both, abs=1e-5)
        # none that is left out is further apart
        everything = {}
        for moves in prefixes:
            states = positions.replay(GAME, [moves]).states
            one, other = (jax.device_get(p(states, jax.random.key(0))) for p in players)
            everything[moves] = abs(float(one.value[0]) - float(other.value[0]))
        if measure == "value":
            assert sizes[0] == pytest.approx(max(everything.values()), abs=1e-4)


def test_games_that_are_being_written_or_are_wrong_are_passed_over(tmp_path):
    file = tmp_path / "self_play.jsonl"
    records = [GameRecord("tic_tac_toe", (k, 4), (0.0, 0.0), ("a", "b")) for k in (0, 1)]
    append_records(file, records)
    with file.open("a") as opened:
        opened.write('{"moves": "no list"}\n[]\n\n{"moves": [1, "2"]}\n{"moves": [7, 8], "ret')
    assert recorded_games(tmp_path) == [[1, 4], [0, 4]]
    assert recorded_games(tmp_path / "nowhere") == []


def test_a_search_for_disagreement_stops_when_the_page_has_gone(tiny_run):
    said = []

    def say(line):
        said.append(line)

    tell = Tell(say, lambda: len(said) > 1)
    args = {"game": "tic_tac_toe", "players": ["uniform", "random"], "run": str(tiny_run)}
    with pytest.raises(Cancelled):
        OPS["disagree"].run(args | {"simulations": 2}, tell)
    assert len(said) == 2
