"""The screen to play and analyse, and the board, in a real browser."""

import json

import pytest

from tests.support import browser
from tests.support.browser import needs_browser, settled

pytestmark = needs_browser

# Shows a made-up position on a board, clicks spots and buttons (`!name`), and says what was played.
CLICKS = """async ({moves, ordered, clicks}) => {
  const {Board} = await import("/static/lib/board.js");
  const root = document.body.appendChild(document.createElement("div"));
  const played = [];
  const board = new Board(root, {onMove: (move) => played.push(move.name)});
  const keys = ["a", "b", "c", "d"];
  const spots = Object.fromEntries(keys.map((key, k) => [key, [40 * k, 20, 18]]));
  const rects = keys.map((key, k) => `<rect data-spot="${key}" x="${40 * k}" width="40"/>`);
  const xmlns = "http://www.w3.org/2000/svg";
  const svg = `<svg xmlns="${xmlns}" viewBox="0 0 160 40">${rects.join("")}</svg>`;
  const named = moves.map(([name, ...at], action) => ({action, name, spots: at}));
  board.show({svg, spots, ordered, moves: named});
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
# Moves, whether they are ordered, clicks, what is played.
CHOICES = [
    (PAIRS, False, ["b"], ["ab"]),  # a lone move is played at once
    (PAIRS, False, ["a"], []),
    (PAIRS, False, ["a", "c"], ["ac"]),
    (PAIRS, False, ["a", "d"], ["d"]),  # what no move goes on with begins anew
    (PAIRS, False, ["a", "a", "c"], ["ac"]),  # the same spot takes a click back
    (PAIRS, False, ["!pass"], ["pass"]),
    ([("x", "a"), ("y", "a"), ("z", "b")], False, ["a", "!y"], ["y"]),  # not told apart
    ([("a", "a"), ("ab", "a", "b")], False, ["a", "!a"], ["a"]),  # one inside another
    (WALKS, True, ["a", "b"], ["ab"]),
    (WALKS, True, ["b", "a"], ["ba"]),
    (WALKS, True, ["a", "c"], []),
    (WALKS, True, ["a", "c", "!N"], ["N"]),
    (WALKS, True, ["c"], []),  # no move begins there
    (CHAIN, True, ["a", "b", "!ab"], ["ab"]),
    (CHAIN, True, ["a", "b", "c"], ["abc"]),
]
FOUR = "play?game=connect_four&player=uniform&simulations=16&temperature=0"


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    with browser.session(tmp_path_factory.mktemp("runs")) as opened:
        yield opened


def test_clicks_choose_moves_by_the_rule(session):
    page = session.open("runs")
    page.wait_for_selector(".screen")
    for moves, ordered, clicks, played in CHOICES:
        asked = {"moves": moves, "ordered": ordered, "clicks": clicks}
        assert page.evaluate(CLICKS, asked) == played, asked


def test_a_whole_game_is_played_by_clicks(session):
    page = session.open(FOUR)
    page.wait_for_selector(".board-picture svg")
    plies = 0
    while (status := settled(page)).startswith("Your move"):
        columns = page.locator(".spot.live")
        columns.nth(plies * 5 % columns.count()).click()
        plies += 2
    assert "wins" in status or "draw" in status
    assert page.locator(".ply-move").count() in (plies, plies + 1)  # with the start
    assert page.locator(".board-disc").count() in (plies - 1, plies)


def test_another_move_makes_a_branch_that_can_be_walked(session):
    page = session.open("play?game=connect_four&player=none&analyst=random&moves=3,3,2")
    page.wait_for_selector(".board-picture svg")
    settled(page)
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
    page = session.open(f"play?game=connect_four&player=none&analyst=uniform&moves={moves}")
    page.wait_for_selector(".board-picture svg")
    settled(page)
    page.get_by_role("button", name="Find the mistakes").click()
    page.get_by_role("button", name="Find the mistakes").wait_for()
    lines = page.locator(".mistake-list li").all_inner_texts()
    assert lines[0].startswith("Move 8: Yellow played 6, better 4")
    assert any(line.startswith("Move 7: Red played 7, better 4") for line in lines[1:])
    page.locator(".mistake-list button").first.click()
    settled(page)
    assert page.locator(".mark-best").count() == page.locator(".mark-played").count() == 1


def test_text_of_a_file_is_shown_as_text(session, tmp_path):
    hostile = '<img src=x onerror="document.title=1"><script>document.title=2</script>'
    line = {"game": "connect_four", "moves": [3, 3], "returns": None, "players": [hostile, "b"]}
    (tmp_path / "games.jsonl").write_text(json.dumps(line) + "\n")
    page = session.open("play?game=tic_tac_toe&player=none&analyst=random")
    page.wait_for_selector(".board-picture svg")
    settled(page)
    page.set_input_files("input[type=file]", tmp_path / "games.jsonl")
    page.get_by_text(hostile).wait_for()
    assert page.locator(".screen img, .screen script").count() == 0
    assert page.title() == "Play · selfplay"
