"""Perfect play as the yardstick: how often a player makes a mistake on solved positions.

A *mistake* is a move whose game-theoretic outcome (win, draw, loss) is worse than the best one
available.
"""

import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

import games
from games.breakthrough import Breakthrough
from games.game import Game, State
from games.hex import Hex
from selfplay import positions
from selfplay.files import json_lines
from selfplay.perfect import solver
from selfplay.perfect.solver import ILLEGAL, Progress, SolvedSet
from selfplay.players import Player

BATCH = 1024  # positions that a player is asked at once, at most
SHUFFLE_SEED = 0
DATA = pathlib.Path(__file__).parent / "data"
# Games whose sets were solved beforehand, by `scripts/developer/make_solved_positions.py`.
FILES = {
    "connect_four": DATA / "connect_four.jsonl.gz",
    "hex:size=5": DATA / "hex_5x5.jsonl.gz",
    "othello:size=6": DATA / "othello_6x6.jsonl.gz",
}
ENDINGS = ("othello:size=6",)  # of those: games of which late positions alone are solved
# So many positions of each ply at most, of games that are solved here: all of tic_tac_toe, and
# rates by ply to about 1%.
KEPT_PER_PLY = 1_500
# Games that the solver finishes in seconds, which a run may therefore measure itself against.
SMALL_HEX, SMALL_BREAKTHROUGH = 3, 16  # lines; cells
# Where the solver gives up on any other game. Hex 4x4 has 5.6 million live positions.
POSITION_LIMIT, SECONDS_LIMIT = 12_000_000, 300.0


def mistakes(
    player: Player, states: State, outcomes: np.ndarray, key: jax.Array, batch: int = BATCH
) -> np.ndarray:
    """Returns bool[N]: whether the player's move in each position is a mistake.

    Args:
      states: batched, [N, ...].
      outcomes: int8[N, A], as in `SolvedSet`.
      key: consumed; only players that draw lots look at it.
      batch: positions evaluated at once; the last batch is filled up with its last position.
    """
    count = len(outcomes)
    batch = min(batch, count)
    actions = []
    for number, start in enumerate(range(0, count, batch)):
        rows = np.minimum(np.arange(start, start + batch), count - 1)
        result = player(positions.take(states, rows), jax.random.fold_in(key, number))
        actions.append(np.asarray(result.action))
    chosen = np.concatenate(actions)[:count]
    wrong: np.ndarray = outcomes[np.arange(count), chosen] < outcomes.max(axis=1)
    return wrong


def measure(
    raw: Player,
    searching: Mapping[int, Player],
    solved: SolvedSet,
    progress: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Returns the mistake rates of a raw policy and of searches, overall and by ply.

    Args:
      searching: players by the number of their simulations; at least one.
      progress: called after each player's turn.

    Returns:
      `{positions, possible, raw, search, budgets, by_ply}`: `possible` is the share of positions in
      which some move is a mistake, `search` the first budget's rate, `budgets` all of them by
      simulations (text, as JSON wants it), `by_ply` a list of `{ply, positions, raw, budgets}`.
    """
    wrong = {}
    for budget, player in {0: raw, **searching}.items():
        key = jax.random.key(0)  # these players draw no lots
        wrong[budget] = mistakes(player, solved.states, solved.outcomes, key)
        progress()

    def rates(rows: np.ndarray) -> dict[str, Any]:
        means = {budget: float(column[rows].mean()) for budget, column in wrong.items()}
        raw_rate = means.pop(0)
        budgets = {str(budget): rate for budget, rate in means.items()}
        return {"positions": len(rows), "raw": raw_rate, "budgets": budgets}

    everything = rates(np.arange(len(solved.plies)))
    by_ply = [
        {"ply": ply} | rates(np.flatnonzero(solved.plies == ply))
        for ply in np.unique(solved.plies).tolist()
    ]
    main = next(iter(everything["budgets"].values()))
    worst = np.where(solved.outcomes == ILLEGAL, 1, solved.outcomes).min(axis=1)
    possible = float((worst < solved.outcomes.max(axis=1)).mean())
    return everything | {"possible": possible, "search": main, "by_ply": by_ply}


def first(solved: SolvedSet, count: int) -> SolvedSet:
    """Returns the first `count` positions of a fixed shuffle, or all if there are fewer."""
    order = np.random.default_rng(SHUFFLE_SEED).permutation(len(solved.outcomes))
    return _chosen(solved, np.sort(order[:count]))


def has_oracle(spec: str) -> bool:
    """Whether `load_positions` has or makes sets of a whole game within seconds."""
    game = games.load(spec)
    if has_endings(spec):
        return False
    if isinstance(game, Hex) and _file_of(game) is None:
        return game.size <= SMALL_HEX
    if isinstance(game, Breakthrough):
        return game.rows * game.cols <= SMALL_BREAKTHROUGH
    return game == games.load("tic_tac_toe") or _file_of(game) is not None


def has_endings(spec: str) -> bool:
    """Whether `load_positions` has a game's endings and nothing else of it.

    They tell how well a player ends its games, not how strong it is.
    """
    return games.load(spec) in map(games.load, ENDINGS)


def _file_of(game: Game[Any]) -> pathlib.Path | None:
    return next((file for known, file in FILES.items() if games.load(known) == game), None)


def load_positions(
    spec: str,
    file: str | os.PathLike[str] | None = None,
    progress: Progress = lambda positions: None,
) -> dict[str, SolvedSet]:
    """Returns solved sets of a game by name: those that we have, those of a file, or by solving it.

    connect_four has `random` and `quiet` (no side could win in one), Hex 5x5 without the swap has
    `random`, Othello 6x6 has `endings` (2 to 10 empty cells), made by
    `scripts/developer/make_solved_positions.py`. Any other game is solved here and now, if it is
    small enough: its set is `all` where it has every live position that can be reached
    (tic_tac_toe: 4,520), else `spread`, up to `KEPT_PER_PLY` positions of each ply.

    Args:
      spec: the game, as for `games.load`.
      file: JSON lines, gzipped or not, `{"set": "random", "moves": [...], "outcomes": [1, ...]}`:
        one outcome per action for the mover, null where it is illegal.
      progress: called with the number of positions found so far while a game is solved.

    Raises:
      ValueError: the game is too big to be solved here, or a line contradicts the game's rules.
    """
    if file is not None:
        return _read(games.load(spec), pathlib.Path(file))
    return dict(_own_sets(games.load(spec), progress))


def _own_sets(game: Game[Any], progress: Progress) -> dict[str, SolvedSet]:
    if game not in _solved:
        file = _file_of(game)
        _solved[game] = _read(game, file) if file else _solve(game, progress)
    return _solved[game]


_solved: dict[Game[Any], dict[str, SolvedSet]] = {}  # of this process


def _solve(game: Game[Any], progress: Progress) -> dict[str, SolvedSet]:
    is_plain_board = isinstance(game, Hex | Breakthrough)
    try:
        solved = solver.solve(
            game, is_plain_board, POSITION_LIMIT, SECONDS_LIMIT, KEPT_PER_PLY, progress
        )
    except ValueError as error:
        raise ValueError(
            f"no perfect player for this game: {error}; a smaller variant can be solved, and "
            "--positions takes a file of solved positions"
        ) from None
    whole = np.bincount(solved.plies).max() < KEPT_PER_PLY
    return {"all" if whole else "spread": solved}


def _chosen(solved: SolvedSet, rows: np.ndarray) -> SolvedSet:
    return SolvedSet(positions.take(solved.states, rows), solved.outcomes[rows], solved.plies[rows])


def _read(game: Game[Any], path: pathlib.Path) -> dict[str, SolvedSet]:
    rows: dict[str, list[int]] = {}  # of each set
    moves: list[list[int]] = []
    outcomes, places = [], []
    for place, line in json_lines.read(path):
        places.append(place)
        name, line_moves, line_outcomes = _parse(line, game.num_actions, place)
        rows.setdefault(name, []).append(len(moves))
        moves.append(line_moves)
        outcomes.append(line_outcomes)
    if not rows:
        raise ValueError(f"{path}: no solved position in it")
    table = np.array(outcomes, np.int8)
    states = _checked(game, moves, table, places)
    everything = SolvedSet(states, table, np.array(list(map(len, moves)), np.int32))
    return {name: _chosen(everything, np.array(chosen)) for name, chosen in rows.items()}


def _parse(line: str, num_actions: int, place: str) -> tuple[str, list[int], list[int]]:
    fields = json_lines.parse(line, place)
    try:
        name, moves, outcomes = fields["set"], fields["moves"], fields["outcomes"]
    except (KeyError, TypeError):
        raise ValueError(f"{place}: needs the keys set, moves and outcomes") from None
    if not isinstance(name, str):
        raise ValueError(f"{place}: 'set' must be a name, got {repr(name)[:80]}")
    if not (isinstance(moves, list) and all(type(action) is int for action in moves)):
        raise ValueError(
            f"{place}: 'moves' must be a list of action numbers, got {repr(moves)[:80]}"
        )
    if not (
        isinstance(outcomes, list)
        and len(outcomes) == num_actions
        and all(value is None or (type(value) is int and abs(value) <= 1) for value in outcomes)
    ):
        raise ValueError(
            f"{place}: 'outcomes' must be {num_actions} values, each 1, 0, -1 or null, "
            f"got {repr(outcomes)[:80]}"
        )
    return name, moves, [ILLEGAL if value is None else value for value in outcomes]


def _checked(
    game: Game[Any], moves: list[list[int]], outcomes: np.ndarray, places: list[str]
) -> State:
    """Returns the positions after the moves; raises ValueError where the rules disagree."""
    replayed = positions.replay(game, moves)
    states = positions.take(replayed.states, slice(None))
    for i, place in enumerate(places):
        legal_plies = int(replayed.legal_plies[i])
        if legal_plies < len(moves[i]):
            raise ValueError(
                f"{place}: move {legal_plies + 1}, action {moves[i][legal_plies]}, is illegal"
            )
        if states.terminated[i]:
            raise ValueError(f"{place}: the game is over after these moves")
        legal = np.flatnonzero(states.legal_action_mask[i]).tolist()
        given = np.flatnonzero(outcomes[i] != ILLEGAL).tolist()
        if legal != given:
            raise ValueError(f"{place}: outcomes are given for actions {given}, legal are {legal}")
    return states
