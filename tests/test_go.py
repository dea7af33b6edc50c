"""Go against plain Python, OpenSpiel and GNU Go, and in constructed positions."""

import functools
import operator
import random
import shutil
import subprocess

import jax
import jax.numpy as jnp
import numpy as np
import pyspiel
import pytest

from games import load
from games.go import NO_ENTRY, Go, _area, _insert, _seen
from tests.oracles_go import PlainGo, moves_to

GNUGO = shutil.which("gnugo") or shutil.which("gnugo", path="/usr/games")
GNUGO_OPTIONS = (
    "--mode gtp --chinese-rules --positional-superko --capture-all-dead --play-out-aftermath"
    " --level 1"
)
MANY = 64  # games played side by side; one number, because each batch size is compiled anew


@functools.cache
def jitted(size):
    """Returns the batched `step` of a size; the komi plays no part in it."""
    return jax.jit(jax.vmap(Go(size).step))


@functools.cache
def jitted_returns(size, komi):
    return jax.jit(jax.vmap(Go(size, komi).returns))


def start(size, batch=1):
    return jax.vmap(Go(size).init)(jax.random.split(jax.random.key(0), batch))


def played(size, actions):
    """Returns the state after `actions`, a batch of one; each of them must be legal."""
    state = start(size)
    for ply, action in enumerate(actions):
        assert state.legal_action_mask[0, action], (ply, action, Go(size).render(first(state)))
        state = jitted(size)(state, jnp.array([action]))
    return state


def first(state):
    return jax.tree.map(lambda leaf: np.asarray(leaf[0]), state)


def names(state):
    """Returns the legal actions' names."""
    game = Go(round(len(state.chain[0]) ** 0.5))
    actions = np.flatnonzero(state.legal_action_mask[0]).tolist()
    return {game.action_to_string(first(state), action): action for action in actions}


def reach(text, to_play, moves=""):
    """Returns the state of a diagram with `to_play` to move, after `moves`."""
    size = round(len("".join(text.split())) ** 0.5)
    actions = moves_to(text, to_play)
    everywhere = names(start(size))
    return played(size, actions + [everywhere[name] for name in moves.split()])


def symbols(state):
    return "".join(".XO"[np.sign(name)] for name in state.chain[0].tolist())


def joined(text):
    return "".join(text.split())


# Random games against other programs, ply by ply.


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
        (5, 0.0, 100),
        (7, 3.0, 50),
        (9, 7.5, 40),
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


def area_of(board):
    """Returns the game's count of a board of symbols."""
    chain = jnp.array(["O.X".index(symbol) - 1 for symbol in board], jnp.int16)
    return jitted_area(round(len(board) ** 0.5))(chain).tolist()


@functools.cache
def jitted_area(size):
    return jax.jit(lambda chain: _area(chain, size))


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


def test_past_boards_are_found_even_if_they_share_a_word():
    rng = np.random.default_rng(0)
    words = np.repeat(rng.integers(0, 2**32, 70, np.uint32), 2)  # each is word 0 of two boards
    boards = np.stack([words, rng.integers(0, 2**32, 140, np.uint32)])
    history = jnp.full((2, 162), NO_ENTRY)
    for i in rng.permutation(140):
        history = jax.jit(_insert)(history, boards[:, i])
    assert (np.diff(np.asarray(history[0], np.int64)) >= 0).all()
    assert jax.jit(_seen)(history, boards.T).all()
    other = np.stack([words, boards[1] ^ 1])
    assert not jax.jit(_seen)(history, other.T).any()
    assert not jax.jit(_seen)(history, boards.T + np.array([1, 0], np.uint32)).any()


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


@pytest.mark.parametrize(("size", "limit"), [(9, 2000), (19, 8000)])
def test_a_position_with_its_past_is_small_enough_for_a_tree(size, limit):
    assert sum(leaf.nbytes for leaf in jax.tree.leaves(start(size))) < limit


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
