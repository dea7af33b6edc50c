"""Go against plain Python, OpenSpiel and GNU Go: random games, ply by ply."""

import random
import subprocess

import jax.numpy as jnp
import numpy as np
import pyspiel
import pytest

from games.go import Go
from tests.oracles.go import PlainGo
from tests.support.engines import GNUGO, GNUGO_OPTIONS
from tests.support.go_states import (
    MANY,
    area_of,
    first,
    jitted,
    jitted_returns,
    names,
    start,
    symbols,
)


@pytest.mark.parametrize(
    ("size", "komi", "games", "every"),
    [
        (5, 0.0, 30, 1),
        (7, 3.0, 4, 2),
        (9, 7.5, 3, 5),
        pytest.param(5, 1.0, 1000, 1, marks=pytest.mark.slow),
        pytest.param(6, 2.5, 200, 1, marks=pytest.mark.slow),
        pytest.param(7, 2.0, 100, 1, marks=pytest.mark.slow),
        pytest.param(9, 7.5, 40, 1, marks=pytest.mark.slow),
        pytest.param(13, 7.0, 4, 5, marks=pytest.mark.slow),
        pytest.param(19, 7.5, 3, 10, marks=pytest.mark.slow),
    ],
)
def test_random_fights_agree_with_plain_python(size, komi, games, every):
    rng = random.Random(size)
    others = [PlainGo(size, komi) for _ in range(games)]
    state = start(size, max(games, MANY))
    for ply in range(others[0].max_plies + 1):
        mask = np.asarray(state.legal_action_mask)
        results = np.asarray(jitted_returns(size, komi)(state))
        actions = [0] * len(mask)
        for i, other in enumerate(others):
            case, options = (size, komi, other.actions), {}
            assert state.terminated[i] == other.ended, case
            assert results[i].tolist() == other.returns(), case
            if other.ended:
                assert not mask[i].any()
                continue  # whatever is played on the board, nothing may change
            assert state.to_play[i] == other.to_play, case
            if ply % every == 0:
                options = other.legal()
                assert np.flatnonzero(mask[i]).tolist() == list(options), case
                actions[i] = other.choose(rng, options)
            else:
                actions[i] = rng.choice(np.flatnonzero(mask[i][:-1]).tolist() or [size**2])
            other.play(actions[i])
        state = jitted(size)(state, jnp.array(actions))
    bans = sum(other.bans for other in others)
    assert bans > 0 or size > 7, "no repetition came up, so superko was not tested"


def test_a_game_on_19x19_agrees_with_plain_python():
    rng, plain, state = random.Random(0), PlainGo(19, 7.5), start(19)
    for ply in range(320):
        options = np.flatnonzero(state.legal_action_mask[0]).tolist()
        if ply % 40 == 39:
            assert options == list(plain.legal()), plain.actions
        plain.play(rng.choice(options[:-1]))
        state = jitted(19)(state, jnp.array(plain.actions[-1:]))
        assert symbols(state) == plain.board, plain.actions


def flipped(action, size):
    """Returns OpenSpiel's number for our action, or ours for its: its row 0 is the bottom line."""
    return action if action == size**2 else (size - 1 - action // size) * size + action % size


@pytest.mark.parametrize(
    ("size", "komi", "games"),
    [
        (5, 0.0, 60),
        (7, 3.0, 25),
        (9, 7.5, 15),
        pytest.param(5, 2.0, 2000, marks=pytest.mark.slow),
        pytest.param(9, 7.5, 1000, marks=pytest.mark.slow),
        pytest.param(19, 7.5, 20, marks=pytest.mark.slow),
    ],
)
def test_random_games_agree_with_openspiel_but_for_superko(size, komi, games):
    # There a move that repeats a board, unless it just retakes a ko, is legal and ends the game.
    peer = pyspiel.load_game("go", {"board_size": size, "komi": komi})
    rng, bans = random.Random(size), 0
    others = [peer.new_initial_state() for _ in range(games)]
    state = start(size, max(games, MANY))
    for _ in range(Go(size).max_plies + 1):
        mask = np.asarray(state.legal_action_mask)
        results = np.asarray(jitted_returns(size, komi)(state))
        actions = [0] * len(mask)
        for i, other in enumerate(others):
            case = (size, komi, [flipped(action, size) for action in other.history()])
            assert state.terminated[i] == other.is_terminal(), case
            assert results[i].tolist() == other.returns(), case
            if other.is_terminal():
                continue
            assert state.to_play[i] == other.current_player(), case
            ours = np.flatnonzero(mask[i]).tolist()
            theirs = {flipped(action, size) for action in other.legal_actions()}
            assert theirs.issuperset(ours), case
            for action in theirs.difference(ours):
                assert other.child(flipped(action, size)).is_terminal(), (case, action)
                bans += 1
            actions[i] = rng.choice(ours[:-1] if ours[:-1] and rng.random() > 0.02 else ours)
            other.apply_action(flipped(actions[i], size))
        state = jitted(size)(state, jnp.array(actions))
    assert bans > 0 or size > 5, "no repetition came up, so superko was not tested"


@pytest.fixture
def gnugo():
    """Returns a function that starts GNU Go and returns another one, which asks it commands."""
    if GNUGO is None:
        pytest.skip("gnugo is not installed (Debian package gnugo)")
    with subprocess.Popen(
        [GNUGO, *GNUGO_OPTIONS.split()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def ask(command):
            print(command, file=process.stdin, flush=True)
            lines = [process.stdout.readline()]
            while lines[-1] != "\n":
                assert lines[-1], f"gnugo has ended at {command!r}"
                lines.append(process.stdout.readline())
            assert lines[0].startswith("="), (command, lines)
            return "".join(lines)[1:].split()

        def begin(size, komi):
            for command in (f"boardsize {size}", "clear_board", f"komi {komi}"):
                ask(command)
            return ask

        yield begin
        ask("quit")


@pytest.mark.parametrize(
    ("size", "every"), [(5, 1), (9, 4), pytest.param(19, 20, marks=pytest.mark.slow)]
)
def test_random_fights_have_the_legal_moves_that_gnu_go_finds(gnugo, size, every):
    rng, bans = random.Random(size), 0
    for _ in range(6 if size == 5 else 1):
        plain, ask, state = PlainGo(size, 7.5), gnugo(size, 7.5), start(size)
        while not plain.ended:
            colour, options = ("black", "white")[plain.to_play], names(state)
            if len(plain.actions) % every == 0:
                theirs = {name for name in ask(f"all_legal {colour}") if name.lower() != "pass"}
                assert {*theirs, "pass"} == set(options), plain.actions
            fights = size == 5  # elsewhere plain Python would take its time
            points = list(options.values())[:-1] or [size**2]
            action = plain.choose(rng, plain.legal()) if fights else rng.choice(points)
            ask(f"play {colour} {Go(size).action_to_string(first(state), action)}")
            plain.play(action)
            state = jitted(size)(state, jnp.array([action]))
        bans += plain.bans
    assert bans > 0 or size > 5, "no repetition came up, so superko was not tested"


@pytest.mark.parametrize(
    ("size", "games"), [(5, 6), (7, 6), (9, 6), pytest.param(9, 100, marks=pytest.mark.slow)]
)
def test_finished_boards_have_the_area_that_gnu_go_counts(gnugo, size, games):
    rng, compared = random.Random(size), 0
    for _ in range(games):
        plain, ask = PlainGo(size, 7.5), gnugo(size, 7.5)
        while not plain.ended:
            action = plain.choose_to_finish(rng)
            name = Go(size).action_to_string(None, action)
            ask(f"play {('black', 'white')[plain.to_play]} {name}")
            plain.play(action)
        if len(plain.actions) < plain.max_plies:  # else stones that are about to die still stand
            black, white = area_of(plain.board)
            lead = black - white - 7.5
            expected = f"{'B' if lead > 0 else 'W'}+{abs(lead)}"
            assert ask("final_score")[0] == expected, plain.board
            compared += 1
    assert compared > games / 2
