"""The screen to play and analyse, and the board, in a real browser."""

import json
import pathlib

import pytest

from selfplay.review import BLUNDER, MISTAKE
from tests.support import browser
from tests.support.browser import needs_browser, settled

pytestmark = needs_browser

# Shows a made-up position on a board, clicks spots and buttons (`!name`), and says what was played.
CLICKS = """async ({moves, clicks}) => {
  const {Board} = await import("/static/board/board.js");
  const root = document.body.appendChild(document.createElement("div"));
  const played = [];
  const board = new Board(root, {onMove: (move) => played.push(move.name)});
  const keys = ["a", "b", "c", "d"];
  const spots = Object.fromEntries(keys.map((key, k) => [key, [40 * k, 20, 18]]));
  const rects = keys.map((key, k) => `<rect data-spot="${key}" x="${40 * k}" width="40"/>`);
  const xmlns = "http://www.w3.org/2000/svg";
  const svg = `<svg xmlns="${xmlns}" viewBox="0 0 160 40">${rects.join("")}</svg>`;
  const named = moves.map(([name, ...at], action) => ({action, name, spots: at}));
  board.show({svg, spots, moves: named});
  for (const click of clicks) {
    const buttons = [...root.querySelectorAll("button")];
    const button = buttons.find((one) => `!${one.textContent}` === click);
    const target = button || root.querySelector(`[data-spot="${click}"]`);
    target.dispatchEvent(new MouseEvent("click", {bubbles: true}));
  }
  root.remove();
  return played;
}"""
PAIRS = [("ab", "a", "b"), ("ac", "a", "c"), ("d", "d"), ("pass",)]
WALKS = [("ab", "a", "b"), ("ba", "b", "a"), ("Q", "a", "c"), ("N", "a", "c")]
CHAIN = [("ab", "a", "b"), ("abc", "a", "b", "c")]
# Moves, clicks, what is played.
CHOICES = [
    (PAIRS, ["b"], []),  # no move begins there
    (PAIRS, ["a"], []),
    (PAIRS, ["a", "c"], ["ac"]),
    (PAIRS, ["a", "d"], ["d"]),  # what no move goes on with starts over
    (PAIRS, ["a", "a", "c"], []),  # the same spot takes a click back
    (PAIRS, ["!pass"], ["pass"]),
    ([("x", "a"), ("y", "a"), ("z", "b")], ["a", "!y"], ["y"]),  # not told apart
    ([("a", "a"), ("ab", "a", "b")], ["a", "!a"], ["a"]),  # one inside another
    (WALKS, ["a", "b"], ["ab"]),
    (WALKS, ["b", "a"], ["ba"]),
    (WALKS, ["a", "c"], []),
    (WALKS, ["a", "c", "!N"], ["N"]),
    (WALKS, ["c"], []),  # no move begins there
    (CHAIN, ["a", "b", "!ab"], ["ab"]),
    (CHAIN, ["a", "b", "c"], ["abc"]),
]
FOUR = "play?game=connect_four&player=uniform&simulations=16&temperature=0"


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    with browser.session(tmp_path_factory.mktemp("runs")) as opened:
        yield opened


def opened(session, address):
    """Returns the page, once its board is there."""
    page = session.open(address)
    page.wait_for_selector(".board-picture svg")
    settled(page)
    return page


def test_clicks_choose_moves_by_the_rule(session):
    page = session.open("runs")
    page.wait_for_selector(".screen")
    for moves, clicks, played in CHOICES:
        asked = {"moves": moves, "clicks": clicks}
        assert page.evaluate(CLICKS, asked) == played, asked


def test_another_move_makes_a_branch_that_can_be_walked(session):
    page = opened(session, "play?game=connect_four&player=none&analyst=random&moves=3,3,2")
    page.keyboard.press("ArrowLeft")
    settled(page)
    page.locator('[data-spot="area6"]').first.click()
    settled(page)
    assert page.locator(".variation.aside").inner_text().split() == ["3.7"]
    page.keyboard.press("ArrowUp")
    settled(page)
    assert page.locator('[aria-current="true"].ply-move').inner_text() == "3.3"
    assert "moves=3%2C3%2C2" in page.url


def test_the_list_of_mistakes_begins_with_the_worst(session):
    # Yellow fills column 4; at move 7 Red could stop it, and does not; at move 8 Yellow forgets it,
    # where it would win at once, which no other mistake can exceed.
    moves = "0,3,0,3,6,3,6,5,3,5,1,5,2"
    page = opened(session, f"play?game=connect_four&player=none&analyst=uniform&moves={moves}")
    page.get_by_role("button", name="Find the mistakes").click()
    page.get_by_role("button", name="Find the mistakes").wait_for()
    lines = page.locator(".mistake-list li").all_inner_texts()
    assert lines[0].startswith("Move 8: Yellow played 6, better 4")
    assert any(line.startswith("Move 7: Red played 7, better 4") for line in lines[1:])
    page.locator(".mistake-list button").first.click()
    settled(page)
    assert page.locator(".mark-best").count() == page.locator(".mark-played").count() == 1


def test_a_drop_of_the_value_in_a_game_that_stays_won_is_said_to_be_no_mistake(session):
    # From move 7 on Red wins whatever the search thinks of its moves.
    page = session.open(
        "play?game=connect_four&player=none&analyst=uniform&simulations=200"
        "&moves=0,0,2,2,3,2,5,3,6,6,4&ply=8"
    )
    page.wait_for_selector(".board-picture svg")
    settled(page)
    rule = page.inner_text(".mistakes")
    assert f"at least {MISTAKE:.2f}" in rule
    assert f"a blunder {BLUNDER:.2f}" in rule
    page.get_by_role("button", name="Find the mistakes").click()
    page.get_by_text("Not mistakes").wait_for()
    page.get_by_role("button", name="Find the mistakes").wait_for()
    excused = page.locator(".mistake-list.excused li").all_inner_texts()
    assert [text.partition(" ·")[0] for text in excused] == [
        "Move 7: Red played 6",
        "Move 9: Red played 7",
    ]
    assert excused[0].endswith("exact: still won")
    listed = page.locator(".mistake-list:not(.excused) li").all_inner_texts()
    assert listed
    assert not any(text.startswith("Move 9:") for text in listed)
    assert page.locator(".excused-here").inner_text().startswith("No mistake: 7 was played here")
    # The value line and the graph draw what is certain.
    assert page.inner_text(".value .exact") == "Exact: Red wins with perfect play."
    assert page.get_attribute(".value-bar", "aria-label") == "Red +1.00"
    assert "exact: Red wins" in page.inner_text(".graph-caption")
    legend = page.inner_text(".graph-box .legend")
    assert "perfect play 1" in " ".join(legend.split())
    assert "the result was kept" in legend


FOCUSED = "document.activeElement.closest('.board-picture') && document.activeElement.dataset.spot"


def test_the_keyboards_focus_stays_on_the_board_over_a_players_move(session):
    page = session.open(FOUR)
    page.wait_for_selector(".spot.live")
    settled(page)
    page.keyboard.press("b")
    for _ in range(2):
        page.keyboard.press("Tab")
    before = page.evaluate(FOCUSED)
    for plies in (2, 4):
        page.keyboard.press("Enter")
        page.wait_for_function(
            f"() => document.querySelectorAll('.ply-move').length === {plies + 1}"
        )
        assert settled(page).startswith("Your move")
        assert page.evaluate(FOCUSED) == before


def test_a_network_without_a_search_names_no_best_move(session):
    page = opened(session, "play?game=tic_tac_toe&player=none&simulations=0&moves=4")
    page.get_by_text("network only by shipped:tic_tac_toe").wait_for()
    assert page.inner_text(".best-mark") == "network"


def test_the_game_that_is_played_after_undo_is_the_main_line(session):
    page = session.open(f"{FOUR}&moves=0,1")
    page.wait_for_selector(".spot.live")
    settled(page)
    page.keyboard.press("u")
    settled(page)
    page.locator('[data-spot="area3"]').first.click()
    page.wait_for_function("() => document.querySelectorAll('.ply-move').length === 5")
    assert settled(page).startswith("Your move")
    aside = page.locator(".variation.aside .ply-move").all_inner_texts()
    assert [text.replace("\n", "") for text in aside] == ["1.1", "2.2"]
    assert page.locator(".ply-move:not(.aside *)").nth(1).inner_text().endswith("4")


def test_a_position_in_which_the_opponent_is_to_move_is_analysed_too(session):
    page = opened(session, f"{FOUR}&moves=3&ply=1&seat=0")
    page.keyboard.press("a")
    page.wait_for_selector(".value .figure")
    assert settled(page) == "Yellow (uniform) to play."


def test_a_pass_of_the_opponent_is_said(session):
    page = opened(
        session, "play?game=go:size=5&player=uniform&simulations=8&moves=12,25&seat=0&ply=1"
    )
    page.keyboard.press("ArrowRight")
    page.wait_for_selector(".spot.live")
    assert settled(page).startswith("White played pass. Your move")


def test_a_wrong_games_name_leaves_no_live_buttons(session):
    page = session.open("play?game=no_such_game&player=none&analyst=random")
    page.wait_for_selector(".error")
    page.get_by_text("There is no board to show").wait_for()
    assert page.locator(".walks button:enabled, .actions button:enabled").count() == 0


def test_a_move_without_a_spot_shows_its_number_on_its_button(session):
    page = session.open(
        "play?game=go:size=5&player=none&analyst=uniform&simulations=32&moves=12,25"
    )
    page.wait_for_selector(".board-choice .choice-heat")
    assert settled(page) == "Black to play."
    assert page.locator(".board-choice.best, .heat-best").count() == 1


def test_a_files_result_is_shown_as_it_says(session, tmp_path):
    (tmp_path / "said.sgf").write_text("(;GM[1]SZ[5]KM[0.5]RE[W+3.5]DT[2020-01-01];B[cc];W[];B[])")
    page = opened(session, "play?game=go:size=5&player=none&analyst=random")
    page.set_input_files("input[type=file]", tmp_path / "said.sgf")
    page.get_by_text("left out of the file: dates").wait_for()
    settled(page)
    page.keyboard.press("End")
    page.get_by_text("The file says W+3.5: White wins.").wait_for()
    settled(page)
    sides = page.locator(".side").all_inner_texts()
    assert [text.strip() for text in sides] == ["Black", "White"]


# As Sabaki writes: the first line is the main one. The last variation puts a stone upon a stone.
SABAKI = """(;GM[1]FF[4]CA[UTF-8]AP[Sabaki:0.52.2]KM[0.5]SZ[5]
;B[cc];W[bb](;B[dd];W[dc])(;B[db];W[cb](;B[bd])(;B[da]))(;B[bc];W[cc]))"""
SHOWN = """start 1.C3 2.B4 3.D2 4.D3
  3.D4 4.C4 5.B2
    5.D5
  3.B3""".splitlines()
# What the list of moves shows: a line of text for each line of the game, as deep as it is indented.
LINES = """() => [...document.querySelectorAll(".variation")].map((box) => {
  const own = [...box.children].filter((one) => one.matches("button"));
  let depth = 0;
  for (let at = box; (at = at.parentElement.closest(".variation")); ) depth += 1;
  return "  ".repeat(depth) + own.map((one) => one.textContent).join(" ");
})"""


def test_variations_of_a_file_are_shown_walked_and_saved(session, tmp_path):
    (tmp_path / "sabaki.sgf").write_text(SABAKI)
    page = opened(session, "play?game=go:size=5&player=none&analyst=random")
    page.set_input_files("input[type=file]", tmp_path / "sabaki.sgf")
    page.get_by_text("1 variation is cut before a move that the rules forbid").wait_for()
    settled(page)
    assert page.evaluate(LINES) == SHOWN
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "ArrowDown", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
        settled(page)
    page.keyboard.press("ArrowDown")
    settled(page)
    assert page.inner_text('[aria-current="true"].ply-move') == "5.D5"
    assert "moves=12%2C6%2C8%2C7%2C3&" in page.url
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save SGF").click()
    text = pathlib.Path(saved.value.path()).read_text()
    assert text.endswith(
        ";B[cc];W[bb]\n(;B[dd];W[dc])\n(;B[db];W[cb]\n(;B[bd])\n(;B[da]))\n(;B[bc]))\n"
    )
    page.get_by_role("button", name="New game").click()
    page.wait_for_function("() => document.querySelectorAll('.ply-move').length === 1")
    (tmp_path / "again.sgf").write_text(text)
    page.set_input_files("input[type=file]", tmp_path / "again.sgf")
    page.wait_for_function("() => document.querySelectorAll('.ply-move').length > 1")
    settled(page)
    assert page.evaluate(LINES) == SHOWN
    assert page.get_by_text("is cut").count() == 0


def test_a_file_that_breaks_off_before_its_first_move_leaves_the_board(session, tmp_path):
    (tmp_path / "broken.sgf").write_text("(;GM[1]SZ[9];B[aa")
    page = opened(session, "play?game=connect_four&player=none&analyst=random&moves=3,3")
    page.set_input_files("input[type=file]", tmp_path / "broken.sgf")
    page.get_by_text("The board is as it was.").wait_for()
    assert page.locator(".ply-move").count() == 3


def test_text_of_a_file_is_shown_as_text(session, tmp_path):
    hostile = '<img src=x onerror="document.title=1"><script>document.title=2</script>'
    line = {"game": "connect_four", "moves": [3, 3], "returns": None, "players": [hostile, "b"]}
    (tmp_path / "games.jsonl").write_text(json.dumps(line) + "\n")
    page = opened(session, "play?game=tic_tac_toe&player=none&analyst=random")
    page.set_input_files("input[type=file]", tmp_path / "games.jsonl")
    page.get_by_text(hostile).wait_for()
    assert page.locator(".screen img, .screen script").count() == 0
    assert page.title() == "Play · selfplay"
