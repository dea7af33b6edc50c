"""The solver against plain-Python search, and the mistake rate of players whose rate is known."""

import functools
import gzip
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from mcts import SearchResult
from selfplay import positions
from selfplay.perfect import mistakes, solver
from selfplay.players import Player
from tests.toys import double_move

TIC_TAC_TOE = games.load("tic_tac_toe")
CONNECT_FOUR = games.load("connect_four")
KEY = jax.random.key(0)
LINES = [(0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6)]


def place(board, cell, seat):
    return (*board[:cell], seat, *board[cell + 1 :])


@functools.cache
def outcome(board, cell, seat):
    """Result for `seat` of playing `cell`, by plain-Python negamax."""
    after = place(board, cell, seat)
    if any(all(after[c] == seat for c in cells) for cells in LINES):
        return 1
    return -max((outcome(after, c, 1 - seat) for c in range(9) if after[c] == -1), default=0)


@pytest.fixture(scope="module")
def solved():
    return solver.solve(TIC_TAC_TOE)


def boards_of(states):
    return list(zip(map(tuple, states.board.tolist()), states.to_play.tolist(), strict=True))


def test_all_4520_live_positions_have_the_outcomes_of_negamax(solved):
    boards = boards_of(solved.states)
    assert len(boards) == len(set(boards)) == 4520
    for (board, seat), found in zip(boards, solved.outcomes.tolist(), strict=True):
        expected = [outcome(board, c, seat) if board[c] == -1 else solver.ILLEGAL for c in range(9)]
        assert found == expected, (board, seat)


def test_double_moves_keep_the_sign_and_positions_reached_at_several_plies_are_solved_once():
    found = solver.solve(double_move.Pile(stones=14))
    reached = set(zip(found.states.stones.tolist(), found.states.to_play.tolist(), strict=True))
    assert len(reached) == len(found.outcomes)
    for stones, outcomes in zip(found.states.stones.tolist(), found.outcomes.tolist(), strict=True):
        expected = [
            double_move.outcome(stones, a) if a < stones else solver.ILLEGAL for a in range(3)
        ]
        assert outcomes == expected, stones


def test_the_solver_refuses_a_game_beyond_its_limit():
    with pytest.raises(ValueError, match="more than 500 live positions"):
        solver.solve(TIC_TAC_TOE, position_limit=500)


def table_player(choose):
    """A tic_tac_toe player that looks its action up: `choose(board, seat) -> cell`."""

    def act(variables, states, key, history):
        cells = [choose(board, seat) for board, seat in boards_of(states)]
        return SearchResult(np.array(cells), *[None] * 6)

    return Player("table", TIC_TAC_TOE, act, on_device=False)


def free(board):
    return [c for c in range(9) if board[c] == -1]


def test_a_perfect_player_makes_no_mistake(solved):
    best = table_player(lambda board, seat: max(free(board), key=lambda c: outcome(board, c, seat)))
    assert not mistakes.mistakes(best, solved.states, solved.outcomes, KEY, batch=1000).any()


def test_the_mistakes_of_a_bad_player_are_found_position_by_position(solved):
    lowest = Player(
        "lowest",
        TIC_TAC_TOE,
        lambda v, s, k: SearchResult(jnp.argmax(s.legal_action_mask, axis=1), *[None] * 6),
    )
    found = mistakes.mistakes(lowest, solved.states, solved.outcomes, KEY, batch=1000)
    for (board, seat), wrong in zip(boards_of(solved.states), found.tolist(), strict=True):
        results = [outcome(board, c, seat) for c in free(board)]
        assert wrong == (results[0] < max(results)), (board, seat)
    assert 0.1 < found.mean() < 0.9


def test_an_illegal_move_counts_as_a_mistake(solved):
    taken = table_player(lambda board, seat: next((c for c in range(9) if board[c] != -1), 0))
    found = mistakes.mistakes(taken, solved.states, solved.outcomes, KEY)
    assert found.sum() == 4519  # all but the empty board, where every move draws


def test_the_shipped_positions_are_distinct_live_spread_and_quiet_where_they_say_so():
    sets = mistakes.load_positions("connect_four")
    assert {name: len(found.outcomes) for name, found in sets.items()} == {
        "random": 3000,
        "quiet": 3000,
    }
    together = positions.concatenate([found.states for found in sets.values()])
    assert len(np.unique(positions.fingerprints(together))) == 6000
    for name, (states, outcomes, found_plies) in sets.items():
        plies = np.bincount(np.bitwise_count(states.stones).sum(axis=(1, 2)), minlength=35)
        assert len(plies) == 35, name
        np.testing.assert_array_equal(np.bincount(found_plies, minlength=35), plies)
        assert plies[3:].min() > 80, (name, plies)
        np.testing.assert_array_equal(outcomes == solver.ILLEGAL, ~states.legal_action_mask)
    states = sets["quiet"].states
    for passed in (False, True):
        turned = states._replace(to_play=np.where(passed, 1 - states.to_play, states.to_play))
        assert not wins_in_one(turned).any(), f"a win in one, other side: {passed}"
    states, outcomes, _ = sets["random"]
    wins = wins_in_one(states)
    assert 0.2 < wins.any(axis=1).mean() < 0.6  # 41% in uniformly random play
    assert (outcomes[wins] == 1).all()


@jax.jit
def wins_in_one(states):
    def one(state):
        after = jax.vmap(CONNECT_FOUR.step, (None, 0))(state, jnp.arange(7))
        return (after.winner == state.to_play) & state.legal_action_mask

    return jax.vmap(one)(states)


def solved_line(**changes):
    fields = {"set": "mine", "moves": [3, 3], "outcomes": [1, 0, -1, 0, 0, 0, 0]}
    return json.dumps({**fields, **changes}) + "\n"


@pytest.mark.parametrize("pack", [gzip.compress, bytes])
def test_a_file_of_positions_is_read_packed_or_not(tmp_path, pack):
    path = tmp_path / "positions"
    full = {"moves": [3] * 6, "outcomes": [0, 0, 0, None, 0, 0, 1]}
    path.write_bytes(pack((solved_line() + solved_line(set="other", **full)).encode()))
    sets = mistakes.load_positions("connect_four", path)
    assert list(sets) == ["mine", "other"]
    assert sets["mine"].outcomes.tolist() == [[1, 0, -1, 0, 0, 0, 0]]
    assert sets["other"].outcomes.tolist() == [[0, 0, 0, solver.ILLEGAL, 0, 0, 1]]
    first, second = sets["other"].states.stones[0].tolist()
    assert second == [8, 0, 8, 0, 8, 0], "seat 1 has every other cell of column 3, from the top"
    assert first == second[::-1]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("{\n", "line 2: not JSON"),
        ("[]\n", "line 2: needs the keys set, moves and outcomes"),
        (solved_line(set=3), "line 2: 'set' must be a name"),
        (solved_line(moves=[3, 7]), "line 2: move 2, action 7, is illegal"),
        (solved_line(moves=[3] * 7), "line 2: move 7, action 3, is illegal"),
        (solved_line(moves=[0, 1] * 3 + [0]), "line 2: the game is over"),
        (
            solved_line(moves=[3] * 6),
            r"given for actions \[0, 1, 2, 3, 4, 5, 6\], legal are \[0, 1",
        ),
        (solved_line(outcomes=[1, 0]), "line 2: 'outcomes' must be 7 values"),
        (solved_line(outcomes=[2] * 7), "line 2: 'outcomes' must be 7 values"),
    ],
)
def test_a_broken_file_of_positions_is_refused_with_its_line(tmp_path, text, wanted):
    path = tmp_path / "positions.jsonl"
    path.write_text(solved_line() + text)
    with pytest.raises(ValueError, match=wanted):
        mistakes.load_positions("connect_four", path)


def test_a_game_that_is_too_big_to_solve_says_what_was_found_and_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(mistakes, "POSITION_LIMIT", 2_000)
    with pytest.raises(
        ValueError, match=r"more than 2000 live positions; a smaller .* --positions"
    ):
        mistakes.load_positions("hex:size=6")
    monkeypatch.setattr(mistakes, "SECONDS_LIMIT", 0.0)
    with pytest.raises(ValueError, match=r"after 0 seconds, \d+ live .* too big"):
        mistakes.load_positions("breakthrough:rows=3,cols=4")
    (tmp_path / "empty").touch()
    with pytest.raises(ValueError, match="no solved position"):
        mistakes.load_positions("connect_four", tmp_path / "empty")


def test_rates_by_ply_and_budget_add_up_to_the_rates_of_the_set(solved):
    def wrong_from(ply):  # perfect until then, and the worst afterwards
        def choose(board, seat):
            worst = sum(cell != -1 for cell in board) >= ply
            pick = min if worst else max
            return pick(free(board), key=lambda cell: outcome(board, cell, seat))

        return table_player(choose)

    found = mistakes.measure(wrong_from(9), {4: wrong_from(6), 8: wrong_from(0)}, solved)
    assert found["raw"] == 0.0
    assert found["search"] == found["budgets"]["4"] < found["budgets"]["8"]
    assert found["possible"] == found["budgets"]["8"], "the worst move errs wherever one can"
    assert [row["ply"] for row in found["by_ply"]] == list(range(9))
    assert sum(row["positions"] for row in found["by_ply"]) == found["positions"] == 4520
    assert [row["budgets"]["4"] > 0 for row in found["by_ply"]] == [
        ply in (6, 7) for ply in range(9)
    ]
    for budget, rate in found["budgets"].items():
        mean = sum(row["positions"] * row["budgets"][budget] for row in found["by_ply"]) / 4520
        assert mean == pytest.approx(rate)


def test_small_games_have_an_oracle_and_big_ones_do_not():
    known = ("tic_tac_toe", "connect_four", "hex:size=3", "hex:size=3,swap=true", "hex:size=5")
    assert all(mistakes.has_oracle(spec) for spec in (*known, "breakthrough:rows=4,cols=4"))
    assert not any(
        mistakes.has_oracle(spec)
        for spec in ("hex", "hex:size=4", "hex:size=5,swap=true", "breakthrough", "go")
    )
    assert mistakes.has_endings("othello:size=6")
    assert not mistakes.has_oracle("othello:size=6")
    assert not any(map(mistakes.has_endings, ("othello", "hex:size=5", "connect_four")))
