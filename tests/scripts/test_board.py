"""The board for people: whose pieces are whose, and what marks the last move."""

import numpy as np
import pytest

import games
from scripts.terminal import board
from selfplay import positions


@pytest.mark.parametrize("name", ["tic_tac_toe", "connect_four", "breakthrough", "dots_and_boxes"])
def test_seat_0_is_x_in_games_of_ours(name):
    assert board.piece_names(games.load(name)) == ("X", "O")


def test_what_a_move_put_down_is_marked_in_brackets_or_reversed():
    game = games.load("othello:size=4")
    before = positions.opening_position(game)
    action = int(np.flatnonzero(np.asarray(before.legal_action_mask))[0])
    after = positions.step(game, before, np.int32(action))
    move = game.action_to_string(before, action)  # it turns one disc over, which is not marked
    pictures = game.render(after), game.render(before)
    plain = board.show(*pictures, ("X", "O"), colours=False)
    assert plain.count("(X)") == 1
    row, column = int(move[1]) - 1, "abcd".index(move[0])
    assert plain.split("\n")[row][2 * column + 1 : 2 * column + 4] == "(X)"
    coloured = board.show(*pictures, ("X", "O"), colours=True)
    assert coloured.count(board.MARKED) == 1
    assert board.COLOURS[0] + board.MARKED + "X" in coloured
    assert coloured.endswith("a b c d"), "the names of the columns have no colour"
    for code in (*board.COLOURS, board.MARKED, board.PLAIN):
        coloured = coloured.replace(code, "")
    assert coloured == pictures[0], "colours add nothing else"


def test_sides_of_capital_and_small_letters_are_told_apart():
    names = (board.CAPITALS, board.SMALL)
    shown = board.show("2 r .\n1 . R\n  a b", "2 r .\n1 R .\n  a b", names, colours=True)
    assert board.COLOURS[1] + "r" in shown
    assert board.COLOURS[0] + board.MARKED + "R" in shown


def test_colours_are_for_terminals_that_want_them(monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert board.has_colours()
    monkeypatch.setenv("NO_COLOR", "")
    assert board.has_colours(), "empty says nothing, by no-color.org"
    monkeypatch.setenv("NO_COLOR", "1")
    assert not board.has_colours()
