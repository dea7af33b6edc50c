"""Games played by clicks in a real browser, and what the page made of them."""

import urllib.parse

import numpy as np
import pytest

import games
from selfplay import positions
from tests.support import ROOT
from tests.support.browser import needs_browser, page_of
from tests.support.web import serving

pytestmark = needs_browser

RAIDERS = "tests.toys.raiders:Raiders"
LIVE = ".board-picture .live, .board-choice"
SEAT = 0  # of the person


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("runs"), cwd=ROOT) as client:
        yield client


def query_of(page):
    """Returns what the page's address says."""
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(page.url).fragment.partition("?")[2]))


def moves_of(page):
    text = query_of(page).get("moves", "")
    return [int(action) for action in text.split(",")] if text else []


def after(game, moves):
    """Returns the position after moves, by the rules; fails where one of them is illegal."""
    state = positions.opening_position(game)
    for action in moves:
        assert state.legal_action_mask[action], (moves, action)
        state = positions.step(game, state, np.int32(action))
    return state


def play_by_clicks(page, game, rng):
    """Clicks on things that can be clicked until the game is over; returns its moves."""
    for _ in range(20 * game.max_plies):
        state = after(game, moves := moves_of(page))
        if state.terminated:
            return moves
        places = page.query_selector_all(LIVE) if int(state.to_play) == SEAT else []
        if places and moves_of(page) == moves:
            places[rng.integers(len(places))].click()
        page.wait_for_timeout(50)
    raise AssertionError(f"no click moves the game on: {moves}")


@pytest.mark.parametrize(
    "spec",
    [
        "connect_four",
        pytest.param("hex:size=5", marks=pytest.mark.slow),
        pytest.param("go:size=5", marks=pytest.mark.slow),
        RAIDERS,
        pytest.param(f"{RAIDERS}Drawn", marks=pytest.mark.slow),
        pytest.param("tests.toys.double_move:Pile", marks=pytest.mark.slow),
    ],
)
def test_a_whole_game_is_played_by_clicks_and_follows_the_rules(browser, server, spec):
    rng = np.random.default_rng(1)
    game = games.load(spec)
    with page_of(browser, server) as page:
        fragment = urllib.parse.urlencode({"game": spec, "player": "random", "seat": SEAT})
        page.goto(f"{server.url.partition('?')[0]}#play?{fragment}")
        page.wait_for_selector(f"{LIVE}, .error")
        if button := page.query_selector(".error button"):  # it is somebody's own code
            button.click()
        page.wait_for_selector(LIVE)
        moves = play_by_clicks(page, game, rng)
        page.wait_for_function(
            "() => /win|won|draw/i.test(document.querySelector('.status').textContent)"
        )
        first, _ = np.asarray(game.returns(after(game, moves))).tolist()
        said = page.text_content(".status").lower()
        assert ("draw" in said) == (first == 0), said
        page.keyboard.press("u")  # takes the last move of the person back
        page.wait_for_selector(LIVE)
        assert page.query_selector(".status").text_content().lower() != said


def test_compare_offers_players_that_come_with_the_package_where_there_is_no_run(browser, server):
    with page_of(browser, server) as page:
        page.goto(f"{server.url.partition('?')[0]}#compare?tab=position&game=tic_tac_toe")
        page.wait_for_selector("option[value='shipped:tic_tac_toe']", state="attached")
        assert page.get_by_label("First player", exact=True).input_value() == "shipped:tic_tac_toe"


@pytest.mark.parametrize(
    ("asked", "game", "player"),
    [
        ("game=go:komi=7.5", "go", "shipped:go_9x9"),
        ("game=hex&player=shipped:hex_7x7", "hex:size=7", "shipped:hex_7x7"),
        ("game=hex", "hex", "uniform"),
    ],
)
def test_play_finds_the_player_of_a_game_and_judges_nothing_without(
    browser, server, asked, game, player
):
    with page_of(browser, server) as page:
        page.goto(f"{server.url.partition('?')[0]}#play?{asked}")
        page.wait_for_selector(".board-picture svg")
        query = query_of(page)
        assert (query["game"], query["player"]) == (game, player)
        assert query.get("analyst", "uniform") == player
        page.keyboard.press("a")
        told = page.get_by_text(f"no trained player for {game} here")
        if player == "uniform":
            told.wait_for()
        assert told.count() == (player == "uniform")


def test_an_address_that_is_no_page_is_named(browser, server):
    with page_of(browser, server) as page:
        page.goto(f"{server.url.partition('?')[0]}#nowhere")
        page.get_by_text("There is no page “nowhere”").wait_for()


def test_a_choice_of_another_game_finds_its_player_and_is_in_the_address_at_once(browser, server):
    with page_of(browser, server) as page:
        page.goto(f"{server.url.partition('?')[0]}#play?game=tic_tac_toe")
        page.wait_for_selector(".board-picture svg")
        page.route("**/api/ask/*", lambda route: None)  # the worker never answers
        page.click(".setup summary")
        page.get_by_role("combobox", name="Game").fill("go:size=9")
        page.get_by_role("combobox", name="Game").press("Enter")
        page.wait_for_function("() => location.hash.includes('game=go&')")
        assert query_of(page)["player"] == "shipped:go_9x9"
