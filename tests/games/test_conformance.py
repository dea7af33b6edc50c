"""The check itself: it accepts what is correct, however unusual, and rejects every planted bug."""

import dataclasses
import sys
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from games import registry
from games.conformance import LAWS, check
from games.conformance.check import QUICK
from games.conformance.unseen import unseen
from games.form import require_form
from games.othello import Othello
from games.pgx_adapter import GAMES
from games.tic_tac_toe import State, TicTacToe
from tests.planted.mutants import MUTANTS, VARIANTS
from tests.planted.wrong_rules import Kings, Pairs, Sowing
from tests.toys.unusual_forms import UNUSUAL_FORMS
from tests.toys.unusual_games import (
    UNUSUAL,
    Counting,
    DerivedTurn,
    MakerBreaker,
    Misere,
    Nim,
    RandomOpening,
    RelativeBoard,
)

# Bugs of a law that others of the same law show too.
REPEATED = {
    "a misère game whose deciding move wins",
    "returns exchanged when seat 1 won",
    "seat 1's wins go to seat 0",
    "the winner is always seat 0",
    "returns of 2 and -2",
    "max_plies that forgets the swap",
    "max_plies too small by one, in a long game",
    "a mask of the board before the move, connect_four",
    "seat 0's view for both, connect_four",
    "the opponent's boxes first, where who gains a box moves again",
    "a view that hides stones from seat 1",
    "noise in a number",
    "returns that a coin decides",
    "symmetries in floating point",
}
# Shown by some other test too, or much like another; tried by `make test-all` only.
SELDOM = {
    *VARIANTS,
    *REPEATED,
    *(Counting, DerivedTurn, MakerBreaker, Nim, RandomOpening, RelativeBoard),
}


FAST = {"connect_four", "tic_tac_toe"}
LARGE = {"go", "gomoku", "othello"}


pytestmark = pytest.mark.usefixtures("compile_in_haste")


def often(cases):
    """Returns the cases as parameters, some of them marked slow."""
    return [pytest.param(c, marks=pytest.mark.slow if c in SELDOM else ()) for c in cases]


def told(report):
    return "\n".join([*map(str, report.violations), *report.notes])


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow if n in LARGE else ()) for n in registry.BUILT_IN],
)
def test_every_registered_game_conforms(name):
    report = check(games.load(name), games=256 if name in FAST else 16)
    assert not report.violations, told(report)
    assert "never reads" not in told(report)
    assert report.tried == set(LAWS)


def pgx_games():
    """Returns pgx's games as parameters: one that compiles fast, the others marked slow."""
    marks = {"tic_tac_toe": ()}
    return [pytest.param(n, marks=marks.get(n, pytest.mark.slow)) for n in sorted(GAMES)]


@pytest.mark.parametrize("name", pgx_games())
def test_every_game_of_pgx_conforms(name):
    pytest.importorskip("pgx")
    report = check(games.load(f"pgx:{name}"), games=32 if name in FAST else 8)
    assert not report.violations, told(report)
    assert "never reads" not in told(report)
    assert report.tried == set(LAWS)


@pytest.mark.parametrize("game", often((*UNUSUAL, *UNUSUAL_FORMS)), ids=lambda game: game.__name__)
def test_a_correct_but_unusual_game_conforms(game):
    report = check(game(), games=64, fresh_process=False)
    assert not report.violations, told(report)
    assert not any("right only if two" in note for note in report.notes), told(report)


@pytest.mark.parametrize("name", often(MUTANTS))
def test_a_planted_bug_is_rejected_and_its_law_named(name):
    mutant = MUTANTS[name]
    report = check(mutant.game(), games=64, fresh_process=False)
    laws = {violation.law for violation in report.violations}
    assert mutant.law in laws, told(report) or "no violation"
    assert laws <= set(LAWS)
    assert report.verdict(mutant.law) == "broken"


@pytest.mark.parametrize(
    ("name", "law", "expected", "action", "shown"),
    [
        ("returns before the end", "returns", "returns of zero before the end", "", "3 . . ."),
        ("an end that does not absorb", "end", "no action to change anything", "(number ", "X"),
    ],
)
def test_a_violation_shows_law_position_action_and_expectation(name, law, expected, action, shown):
    report = check(MUTANTS[name].game(), games=16, fresh_process=False)
    broken = next(violation for violation in report.violations if violation.law == law)
    assert expected in str(broken)
    assert action in broken.action
    assert shown in broken.position


def test_a_quick_check_finds_a_planted_bug_and_says_what_it_left_out():
    report = check(MUTANTS["returns exchanged when seat 1 won"].game(), quick=True)
    assert {violation.law for violation in report.violations} >= {"seats"}
    assert QUICK in report.notes
    assert report.verdict("import") == "not tried"


def test_a_misere_game_must_say_that_it_is_one():
    undeclared = dataclasses.make_dataclass(
        "Undeclared", [], bases=(Misere,), namespace={"misere": False}, frozen=True
    )
    report = check(undeclared(), games=64, fresh_process=False)
    assert [violation.law for violation in report.violations] == ["seats"]
    assert "misere = True" in report.violations[0].expected


def test_a_game_that_favours_a_seat_unseen_breaks_the_law_of_seats_and_shows_where():
    unseen = {"observation_shape": (3, 3, 2), "observe": TicTacToe.observe}
    game = dataclasses.make_dataclass("U", [], bases=(MakerBreaker,), namespace=unseen, frozen=True)
    report = check(game(), games=64, fresh_process=False)
    assert [violation.law for violation in report.violations] == ["seats"]
    assert "a rule that favours a seat, which a plane" in report.violations[0].found
    assert "3 " in report.violations[0].position


def test_a_game_that_the_first_move_always_ends_conforms_whatever_its_bound():
    game = games.load("hex:size=1,swap=true")
    assert game.max_plies > 1
    report = check(game, games=8, fresh_process=False)
    assert not report.violations, told(report)


@pytest.mark.parametrize(
    "game", [object(), TicTacToe, 3, None, dataclasses.make_dataclass("Empty", [], frozen=True)()]
)
def test_what_is_no_game_at_all_is_a_violation_not_a_crash(game):
    report = check(game, games=4, fresh_process=False)
    assert report.violations
    assert report.verdict("returns") == "not tried"


@pytest.mark.parametrize("method", ["init", "step", "observe", "returns", "symmetries", "render"])
def test_a_method_that_raises_is_a_violation_not_a_crash(method):
    def broken(self, *args):
        raise ZeroDivisionError("planted")

    game = dataclasses.make_dataclass(
        "Broken", [], bases=(TicTacToe,), namespace={method: broken}, frozen=True
    )()
    report = check(game, games=4, fresh_process=False)
    assert "ZeroDivisionError: planted" in told(report)
    assert "test_conformance.py" in told(report), "the line that raised is not shown"


IMPORTED = """
import dataclasses
import jax
import numpy as np
import jax.numpy as jnp
from games.tic_tac_toe import TicTacToe

{at_import}

@dataclasses.dataclass(frozen=True)
class Imported(TicTacToe):
    def __post_init__(self):
        {at_construction}
"""


@pytest.mark.parametrize(
    ("at_import", "at_construction", "verdict"),
    [
        ("", "pass", "holds"),
        ("TABLE = jnp.arange(9)", "pass", "broken"),
        ("DEVICE = jax.devices()", "pass", "broken"),
        ("", "jnp.zeros(3)", "broken"),
    ],
)
def test_device_work_at_import_or_construction_is_found(
    tmp_path, monkeypatch, at_import, at_construction, verdict
):
    name = f"imported_{abs(hash((at_import, at_construction)))}"
    module = IMPORTED.format(at_import=at_import, at_construction=at_construction)
    (tmp_path / f"{name}.py").write_text(module)
    monkeypatch.chdir(tmp_path)
    module = sys.modules[check.__module__]  # `games.conformance.check` is the function
    monkeypatch.setattr(module, "_check_play", lambda *_: None)  # only the import counts
    monkeypatch.setattr(sys, "path", [*sys.path])
    report = check(games.load(f"{name}:Imported"))
    assert report.verdict("import") == verdict, told(report)
    if verdict == "broken":
        assert f"{name}.py" in told(report), told(report)
        assert "a device was asked for" in told(report)


def test_the_same_seed_finds_the_same():
    game = MUTANTS["max_plies too small"].game()
    first, second = (check(game, games=16, seed=7, fresh_process=False) for _ in range(2))
    told = [
        report._replace(violations=tuple(map(str, report.violations)), shown=sorted(report.shown))
        for report in (first, second)
    ]
    assert told[0] == told[1]
    for one, other in zip(first.violations, second.violations, strict=True):
        jax.tree.map(np.testing.assert_array_equal, one.scenes, other.scenes)


def test_a_slow_constructor_is_found(monkeypatch):
    monkeypatch.setattr("games.form.CHEAP_SECONDS", 0.0)
    report = check(TicTacToe(), games=4, fresh_process=False)
    assert report.verdict("construction") == "broken"


class WideState(NamedTuple):
    board: jax.Array
    to_play: jax.Array
    legal_action_mask: jax.Array
    terminated: jax.Array
    winner: jax.Array
    spare: jax.Array  # bfloat16[2, 3]


@dataclasses.dataclass(frozen=True)
class Wide(TicTacToe):
    def init(self, key):
        return WideState(*super().init(key), spare=jnp.zeros((2, 3), jnp.bfloat16))

    def step(self, state, action):
        return WideState(*super().step(State(*state[:5]), action), spare=state.spare)


def test_a_state_may_hold_arrays_of_any_plain_dtype():
    report = check(Wide(), games=8, fresh_process=False)
    assert not report.violations, told(report)


def mirrored(move):
    return 8 - move


HIDDEN_READ = {  # `odd`, which no plane shows, turns the move
    "where": lambda odd, move: jnp.where(odd, mirrored(move), move),
    "jit": jax.jit(lambda odd, move: jnp.where(odd, mirrored(move), move)),
    "cond": lambda odd, move: jax.lax.cond(odd, mirrored, lambda move: move, move),
    "scan": lambda odd, move: jax.lax.scan(
        lambda carry, odd: (jnp.where(odd, mirrored(carry), carry), None), move, odd[None]
    )[0],
    "while": lambda odd, move: jax.lax.while_loop(
        lambda at: at[0], lambda at: (jnp.bool_(False), mirrored(at[1])), (odd, move)
    )[1],
    "nothing": lambda odd, move: move,
}


@pytest.mark.parametrize("how", HIDDEN_READ)
def test_a_field_that_step_reads_and_observe_never_does_is_named_from_the_program(how):
    def step(self, state, action):
        odd, spare = state.spare[0, 0] > 1, state.spare + 1
        after = TicTacToe.step(self, State(*state[:5]), HIDDEN_READ[how](odd, action))
        return WideState(*after, spare=spare)

    game = dataclasses.make_dataclass("H", [], bases=(Wide,), namespace={"step": step}, frozen=True)
    assert unseen(game()) == ([] if how == "nothing" else ["spare"])


def test_a_hidden_die_that_decides_full_boards_breaks_the_law_of_what_looks_alike():
    def init(self, key):
        die = jnp.full((2, 3), jax.random.bernoulli(key), jnp.bfloat16)
        return Wide.init(self, key)._replace(spare=die)

    def returns(self, state):
        drawn = state.terminated & (state.winner == -1)
        worth = jnp.where(state.spare[0, 0] > 0, jnp.array([1.0, -1.0]), jnp.array([-1.0, 1.0]))
        return jnp.where(drawn, worth, Wide.returns(self, state))

    die = {"init": init, "returns": returns}
    game = dataclasses.make_dataclass("Die", [], bases=(Wide,), namespace=die, frozen=True)
    report = check(game(), games=256, fresh_process=False)
    assert report.verdict("alike") == "broken", told(report)
    assert "rules go by spare of the state" in told(report)


many = jax.jit(lambda count: count.astype(jnp.int8) >= 200)


@pytest.mark.parametrize("cast", [many, lambda count: count.astype(jnp.int8) >= 200])
def test_a_constant_that_fits_no_int8_is_found_behind_a_cast_and_nothing_else_changes(cast):
    def step(self, state, action):
        after = TicTacToe.step(self, state, action)
        over = after.terminated | cast((after.board != -1).sum())
        return after._replace(terminated=over, legal_action_mask=after.legal_action_mask & ~over)

    game = dataclasses.make_dataclass(
        "Cast", [], bases=(TicTacToe,), namespace={"step": step}, frozen=True
    )
    report = check(game(), games=16, fresh_process=False)
    assert "in int32: see" in told(report), told(report)
    assert f"{__file__}:" in told(report)
    np.testing.assert_array_equal(many(jnp.arange(3)), jnp.ones(3, bool))


def third_seat(self, state, action):
    after = TicTacToe.step(self, state, action)
    next_seat = jnp.where(state.terminated, state.to_play, (state.to_play + 1) % 3)
    return after._replace(to_play=next_seat.astype(jnp.int8))


def one_player(self, state, action):
    return TicTacToe.step(self, state, action)._replace(to_play=jnp.int8(0))


def general_sum(self, state):
    return jnp.where(state.terminated, jnp.array([0.56, 0.44]), 0.0)


def rolling(self, state, action):
    after = TicTacToe.step(self, state, action)
    seed = (state.board != -1).sum()
    return after._replace(
        terminated=after.terminated | (jax.random.uniform(jax.random.key(seed)) > 1)
    )


UNFIT = {
    "three players": ({"step": third_seat}, "turns", "to_play to be 0 or 1"),
    "one player": ({"step": one_player}, "turns", "both seats to play in some game"),
    "general sum": ({"returns": general_sum}, "returns", "returns that sum to zero"),
    "dice": ({"step": rolling}, "form", "games of chance are not supported"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_what_is_no_game_of_two_is_refused_by_a_check_and_before_training(name):
    changes, law, words = UNFIT[name]
    game = dataclasses.make_dataclass("U", [], bases=(TicTacToe,), namespace=changes, frozen=True)()
    with pytest.raises(
        ValueError, match=f"'my:Game' breaks the law of {law}: .*{words}"
    ) as refused:
        require_form(game, "my:Game")
    assert len(str(refused.value).splitlines()) == 1
    report = check(game, games=16, fresh_process=False)
    assert words in "\n".join(map(str, (v for v in report.violations if v.law == law)))
    assert "a check of this game to run" not in told(report)


@pytest.mark.parametrize("game", [Nim(), Misere(), DerivedTurn(), RandomOpening(), Counting()])
def test_a_game_of_two_is_let_through_to_training(game):
    require_form(game, "my:Game")


WRONG = {
    "sowing, seats' ties": (Sowing("tie is a win"), "a tie given to a seat"),
    "sowing, chance": (Sowing("chance"), "hidden, random or forgotten"),
    "sowing, lost stones": (Sowing("lost"), "invariant(state) to be true"),
    "sowing, empty pits": (Sowing("empty pits"), "changed nothing but the turn or a clock"),
    "sowing, large numbers": (Sowing("raw numbers"), "divide by the largest"),
    "sowing, int8 ply": (Sowing("counter"), "int8, int16 and the like to hold"),
    "sowing, a short limit": (Sowing("short"), "cut off after exactly 10 plies"),
    "kings, quiet plies unseen": (Kings("quiet not shown"), "hidden, random or forgotten"),
    "kings, int8 cell": (Kings("narrow cell", rows=6, cols=6), "wrong_rules.py:"),
    "kings, the edge": (Kings("wraps"), "wrap round the edge"),
    "kings, seat 1's opening": (Kings("opening of the other"), "moves at the opening take up"),
    "kings, moved pieces stay": (Kings("stays"), "two legal actions led to one position"),
    "kings, cut games": (Kings("cut games to seat 1"), "after 20 plies were won by seat 1"),
    "pairs, a card unseen": (Pairs("hidden"), "hidden, random or forgotten"),
    "pairs, last stone unseen": (Pairs("last not shown"), "hidden, random or forgotten"),
    "pairs, the full board": (Pairs("draw to seat 1"), "a tie given to a seat"),
    "pairs, late": (Pairs("late"), "a ply late"),
    "pairs, the next": (Pairs("to the next"), "the seat to play after the move"),
    "pairs, transposed": (Pairs("transposed"), "with rows and columns exchanged it would fit"),
}


# Each shows another part of the check at work; the rest are tried by `make test-all` only.
OFTEN = ("sowing, a short limit", "pairs, a card unseen")
WRONG_NAMES = [
    pytest.param(name, marks=() if name in OFTEN else pytest.mark.slow) for name in WRONG
]


@pytest.mark.parametrize("name", WRONG_NAMES)
def test_a_wrong_rule_is_named_with_its_cause(name):
    game, words = WRONG[name]
    report = check(game, games=64, fresh_process=False)
    assert words in told(report)


@pytest.mark.parametrize(
    "game",
    [
        pytest.param(Sowing(), id="sowing"),
        *(
            pytest.param(game, id=type(game).__name__, marks=pytest.mark.slow)
            for game in (Kings(), Pairs())
        ),
    ],
)
def test_of_the_same_games_without_the_bug_there_is_nothing_to_say(game):
    report = check(game, games=64, fresh_process=False)
    assert not report.violations, told(report)
    # The limit of plies, which Kings does not show, is worth a note.
    said = ["go by ply of the state"] if isinstance(game, Kings) else []
    assert len(report.notes) == len(said), told(report)
    assert all(words in told(report) for words in said)
    assert len(report.portrait) == 3  # the third says that no board is declared


def counting_to(**changes):
    """A game of six moves, all of which may be legal to the last."""
    return dataclasses.make_dataclass("C", [], bases=(Counting,), namespace=changes, frozen=True)()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ["one mask at all positions", "100% of random games are cut off at max_plies = 6"]),
        ({"returns": lambda self, state: jnp.zeros(2)}, ["not one of 48 random games was decided"]),
    ],
)
def test_what_is_odd_gets_a_note(changes, said):
    report = check(counting_to(**changes), games=64, fresh_process=False)
    for words in said:
        assert any(words in note for note in report.notes)
    assert any("was decided" in note for note in report.notes) == bool(changes)


def test_games_of_one_length_in_which_the_board_is_full_get_no_note():
    report = check(games.load("dots_and_boxes:rows=2,cols=2"), games=64, fresh_process=False)
    assert "12 to 12 plies" in report.portrait[0]
    assert not report.notes, told(report)


@dataclasses.dataclass(frozen=True)
class Stale(TicTacToe):
    """What is legal is made from the board before the move, but what is taken stays forbidden."""

    def step(self, state, action):
        after = TicTacToe.step(self, state, action)
        stale = (state.board == -1) | (after.board == -1)
        return after._replace(legal_action_mask=stale & ~after.terminated)


@pytest.mark.parametrize(
    ("game", "said", "stale"),
    [
        (Stale(), "was the mask made from the board before the move? Else something", True),
        (Pairs("hidden"), "keeps the turn", False),  # equal masks, unequal turns
    ],
)
def test_positions_that_look_alike_are_shown_with_the_moves_to_them(game, said, stale):
    report = check(game, games=64, fresh_process=False)
    case = next(violation for violation in report.violations if violation.law == "alike")
    assert said in case.found
    assert ("board before the move" in case.found) == stale
    assert case.position.count("seat ") == 2
    assert "and, with the same observation," in case.position


@dataclasses.dataclass(frozen=True)
class Over(TicTacToe):
    """It has ended before it begins."""

    def init(self, key):
        none = jnp.zeros(9, bool)
        return super().init(key)._replace(terminated=jnp.bool_(True), legal_action_mask=none)


def test_of_a_game_that_is_over_at_its_opening_nothing_else_is_said():
    report = check(Over(), games=16, fresh_process=False)
    assert [v.expected for v in report.violations] == ["a game to go on at its opening"]
    assert report.verdict("end") == report.verdict("alike") == "not tried"


@pytest.mark.slow
def test_what_a_game_says_to_leave_out_of_its_observation_is_printed_and_not_broken():
    saying = {"unobserved": "the last stone"}
    game = dataclasses.make_dataclass("Says", [], bases=(Pairs,), namespace=saying, frozen=True)
    report = check(game("last not shown"), games=64, fresh_process=False)
    assert report.verdict("alike") == "holds"
    assert "not in the observation, as the game says: the last stone" in report.portrait


@pytest.mark.slow
def test_a_result_that_favours_a_seat_is_seen_though_pieces_are_on_the_board_at_the_start():
    """The two seats of Othello look alike on a board that is turned."""

    def returns(self, state):
        counts = self.observe(state)[..., :2].sum(axis=(0, 1))
        close = state.terminated & (abs(counts[0] - counts[1]) <= 4)
        return jnp.where(close, jnp.array([-1.0, 1.0]), Othello.returns(self, state))

    game = dataclasses.make_dataclass(
        "Close", [], bases=(Othello,), namespace={"returns": returns}, frozen=True
    )
    report = check(game(4), games=64, fresh_process=False)
    # The margin is the discs', which no longer agrees with who has won.
    assert [violation.law for violation in report.violations] == ["seats", "last board"]
    assert "is a tie given to a seat" in report.violations[0].found


@pytest.mark.slow
def test_a_cell_with_pieces_of_both_seats_gets_a_note():
    def observe(self, state):
        taken = jnp.zeros(9, bool).at[0].set((state.board[jnp.array([0, 8])] != -1).all())
        planes = TicTacToe.observe(self, state).reshape(9, 2)
        return (planes | taken[:, None]).reshape(self.observation_shape)

    game = dataclasses.make_dataclass(
        "Both", [], bases=(TicTacToe,), namespace={"observe": observe}, frozen=True
    )
    report = check(game(), games=64, fresh_process=False)
    assert any("a cell holds pieces of both seats" in note for note in report.notes), told(report)


class Thawed:
    """A dataclass, but not frozen: it can be assigned to, and has no hash."""

    __hash__ = None
    num_actions = 9

    def __getattr__(self, name):
        return getattr(TicTacToe(), name)


def test_a_game_that_is_not_frozen_is_told_so_at_once():
    report = check(Thawed(), games=4, fresh_process=False)
    assert "frozen=True" in str(report.violations[0])
