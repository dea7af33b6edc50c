"""What games declare of their boards, and its law."""

import functools
import math
from xml.etree import ElementTree

import jax
import numpy as np
import pytest

import games
from games.breakthrough import Breakthrough
from games.conformance.cases import Trial
from games.conformance.drawn import check_board
from games.conformance.playouts import batched, choose, envs_for
from games.connect_four import ConnectFour
from games.dots_and_boxes import DotsAndBoxes
from games.drawing import shapes
from games.drawing.faults import fault_of_piece, fault_of_place, faults_of_board
from games.drawing.picture import draw
from games.game import Drawn
from games.laws import Findings
from games.layout import (
    Area,
    Arrow,
    Border,
    Edge,
    Line,
    Piece,
    Point,
    Text,
    hexagons,
    points,
    squares,
)
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


def findings_of(game, played=None):
    findings = Findings()
    trial = Trial(findings, game, batched(game), envs_for(8, 0), np.random.default_rng(0))
    check_board(trial, moves(played or game))
    assert findings.tried == {"board"}
    return findings


def violations(game, played=None):
    return findings_of(game, played).violations


def drawings(game, played):
    """Returns the drawings of the first positions of a game that is played by the rules."""
    found = [draw(game, jax.tree.map(lambda leaf: leaf[0], moves(played)[0][0].state))]
    for before, action, after in moves(played)[:4]:
        old, new = (jax.tree.map(lambda leaf: leaf[0], at.state) for at in (before, after))
        found.append(draw(game, new, jax.numpy.asarray(action[0]), old))
    return found


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
    "a place that is text": at(lambda a: Point(str(a))),
    "a place that is true": at(lambda a: Point(True) if a == 1 else Point(a)),
    "a place that is an array": at(lambda a: Point(np.full(2, a))),
    "an area in a list": at(lambda a: Area([a])),
    "an arrow on to nowhere": at(lambda a: Arrow(a, (a + 1) % 9, None)),
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
    "a label without coordinates": board(labels=("a", "b")),
    "a colour that is a list": board(colours=(["red"], "blue")),
    "a surface that is an array": board(surface=np.arange(2)),
    "a line of three places": board(lines=((0, 1, 2),)),
    "a star that is a list": board(stars=([0],)),
    "a border without points": board(borders=(Border(0, None),)),
    "a border that is none": board(borders=((0, ()),)),
    "a complex centre": board(centres=(*BOARD.centres[:8], (1j, np.complex64(1)))),
    "a border of seat 2": board(borders=(Border(2, ((0.0, 0.0), (1.0, 0.0))),)),
    "another board each time": {"board": another_each_time},
    "no board": {"board": lambda self: "<svg/>"},
    "a piece beside the board": pieces(lambda p: p._replace(place=9)),
    "a piece of seat 2": pieces(lambda p: p._replace(seat=2)),
    "a piece of seats": pieces(lambda p: p._replace(seat=np.arange(2))),
    "a piece of many forms": pieces(lambda p: p._replace(form=np.arange(2))),
    "no pieces at all": {"pieces": lambda self, state: None},
    "pieces that raise late": {"pieces": lambda self, state: (1 // 0 for _ in range(2))},
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


# What the law forbids and a drawing can do without: it is of one position, and people see it.
DRAWN = {
    "two actions at one place",
    "rows and columns exchanged",
    "upside down",
    "arrows that move nothing",
    "edges that nothing draws",
    "areas that overlap",
    "an area over a point",
    "buttons with one name",
    "another board each time",
    "no board",
    "pieces that never change",
    "pieces elsewhere",
}


@pytest.mark.parametrize("name", WRONG)
def test_a_drawing_says_which_method_of_whose_class_is_wrong_and_never_fails_itself(name):
    wrong = WRONG[name]
    game = Mutant("board", TicTacToe, wrong).game()
    if name in DRAWN:
        assert all(drawing.svg.startswith("<svg") for drawing in drawings(game, TicTacToe()))
        return
    [method] = wrong
    with pytest.raises(ValueError, match=r"`selfplay game check .*` says more") as told:
        drawings(game, TicTacToe())
    assert str(told.value).startswith(f"{type(game).__name__}.{method}("), told.value


def test_an_exception_of_a_game_is_the_cause_of_what_a_drawing_says():
    """So that a traceback shows the author's file, and one sentence its line."""
    for method in ("board", "place", "pieces"):
        wrong = {method: lambda *given: {}["nothing"]}
        game = Mutant("board", TicTacToe, wrong).game()
        with pytest.raises(ValueError, match=method) as told:
            drawings(game, TicTacToe())
        assert isinstance(told.value.__cause__, KeyError)
        assert told.value.__cause__.__traceback__.tb_next.tb_frame.f_code.co_filename == __file__
        assert f"{__file__}:" in str(told.value)


def test_a_board_is_asked_for_and_looked_at_once():
    asked = []
    wrong = {"board": lambda self: asked.append(1) or BOARD}
    game = Mutant("board", TicTacToe, wrong).game()
    assert len(drawings(game, TicTacToe())) > 1
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"place": lambda self, state, action: {}[action]}, "place(state, action) to run"),
        ({"pieces": lambda self, state: state.nothing}, "pieces(state) to run"),
    ],
)
def test_a_method_that_raises_is_named_with_its_position(wrong, expected):
    [found] = violations(Mutant("board", TicTacToe, wrong).game(), TicTacToe())
    assert found.expected == expected
    assert __file__ in found.found
    assert "3 . . ." in found.position
    assert ("number" in found.action) == ("place" in wrong)


@pytest.mark.parametrize(
    "name", ["two actions at one place", "a negative place", "a piece beside the board"]
)
def test_one_mistake_is_one_finding(name):
    found = violations(Mutant("board", TicTacToe, WRONG[name]).game(), TicTacToe())
    assert len(found) == 1, found


@pytest.mark.parametrize("value", [None, 9, "text", [], {}, np.arange(2), 1j, Point])
def test_anything_at_all_is_a_fault_in_words(value):
    class Odd:
        def __repr__(self):
            raise RuntimeError

    for odd in (value, Odd()):
        assert faults_of_board(odd)
        assert fault_of_place(odd, BOARD)
        assert fault_of_piece(odd, BOARD)
        for field in BOARD._fields:
            assert faults_of_board(BOARD._replace(**{field: odd})), field
        assert fault_of_place(Point(odd), BOARD)
        assert fault_of_place(Arrow(odd, odd), BOARD)
        assert fault_of_piece(Piece(odd), BOARD)
        assert fault_of_piece(Edge(odd, odd), BOARD)


def test_a_fault_names_the_type_that_is_wrong_and_numbers_of_numpy_are_none():
    assert "'3' (a str)" in fault_of_place(Point("3"), BOARD)
    assert "None" in fault_of_place(None, BOARD)
    assert "'0' (a str)" in faults_of_board(BOARD._replace(centres=(("0", 0.0),)))[0]
    assert not fault_of_place(Point(np.int64(3)), BOARD)
    assert not fault_of_piece(Piece(np.int8(3), np.int8(1)), BOARD)
    assert not faults_of_board(BOARD._replace(centres=((np.float32(0), np.int8(0)),)))


def luminance(colour):
    """Returns the relative luminance of WCAG 2.2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(np.multiply(linear, (0.2126, 0.7152, 0.0722)))


def contrast(a, b):
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("surface", shapes.SURFACES)
def test_lines_can_be_seen_on_what_they_lie_on(surface):
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    around, even, odd, _ = shapes.SURFACES[surface]
    for board in (points(3, 3, surface=surface), squares(3, 3, surface=surface)):
        board = board._replace(lines=((0, 8),), stars=(4,))
        drawn = [ElementTree.fromstring(part) for part in shapes.background(board, (0, 0, 1, 1))]
        shown = {(e.get("class"), e.get("stroke") or e.get("fill")) for e in drawn}
        for class_, colour in shown:
            beneath = {
                "board-line": (around, even, odd),
                "board-star": (around, even, odd),
                "board-cell": (even,),
                "board-cell board-odd": (odd,),
            }.get(class_, ())
            for under in beneath:
                if colour != under:  # holes have no rim
                    assert contrast(colour, under) >= 2, (class_, colour, under)


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
        found = findings_of(game, TicTacToe())
        assert not found.violations
        [note] = found.notes
        assert f"but no {missing}: all three" in note
        assert not draw(game, game.init(jax.random.key(0))).spots
    two = Mutant("board", TicTacToe, {"place": property(), "pieces": None}).game()
    [note] = findings_of(two, TicTacToe()).notes
    assert "has board, but no place and no pieces" in note


def test_the_check_tells_whether_a_board_is_declared():
    nothing = dict.fromkeys(("board", "place", "pieces"))
    for changed, told in (
        ({}, "board: declared"),
        (nothing, "board: none is declared"),
        # By chance: a helper of that name.
        (nothing | {"board": lambda self, state: state.board}, "board: none is declared"),
        (nothing | {"pieces": TicTacToe.pieces}, "board: none is declared"),
    ):
        found = findings_of(Mutant("board", TicTacToe, changed).game(), TicTacToe())
        assert not found.violations
        assert not found.notes, changed
        [line] = found.portrait
        assert line.startswith(told), changed


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
