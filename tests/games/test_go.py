"""Go: constructed positions, numbers of ways to play, and what is not a rule."""

import functools
import operator
import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from games import load
from games.go import NO_ENTRY, Go, _among, _insert, _look_up
from mcts import SearchConfig, tree_bytes
from tests.oracles.go import PlainGo, moves_to
from tests.support.go_states import (
    MANY,
    area_of,
    first,
    jitted,
    jitted_returns,
    joined,
    names,
    played,
    reach,
    start,
    symbols,
)

# Numbers of ways to play.

BLOCK = 512


def perft(size, state, depth):
    """Returns how often `depth` more plies can be played from the state, a batch of one."""
    for _ in range(depth - 1):
        parents, actions = np.nonzero(np.asarray(state.legal_action_mask))
        blocks = []
        for low in range(0, len(parents), BLOCK):
            chosen = np.resize(np.arange(len(parents))[low : low + BLOCK], BLOCK)  # full blocks
            some = jax.tree.map(operator.itemgetter(parents[chosen]), state)
            blocks.append(jitted(size)(some, jnp.asarray(actions[chosen])))
        state = jax.tree.map(lambda *leaves: np.concatenate(leaves), *blocks)
        state = jax.tree.map(operator.itemgetter(slice(len(parents))), state)
    return int(state.legal_action_mask.sum())


@pytest.mark.parametrize(("depth", "count"), [(1, 82), (2, 6643), (3, 531522)])
def test_perft_of_9x9_is_as_published(depth, count):
    assert perft(9, start(9), depth) == count


def test_perft_of_fights_agrees_with_plain_python():
    rng, plain, state = random.Random(3), PlainGo(5, 7.5), start(5)
    for ply in range(50):
        if ply in (25, 40, 48):  # the last of them meets the end of the game
            assert perft(5, state, 3) == plain.perft(3), plain.actions
        plain.play(plain.choose(rng, plain.legal()))
        state = jitted(5)(state, jnp.array(plain.actions[-1:]))


# Constructed positions.


def test_a_ko_may_be_retaken_only_after_the_board_has_changed():
    ko = ". X O . .  X O . O .  . X O . .  . . . . .  . . . . ."
    assert symbols(reach(ko, 0, "C4")) == joined(
        ". X O . .  X . X O .  . X O . .  . . . . .  . . . . ."
    )
    assert "B4" not in names(reach(ko, 0, "C4"))
    assert "B4" in names(reach(ko, 0, "C4 A1 E1"))
    assert "C4" not in names(reach(ko, 0, "C4 A1 E1 B4"))
    assert "B4" in names(reach(ko, 0, "C4 pass E1"))  # the pass alone has changed nothing


def test_the_last_capture_of_a_triple_ko_cycle_is_illegal():
    black_takes = ". X O . . . . . .  X O . O . . . . .  . X O . . . . . ."
    white_takes = ". X O . . . . . .  X . X O . . . . .  . X O . . . . . ."
    text = f"{black_takes} {white_takes} {black_takes}"
    assert "B2" not in names(reach(text, 0, "C8 B5 C2 B8 C5"))
    assert "B2" in names(reach(text, 0, "C8 B5 C2 J9 J1"))
    assert "B2" in names(reach(text, 0, "C8 B5 C2 B8 C5 J9 J1"))


def test_sending_two_to_return_one_is_illegal_though_the_other_was_to_play():
    text = ". O . O .  X X O O .  . . X . .  . . . . .  . . . X X"  # black's move made it
    sent = reach(text, 1, "A5 C5")
    assert symbols(sent) == joined(". . X O .  X X O O .  . . X . .  . . . . .  . . . X X")
    assert "B5" not in names(sent)
    assert "B5" in names(reach(text, 1, "A5 C5 A1 E4"))


def test_a_snapback_takes_the_stones_that_took():
    text = ". . O X .  O O O X .  X X X X .  . . . . .  . . . . ."
    taken = ". O O X .  O O O X .  X X X X .  . . . . .  . . . . ."
    back = "X . . X .  . . . X .  X X X X .  . . . . .  . . . . ."
    assert symbols(reach(text, 0, "A5 B5")) == joined(taken)
    assert symbols(reach(text, 0, "A5 B5 A5")) == joined(back)


def test_suicide_of_one_or_many_stones_is_illegal_but_where_it_takes():
    text = "X X . O .  O O O O .  . . . . .  X X X . .  . O X . ."
    black, white = names(reach(text, 0)), names(reach(text, 1))
    assert "C5" not in black  # three stones would die
    assert "C5" in white
    assert "A1" not in white  # two stones would die
    assert "A1" in black
    text = ". X . . .  X . . . .  . . . . .  . . . . .  . . . . ."
    assert "A5" not in names(reach(text, 1))
    assert "A5" in names(reach(text, 0))


def test_one_stone_takes_four_chains_and_one_stone_takes_twenty_four():
    text = ". . X . .  . X O X .  X O . O X  . X O X .  . . X . ."
    taken = ". . X . .  . X . X .  X . X . X  . X . X .  . . X . ."
    assert symbols(reach(text, 0, "C3")) == joined(taken)
    full = "X X X X X  X X X X X  X X . X X  X X X X X  X X X X X"
    assert set(names(reach(full, 0))) == {"pass"}
    assert set(names(reach(full, 1))) == {"C3", "pass"}
    state = reach(full, 1, "C3")
    assert symbols(state) == "." * 12 + "O" + "." * 12
    assert len(names(state)) == 25


def test_who_moves_first_in_a_seki_may_and_dies():
    text = "X X X O O  X X X O O  X X . O O  X X . O O  X X X O O"
    assert {"C2", "C3", "pass"} == set(names(reach(text, 0))) == set(names(reach(text, 1)))
    assert symbols(reach(text, 0, "C3 C2")) == joined(
        ". . . O O  . . . O O  . . . O O  . . O O O  . . . O O"
    )


def test_only_two_passes_in_a_row_end_the_game_and_it_stays_as_it_is():
    a_pass = 25
    assert not played(5, [a_pass, 0, a_pass, 1]).terminated[0]
    assert not played(5, [0, a_pass]).terminated[0]
    state = played(5, [0, a_pass, a_pass])
    assert state.terminated[0]
    assert not state.legal_action_mask[0].any()
    for action in (3, a_pass):
        jax.tree.map(np.testing.assert_array_equal, state, jitted(5)(state, jnp.array([action])))


def test_the_last_ply_ends_the_game_and_counts_the_board_as_it_stands():
    full = "O O O O O  O O O O O  O O . O O  O O O O O  O O O O O"
    moves = [*moves_to(full, 0), 12]  # black takes all of them with the 49th ply
    assert not played(5, moves).terminated[0]
    state = played(5, [*moves, 0])
    assert state.terminated[0]
    assert area_of(symbols(state)) == [1, 1]
    assert jitted_returns(5, 0.0)(state)[0].tolist() == [0.0, 0.0]


@pytest.mark.parametrize(("komi", "expected"), [(0.0, [1, -1]), (24.5, [1, -1]), (25.0, [0, 0])])
def test_komi_counts_for_seat_1_and_a_whole_one_can_draw(komi, expected):
    assert jitted_returns(5, komi)(played(5, [12, 25, 25]))[0].tolist() == expected
    assert jitted_returns(5, komi)(played(5, [12, 25]))[0].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("board", "area"),
    [
        (". . . . .  . . . . .  . . . . .  . . . . .  . . . . .", [0, 0]),
        (". . . . .  . . . . .  . . X . .  . . . . .  . . . . .", [25, 0]),
        (". X . O .  . X . O .  . X . O .  . X . O .  . X . O .", [10, 10]),
        (". X O . .  . X O . .  X X O . .  O O O . .  . . . . X", [7, 6]),
        ("X X X O O  X X X O O  X X . O O  X X . O O  X X X O O", [13, 10]),  # seki
        ("X X X X X  X . . . X  X . O . X  X . . . X  X X X X X", [16, 1]),
    ],
)
def test_area_is_stones_and_the_points_that_reach_only_them(board, area):
    assert area_of(joined(board)) == area


@pytest.mark.parametrize("size", [5, 9, 19])
def test_area_finds_the_way_through_a_long_corridor(size):
    board = np.full((size, size), ".")
    board[1::2] = "O"
    board[1::4, -1] = board[3::4, 0] = "."  # every other line is a wall with one gap, left or right
    walls = (board == "O").sum()
    assert area_of("".join(board.flat)) == [0, size**2]
    for row in (0, size - 1):
        end = board.copy()
        end[row, 0 if row == 0 or size % 4 == 1 else -1] = "X"
        assert area_of("".join(end.flat)) == [1, walls], end
        assert area_of("".join(end.T.flat)) == [1, walls], end


# What is not a rule of Go.


@pytest.mark.parametrize("look_up", [functools.partial(_look_up, entries=162), _among])
def test_past_boards_are_found_even_if_they_share_a_word(look_up):
    rng = np.random.default_rng(0)
    words = np.repeat(rng.integers(0, 2**32, 70, np.uint32), 2)  # each is word 0 of two boards
    boards = np.stack([words, rng.integers(0, 2**32, 140, np.uint32)])
    history = jnp.full((2, 162), NO_ENTRY)
    for i in rng.permutation(140):
        history = jax.jit(_insert)(history, boards[:, i])
    assert (np.diff(np.asarray(history[0], np.int64)) >= 0).all()
    others = np.array([[5, 4], [9, 9]], np.uint32)  # in no order: boards of the moves last made
    seen, history = jax.jit(look_up), jnp.concatenate([history, others], axis=1)
    assert seen(history, boards.T).all()
    assert seen(history, others.T).all()
    assert not seen(history, np.stack([words, boards[1] ^ 1]).T).any()
    assert not seen(history, boards.T + np.array([1, 0], np.uint32)).any()


def test_the_observation_shows_atari_legal_points_the_last_moves_and_the_seat():
    text = ". X O . .  X O . O .  . X O . .  . . . . .  . . . . ."
    state = reach(text, 0, "C4 pass D1")
    planes = np.asarray(Go(5).observe(first(state)))
    assert planes.shape == Go(5).observation_shape
    assert planes.dtype == bool
    everywhere = names(start(5))
    stones = {
        0: "C5 D4 C3",  # white's, which is to play
        1: "B5 A4 B3 C4 D1",
        2: "C5",
        3: "C4",
        4: " ".join(set(names(state)) - {"pass"}),
        5: "D1",
        6: "",
        7: "C4",
        10: "",
        11: " ".join(set(everywhere) - {"pass"}),
    }
    for plane, text in stones.items():
        expected = np.isin(np.arange(25), [everywhere[name] for name in text.split()])
        np.testing.assert_array_equal(planes[..., plane].reshape(-1), expected, str(plane))
    passed = np.asarray(Go(5).observe(first(reach(text="." * 24 + "X", to_play=1, moves="pass"))))
    assert passed[..., 10].all()
    assert not passed[..., 11].any()


def test_symmetries_map_a_game_to_itself():
    game, rng = Go(5), random.Random(0)
    inverse = [np.argsort(symmetry.action) for symmetry in game.symmetries()]
    states, plain = start(5, MANY), PlainGo(5, 7.5)
    assert len(inverse) == 8
    for _ in range(50):
        seen = np.asarray(jax.vmap(game.observe)(states))
        for i, symmetry in enumerate(game.symmetries()):
            image = seen[0].reshape(25, -1)[symmetry.observation].reshape(seen[0].shape)
            np.testing.assert_array_equal(seen[i], image, str(plain.actions))
            mask = np.asarray(states.legal_action_mask)
            np.testing.assert_array_equal(mask[i], mask[0][symmetry.action], str(plain.actions))
        action = plain.choose(rng, plain.legal())
        plain.play(action)
        images = [int(inverse[i % 8][action]) for i in range(MANY)]
        states = jitted(5)(states, jnp.array(images))


def test_moves_are_named_as_in_the_go_text_protocol_and_the_picture_has_them():
    game = load("go:size=9,komi=6.5")
    state = first(start(9))
    assert game == Go(9, 6.5)
    assert [game.action_to_string(state, a) for a in (0, 8, 72, 81)] == ["A9", "J9", "A1", "pass"]
    for action in range(82):
        name = game.action_to_string(state, action)
        assert game.string_to_action(state, f" {name.lower()} ") == action
    with pytest.raises(ValueError, match=r"'I5'.*A9 B9"):
        game.string_to_action(state, "I5")
    assert Go(5).render(
        first(reach("X . . . .  . . . . .  . . O . .  . . . . .  . . . . .", 0))
    ) == ("5 X . . . .\n4 . . . . .\n3 . . O . .\n2 . . . . .\n1 . . . . .\n  A B C D E")


def test_a_past_recalled_forbids_what_the_past_forbade():
    """The end of a triple ko's cycle, recalled from the opening and from all that came between."""
    game = Go(9)
    black_takes = ". X O . . . . . .  X O . O . . . . .  . X O . . . . . ."
    white_takes = ". X O . . . . . .  X . X O . . . . .  . X O . . . . . ."
    setup = moves_to(f"{black_takes} {white_takes} {black_takes}", 0)
    cycle = [game.string_to_action(first(start(9)), move) for move in ["C8", "B5", "C2", "B8"]]
    last = game.string_to_action(first(start(9)), "C5")
    forget, recall, step = jax.jit(game.forget), jax.jit(game.recall), jax.jit(game.step)
    root = state = first(start(9))
    passed = []
    for action in [*setup, *cycle]:
        passed.append(forget(state))
        state = step(state, action)

    def play_on(line):
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *line)
        return step(recall(forget(state), root, stacked), last)

    expected = step(state, last)
    assert "B2" not in names(jax.tree.map(lambda x: x[None], expected))
    for line in (passed, passed[::-1], [*passed, passed[3], passed[3]]):
        jax.tree.map(np.testing.assert_array_equal, forget(play_on(line)), forget(expected))
    unaware = play_on(passed[: len(setup)])  # without the board that the cycle began with
    assert "B2" in names(jax.tree.map(lambda x: x[None], unaware))


@pytest.mark.parametrize(("size", "limit"), [(9, 2000), (19, 8000)])
def test_positions_and_the_nodes_of_trees_are_small(size, limit):
    assert sum(leaf.nbytes for leaf in jax.tree.leaves(start(size))) < limit
    config = SearchConfig(policy="puct", simulations=200)
    assert tree_bytes(Go(size), config, batch=10) / 2010 < limit


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("size=4", "5 to 19"),
        ("size=20", "5 to 19"),
        ("komi=7.25", "multiple of 0.5"),
        ("komi=nan", "multiple of 0.5"),
        ("size=5,komi=-25.5", "-25 to 25, got -25.5"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        load(f"go:{options}")
