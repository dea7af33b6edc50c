"""Every screen in a real browser, on a run and a match: it opens, and its main act is done."""

import shutil
import urllib.parse

import pytest

from scripts import arena
from scripts.terminal import console
from tests.support.browser import needs_browser, page_of
from tests.support.web import serving

pytestmark = needs_browser


@pytest.fixture(scope="module")
def folder(tiny_run, tmp_path_factory):
    """A folder with a run and a match."""
    root = tmp_path_factory.mktemp("shelf")
    shutil.copytree(tiny_run, root / "run")
    words = [str(root / "run"), "uniform", "--games", "12", "--out", str(root / "match")]
    assert arena.run(console.parse(arena.Args, [*words, "--simulations", "4"], "arena")) == 0
    return root


@pytest.fixture(scope="module")
def server(folder):
    with serving(folder) as client:
        yield client


@pytest.fixture
def opened(browser, server, folder):
    """A function that opens a screen of the run; nothing may be wrong on the page at the end."""
    with page_of(browser, server) as page:

        def open_screen(name, **params):
            query = urllib.parse.urlencode({"run": folder / "run", **params})
            page.goto(f"{server.url.partition('?')[0]}#{name}?{query}")
            page.wait_for_selector(".screen h1")
            return page

        yield open_screen
        assert page.locator(".error").count() == 0, page.inner_text(".error")


def test_the_token_leaves_the_address_and_every_screen_opens(browser, server):
    with page_of(browser, server) as page:
        page.wait_for_selector("nav a")
        assert "token" not in page.url
        for link in page.query_selector_all("nav a"):
            link.click()
            page.wait_for_selector(".screen h1")


def test_a_run_is_opened_from_the_list(opened, folder):
    page = opened("runs")
    page.get_by_role("link", name=str(folder / "run")).click()
    page.wait_for_selector(".facts")
    page.get_by_text("Values beside outcomes").click()
    page.wait_for_selector("details .plot canvas")


def test_a_game_is_chosen_walked_and_left(opened):
    page = opened("games")
    page.get_by_role("button", name="Show game").last.click()
    page.get_by_text("move 0 of").wait_for()
    ended = page.get_by_text("Blue wins").or_(page.get_by_text("Red wins"))
    ended = ended.or_(page.get_by_text("a draw")).first
    for _ in range(300):  # a key that comes while the board is loaded is lost
        if ended.is_visible():
            break
        page.keyboard.press("End")
        page.wait_for_timeout(200)
    ended.wait_for()
    page.keyboard.press("Home")
    page.locator(".openings button").first.click()
    page.get_by_text("move 1 of").wait_for()


def test_pairs_of_a_match_are_stepped_through_together(opened, folder):
    page = opened("compare", match=folder / "match")
    page.locator(".five button").first.wait_for()
    page.get_by_role("heading", name="SPRT").wait_for()
    places = page.locator(".replay-where", has_text="move")
    places.nth(1).wait_for()
    page.get_by_role("button", name="Both a move back").click()
    page.get_by_role("button", name="pair 2").click()
    page.get_by_role("heading", name="Pair 2").wait_for()


def test_two_players_look_at_one_position(opened, folder):
    page = opened("compare", tab="position", game="tic_tac_toe", a=folder / "run", b="uniform")
    page.get_by_text("They differ by").wait_for()
    assert page.locator(".heat-dot").count() > 9
    page.locator(".spot.live").first.click()
    page.get_by_text("Moves: ").wait_for()
    page.get_by_text("They differ by").wait_for()


def test_positions_are_found_where_players_disagree(opened):
    page = opened("compare", tab="disagree")
    page.get_by_role("button", name="Look").click()
    page.locator(".found button").first.click()
    page.get_by_text("They differ by").wait_for()


def test_a_position_is_followed_through_checkpoints(opened):
    page = opened("compare", tab="learned", simulations=4)
    page.get_by_text("checkpoints.").wait_for()
    page.wait_for_selector(".plot canvas, .uplot canvas")
    page.get_by_text("Step ").first.wait_for()


def test_examples_of_the_replay_are_shown(opened):
    page = opened("replay", order="newest")
    page.get_by_role("heading", name="Planes of the observation").wait_for()
    page.keyboard.press("ArrowDown")
    page.wait_for_selector("tr[aria-selected=true]:nth-child(2)")
    page.get_by_label("Shown through symmetry").select_option("1")
    page.wait_for_url("**symmetry=1**")


def test_a_random_game_is_walked_and_the_game_checked(opened):
    page = opened("game", game="tic_tac_toe")
    page.wait_for_selector(".planes svg")
    page.keyboard.press("End")
    page.wait_for_selector(".replay-where:has-text('wins'), .replay-where:has-text('draw')")
    page.get_by_label("Random games").fill("8")
    page.get_by_role("button", name="Check").click()
    page.wait_for_selector(".status .good")


def test_a_player_brings_its_game(opened):
    page = opened("play", game="go", player="none", run="")
    page.get_by_text("change").click()
    opponent = page.get_by_label("Opponent", exact=True)
    opponent.fill("shipped:go_5x5")
    opponent.press("Enter")
    page.wait_for_url("**game=go%3Asize%3D5**")
