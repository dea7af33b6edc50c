"""A batch: what one call of a worker gave, as bytes that are data, and all that is checked of it.

It is a replay chunk (`training/replay.py`) with one more array, `header`: JSON as uint8. So a batch
that was taken is kept as it came. A worker is trusted to play, not to be whole: its memory, its
disk, its version and its rules may be others than it thinks.
"""

import dataclasses
import hashlib
import io
import json
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from games.game import Game
from selfplay import row
from selfplay.files import json_lines, json_objects, npz
from selfplay.recorder import FinishedGame
from selfplay.row import Form, Sample
from training import calls
from training.calls import PlayedCall
from training.replay import HEADER, LANES

FORMAT_VERSION = 1
MAX_HEADER = 1 << 20  # bytes
VALUE_SLACK = 1e-3  # beyond -1 and 1, for a value of float16
WEIGHT_SLACK = 0.01  # of the sum of a policy target, which is float16
MOST_PARTS = 3  # times the rows of a batch that it may be: games before it have rows, too
GAME_BITS = 40  # of a game's number; those above them tell incarnations apart


class BatchError(ValueError):
    """A batch that is refused; the message says why."""


@dataclasses.dataclass(frozen=True)
class Key:
    """What a batch is known by, in one run: never two have the same."""

    slot: int  # a place among the workers
    incarnation: int  # how many workers had joined the run before; no two have the same
    seq: int  # from 0, of this incarnation

    def __str__(self) -> str:
        return f"slot {self.slot}, incarnation {self.incarnation}, batch {self.seq}"


@dataclasses.dataclass(frozen=True)
class WatchedGame:
    """A game to keep as a record."""

    game_id: int
    moves: tuple[int, ...]
    returns: tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Header:
    """What a batch says of itself."""

    format_version: int
    run_id: str
    digest: str  # of the run's settings
    code: str  # digest of the code that played
    game: str
    slot: int
    incarnation: int
    seq: int  # and the number of its call: there is one a batch
    version: int  # of the weights that played it
    weights_step: int  # the training step that these are from
    rows: int
    plies: int  # played in the call
    games: int  # ended
    devices: int
    device_kind: str
    seconds: float  # that the call took
    kl: float
    entropy: float
    watched: tuple[WatchedGame, ...] = ()

    @property
    def key(self) -> Key:
        """The batch's key."""
        return Key(self.slot, self.incarnation, self.seq)


class Batch(NamedTuple):
    """A batch that was read."""

    header: Header
    call: PlayedCall
    lanes: dict[str, np.ndarray]  # the worker's games before it, of those that are audited


@dataclasses.dataclass(frozen=True)
class Expected:
    """What a learner takes from one incarnation of a worker."""

    run_id: str
    digest: str
    code: str
    game: str
    forms: Mapping[str, Form]  # of the rows' columns
    plies: int  # of a call
    max_rows: int  # that a call can give
    max_plies: int  # of a game
    key: Key  # of the next batch
    versions: Mapping[int, int]  # the training step of each version that this learner published
    oldest: int  # the first of these
    first: int  # of the run; of those between, earlier processes knew the steps


def pack(call: PlayedCall, header: Header, lanes: Mapping[str, np.ndarray] = {}) -> bytes:
    """Returns a call as a batch; `lanes`: the games before it, where it may be played again."""
    text = json.dumps(dataclasses.asdict(header), allow_nan=False).encode()
    file = io.BytesIO()
    columns = row.flat(call.rows) | {HEADER: np.frombuffer(text, np.uint8)}
    columns |= {f"{LANES}{name}": leaf for name, leaf in lanes.items()}
    npz.write(file, columns, header.run_id)
    return file.getvalue()


def digest(content: bytes) -> str:
    """Returns the SHA-256 sum of a batch, which goes with it."""
    return hashlib.sha256(content).hexdigest()


def watched(games: list[FinishedGame]) -> tuple[WatchedGame, ...]:
    """Returns games as a header has them."""
    return tuple(WatchedGame(g.game_id, tuple(g.moves), g.returns) for g in games)


def number_games(call: PlayedCall, incarnation: int) -> PlayedCall:
    """Returns a call whose games have numbers that no other worker of the run gives."""
    first = (incarnation + 1) << GAME_BITS  # below it: games that the run played itself
    rows = call.rows._replace(game_id=call.rows.game_id + first)
    games = [game._replace(game_id=game.game_id + first) for game in call.watched]
    return call._replace(rows=rows, watched=games)


def read(content: bytes, sha256: str, expected: Expected) -> Batch:
    """Returns a batch that is whole, and what it says is possible.

    Raises:
      BatchError: it is refused; says why.
    """
    if digest(content) != sha256:
        raise BatchError("it is damaged: its SHA-256 is not the one that was sent with it")
    row_bytes = sum(form.bytes() for form in expected.forms.values())
    try:
        most = MOST_PARTS * expected.max_rows * row_bytes + MAX_HEADER + 100_000
        columns = npz.parse(content, most)
    except ValueError as error:
        raise BatchError(f"it is damaged: {error}") from None
    header = parse_header(columns.pop(HEADER, None))
    _check_header(header, expected)
    lanes = {name: columns.pop(name) for name in list(columns) if name.startswith(LANES)}
    _check_forms(columns, header.rows, expected.forms)
    rows = row.nested(Sample, {name: columns[name] for name in expected.forms})
    _check_rows(rows, header, expected)
    before = {name.removeprefix(LANES): leaf for name, leaf in lanes.items()}
    return Batch(header, played(rows, header), before)


def parse_header(held: np.ndarray | None) -> Header:
    """Returns the header of a batch from its array. Raises BatchError if it is none."""
    if held is None or held.dtype != np.uint8 or held.ndim != 1 or len(held) > MAX_HEADER:
        raise BatchError("it has no header")
    try:
        return json_objects.read(Header, json_lines.parse(held.tobytes().decode(), HEADER))
    except ValueError as error:
        raise BatchError(f"its header is none: {error}") from None


def forms(game: Game[Any], wanted: Collection[str]) -> dict[str, Form]:
    """Returns the forms of the columns of a run's rows, its observations as the game has them."""
    seen = jax.eval_shape(lambda key: game.observe(game.init(key)), jax.random.key(0))
    return row.forms(game, wanted) | {"observation": Form(seen.shape, np.dtype(seen.dtype))}


def without_rows(game: Game[Any], wanted: Collection[str], plies: int) -> PlayedCall:
    """Returns a call in which no game ended."""
    empty = {name: form.zeros(0) for name, form in forms(game, wanted).items()}
    rows = row.nested(Sample, empty)
    return PlayedCall(rows, plies, 0, [], calls.of_games(rows, []))


def played(rows: Sample, header: Header) -> PlayedCall:
    """Returns the call that a batch is of."""
    monitors = {
        "kl": header.kl,
        "entropy": header.entropy,
        **calls.of_games(rows, rows.ply[_ends(rows)] + 1),
    }
    games = [FinishedGame(g.game_id, list(g.moves), g.returns) for g in header.watched]
    return PlayedCall(rows, header.plies, header.games, games, monitors)


def _check_header(header: Header, expected: Expected) -> None:
    if header.format_version != FORMAT_VERSION:
        raise BatchError(f"it has format {header.format_version}, we read {FORMAT_VERSION}")
    for name, theirs, ours in (
        ("run", header.run_id, expected.run_id),
        ("settings", header.digest, expected.digest),
        ("code", header.code, expected.code),
        ("game", header.game, expected.game),
    ):
        if theirs != ours:
            raise BatchError(f"it is of another {name}: {theirs!r}, we have {ours!r}")
    if header.key != expected.key:
        raise BatchError(f"it is {header.key}; expected {expected.key}")
    is_earlier = expected.first <= header.version < expected.oldest
    if not is_earlier and expected.versions.get(header.version) != header.weights_step:
        raise BatchError(
            f"its weights are version {header.version} of step {header.weights_step}, "
            "which were not published"
        )
    if header.plies != expected.plies or not 0 <= header.seconds < float("inf"):
        raise BatchError(
            f"it says {header.plies} plies in {header.seconds} seconds; a call has {expected.plies}"
        )
    if not 0 <= header.rows <= expected.max_rows:
        raise BatchError(f"it has {header.rows} rows; a call gives at most {expected.max_rows}")


def _check_forms(columns: Mapping[str, Any], count: int, forms: Mapping[str, Form]) -> None:
    if columns.keys() != forms.keys():
        different = ", ".join(sorted(columns.keys() ^ forms.keys()))
        raise BatchError(f"it has other columns: {different}")
    for name, form in forms.items():
        column = columns[name]
        if (column.shape, column.dtype) != ((count, *form.shape), form.dtype):
            raise BatchError(
                f"{name} is {column.dtype}{list(column.shape)}, expected "
                f"{form.dtype}{[count, *form.shape]}"
            )


def _check_rows(rows: Sample, header: Header, expected: Expected) -> None:
    """Raises BatchError for a row that no game and no search gives."""
    for name, column in row.flat(rows).items():
        if column.dtype.kind == "f" and not np.isfinite(column).all():
            raise BatchError(f"{name} holds NaN or infinity")
    if not header.rows:
        if header.games or header.watched:
            raise BatchError("it says that games ended, and has no row of them")
        return
    for name in ("outcome", "root_value", "raw_value"):
        if np.abs(getattr(rows, name)).max() > 1 + VALUE_SLACK:
            raise BatchError(f"{name} is beyond -1 and 1")
    actions = rows.action.astype(np.intp)
    legal, weights = rows.legal_action_mask, rows.policy_target.astype(np.float32)
    known = (actions >= 0) & (actions < legal.shape[1])
    if not known.all() or not legal[np.arange(len(actions)), actions].all():
        raise BatchError("an action is illegal")
    sums = np.where(legal, weights, 0).sum(axis=1)
    if (weights < 0).any() or np.abs(sums - 1).max() > WEIGHT_SLACK:
        raise BatchError("a policy target does not sum to 1 over legal actions")
    if (rows.weight != 1).any():
        raise BatchError("a row has another weight than 1")
    first, last = rows.weights_step.min(), rows.weights_step.max()
    if first < 0 or last > header.weights_step:
        raise BatchError(f"rows are of step {last}, the weights of {header.weights_step}")
    _check_games(rows, header, expected)


def _ends(rows: Sample) -> np.ndarray:
    """Returns the places of the last rows of games."""
    return np.flatnonzero(np.diff(rows.game_id, append=-1))  # which no game has


def _check_watched(rows: Sample, header: Header, expected: Expected) -> None:
    """Raises BatchError for a game to be recorded that is none of the batch's."""
    actions, own = rows.legal_action_mask.shape[1], set(rows.game_id.tolist())
    for game in header.watched:
        legal = all(0 <= move < actions for move in game.moves)
        if game.game_id not in own or not legal or len(game.moves) > expected.max_plies:
            raise BatchError(f"the record of game {game.game_id} is none of its games")
        if sum(game.returns) or max(game.returns) > 1:
            raise BatchError(f"the record of game {game.game_id} has returns {game.returns}")


def _check_games(rows: Sample, header: Header, expected: Expected) -> None:
    """Raises BatchError unless the rows are whole games, one after the other."""
    begins = np.flatnonzero(np.diff(rows.game_id, prepend=rows.game_id[0] - 1))
    if len(np.unique(rows.game_id)) != len(begins):
        raise BatchError("the rows of a game do not lie together")
    if len(begins) != header.games:
        raise BatchError(f"it has the rows of {len(begins)} games, and says {header.games}")
    inside = np.ones(len(rows.ply), bool)
    inside[begins] = False
    if (np.diff(rows.ply, prepend=0)[inside] != 1).any() or (rows.ply[begins] < 0).any():
        raise BatchError("a game is cut: its plies do not follow each other")
    if (rows.game_id >> GAME_BITS != header.incarnation + 1).any():
        raise BatchError("a game has the number of another worker's")
    _check_watched(rows, header, expected)
    if (np.abs(rows.outcome[inside]) != np.abs(rows.outcome[np.flatnonzero(inside) - 1])).any():
        raise BatchError("the rows of a game disagree about its outcome")
