"""The catalogue says of each of our games what the game itself says."""

import inspect

import pytest

import games
from games import catalogue, registry


@pytest.mark.parametrize("name", catalogue.GAMES)
def test_the_catalogue_says_what_the_game_says(name):
    game, listed = games.load(name), catalogue.GAMES[name]
    cls = type(game)
    assert listed.target == f"{cls.__module__}:{cls.__name__}"
    assert listed.about == inspect.getdoc(cls).partition("\n")[0]
    assert listed.board == game.observation_shape[:2]
    assert (listed.actions, listed.max_plies) == (game.num_actions, game.max_plies)
    assert listed.options == registry.options(cls)
    assert [type(v) for v in listed.options.values()] == [
        type(v) for v in registry.options(cls).values()
    ]


@pytest.mark.parametrize(
    "spec", ["go", "go:size=5", "pgx:chess", "my_pkg.my_game:MyGame", "my_game:MyGame:size=5"]
)
def test_a_name_that_may_be_a_games_passes_before_anything_is_imported(spec):
    registry.check_name(spec)


@pytest.mark.parametrize("spec", ["chess", "go_9", "chess:size=5", "go:size="])
def test_a_name_that_nobody_knows_is_refused_in_the_words_of_load(spec):
    with pytest.raises(ValueError, match=r"^.+$") as early:
        registry.check_name(spec)
    with pytest.raises(ValueError, match=r"^.+$") as late:
        games.load(spec)
    assert str(early.value) == str(late.value)
