"""Boards of several sizes as one game: on each of them it is the game of that size."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from games import registry
from games.conformance import check
from games.game import Drawn, Remembering, Scoring, Territorial, drawn_plies
from games.layout import Text

SPECS = ("hex:size=2+3", "hex:size=3+4,swap=true", "othello:size=4+6", "go:size=5+6")
PROTOCOLS = (Remembering, Territorial, Scoring, Drawn)
KEY = jax.random.key(0)


def on_large(own, small, large):
    """The numbers of a small board's actions in the large one: its cells lie in the middle."""
    (rows, cols), (height, width) = small.observation_shape[:2], large.observation_shape[:2]
    cell = [
        (row + (height - rows) // 2) * width + col + (width - cols) // 2
        for row in range(rows)
        for col in range(cols)
    ]
    others = range(height * width, height * width + small.num_actions - rows * cols)
    return [*cell, *others][own]


def framed(seen, shape):
    """What a small board shows, in the middle of the large one, with a plane of its cells."""
    around = np.zeros(shape, bool)
    top, left = ((large - own) // 2 for large, own in zip(shape[:2], seen.shape[:2], strict=True))
    inside = around[top : top + seen.shape[0], left : left + seen.shape[1]]
    inside[..., :-1], inside[..., -1] = seen, True
    return around


def rules(game):
    """`step`, and what is seen of a position, compiled."""
    look = jax.jit(lambda state: (game.observe(state), game.returns(state)))
    return jax.jit(game.step), lambda state: jax.tree.map(np.asarray, look(state))


@pytest.mark.parametrize("spec", SPECS)
def test_on_each_board_it_is_the_game_of_that_size(spec):
    several = games.load(spec)
    largest = several.games[-1]
    step, look = rules(several)
    rng = np.random.default_rng(0)
    opening = several.init(KEY)
    assert not np.asarray(several.observe(opening)).any()
    choices = np.flatnonzero(opening.legal_action_mask)
    assert choices.tolist() == [largest.num_actions, largest.num_actions + 1]
    for number, small in enumerate(several.games):
        alone_step, alone_look = rules(small)
        alone = small.init(KEY)
        state = step(opening, jnp.int32(choices[number]))
        while True:
            legal = np.flatnonzero(alone.legal_action_mask)
            wanted = [on_large(action, small, largest) for action in legal]
            assert np.flatnonzero(state.legal_action_mask).tolist() == wanted
            assert int(state.to_play) == int(alone.to_play)
            assert bool(state.terminated) == bool(alone.terminated)
            (seen, returns), (own, own_returns) = look(state), alone_look(alone)
            np.testing.assert_array_equal(seen, framed(own, several.observation_shape))
            np.testing.assert_array_equal(returns, own_returns)
            assert several.render(state) == small.render(alone)
            if alone.terminated:
                break
            chosen = rng.integers(len(legal))
            action, same = int(legal[chosen]), wanted[chosen]
            name = small.action_to_string(alone, action)
            assert several.action_to_string(state, same) == name
            assert several.string_to_action(state, name) == same
            alone, state = alone_step(alone, jnp.int32(action)), step(state, jnp.int32(same))
        after = step(state, jnp.int32(0))
        assert all(map(np.array_equal, jax.tree.leaves(after), jax.tree.leaves(state)))
        if isinstance(small, Scoring):
            assert several.margin(state) == small.margin(alone)
            assert several.largest_margin == largest.largest_margin
        planes = np.asarray(several.final_planes(state))
        assert abs(planes).sum() == abs(np.asarray(small.final_planes(alone))).sum()


@pytest.mark.parametrize("spec", SPECS)
def test_it_has_what_the_game_has_and_is_named_by_what_made_it(spec):
    several = games.load(spec)
    for protocol in PROTOCOLS:
        assert isinstance(several, protocol) == isinstance(several.games[0], protocol)
    assert registry.spec_of(several) == registry.canonical(spec) == spec
    assert games.load(spec) == several
    assert hash(games.load(spec)) == hash(several)
    registry.check_name(spec)
    assert drawn_plies(several) == 1
    assert drawn_plies(several.games[0]) == 0
    assert several.max_plies == 1 + several.games[-1].max_plies


def test_it_forgets_and_recalls_the_past_of_its_board():
    several = games.load("go:size=5+6")
    state = several.step(several.init(KEY), jnp.int32(37))  # the board of 5
    for action in (7, 8):
        state = several.step(state, jnp.int32(action))
    forgotten = several.forget(state)
    past, left = (several.games[0].init(KEY).history.size, forgotten.boards[0].history.size)
    assert (past, left) == (2 * 50, 0)
    line = jax.tree.map(lambda leaf: leaf[None], forgotten)
    recalled = several.step(several.recall(forgotten, state, line), jnp.int32(13))
    alone = several.step(state, jnp.int32(13))
    assert several.render(recalled) == several.render(alone)
    np.testing.assert_array_equal(recalled.legal_action_mask, alone.legal_action_mask)


def test_symmetries_are_those_of_every_board_in_its_place():
    assert len(games.load("go:size=5+7+9").symmetries()) == 8
    assert len(games.load("hex:size=3+5").symmetries()) == 2
    # A board of 3 in one of 4 has no middle: of all turns and mirrors, those that leave it there.
    lopsided = games.load("go:size=5+6")
    kept = [s.observation.reshape(6, 6).tolist() for s in lopsided.symmetries()]
    board = np.arange(36).reshape(6, 6)
    assert kept == [board.tolist(), board.T.tolist()]


def test_a_game_on_several_boards_conforms():
    report = check(games.load("hex:size=3+5"), games=48, fresh_process=False)
    assert not report.violations


def test_conformance_finds_a_board_that_is_shown_in_another_place():
    @dataclasses.dataclass(frozen=True)
    class Shifted(type(games.load("hex:size=3+5"))):
        def observe(self, state):
            return jnp.roll(super().observe(state), 1, axis=0)

    report = check(Shifted(games.load("hex:size=3+5").games), games=48, quick=True)
    assert "symmetry" in {violation.law for violation in report.violations}


def test_the_board_that_is_drawn_is_the_largest_with_a_button_for_each_size():
    several = games.load("hex:size=3+5")
    state = several.init(KEY)
    assert several.place(state, 25) == Text("3x3")
    assert not several.pieces(state)
    state = several.step(state, jnp.int32(several.string_to_action(state, "3x3")))
    state = several.step(state, jnp.int32(several.string_to_action(state, "a1")))
    (stone,) = several.pieces(state)
    assert (stone.place, stone.seat) == (6, 0)  # row 1, column 1 of 5
    assert several.place(state, 12).place == 12


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("hex:size=3+", "size '3.' lacks a number: several sizes are as in size=5.7.9"),
        ("hex:size=3+x", "option size must be a whole number, got 'x'"),
        ("hex:size=3+40", "size must be a whole number from 1 to 19, got 40"),
        ("connect_four:size=3+5", "unknown option 'size'"),
        ("go:size=5+7,size=9", "option 'size' is given twice"),
        ("tests.toys.sized:Moves:size=3+4", "an action for each cell, and equally many"),
    ],
)
def test_sizes_that_cannot_be_are_named(spec, message):
    with pytest.raises(ValueError, match=message):
        games.load(spec)


def test_an_engine_begins_with_the_largest_board():
    assert registry.largest("go:size=5+9+7,komi=5.5") == "go:size=9,komi=5.5"
    assert registry.largest("go:komi=5.5") == "go:komi=5.5"
    assert registry.largest("tic_tac_toe") == "tic_tac_toe"


def test_one_size_named_twice_is_that_size():
    assert games.load("hex:size=3+3") == games.load("hex:size=3")
