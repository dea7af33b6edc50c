"""What all questions to the worker share: their arguments, games, players, and how they tell."""

import dataclasses
import functools
import math
import os
import pathlib
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

import jax
import numpy as np

import games
from games import consent, plug_in, registry
from games.game import Game, State
from selfplay import positions
from selfplay.player_name import run_of, split_settings
from selfplay.player_spec import parse_player
from selfplay.players import Player
from training import config as config_module
from training.players import load_player
from training.storage.manifest import CheckpointError
from training.storage.run_folder import RunFolder

MAX_SIMULATIONS = 20_000  # half a minute of Connect Four
OFTEN_S = 0.2  # between two notes, of those that may come often
ROOT = str(pathlib.Path(games.__file__).parent.parent)
LAYERS = ("games", "mcts", "selfplay", "training", "scripts")
Args: TypeAlias = Mapping[str, Any]


class Cancelled(BaseException):
    """The page that asked has gone. No `except Exception` on the way takes it for a failure."""


class ConsentError(ValueError):
    """Code that a run, a record or a page names, and that may not run yet."""

    def __init__(self, code: consent.Code, what: str) -> None:
        super().__init__(f"{what} would run {code.name!r}, which is no part of selfplay")
        self.code = code


class Tell:
    """How a question under way talks to the page; each call raises Cancelled if it has gone."""

    def __init__(
        self, say: Callable[[dict[str, Any]], None], is_cancelled: Callable[[], bool]
    ) -> None:
        self._say, self._is_cancelled = say, is_cancelled
        self._noted = -math.inf

    def check(self) -> None:
        """Raises Cancelled if nobody waits any more."""
        if self._is_cancelled():
            raise Cancelled

    def note(self, text: str) -> None:
        """Says what is under way."""
        self.check()
        self._say({"note": text})

    def often(self, text: str) -> None:
        """Says what is under way, unless something was said just now."""
        self.check()
        if time.monotonic() - self._noted >= OFTEN_S:
            self._noted = time.monotonic()
            self._say({"note": text})

    def part(self, result: dict[str, Any]) -> None:
        """Hands over an intermediate result."""
        self.check()
        self._say({"part": result})


@dataclasses.dataclass(frozen=True)
class Op:
    """One kind of question: `run(args, tell)` returns what JSON takes."""

    run: Callable[[Args, Tell], dict[str, Any]]
    lane: Literal["quick", "search", "long"]


def refusal(error: Exception) -> dict[str, Any] | None:
    """Returns what to answer to an error that a page, a file or a game may cause; else None."""
    if isinstance(error, ConsentError):
        return {"error": str(error), "consent": str(error.code)}
    if isinstance(error, RecursionError):
        return {"error": "this is nested too deeply"}
    if isinstance(error, ValueError | OSError | CheckpointError):
        return {"error": str(error)}
    if _is_outside(error):
        return {"error": f"code that is no part of selfplay failed: {plug_in.described(error)}"}
    return None


def _is_outside(error: Exception) -> bool:
    """Whether a game, player or loss of somebody's own is on the way to an error."""
    ours = tuple(os.path.join(ROOT, layer) + os.sep for layer in LAYERS)
    files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    return any(not (plug_in.installed(file) or file.startswith(ours)) for file in files)


def game_of(args: Args) -> tuple[str, Game[Any]]:
    """Returns the spec and the game of a question.

    Raises:
      ConsentError: it would import a module that nobody has allowed.
      ValueError: there is no such game.
    """
    spec = text(args, "game")
    if registry.names_a_module(spec):
        require(consent.module(spec), f"the game {spec!r}")
    return spec, _game(spec)


@functools.lru_cache(maxsize=32)
def _game(spec: str) -> Game[Any]:
    return games.load(spec)


PERMITTED: set[consent.Code] = set()  # by a person, in a page or on the command line


def permit(name: str, folder: str) -> None:
    """Lets code run; a module is looked for in `folder` too."""
    PERMITTED.add(consent.code_of(name))
    consent.allow(name, folder)


def require(code: consent.Code, what: str) -> None:
    """Raises ConsentError unless a person has permitted code to run.

    That this user made the run which names it is not enough: whoever looks at a page has not said
    that anything may run.
    """
    if code not in PERMITTED:
        raise ConsentError(code, what)


def require_run(path: str) -> None:
    """Raises ConsentError unless all code that a run names may run."""
    for field, code in config_module.code_in(RunFolder(path).read_config()).items():
        require(code, f"{path}, its {field},")


def finite(value: Any) -> Any:
    """Returns what JSON takes: None for numbers that are none, lists for tuples and arrays."""
    if isinstance(value, Mapping):
        return {str(key): finite(part) for key, part in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return finite(value.tolist())
    if isinstance(value, list | tuple):
        return [finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def state_of(game: Game[Any], args: Args) -> tuple[list[int], list[State]]:
    """Returns the moves of a question, and all positions on their way.

    Raises:
      ValueError: a move is illegal; says which.
    """
    moves = args.get("moves", [])
    if not (isinstance(moves, list) and all(type(action) is int for action in moves)):
        raise ValueError("'moves' must be a list of action numbers")
    return moves, list(LINES.walk(game, tuple(moves)))


class Lines:
    """Positions along lines of moves, of which the newest are kept: the next click adds one."""

    def __init__(self, kept: int) -> None:
        self.kept = kept
        self._lines: dict[tuple[Game[Any], tuple[int, ...]], tuple[State, ...]] = {}
        self._lock = threading.Lock()

    def walk(self, game: Game[Any], moves: tuple[int, ...]) -> tuple[State, ...]:
        """Returns the `len(moves) + 1` positions from the opening on, in NumPy.

        Raises:
          ValueError: a move is illegal; says which.
        """
        line = self.legal(game, moves)
        if (ply := len(line) - 1) < len(moves):
            raise ValueError(f"move {ply + 1}, action {moves[ply]}, is illegal")
        return line

    def legal(self, game: Game[Any], moves: tuple[int, ...]) -> tuple[State, ...]:
        """Returns the positions on the way, in NumPy, up to where a move is illegal."""
        line = list(self._known(game, moves))
        for action in moves[len(line) - 1 :]:
            legal = line[-1].legal_action_mask
            if not (0 <= action < len(legal) and legal[action]):
                break
            line.append(_on_host(positions.step(game, line[-1], np.int32(action))))
        known = moves[: len(line) - 1]
        with self._lock:
            self._lines[game, known] = self._lines.pop((game, known), tuple(line))
            if len(self._lines) > self.kept:
                del self._lines[next(iter(self._lines))]
        return tuple(line)

    def _known(self, game: Game[Any], moves: tuple[int, ...]) -> tuple[State, ...]:
        """Returns the longest line on the way that is known; the opening position at least."""
        for length in range(len(moves), 0, -1):
            if (line := self._lines.get((game, moves[:length]))) is not None:
                return line
        return (_on_host(positions.opening_position(game)),)


def _on_host(state: State) -> State:
    moved: State = jax.tree.map(np.asarray, state)
    return moved


LINES = Lines(kept=64)


def player_of(
    args: Args, game: Game[Any], name: str = "player", simulations: int | None = None
) -> Player:
    """Returns the player that a question names, with its simulations.

    Args:
      simulations: take these, whatever the question and the player's own settings say.

    Raises:
      ConsentError: it would run code that nobody has allowed.
      ValueError: no such player, or it plays another game.
    """
    spec = text(args, name)
    if simulations is None:
        simulations = simulations_of(args, name)
    spec = _without_simulations(spec)
    run = run_of(spec)
    if not run:
        if (named := consent.code_of_player(spec)) is not None:
            require(named, f"the player {spec!r}")
        return _player(spec, game, simulations)  # type: ignore[arg-type]
    require_run(run[0])
    load = functools.partial(load_player, search={"reuse_nodes": 0})
    player = parse_player(spec, game, simulations, load)
    if player.game != game:
        raise ValueError(f"{spec} plays another game: {registry.spec_of(player.game)}")
    return player


@functools.lru_cache(maxsize=8)
def _player(spec: str, game: Game[Any], simulations: int) -> Player:
    """Returns a player that is no run: an engine is started once, a solution found once."""
    return parse_player(spec, game, simulations, load_player)


def simulations_of(args: Args, name: str = "player") -> int:
    """Returns how many simulations a search of a question has: the player's own, else its number's.

    Of a player that does not search it is 0.
    """
    wanted = number(args, "simulations", 200, 0, MAX_SIMULATIONS)
    spec = text(args, name)
    bare, own = split_settings(spec)
    if not (run_of(bare) or bare == "uniform"):
        return 0
    return wanted if own.simulations is None else min(own.simulations, MAX_SIMULATIONS)


def _without_simulations(spec: str) -> str:
    bare, own = split_settings(spec)
    if own.simulations is None:
        return spec
    settings = {**own.search, **({"temperature": own.temperature} if own.temperature else {})}
    text = ",".join(f"{key}={value}" for key, value in settings.items())
    return f"{bare}:{text}" if text else bare


class Programs:
    """What has been compiled in this process, so that a page can say what it waits for."""

    def __init__(self) -> None:
        self._known: set[Any] = set()

    def note(self, player: Player, simulations: int, tell: Tell) -> None:
        """Tells the page if this player's first search of so many simulations lies before it."""
        if player.on_device and player.act not in self._known:
            what = f"the search of {simulations} simulations" if simulations else "the network"
            tell.note(f"compiling {what} (some seconds, once)")
            self._known.add(player.act)


PROGRAMS = Programs()


class Precedence:
    """Lets long work wait while a person waits for a search: both would take the same cores."""

    def __init__(self) -> None:
        self._busy = 0
        self._changed = threading.Condition()

    def __enter__(self) -> None:
        with self._changed:
            self._busy += 1

    def __exit__(self, *exception: object) -> None:
        with self._changed:
            self._busy -= 1
            self._changed.notify_all()

    def give_way(self, tell: Tell) -> None:
        """Waits until nobody waits for a search. Raises Cancelled if the page has gone."""
        tell.check()
        with self._changed:
            while self._busy:
                self._changed.wait(timeout=GLANCE)
                tell.check()


GLANCE = 0.1  # seconds
SEARCHES = Precedence()


def text(args: Args, name: str) -> str:
    """Returns an argument that must be a text."""
    value = args.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name!r} must be a text, got {str(value)[:40]!r}")
    return value


def number(args: Args, name: str, default: int, low: int, high: int) -> int:
    """Returns an argument that must be a whole number within bounds."""
    value = args.get(name, default)
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{name!r} must be a whole number from {low} to {high}, got {value!r}")
    return value


def decimal(args: Args, name: str, default: float, low: float, high: float) -> float:
    """Returns an argument that must be a number within bounds."""
    value = args.get(name, default)
    if type(value) not in (int, float) or not low <= value <= high:
        raise ValueError(f"{name!r} must be a number from {low:g} to {high:g}, got {value!r}")
    return float(value)
