"""What somebody may have meant by a name that is nearly right."""

import pytest

from games import registry


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("connect4", "connect_four"),
        ("conect_four", "connect_four"),
        ("connect-four", "connect_four"),
        ("ConnectFour", "connect_four"),
        ("tictactoe", "tic_tac_toe"),
        ("chess", "pgx:chess"),
        ("shogi", "pgx:shogi"),
        ("reversi", "othello"),
        ("go9", "go:size=9"),
        ("othello-6", "othello:size=6"),
        ("gomoku9x9", "gomoku:rows=9,cols=9"),
        ("breakthrough6x5", "breakthrough:rows=6,cols=5"),
    ],
)
def test_a_game_by_nearly_its_name_is_named_and_that_name_is_known(name, meant):
    with pytest.raises(ValueError, match="unknown game") as error:
        registry.check_name(name)
    assert f"(did you mean {meant}?)" in str(error.value)
    registry.check_name(meant)


@pytest.mark.parametrize("name", ["xyzzy", "monopoly", ""])
def test_nothing_is_guessed_for_a_name_like_none(name):
    with pytest.raises(ValueError, match="unknown game") as error:
        registry.check_name(name)
    assert "did you mean" not in str(error.value)


def test_an_option_by_nearly_its_name_is_named():
    with pytest.raises(ValueError, match=r"'sise' \(did you mean size\?\)"):
        registry.check_name("go:sise=9")
