"""A second implementation of a game's rules, to compare a game with: plain Python, or OpenSpiel's.

`Reference` is what an author writes, from the rules alone and without a look at the game.
"""

import contextlib
import inspect
import os
import pathlib
import re
import runpy
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from games.plug_in import PlugInError, described, import_plug_in, on_path
from games.registry import options

OPEN_SPIEL = "open_spiel:"
NEEDED = ("to_play", "is_over", "legal_moves", "play", "returns")
PLAYER = re.compile(r"^(p[12]|[bwxo])(?=\W)")  # who moves, before the move: `B c3`, `x(2,0)`


class Reference(Protocol):
    """One game in progress. Many are in progress at once, so all it knows belongs in `self`.

    Its class is called without arguments, or with those that it has parameters for: the options of
    the game by their names, and `opening`, the game's first State with NumPy arrays, for games that
    begin at random. `__str__`, if there is one, is shown beside the game's own `render`.
    """

    @property
    def to_play(self) -> int:
        """The seat to play, 0 or 1; seat 0 begins. This and `is_over` may also be methods."""
        ...

    @property
    def is_over(self) -> bool: ...

    def legal_moves(self) -> Sequence[Any]:
        """Returns the moves, not asked for at the end: names as of `action_to_string`, or numbers.

        Any other moves need a `to_ours` (see `load_to_ours`).
        """
        ...

    def play(self, move: Any) -> None:
        """Plays one of `legal_moves()`."""
        ...

    def returns(self) -> Sequence[float]:
        """Returns each seat's result, -1 to 1; asked for at the end only."""
        ...


class Rules(NamedTuple):
    """How to begin games under other rules."""

    name: str
    start: Callable[[Any], "InProgress"]  # from the game's own opening, its leaves NumPy arrays
    num_actions: int = 0  # of OpenSpiel's numbering; 0 without one
    takes_opening: bool = False


class OpenSpielGame:
    """A game of OpenSpiel in progress, as a `Reference`; moves are its own names of them."""

    def __init__(self, state: Any) -> None:
        self.state = state
        # In OpenSpiel's chess player 1 begins; whoever begins is our seat 0.
        self._first = state.current_player()
        self._numbers: dict[str, int] = {}

    @property
    def to_play(self) -> int:
        return int(self.state.current_player() != self._first)

    @property
    def is_over(self) -> bool:
        return bool(self.state.is_terminal())

    def legal_moves(self) -> list[str]:
        player = self.state.current_player()
        names = {a: self.state.action_to_string(player, a) for a in self.state.legal_actions()}
        self._numbers = {name: action for action, name in names.items()}
        return list(names.values())

    def number(self, move: str) -> int:
        """Returns OpenSpiel's number of a move of the last `legal_moves()`."""
        return self._numbers[move]

    def play(self, move: str) -> None:
        self.state.apply_action(self._numbers[move])

    def returns(self) -> list[float]:
        by_player = list(self.state.returns())
        return by_player[::-1] if self._first else by_player

    def __str__(self) -> str:
        return str(self.state)


class InProgress:
    """A `Reference` whose every answer is looked at, and whose errors name its own line."""

    def __init__(self, name: str, reference: Any) -> None:
        self.name, self.reference = name, reference
        self._played: list[str] = []
        lacking = [part for part in NEEDED if not hasattr(reference, part)]
        if lacking:
            raise ValueError(
                f"the reference {name} has no {', '.join(lacking)}: it needs {', '.join(NEEDED)}, "
                "as games.conformance.Reference says"
            )

    @property
    def inner(self) -> Any:
        """The reference, or the state of OpenSpiel."""
        spiel = isinstance(self.reference, OpenSpielGame)
        return self.reference.state if spiel else self.reference

    def number(self, move: Any) -> Any:
        """Returns the reference's number of a move, which may be the move itself."""
        spiel = isinstance(self.reference, OpenSpielGame)
        return self.reference.number(move) if spiel else move

    def to_play(self) -> int:
        return int(self._ask("to_play", "be 0 or 1", lambda seat: seat in (0, 1)))

    def is_over(self) -> bool:
        return bool(self._ask("is_over", "", lambda answer: True))

    def legal_moves(self) -> list[Any]:
        def fits(moves: Any) -> bool:
            return not isinstance(moves, str) and 0 < len(set(map(repr, moves))) == len(moves)

        expected = "hold a legal move until is_over, and each move once"
        return list(self._ask("legal_moves", expected, fits))

    def returns(self) -> list[float]:
        def fits(results: Any) -> bool:
            return len(results) == 2 and all(-1 <= float(x) <= 1 for x in results)

        return [float(x) for x in self._ask("returns", "be two numbers by seat, -1 to 1", fits)]

    def play(self, move: Any) -> None:
        with self._blamed(f"play({move!r})"):
            self.reference.play(move)
        self._played.append(str(move))

    def __str__(self) -> str:
        if type(self.reference).__str__ is object.__str__:  # type: ignore[comparison-overlap]
            return ""
        with self._blamed("__str__"):
            return str(self.reference).rstrip()

    def _ask(self, part: str, expected: str, fits: Callable[[Any], bool]) -> Any:
        with self._blamed(part):
            answer = getattr(self.reference, part)
            answer = answer() if callable(answer) else answer
            if isinstance(answer, Iterator):  # a generator can be looked at once
                answer = list(answer)
            if fits(answer):
                return answer
        raise PlugInError(
            f"the reference {self.name} is wrong {self._where()}: expected {part} to {expected}; "
            f"got {answer!r}"
        )

    def _where(self) -> str:
        return f"after {' '.join(self._played)}" if self._played else "at the opening"

    @contextlib.contextmanager
    def _blamed(self, doing: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # whatever an author's code raises
            raise PlugInError(
                f"the reference {self.name} raised {described(error)} in {doing} {self._where()}"
            ) from error


def load(spec: str, game: Any) -> Rules:
    """Returns the rules that `spec` names.

    Args:
      spec: `open_spiel:NAME` or `open_spiel:NAME(key=value)`; `FILE.py:Class`; `module:Class`.
      game: its options go to the class, where it has parameters of their names.

    Raises:
      ValueError: there is none, it cannot be imported, or it is no game for two without chance.
    """
    if spec.startswith(OPEN_SPIEL):
        return _open_spiel(spec)
    return rules_of(_named(spec, "--against"), game, spec)


def rules_of(factory: Callable[..., Any], game: Any, name: str = "") -> Rules:
    """Returns the rules of a class (or a function) that begins a `Reference`."""
    name = name or getattr(factory, "__name__", "reference")
    try:
        takes = inspect.signature(factory).parameters
    except (TypeError, ValueError):
        raise ValueError(f"the reference {name} is no class or function") from None
    known = {name: getattr(game, name) for name in options(type(game)) if name in takes}

    def start(opening: Any) -> InProgress:
        given = known | ({"opening": opening} if "opening" in takes else {})
        try:
            reference = factory(**given)
        except Exception as error:  # whatever an author's code raises
            raise ValueError(f"the reference {name} cannot begin: {described(error)}") from error
        return InProgress(name, reference)

    return Rules(name, start, takes_opening="opening" in takes)


def load_to_ours(spec: str) -> Callable[..., Any]:
    """Returns the function `FILE.py:to_ours` or `module:to_ours`.

    `to_ours(move)`, or `to_ours(move, reference)`, returns the game's own name of the reference's
    move, or its action number. In OpenSpiel's games `reference` is the state before the move, and
    `move` what `action_to_string` calls it.

    Raises:
      ValueError: there is none.
    """
    function: Callable[..., Any] = _named(spec, "--actions")
    if not callable(function):
        raise ValueError(f"--actions: {spec} is no function")
    return function


def reads_reference(to_ours: Callable[..., Any]) -> Callable[[Any, InProgress], Any]:
    """Returns a `to_ours` as a function of a move and its reference; errors name its line."""
    code = getattr(to_ours, "__code__", None)
    wants_both = code is not None and code.co_argcount - len(to_ours.__defaults__ or ()) > 1

    def ours(move: Any, reference: InProgress) -> Any:
        try:
            return to_ours(move, reference.inner) if wants_both else to_ours(move)
        except Exception as error:  # whatever an author's code raises
            raise PlugInError(f"to_ours({move!r}) raised {described(error)}") from error

    return ours


def plain(name: str) -> str:
    """Returns a move's name without what programs write differently: case, marks, who moves.

    >>> plain("B c3"), plain("a7xb6*"), plain("x(2,0)")
    ('c3', 'a7b6', '2,0')
    """
    name = PLAYER.sub("", name.lower().strip())
    name = re.sub(r"(?<=\d)x(?=[a-z])", "", name)  # a capture
    name = re.sub(r"(?<=\d)[^a-z0-9]+(?=\d)", ",", name)
    return re.sub(r"[^a-z0-9,]|(?<!\d),|,(?!\d)", "", name)


def _named(spec: str, flag: str) -> Any:
    """Returns what `FILE.py:NAME` or `module:NAME` names. It was typed, so it may run."""
    source, _, name = spec.rpartition(":")
    what = f"{flag} {spec}"
    if not source or not name.isidentifier():
        raise ValueError(
            f"{what}: expected FILE.py:NAME or module:NAME"
            + (", or open_spiel:NAME" if flag == "--against" else ", or name, or index")
        )
    if source.endswith(".py"):
        members = _run(pathlib.Path(source), what)
    else:
        members = vars(import_plug_in(source, what, [os.getcwd()]))
    if name not in members:
        raise ValueError(f"{what}: {source} has no {name!r}")
    return members[name]


def _run(path: pathlib.Path, what: str) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"{what}: there is no file {path}")
    try:
        with on_path([str(path.absolute().parent)]):
            return runpy.run_path(str(path), run_name=f"reference_{path.stem}")
    except Exception as error:  # whatever a file may raise
        raise ValueError(f"{what}: {path} cannot be imported: {described(error)}") from error


def _open_spiel(spec: str) -> Rules:
    try:
        import pyspiel
    except ImportError:
        raise ValueError(
            f"{spec} needs OpenSpiel: pip install 'selfplay-zero[openspiel]'; or compare with a "
            "reference of your own, --against FILE.py:Reference"
        ) from None
    name = spec.removeprefix(OPEN_SPIEL)
    try:
        game = pyspiel.load_game(name)
    except (RuntimeError, pyspiel.SpielError) as error:
        raise ValueError(f"{spec}: OpenSpiel says: {str(error).strip().splitlines()[0]}") from None
    kind = game.get_type()
    fits = (
        game.num_players() == 2,
        kind.chance_mode == pyspiel.GameType.ChanceMode.DETERMINISTIC,
        kind.dynamics == pyspiel.GameType.Dynamics.SEQUENTIAL,
    )
    if not all(fits):
        raise ValueError(f"{spec} is no game of two who take turns without chance")

    def start(opening: Any) -> InProgress:
        del opening
        return InProgress(spec, OpenSpielGame(game.new_initial_state()))

    return Rules(spec, start, num_actions=game.num_distinct_actions())
