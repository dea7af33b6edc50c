"""Each game's page: it is there, lists every option, and shows boards as `render` draws them."""

import dataclasses
import functools
import pathlib
import re

import jax
import jax.numpy as jnp
import pytest

import games
from games import registry

FOLDER = pathlib.Path(games.__file__).parent.parent / "docs"
PAGES = {path.stem: path.read_text() for path in (FOLDER / "games").glob("*.md")}
BOARD = re.compile(r"^`(\S+)` after `(.*)`:\n\n```\n(.*?)\n```$", re.MULTILINE | re.DOTALL)
BOARDS = [(name, *found) for name, text in sorted(PAGES.items()) for found in BOARD.findall(text)]

pytestmark = pytest.mark.usefixtures("compile_in_haste")


@functools.cache
def position(spec, moves):
    game = games.load(spec)
    state, step = game.init(jax.random.key(0)), jax.jit(game.step)
    for move in moves.split():
        state = step(state, jnp.int32(game.string_to_action(state, move)))
    return game, state


def boards():
    """Returns the shown boards as parameters; those of pgx compile slowly."""
    marks = {"pgx": pytest.mark.slow}
    return [pytest.param(*row[1:], id=row[1], marks=marks.get(row[0], ())) for row in BOARDS]


def test_every_registered_game_and_pgx_has_a_page_and_the_list_links_to_it():
    assert set(PAGES) == {*registry.BUILT_IN, "pgx"}
    linked = re.findall(r"\(games/(\w+)\.md\)", (FOLDER / "games.md").read_text())
    assert sorted(linked) == sorted(PAGES)
    assert {name for name, *_ in BOARDS} == set(PAGES), "a page shows no board"


@pytest.mark.parametrize("name", registry.BUILT_IN)
def test_a_page_has_every_option_with_its_default_its_sizes_and_a_result(name):
    game, page = games.load(name), PAGES[name]
    for field in dataclasses.fields(game):
        assert f"`{field.name}={str(field.default).lower()}`" in page, field.name
    state = jax.eval_shape(lambda: game.init(jax.random.key(0)))
    stored = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    assert f"| a position takes | {stored:,} bytes" in page, stored
    ends = re.search(r"\| ends after \|.*\|", page)
    assert ends
    assert re.search(rf"\b{game.max_plies}\b", ends[0]), game.max_plies
    for part in ("**Proof.**", "**Trained.**", "selfplay train --game", "95% interval"):
        assert part in page, part


@pytest.mark.parametrize(("spec", "moves", "board"), boards())
def test_a_board_is_drawn_as_the_page_shows_it(spec, moves, board):
    game, state = position(spec, moves)
    assert game.render(state) == board


def test_the_ko_that_go_s_page_shows_may_not_be_retaken():
    [(spec, moves)] = [row[1:3] for row in BOARDS if row[0] == "go"]
    game, state = position(spec, moves)
    assert "D3" in PAGES["go"]
    with pytest.raises(ValueError, match="'D3'"):
        game.string_to_action(state, "D3")
