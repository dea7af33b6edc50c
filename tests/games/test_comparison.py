"""A game beside a reference: what is compared, how moves are matched, what is said."""

import dataclasses
import inspect
import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from games.conformance import LAWS, Report, compare, reference
from games.tic_tac_toe import TicTacToe
from scripts import cli
from scripts import game_check as check_command

GAME = TicTacToe()
LINES = ("a1 a2 a3", "b1 b2 b3", "c1 c2 c3", "a1 b1 c1", "a2 b2 c2", "a3 b3 c3")
LINES = tuple(line.split() for line in (*LINES, "a1 b2 c3", "a3 b2 c1"))
CELLS = [f"{col}{row}" for row in "321" for col in "abc"]  # by action number


class Plain:
    """Tic-tac-toe by the names of cells."""

    def __init__(self):
        self.owner = {}

    @property
    def to_play(self):
        return len(self.owner) % 2

    @property
    def is_over(self):
        return any(self.returns()) or len(self.owner) == 9

    def legal_moves(self):
        return [cell for cell in CELLS if cell not in self.owner]

    def play(self, move):
        self.owner[move] = self.to_play

    def returns(self):
        for line in LINES:
            owners = {self.owner.get(cell) for cell in line}
            if len(owners) == 1 and None not in owners:
                return [1, -1] if owners == {0} else [-1, 1]
        return [0, 0]


class Numbered(Plain):
    """Moves are action numbers, from a generator, and questions are methods."""

    def to_play(self):
        return len(self.owner) % 2

    def is_over(self):
        return bool(any(self.returns()) or len(self.owner) == 9)

    def legal_moves(self):
        return (CELLS.index(cell) for cell in Plain.legal_moves(self))

    def play(self, move):
        self.owner[CELLS[move]] = self.to_play()


class Capitals(Plain):
    """The same names, written otherwise: `X: A3`."""

    def legal_moves(self):
        return [f"{'XO'[self.to_play]} {cell.upper()}" for cell in super().legal_moves()]

    def play(self, move):
        super().play(move[2:].lower())


def compared(cls, **options):
    return compare(GAME, cls, games=24, **options)


@pytest.mark.parametrize(
    ("cls", "matched"), [(Plain, "name"), (Numbered, "action number"), (Capitals, "name")]
)
def test_a_right_game_agrees_however_its_reference_writes_moves(cls, matched):
    result = compared(cls)
    assert result.agrees, result
    assert matched in result.matched
    assert result.plies > 24 * 6
    assert compare(GAME, cls, games=1).agrees


def left_out(self):
    return [cell for cell in CELLS if cell not in self.owner and cell != "b2"]


def first_of_line_only(self):
    return [1, -1] if {self.owner.get(cell) for cell in LINES[0]} == {0} else [0, 0]


DIFFERENT = [  # what the other rules say, what is then told to be different, after how many moves
    ({"legal_moves": left_out}, "legal moves", 0, ["only here: b2 (action 4)", "`init`"]),
    ({"to_play": property(lambda self: len(self.owner) // 2 % 2)}, "whose turn", 1, ["to_play"]),
    ({"is_over": property(lambda self: len(self.owner) == 9)}, "the end", 5, ["too early"]),
    ({"is_over": property(lambda self: len(self.owner) > 3)}, "the end", 4, ["misses this end"]),
    ({"returns": lambda self: [-x for x in Plain.returns(self)]}, "returns", 5, ["the sign"]),
]


@pytest.mark.parametrize(("methods", "about", "moves", "said"), DIFFERENT)
def test_the_first_difference_is_shown_with_the_moves_that_lead_there(methods, about, moves, said):
    result = compared(type("Other", (Plain,), methods))
    assert result.difference is not None
    assert about in result.difference.about
    assert len(result.difference.moves) == moves
    owner = dict.fromkeys(result.difference.moves)
    assert list(owner) == list(result.difference.moves), "a move is told twice"
    text = str(result.difference)
    for words in (*said, result.difference.position.splitlines()[0]):
        assert words in text


def test_moves_that_nothing_matches_are_shown_with_how_to_give_a_mapping():
    class Words(Plain):
        def legal_moves(self):
            return [f"cell-{cell}" for cell in super().legal_moves()]

        def play(self, move):
            super().play(move[5:])

    with pytest.raises(ValueError, match=r"'a1'.* 'cell-a1'.*--actions FILE.py:to_ours"):
        compared(Words)
    assert compared(Words, actions=lambda move: move[5:]).agrees
    assert compared(Words, actions=lambda move, at: CELLS.index(move[5:])).agrees
    turned = compared(Words, actions=lambda move: CELLS[::-1].index(move[5:]) // 2)
    assert "both the action" in turned.error


@pytest.mark.parametrize(
    ("methods", "said"),
    [
        (
            {"play": lambda self, move: self.owner["z9"]},
            ["KeyError", "test_comparison.py:", "play("],
        ),
        ({"legal_moves": lambda self: []}, ["at the opening", "a legal move until"]),
        ({"legal_moves": lambda self: ["a1", "a1"]}, ["each move once"]),
        ({"legal_moves": lambda self: "a1"}, ["each move once; got 'a1'"]),
        ({"legal_moves": lambda self: [9]}, ["the action 9", "0 to 8"]),
        ({"to_play": 2}, ["to_play to be 0 or 1; got 2"]),
        ({"returns": lambda self: [2 * x for x in Plain.returns(self)]}, ["-1 to 1; got ["]),
    ],
)
def test_a_wrong_reference_is_told_with_its_line_or_its_answer(methods, said):
    result = compared(type("Wrong", (Plain,), methods))
    assert result.difference is None
    for words in said:
        assert words in result.error


def test_a_reference_without_a_method_is_told_what_it_needs():
    with pytest.raises(ValueError, match=r"has no legal_moves, play.*it needs to_play, is_over"):
        compared(type("Lacking", (), {"to_play": 0, "is_over": False, "returns": None}))


@dataclasses.dataclass(frozen=True)
class AtRandom(TicTacToe):
    """Seat 0's first stone lies somewhere at random."""

    size: int = 3

    def init(self, key):
        cell = jax.random.randint(key, (), 0, 9)
        return TicTacToe.step(self, TicTacToe.init(self, key), cell)._replace(to_play=jnp.int8(0))


def test_options_and_a_random_opening_go_to_whoever_has_a_parameter_for_them():
    class Given(Plain):
        def __init__(self, opening, size):
            assert size == 3
            [cell] = np.flatnonzero(opening.board == 0)
            self.owner = {CELLS[cell]: 0}

        @property
        def to_play(self):
            return 1 - len(self.owner) % 2

    assert compare(AtRandom(), Given, games=24).difference is None
    with pytest.raises(ValueError, match=r"begins at random.*takes no `opening`"):
        compare(AtRandom(), Plain, games=24)


@pytest.mark.parametrize(
    ("spec", "theirs", "matched"),
    [
        ("tic_tac_toe", "tic_tac_toe", "action number"),
        ("breakthrough:rows=4,cols=3", "breakthrough(rows=4,columns=3)", "name"),
    ],
)
def test_games_of_openspiel_are_references(spec, theirs, matched):
    game = games.load(spec)
    result = compare(game, reference.load(f"open_spiel:{theirs}", game), games=16)
    assert result.agrees, result
    assert matched in result.matched


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("open_spiel:no_such", "OpenSpiel says"),
        ("open_spiel:backgammon", "without chance"),
        ("no_file.py:Plain", "no file no_file.py"),
        ("no_such_module:Plain", "no module 'no_such_module'"),
        ("othello", "expected FILE.py:NAME or module:NAME, or open_spiel:NAME"),
    ],
)
def test_a_reference_that_is_not_there_is_told(spec, said):
    with pytest.raises(ValueError, match=said):
        reference.load(spec, GAME)


def test_without_openspiel_the_sentence_says_how_to_have_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyspiel", None)
    with pytest.raises(ValueError, match=r"pip install 'selfplay-zero\[openspiel\]'"):
        reference.load("open_spiel:othello", GAME)


def test_names_that_programs_write_differently_are_one():
    for theirs, ours in (("B c3", "C3"), ("W PASS", "pass"), ("a7xb6*", "a7b6"), ("d8-b6", "d8b6")):
        assert reference.plain(theirs) == reference.plain(ours)
    assert reference.plain("x(1,12)") != reference.plain("x(11,2)")
    assert reference.plain("b2") == "b2"


def written(folder):
    """Writes `Plain` and a mistaken one into a file that imports its neighbour."""
    folder.mkdir()
    (folder / "tic_cells.py").write_text(f"LINES, CELLS = {LINES!r}, {CELLS!r}\n")
    wrong = "class Wrong(Plain):\n    is_over = property(lambda self: len(self.owner) == 9)\n"
    mapping = "def to_ours(move):\n    return CELLS.index(move)\n"
    texts = ("from tic_cells import CELLS, LINES\n", inspect.getsource(Plain), wrong, mapping)
    (folder / "mine.py").write_text("\n\n".join(texts))


def test_the_command_compares_with_a_file_and_returns_1_on_a_difference(
    tmp_path, monkeypatch, capsys
):
    written(tmp_path / "other")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(check_command, "check", lambda *_, **__: Report((), (), frozenset(LAWS)))
    right = ["game", "check", "tic_tac_toe", "--games", "16", "--against", "other/mine.py:Plain"]
    for more, matched in (([], "by name"), (["--actions", "other/mine.py:to_ours"], "to_ours")):
        assert cli.run([*right, *more]) == 0
        out = capsys.readouterr().out
        assert matched in out
        assert "conforms; it agrees with other/mine.py:Plain" in out
    wrong = ["game", "check", "tic_tac_toe", "--games", "16", "--against", "other/mine.py:Wrong"]
    assert cli.run(wrong) == 1
    assert "conforms; it differs from other/mine.py:Wrong" in capsys.readouterr().out
    assert cli.run([*wrong, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)["reference"]
    assert (told["agrees"], told["difference"]["about"]) == (False, "the end")
    assert cli.run(["game", "check", "tic_tac_toe", "--actions", "name"]) == 2
    assert "--against, which is not given" in capsys.readouterr().err
