"""What games declare of their boards, and its law."""

import functools
import math

import jax
import numpy as np
import pytest

import games
from games.breakthrough import Breakthrough
from games.conformance.drawn import check_board
from games.conformance.laws import Findings
from games.conformance.playouts import batched, choose
from games.connect_four import ConnectFour
from games.dots_and_boxes import DotsAndBoxes
from games.drawing.picture import draw
from games.game import Drawn
from games.layout import Area, Arrow, Border, Edge, Line, Piece, Point, Text, hexagons, squares
from games.registry import BUILT_IN
from games.tic_tac_toe import TicTacToe
from tests.planted.mutants import Mutant

pytestmark = pytest.mark.usefixtures("compile_in_haste")

BOARD = squares(3, 3)


@functools.cache
def moves(game):
    """Returns random moves of many games: positions, actions, positions after them."""
    rules, rng, found = batched(game), np.random.default_rng(0), []
    at = rules.init(rng.integers(0, 2**32, 8, dtype=np.uint32))
    for _ in range(min(game.max_plies - 1, 8)):
        action = choose(at.mask, rng)
        after = rules.step(at.state, action)
        live = ~at.terminated
        found.append(tuple(jax.tree.map(lambda x, live=live: x[live], (at, action, after))))
        at = after
    return [some for some in found if len(some[1])]


def violations(game, played=None):
    findings = Findings()
    check_board(findings, game, moves(played or game))
    assert findings.tried == {"board"}
    return findings.violations


@pytest.mark.parametrize("name", BUILT_IN)
def test_all_of_our_games_declare_a_board_and_it_holds(name):
    game = games.load(name)
    assert isinstance(game, Drawn)
    assert not violations(game), violations(game)


@pytest.mark.parametrize("width", range(1, 5))
def test_boards_that_are_not_square_hold(width):
    for spec in (
        f"dots_and_boxes:rows=2,cols={width}",
        f"breakthrough:rows=4,cols={width + 1}",
        f"gomoku:rows=4,cols={width + 2},k=3",
        f"hex:size={width}",
    ):
        assert not violations(games.load(spec)), spec


def at(change):
    return {"place": lambda self, state, action: change(action)}


def board(**changes):
    return {"board": lambda self: TicTacToe.board(self)._replace(**changes)}


def pieces(change):
    return {"pieces": lambda self, state: [change(p) for p in TicTacToe.pieces(self, state)]}


CALLS = [0]


def another_each_time(self):
    CALLS[0] += 1
    return BOARD._replace(labels=((0.0, 0.0, str(CALLS[0])),))


WRONG = {
    "two actions at one place": at(lambda a: Point(min(a, 7))),
    "a place beside the board": at(lambda a: Point(a + 1)),
    "a negative place": at(lambda a: Point(a - 1)),
    "no place": at(lambda a: None),
    "a number as place": at(int),
    "a place that is half a number": at(lambda a: Point(a / 2)),
    "rows and columns exchanged": at(lambda a: Point(a % 3 * 3 + a // 3)),
    "upside down": at(lambda a: Point(8 - a)),
    "an arrow to where it begins": at(lambda a: Arrow(a, a)),
    "arrows that move nothing": at(lambda a: Arrow(a, (a + 1) % 9)),
    "edges that nothing draws": at(lambda a: Line(a, (a + 1) % 9)),
    "areas that overlap": at(lambda a: Area((a, (a + 1) % 9))),
    "an area of nothing": at(lambda a: Area(())),
    "an area over a point": at(lambda a: Area((0, 1)) if a == 0 else Point(a)),
    "buttons with one name": at(lambda a: Text("here")),
    "a button without a name": at(lambda a: Text(" ") if a == 0 else Point(a)),
    "a label that is a number": at(lambda a: Point(a, a)),
    "place that raises": at(lambda a: Point(1 // a)),
    "an unknown geometry": board(geometry="triangles"),
    "an unknown surface": board(surface="url(http://example.org)"),
    "an unknown colour": board(colours=("#ff0000", "blue")),
    "one colour": board(colours=("red",)),
    "a centre at infinity": board(centres=(*BOARD.centres[:8], (math.inf, 0.0))),
    "a centre that is text": board(centres=(*BOARD.centres[:8], ("2", "2"))),
    "two places with one centre": board(centres=(*BOARD.centres[:8], (0.0, 0.0))),
    "a list of centres": board(centres=list(BOARD.centres)),
    "no places": board(centres=()),
    "a star beside the board": board(stars=(9,)),
    "a line beside the board": board(lines=((0, 9),)),
    "a label of NaN": board(labels=((math.nan, 0.0, "a"),)),
    "a label that is no text": board(labels=((0.0, 0.0, 1),)),
    "a border of seat 2": board(borders=(Border(2, ((0.0, 0.0), (1.0, 0.0))),)),
    "another board each time": {"board": another_each_time},
    "no board": {"board": lambda self: "<svg/>"},
    "a piece beside the board": pieces(lambda p: p._replace(place=9)),
    "a piece of seat 2": pieces(lambda p: p._replace(seat=2)),
    "a piece that is text": pieces(str),
    "a piece of unknown form": pieces(lambda p: p._replace(form="star")),
    "a letter that is none": pieces(lambda p: p._replace(letter="")),
    "a letter that is markup": pieces(lambda p: p._replace(letter="<g/>")),
    "an edge beside the board": pieces(lambda p: Edge(p.place, 9)),
    "pieces that never change": {"pieces": lambda self, state: []},
    "pieces elsewhere": pieces(lambda p: p._replace(place=8 - p.place)),
    "pieces that raise": {"pieces": lambda self, state: state.nothing},
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_board_breaks_the_law(name):
    found = violations(Mutant("board", TicTacToe, WRONG[name]).game(), TicTacToe())
    assert found, name
    assert {violation.law for violation in found} == {"board"}


def test_directions_of_the_other_seat_are_noticed():
    """A piece that walks as seat 0's do, whoever is to play."""
    wrong = {
        "place": lambda self, state, action: Breakthrough.place(
            self, state._replace(to_play=np.int8(0)), action
        )
    }
    found = violations(Mutant("board", Breakthrough, wrong).game(), Breakthrough())
    assert found


def test_edges_and_columns_that_are_off_by_one_are_noticed():
    shifted = {"place": lambda s, state, a: DotsAndBoxes.place(s, state, (a + 1) % s.num_actions)}
    assert violations(Mutant("board", DotsAndBoxes, shifted).game(), DotsAndBoxes())
    shifted = {"place": lambda s, state, a: ConnectFour.place(s, state, (a + 1) % 7)}
    assert violations(Mutant("board", ConnectFour, shifted).game(), ConnectFour())


def test_labels_tell_actions_on_one_place_apart():
    labelled = at(lambda a: Point(a - a % 2, str(a % 2)))
    found = violations(Mutant("board", TicTacToe, labelled).game(), TicTacToe())
    assert not [violation for violation in found if "no two" in violation.expected]


def test_a_game_that_declares_nothing_or_only_a_part_is_let_alone():
    for missing in ("board", "place", "pieces"):
        game = Mutant("board", TicTacToe, {missing: None}).game()
        assert not isinstance(game, Drawn)
        assert not violations(game, TicTacToe())
        assert draw(game, game.init(jax.random.key(0))).level == 1


def test_hexagons_touch_six_others_and_borders_lie_around_them():
    rhombus = hexagons(4, 5, borders=(0, 1))
    centres = np.array(rhombus.centres)
    distance = np.hypot(*(centres[:, None] - centres[None, :]).transpose(2, 0, 1))
    inner = 1 * 5 + 2
    assert (np.isclose(distance, 1).sum(axis=1) <= 6).all()
    touched = np.flatnonzero(np.isclose(distance[inner], 1)).tolist()
    assert touched == [inner - 5, inner - 4, inner - 1, inner + 1, inner + 4, inner + 5]
    outside = [cell for cell in range(20) if cell // 5 in (0, 3) or cell % 5 in (0, 4)]
    for border in rhombus.borders:
        for point in border.points:
            away = np.hypot(*(centres - np.array(point)).T)
            assert np.isclose(away.min(), 3**-0.5), point
            assert int(away.argmin()) in outside


def test_a_piece_of_text_and_a_label_are_escaped():
    hostile = {
        "board": lambda self: BOARD._replace(labels=((0.0, 0.0, "<script>"),)),
        "pieces": lambda self, state: [Piece(0, 0, "letter", '">')],
    }
    game = Mutant("board", TicTacToe, hostile).game()
    shown = draw(game, game.init(jax.random.key(0))).svg
    assert "<script" not in shown
    assert "&lt;script&gt;" in shown
    assert "&quot;&gt;" in shown
