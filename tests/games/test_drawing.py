"""Any position as SVG: every move can be clicked, and nothing of a game gets in but as text."""

import dataclasses
import re
import xml.etree.ElementTree as ElementTree

import jax
import numpy as np
import pytest

import games
from games.breakthrough import Breakthrough
from games.drawing import characters, children, spotting, svg
from games.drawing.picture import draw
from games.drawing.sight import CAPITALS, SMALL, Sight
from games.drawing.text import changed_places, svg_of_text
from games.drawing.walking import Change, in_order
from scripts.web.ops.sides import sides
from tests.support import clicking
from tests.toys import pictured
from tests.toys.double_move import Pile
from tests.toys.pictured import Pictured
from tests.toys.raiders import Raiders, RaidersBeside, RaidersDrawn, RaidersTold
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
# Of the same games by their text: the level, and the share of moves that a single click plays,
# which none does where men walk.
BY_TEXT = {
    "tic_tac_toe": (1, 1.0),
    "connect_four": (1, 1.0),
    "othello:size=4": (1, 0.9),
    "hex:size=4,swap=true": (0, 0.95),
    "go:size=5": (1, 0.9),
    "gomoku:rows=5,cols=7": (1, 1.0),
    "breakthrough:rows=5,cols=4": (1, 0.0),
    "dots_and_boxes:rows=2,cols=3": (0, 1.0),
}
RAIDERS = (Raiders, RaidersTold, RaidersBeside)  # by their text
ALLOWED = {
    "xmlns", "viewBox", "class", "role", "x", "y", "x1", "y1", "x2", "y2", "cx", "cy", "r", "rx",
    "d", "points", "width", "height", "fill", "fill-opacity", "stroke", "stroke-width",
    "stroke-linecap", "stroke-linejoin", "font-family", "font-size", "text-anchor", "data-spot",
}  # fmt: skip


def undeclared(spec):
    """Returns a game of ours as if it declared no board."""
    game = games.load(spec)
    options = {field.name: getattr(game, field.name) for field in dataclasses.fields(game)}
    return type("Undeclared", (type(game),), {"board": None})(**options)


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


def clicks_needed(game, level, seed=0, ordered=False):
    """Draws a random game; returns the number of clicks that each legal action needed."""
    counts = []
    for state, last, before in random_game(game, seed):
        drawing = draw(game, state, last, before)
        assert drawing.level == level
        assert drawing.ordered == ordered
        assert_clickable(drawing, state)
        counts += [clicking.fewest(drawing, move) for move in drawing.moves]
    return counts


@pytest.mark.parametrize("spec", DECLARED)
def test_every_move_on_a_declared_board_is_reached_and_no_two_alike(spec):
    game = games.load(spec)
    arrows = spec.startswith("breakthrough")
    for seed in range(2):
        for state, last, before in random_game(game, seed):
            drawing = draw(game, state, last, before)
            assert (drawing.level, drawing.ordered) == (2, True)
            assert_clickable(drawing, state)
            placed = [move.spots for move in drawing.moves if move.spots]
            assert len(set(placed)) == len(placed)
            assert all(len(spots) == 1 + arrows for spots in placed)
            buttons = [move.name for move in drawing.moves if not move.spots]
            assert set(buttons) <= {"pass", "swap"}


@pytest.mark.parametrize("spec", BY_TEXT)
def test_every_move_of_a_game_that_declares_nothing_is_reached(spec):
    level, share = BY_TEXT[spec]
    counts = clicks_needed(undeclared(spec), level, ordered=not share)
    assert np.mean(np.array(counts) == 1) >= share
    if not share:
        assert set(counts) == {2}


@pytest.mark.parametrize("style", pictured.STYLES)
def test_a_picture_in_any_style_is_clickable_and_a_grid_only_where_it_is_one(style):
    game = Pictured(style=style)
    counts = clicks_needed(game, level=int(style in pictured.GRIDS))
    if style != "in_words":  # where clicks may need a button
        assert set(counts) == ({0} if style == "empty" else {1})


def test_lines_that_tell_of_the_turn_are_no_spots():
    for game, words in ((Pictured(style="bordered"), "stones"), (Raiders(), "turn")):
        for seed in range(4):
            for state, _, _ in random_game(game, seed):
                drawing = draw(game, state)
                assert drawing.level == 1
                assert not [spot for spot in drawing.spots if spot.startswith("0,")]
                assert words in "".join(ElementTree.fromstring(drawing.svg).itertext())


SLOW = {"Vast"}  # 1,024 moves
ODD = [
    pytest.param(game, marks=pytest.mark.slow if game.__name__ in SLOW else ())
    for game in (Pile, *RAIDERS, RaidersDrawn, Tandem, *UNUSUAL, *UNUSUAL_FORMS)
]


@pytest.mark.parametrize("game", ODD, ids=lambda game: game.__name__)
def test_every_move_of_an_unusual_game_is_reached(game):
    for state, last, before in random_game(game(), plies=12):
        assert_clickable(draw(game(), state, last, before), state)


@pytest.mark.parametrize("name", ["connect_four", pytest.param("chess", marks=pytest.mark.slow)])
def test_every_move_of_a_game_of_pgx_is_reached(name):
    pytest.importorskip("pgx")
    game = games.load(f"pgx:{name}")
    for state, last, before in random_game(game, plies=12):
        drawing = draw(game, state, last, before)
        assert drawing.level == 1
        assert_clickable(drawing, state)


def test_hostile_text_comes_out_as_text():
    game = Pictured(style="hostile")
    name = "<img src=x onerror=alert(1)>\x01"
    hostile = type("Hostile", (Pictured,), {"action_to_string": lambda *_: name})
    for drawn in (game, hostile(style="hostile"), hostile(style="slanted")):
        state = drawn.init(jax.random.key(0))
        drawing = draw(drawn, state)
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


WALKING = [pytest.param(game(), id=game.__name__) for game in RAIDERS]
WALKING += [pytest.param(undeclared("breakthrough:rows=5,cols=4"), id="breakthrough")]


@pytest.mark.parametrize("game", WALKING)
def test_a_man_is_clicked_first_where_it_stands_then_where_it_goes(game):
    declared = RaidersDrawn() if isinstance(game, Raiders) else Breakthrough(5, 4)
    men, columns = DRAWN_MEN[type(game).__name__], declared.observation_shape[1]
    for seed in range(4):
        for state, _, _ in random_game(game, seed):
            drawing, wanted = draw(game, state), draw(declared, state)
            assert drawing.ordered
            cells = [spot_cells(men, move) for move in drawing.moves]
            given = [tuple(map(int, move.spots)) for move in wanted.moves]
            assert [tuple(row * columns + col for row, col in some) for some in cells] == given


# Line and column of the first cell in the text, and the distances from cell to cell.
DRAWN_MEN = {
    "Raiders": (2, 4, 2, 4),
    "RaidersTold": (1, 3, 1, 2),
    "RaidersBeside": (0, 0, 1, 2),
    "Undeclared": (0, 2, 1, 2),
}


def spot_cells(men, move):
    """Returns row and column of the cell of each of a move's spots."""
    top, left, down, right = men
    at = (map(int, spot.split(",")) for spot in move.spots)
    return [((line - top) // down, (column - left) // right) for line, column in at]


@pytest.mark.parametrize("game", [*WALKING, pytest.param(RaidersDrawn(), id="declared")])
def test_the_last_move_of_a_man_is_marked_where_it_began_and_where_it_ended(game):
    played = [step for seed in range(6) for step in random_game(game, seed)]
    for state, last, before in played:
        if before is None:
            continue
        marks = [
            middle(e)
            for e in well_formed(draw(game, state, last, before).svg)
            if e.get("class", "").startswith("board-last")
        ]
        earlier = draw(game, before)
        move = next(move for move in earlier.moves if move.action == last)
        wanted = sorted(earlier.spots[spot][:2] for spot in move.spots)
        assert np.allclose(sorted(marks), wanted)


# What men of seat 0, capital letters, may do; what clicks are wanted, as columns of the text.
IN_ORDER = {
    "castling, which no single man can do": ("R...K", {".RK..": (4, 2), ".R..K": (0, 1)}),
    "a promotion": ("P.", {".Q": (0, 1), ".N": (0, 1)}),
    "a man taken": ("Pp", {".P": (0, 1)}),
    "a man taken in passing": ("Pp.", {"..P": (0, 2)}),
    "a man dropped": ("P.", {".P": (0, 1), "PP": (1,)}),
    "others turned": ("P.pp", {".PPP": (0, 1)}),
    "an arrow shot": (
        "Q..",
        {".Q#": (0, 1, 2), "#Q.": (0, 1, 0), ".#Q": (0, 2, 1), "#.Q": (0, 2, 0)},
    ),
    "a stone pushed": ("P#.", {".P#": (0, 1)}),
    "nothing": ("P.", {"P.": (), ".P": (0, 1)}),
    "two men at once": ("PP..", {"..PP": None}),
    "two men put down": ("P...", {"P.PP": None}),
}


@pytest.mark.parametrize("about", IN_ORDER)
def test_clicks_are_in_order_where_it_is_certain(about):
    before, wanted = IN_ORDER[about]
    moves = [
        [
            Change(spot, old.replace(".", " "), new.replace(".", " "))
            for spot, (old, new) in enumerate(zip(before, after, strict=True))
            if old != new
        ]
        for after in wanted
    ]
    found = in_order(moves, (CAPITALS, SMALL), 0)
    assert found == (None if None in wanted.values() else list(wanted.values()))


SEEN = Sight(frozenset(map(ord, " .")), (CAPITALS, SMALL), True, frozenset(), (1, 4))


def test_from_and_to_are_two_spots_even_side_by_side_in_a_text():
    pictures = characters.aligned(["PP..", "P.P."])
    spans, clicks = spotting._walks(pictures, pictures[1:] != pictures[0], SEEN, None, 0)
    assert [spans[i].key for i in clicks[0]] == ["0,1", "0,2"]


def test_a_man_that_was_taken_on_the_way_is_not_marked_as_the_last_move():
    assert changed_places("..P.", "Pp..", SEEN) == {(0, 0), (0, 2)}


STABLE = [pytest.param(Pictured(style=style), id=style) for style in pictured.STYLES]


@pytest.mark.parametrize("game", [*STABLE, *WALKING])
def test_a_picture_keeps_its_size_whatever_is_told_beside_the_board(game):
    boxes, cells = set(), set()
    for seed in range(4):
        for state, last, before in random_game(game, seed):
            elements = well_formed(draw(game, state, last, before).svg)
            boxes.add(elements[0].get("viewBox"))
            cells.add(tuple(middle(e) for e in elements if "board-cell" in e.get("class", "")))
    assert len(boxes) == len(cells) == 1


@pytest.mark.parametrize("game", [Raiders, RaidersTold])
def test_men_are_discs_of_their_seat_and_cells_without_one_are_blank(game):
    for state, _, _ in random_game(game()):
        classes = [e.get("class", "") for e in well_formed(draw(game(), state).svg)]
        discs = [classes.count(f"board-disc board-seat{seat}") for seat in range(2)]
        assert discs == [int((state.cells == seat).sum()) for seat in range(2)]
        assert not [name for name in classes if "board-letter" in name]


def test_letters_of_a_text_have_the_colours_of_their_seats_but_not_those_of_words():
    for state, _, _ in random_game(RaidersBeside()):
        elements = well_formed(draw(RaidersBeside(), state).svg)
        counts = [sum(f"board-seat{s}" in e.get("class", "") for e in elements) for s in range(2)]
        turn = np.arange(2) == int(state.to_play)  # the letter that says whose turn it is
        assert (counts == turn + [(state.cells == seat).sum() for seat in range(2)]).all()


@pytest.mark.parametrize("game", [Raiders, RaidersTold, RaidersBeside])
def test_sides_are_called_and_coloured_as_the_picture_shows_them(game):
    shown = well_formed(draw(game(), game().init(jax.random.key(0))).svg)
    names = "wb" if game is RaidersTold else "xo"
    for seat, side in enumerate(sides(game())):
        fills = {e.get("fill") for e in shown if f"board-seat{seat}" in e.get("class", "")}
        assert side == {"name": names[seat], "fill": fills.pop()}
        assert not fills


@pytest.mark.parametrize("spec", [*DECLARED, "pictured"])
def test_the_last_move_is_marked_where_it_went(spec):
    game = Pictured() if spec == "pictured" else games.load(spec)
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


def test_a_game_is_compiled_once_however_many_moves_are_legal():
    game = undeclared("gomoku:rows=5,cols=7")
    for state, _, _ in random_game(game):
        draw(game, state)
    assert children._stepper(game)._cache_size() == 1


def test_numpy_and_jax_states_are_drawn_alike_and_twice_the_same():
    for game in (games.load("othello:size=4"), undeclared("othello:size=4")):
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


@pytest.mark.slow
def test_promotions_of_one_pawn_get_buttons_with_what_they_put():
    pytest.importorskip("pgx")
    game = games.load("pgx:gardner_chess")
    for seed in range(8):
        for state, _, _ in random_game(game, seed, plies=60):
            drawing = draw(game, state)
            labels = {move.label.partition(": ")[2] for move in drawing.moves if move.label}
            if labels:
                assert len(labels) == 4
                assert all(set(label) & set("QRBNqrbn") for label in labels)
                return
    pytest.fail("no promotion was met")
