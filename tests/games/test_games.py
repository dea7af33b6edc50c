"""Finding a game: names, options, modules of one's own, plug-in packages, and what goes wrong."""

import dataclasses
import json
import sys

import pytest

import games
from games import registry
from scripts import cli

MODULE = """
import dataclasses
from games.tic_tac_toe import TicTacToe

@dataclasses.dataclass(frozen=True)
class MyGame(TicTacToe):
    size: int = 3
    komi: float = 0.5
    swap: bool = False
    title: str = "mine"
    num_actions: int = 9

    def __post_init__(self):
        if self.size != 3:
            raise ValueError(f"size must be 3, got {self.size}")

class NoGame:
    pass

@dataclasses.dataclass(frozen=True)
class Sized(TicTacToe):
    size: int
    depth: int | None = None

@dataclasses.dataclass(frozen=True)
class Asserting(TicTacToe):
    size: int = 3
    spare: int = 0

    def __post_init__(self):
        assert self.size == 3, f"size must be 3, got {self.size}"
        assert self.spare == 0
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A current folder with the module `my_plug_in`; import path and modules are put back."""
    (tmp_path / "my_plug_in.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    yield tmp_path
    sys.modules.pop("my_plug_in", None)


def error_of(spec):
    with pytest.raises(ValueError) as caught:  # noqa: PT011, the tests look at the message
        games.load(spec)
    return str(caught.value)


@pytest.mark.parametrize("name", registry.BUILT_IN)
def test_every_name_loads_and_equal_specs_give_equal_games(name):
    assert name in games.names()
    assert games.load(name) == games.load(name)
    assert hash(games.load(name)) == hash(games.load(name))


def test_names_are_sorted_and_distinct():
    built_in = [name for name in games.names() if name in registry.BUILT_IN]
    assert built_in == sorted(set(built_in)) == sorted(registry.BUILT_IN)


def test_an_unknown_name_lists_the_known_ones():
    message = error_of("connect_for")
    assert "'connect_for'" in message
    for name in games.names():
        assert name in message


def test_the_current_folder_is_on_the_import_path_for_one_import_and_last(folder):
    (folder / "my_plug_in.py").write_text(f"import sys\nseen = list(sys.path)\n{MODULE}")
    before = list(sys.path)
    assert type(games.load("my_plug_in:MyGame")).__name__ == "MyGame"
    assert sys.modules["my_plug_in"].seen == [*before, str(folder)]
    assert sys.path == before


def test_a_module_in_the_current_folder_does_not_shadow_a_library(folder):
    (folder / "colorsys.py").write_text("raise AssertionError('shadowed')")
    sys.modules.pop("colorsys", None)
    assert "no class 'MyGame'" in error_of("colorsys:MyGame")


def test_options_are_read_by_the_type_of_their_default(folder):
    game = games.load("my_plug_in:MyGame:size=3,komi=7.5,swap=true,title=yours")
    values = {name: getattr(game, name) for name in ("size", "komi", "swap", "title")}
    assert values == {"size": 3, "komi": 7.5, "swap": True, "title": "yours"}
    assert games.load("my_plug_in:MyGame:swap=False") == games.load("my_plug_in:MyGame")
    assert dataclasses.replace(game, komi=0.5) != game


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("my_plug_in:MyGame:size=three", ["size", "'three'", "whole number"]),
        ("my_plug_in:MyGame:komi=much", ["komi", "'much'", "a number"]),
        ("my_plug_in:MyGame:swap=1", ["swap", "'1'", "true or false"]),
        ("my_plug_in:MyGame:size=4", ["size must be 3, got 4"]),
        ("my_plug_in:MyGame:colour=red", ["'colour'", "size, komi, swap, title"]),
        ("my_plug_in:MyGame:num_actions=5", ["'num_actions'", "known: size"]),
        ("my_plug_in:MyGame:size=3,size=3", ["'size'", "twice"]),
        ("my_plug_in:MyGame:size=", ["'size='", "key=value"]),
        ("my_plug_in:MyGame:size=3,komi", ["'komi'", "key=value"]),
        ("my_plug_in:YourGame", ["'YourGame'", "MyGame"]),
        ("your_plug_in:MyGame", ["no module 'your_plug_in'"]),
        ("tic_tac_toe:size=3", ["'size'", "known: none"]),
        ("my_plug_in:Sized:size=3", ["'size' cannot be given as text", "needs a default"]),
        ("my_plug_in:Sized:depth=3", ["'depth' cannot be given as text", "needs a default"]),
        ("my_plug_in:Asserting:size=4", ["size must be 3, got 4"]),
        ("my_plug_in:Asserting:spare=1", ["AssertionError", "my_plug_in.py, line "]),
        ("builtins:int", ["no signature"]),
        ("go:9", ["no module 'go'", "its options are go:key=value"]),
        ("hex:swap", ["its options are hex:key=value"]),
        ("go:size=9:komi=7.5", ["its options are go:key=value,key=value"]),
        ("pgx", ["pgx:NAME"]),
    ],
)
def test_an_error_names_the_bad_value_and_what_is_known(folder, spec, said):
    message = error_of(spec)
    assert spec in message
    for words in said:
        assert words in message


def test_a_missing_import_inside_a_module_is_not_called_a_missing_module(folder):
    (folder / "needs_more.py").write_text("import not_installed_anywhere")
    with pytest.raises(ValueError, match=r"cannot be imported: .*not_installed_anywhere.* line 1"):
        games.load("needs_more:MyGame")


def test_what_is_refused_inside_the_standard_library_is_placed_in_the_module(folder):
    torn = MODULE.replace("(frozen=True)", "", 1)  # refused by dataclasses.py, as a mutable child
    (folder / "torn.py").write_text(torn)
    with pytest.raises(ValueError, match=r"non-frozen dataclass .*torn\.py, line 5\)"):
        games.load("torn:MyGame")


def test_a_folder_is_no_module(folder):
    (folder / "my_games").mkdir()
    assert "'my_games' is a folder; name a module in it" in error_of("my_games:MyGame")


def install(folder, package, entry_points):
    """Does what pip does as far as Python asks: a folder of metadata on the import path."""
    packaged = folder / f"{package}-1.0.dist-info"
    packaged.mkdir()
    (packaged / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (packaged / "entry_points.txt").write_text(f"[selfplay.games]\n{entry_points}\n")
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def test_an_installed_plug_in_package_works_by_its_name_from_the_command_line(folder, capsys):
    install(folder, "my_package", "my_own = my_plug_in:MyGame")
    assert cli.run(["game", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["games"]}
    assert rows["my_own"]["options"] == {"size": 3, "komi": 0.5, "swap": False, "title": "mine"}
    assert type(games.load("my_own:komi=2.5")).__name__ == "MyGame"
    assert cli.run(["game", "check", "my_own:komi=2.5", "--games", "8"]) == 0
    assert "my_own:komi=2.5 conforms" in capsys.readouterr().out
    for spec, said in (
        ("my_own:size=4", "size must be 3, got 4"),
        ("my_own:colour=red", "unknown option 'colour'; known: size, komi, swap, title"),
        ("my_owm", "known: breakthrough,"),
    ):
        for command in (
            ["game", "check", spec],
            ["train", "--game", spec],
            ["bench", "--game", spec],
        ):
            assert cli.run(command) == 2, command
            told = capsys.readouterr()
            assert said in told.err
            assert not told.out


def test_a_plug_in_never_replaces_one_of_our_games_and_is_reported(folder, capsys):
    install(folder, "my_package", "tic_tac_toe = my_plug_in:NoGame")
    assert type(games.load("tic_tac_toe")).__name__ == "TicTacToe"
    assert cli.run(["game", "list"]) == 0
    assert "package's of that name is my_plug_in:NoGame" in capsys.readouterr().err


def test_two_packages_with_one_name_are_refused_until_one_is_named(folder):
    install(folder, "my_package", "my_own = my_plug_in:MyGame")
    install(folder, "your_package", "my_own = your_plug_in:YourGame")
    assert "my_plug_in:MyGame, your_plug_in:YourGame" in error_of("my_own")


@pytest.mark.parametrize(
    "spec",
    [
        "tic_tac_toe",
        "go:size=5,komi=0.5",
        "gomoku:rows=3,cols=3,k=3,exact=true",
        "pgx:chess",
        "tests.toys.double_move:Pile:stones=12",
    ],
)
def test_a_game_is_named_in_messages_as_on_a_command_line(spec):
    assert registry.spec_of(games.load(spec)) == spec


@pytest.mark.parametrize(
    "spec",
    [
        "go:size=9,komi=7.5",
        "go:komi=0.5,size=5",
        "gomoku:exact=TRUE,cols=09",
        "hex:size=11",
        "othello",
    ],
)
def test_equal_games_have_one_text_before_any_is_loaded(spec):
    assert registry.canonical(spec) == registry.spec_of(games.load(spec))


@pytest.mark.parametrize("spec", ["", "no_such", "go:size=x", "go:9", "my.module:Game:size=9"])
def test_what_names_no_game_of_ours_stays_as_it_is(spec):
    assert registry.canonical(spec) == spec
