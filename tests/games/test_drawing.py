"""Any position as SVG: every move can be clicked, and nothing of a game gets in but as text."""

import re
import xml.etree.ElementTree as ElementTree

import jax
import numpy as np
import pytest

import games
from games.drawing import declared, svg
from games.drawing.picture import draw
from games.drawing.text import svg_of_text
from games.layout import Area, Arrow
from scripts.web.ops.sides import sides
from tests.support import clicking
from tests.toys.double_move import Pile
from tests.toys.raiders import Raiders, RaidersDrawn
from tests.toys.tandem import Tandem
from tests.toys.unusual_forms import UNUSUAL_FORMS
from tests.toys.unusual_games import UNUSUAL

pytestmark = pytest.mark.usefixtures("compile_in_haste")

DECLARED = (
    "tic_tac_toe",
    "connect_four",
    "othello:size=4",
    "hex:size=4,swap=true",
    "go:size=5",
    "gomoku:rows=5,cols=7",
    "breakthrough:rows=5,cols=4",
    "dots_and_boxes:rows=2,cols=3",
)
ALLOWED = {
    "xmlns", "viewBox", "class", "role", "x", "y", "x1", "y1", "x2", "y2", "cx", "cy", "r", "rx",
    "d", "points", "width", "height", "fill", "fill-opacity", "stroke", "stroke-width",
    "stroke-linecap", "stroke-linejoin", "font-family", "font-size", "text-anchor", "data-spot",
}  # fmt: skip


def random_game(game, seed=0, plies=60):
    """Yields each position of a game with the last action and the position before."""
    rng, step = np.random.default_rng(seed), jax.jit(game.step)
    state, last, before = jax.jit(game.init)(jax.random.key(seed)), None, None
    for _ in range(plies):
        yield state, last, before
        legal = np.flatnonzero(state.legal_action_mask)
        if not len(legal):
            return
        before, last = state, int(rng.choice(legal))
        state = step(state, np.int32(last))


def well_formed(text):
    """Returns the SVG's elements, all of kinds and with attributes that may be there."""
    found = list(ElementTree.fromstring(text).iter())
    for element in found:
        assert element.tag.rpartition("}")[2] in svg.ELEMENTS, element.tag
        assert set(element.attrib) <= ALLOWED, element.attrib
        assert not re.search(r"url|script|http", " ".join(element.attrib.values())), element.attrib
    return found


def assert_clickable(drawing, state):
    """Asserts that just the legal actions can be chosen, each by clicks on what is there."""
    legal = np.flatnonzero(state.legal_action_mask).tolist()
    assert [move.action for move in drawing.moves] == legal
    elements = well_formed(drawing.svg)
    there = {element.get("data-spot") for element in elements if element.get("class") == "spot"}
    used = {spot for move in drawing.moves for spot in move.spots}
    assert there == used
    assert used <= drawing.spots.keys()
    left, top, width, height = map(float, elements[0].get("viewBox").split())
    for x, y, radius in drawing.spots.values():
        assert left <= x <= left + width, drawing.spots
        assert top <= y <= top + height, drawing.spots
        assert radius > 0
    for element in elements:
        if element.text and "x" in element.attrib:
            assert left <= float(element.get("x")) <= left + width, element.text
            assert top <= float(element.get("y")) <= top + height, element.text
    assert "not" not in clicking.ways(drawing).values(), drawing.moves


@pytest.mark.parametrize("spec", DECLARED)
def test_every_move_on_a_declared_board_is_reached_and_no_two_alike(spec):
    game = games.load(spec)
    arrows = spec.startswith("breakthrough")
    for seed in range(2):
        for state, last, before in random_game(game, seed):
            drawing = draw(game, state, last, before)
            assert_clickable(drawing, state)
            placed = [move.spots for move in drawing.moves if move.spots]
            assert len(set(placed)) == len(placed)
            assert all(len(spots) == 1 + arrows for spots in placed)
            buttons = [move.name for move in drawing.moves if not move.spots]
            assert set(buttons) <= {"pass", "swap"}


SLOW = {"Vast"}  # 1,024 moves
ODD = [
    pytest.param(game, marks=pytest.mark.slow if game.__name__ in SLOW else ())
    for game in (Pile, Raiders, RaidersDrawn, Tandem, *UNUSUAL, *UNUSUAL_FORMS)
]


@pytest.mark.parametrize("game", ODD, ids=lambda game: game.__name__)
def test_every_move_of_an_unusual_game_is_reached(game):
    for state, last, before in random_game(game(), plies=12):
        assert_clickable(draw(game(), state, last, before), state)


@pytest.mark.parametrize(
    "name",
    ["connect_four", "animal_shogi"]
    + [pytest.param(name, marks=pytest.mark.slow) for name in ("chess", "shogi", "hex", "go_9x9")],
)
def test_every_move_of_a_game_of_pgx_is_clicked_and_shows_where_it_is(name):
    pytest.importorskip("pgx")
    game = games.load(f"pgx:{name}")
    drops = 0
    for state, last, before in random_game(game, plies=40):
        if before is not None:
            moved = game.place(before, last)
            drops += isinstance(moved, Arrow) and moved.start >= state_cells(game)
            changed = set(game.pieces(before)) ^ set(game.pieces(state))
            assert set(map(int, clicks_of(moved))) <= {piece.place for piece in changed}
        assert_clickable(draw(game, state, last, before), state)
    assert drops or name != "animal_shogi", "no piece in hand was dropped"


def state_cells(game):
    rows, columns, _ = game.observation_shape
    return rows * columns


def clicks_of(place):
    return declared.clicks(place) if not isinstance(place, Area) else [str(place.places[0])]


def test_a_game_without_a_board_is_its_text_and_each_move_a_button():
    for state, last, before in random_game(Raiders()):
        drawing = draw(Raiders(), state, last, before)
        assert not drawing.spots
        assert [move.name for move in drawing.moves if move.spots] == []
        text = "".join(ElementTree.fromstring(drawing.svg).itertext())
        assert text == "".join(Raiders().render(state).split())


def test_hostile_text_comes_out_as_text():
    name = "<img src=x onerror=alert(1)>\x01"
    render = "<script>alert(1)</script>"
    written = {"action_to_string": lambda *_: name, "render": lambda *_: render}
    for game in (Raiders, RaidersDrawn):
        hostile = type("Hostile", (game,), written)()
        state = hostile.init(jax.random.key(0))
        drawing = draw(hostile, state)
        assert_clickable(drawing, state)
        assert "<script" not in drawing.svg
        assert "<img" not in drawing.svg
    text = "<script>\x00\x1b[31mX\x1b[0m \ud800 e\u0301 漢字 \U0001f600\r\n&\"'"
    shown = "".join(ElementTree.fromstring(svg_of_text(text)).itertext())
    assert shown == "<script>\ufffdX\ufffde\u0301漢字\U0001f600&\"'"
    assert "e\u0301" in [element.text for element in well_formed(svg_of_text(text))]


def test_a_text_alone_is_drawn_and_what_differs_is_marked():
    marked = [
        e for e in well_formed(svg_of_text("a b\nc d", "a b\nc  e")) if "last" in e.get("class")
    ]
    assert len(marked) == 2
    for text in ("", "\n\n", "x" * 2000, "\n" * 2000 + "x"):
        well_formed(svg_of_text(text, "other"))


@pytest.mark.parametrize("spec", DECLARED)
def test_the_last_move_is_marked_where_it_went(spec):
    game = games.load(spec)
    found = 0
    for state, last, before in random_game(game):
        drawing = draw(game, state, last, before)
        marks = [e for e in well_formed(drawing.svg) if e.get("class", "").startswith("board-last")]
        assert len(marks) <= 2
        if before is None:
            assert not marks
            continue
        assert not [e for e in well_formed(draw(game, state).svg) if "last" in e.get("class", "")]
        earlier = draw(game, before)
        move = next(move for move in earlier.moves if move.action == last)
        if len(move.spots) == 1:
            x, y, radius = earlier.spots[move.spots[0]]
            at_x, at_y = middle(marks[0])
            assert abs(at_x - x) < radius, (spec, move)
            assert abs(at_y - y) < radius, (spec, move)
            found += 1
    assert found or spec.startswith("breakthrough")


def middle(element):
    at = {name: float(value) for name, value in element.attrib.items() if number(value)}
    if "cx" in at:
        return at["cx"], at["cy"]
    if "x1" in at:
        return (at["x1"] + at["x2"]) / 2, (at["y1"] + at["y2"]) / 2
    return at["x"] + at["width"] / 2, at["y"] + at["height"] / 2


def number(text):
    return re.fullmatch(r"-?\d+(\.\d+)?", text)


def test_a_column_is_clicked_anywhere_and_shown_where_the_stone_falls():
    game = games.load("connect_four")
    state = game.step(game.init(jax.random.key(0)), np.int32(3))
    drawing = draw(game, state)
    cells = drawing.svg.count('data-spot="area3"')
    assert cells == 6
    assert drawing.spots["area3"][:2] == (3 * 40, 4 * 40)
    assert drawing.spots["area2"][:2] == (2 * 40, 5 * 40)


def test_numpy_and_jax_states_are_drawn_alike_and_twice_the_same():
    for game in (games.load("othello:size=4"), Raiders()):
        for state, last, before in random_game(game, plies=4):
            wanted = draw(game, state, last, before)
            assert draw(game, jax.tree.map(np.asarray, state), last, before) == wanted
            assert games.picture(game, state, last, before) == wanted.svg


def test_a_picture_in_a_cell_is_the_same_svg_with_a_size_and_in_a_terminal_the_games_text():
    game = games.load("breakthrough:rows=5,cols=4")
    state = game.init(jax.random.key(0))
    picture = games.picture(game, state)
    root, shown = (well_formed(text)[0].attrib for text in (picture, picture._repr_svg_()))
    size = [float(shown.pop(name)) for name in ("width", "height")]
    assert (shown, max(size)) == (root, 320)
    assert size[0] / size[1] == pytest.approx(_ratio(root["viewBox"]), rel=0.01)
    assert repr(picture) == game.render(state)


def _ratio(box):
    _, _, width, height = map(float, box.split())
    return width / height


@pytest.mark.parametrize("spec", ["connect_four", "breakthrough:rows=5,cols=4", "go:size=5"])
def test_discs_of_weights_lie_where_moves_end_and_their_areas_are_as_the_weights(spec):
    game = games.load(spec)
    for state, _, _ in random_game(game, plies=3):
        legal = np.asarray(state.legal_action_mask)
        weights = legal * np.arange(1, game.num_actions + 1.0)
        weights /= weights.sum()
        drawing, wanted = draw(game, state), {}
        for move in drawing.moves:
            if move.spots:  # a pass has none
                at = tuple(round(x, 2) for x in drawing.spots[move.spots[-1]][:2])
                wanted[at] = wanted.get(at, 0.0) + weights[move.action]
        found = well_formed(games.picture(game, state, weights=weights))
        discs = [e for e in found if e.get("class") == "board-weight" and "r" in e.attrib]
        areas = {middle(e): float(e.get("r")) ** 2 for e in discs}
        whole = (0.92 * 20) ** 2
        wanted = {at: weight * whole for at, weight in wanted.items() if weight >= 0.005}
        assert areas.keys() == wanted.keys()
        assert all(areas[at] == pytest.approx(wanted[at], abs=0.3) for at in areas)


def test_weights_that_are_none_are_refused_with_what_to_do():
    game = games.load("tic_tac_toe")
    state = game.init(jax.random.key(0))
    for weights, told in ((np.ones((1, 9)) / 9, "take one"), (np.full(9, -1.0), "softmax")):
        with pytest.raises(ValueError, match=told):
            games.picture(game, state, weights=weights)


def test_an_arrow_is_clicked_from_where_the_piece_stands_to_where_it_goes():
    game = games.load("breakthrough:rows=5,cols=4")
    for state, _, _ in random_game(game):
        for move in draw(game, state).moves:
            cells = [divmod(int(spot), 4) for spot in move.spots]
            assert "".join(f"{'abcd'[col]}{5 - row}" for row, col in cells) == move.name


def test_clicks_that_no_move_has_begin_anew():
    game = games.load("breakthrough:rows=5,cols=4")
    drawing = draw(game, game.init(jax.random.key(0)))
    move = drawing.moves[0]
    start, end = move.spots
    other = next(m.spots[0] for m in drawing.moves if m.spots[0] != start)
    assert clicking.answer(drawing, (other, start, end)).played == move.action
    assert clicking.answer(drawing, (end,)).played is None
    assert not clicking.answer(drawing, ("nowhere",)).remaining


def test_sides_are_coloured_as_the_board_and_unknown_without_one():
    assert [side["name"] for side in sides(games.load("hex:size=4"))] == ["red", "blue"]
    assert sides(Raiders()) is None


@pytest.mark.slow
def test_promotions_of_one_pawn_get_buttons_with_what_they_put():
    pytest.importorskip("pgx")
    game = games.load("pgx:gardner_chess")
    for seed in range(8):
        for state, _, _ in random_game(game, seed, plies=60):
            labels = [move.label for move in draw(game, state).moves if move.label]
            if labels:
                assert len(labels) % 4 == 0
                assert {label[-1] for label in labels} == set("qrbn")
                return
    pytest.fail("no promotion was met")
