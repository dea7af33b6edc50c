"""Questions that compare players: of one position, of many, and of a run as it learned."""

import itertools
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from games.game import Game, State
from scripts.web.ops.analysis import SEED, View
from scripts.web.ops.game_argument import game_of, state_of
from scripts.web.ops.player_argument import note_compilation, player_of, simulations_of
from scripts.web.ops.question import Args, Op, Tell, number, text
from selfplay import disagreement, positions
from selfplay.analysis import think
from selfplay.records import game_index
from training.players import checkpoint_steps
from training.storage.manifest import CheckpointError
from training.storage.run_folder import RunFolder

MOST_POSITIONS, USUAL_POSITIONS = 20_000, 1_000  # that are looked through for disagreement
MOST_LISTED = 100
MOST_CHECKPOINTS = 60  # that a curve of how a run learned shows
TAIL = 16 << 20  # bytes at the end of a file of records that are read
MEASURES = ("both", "policy", "value")


def compare(args: Args, tell: Tell) -> dict[str, Any]:
    """Returns what two players think of the position after `moves`."""
    _, game = game_of(args)
    moves, states = state_of(game, args)
    view = View(game, states[-1], moves)
    views = []
    for name in _two_names(args):
        views.append(_viewed(args, name, view, tell))
        tell.part({"player": views[-1]})
    return {"players": views, "apart": _apart(game, views)}


def through(args: Args, tell: Tell) -> dict[str, Any]:
    """Returns what the checkpoints of a run think of the position after `moves`, oldest first."""
    folder = RunFolder(text(args, "run"))
    spec, game = game_of({"game": folder.read_config().game})
    moves, states = state_of(game, args)
    view = View(game, states[-1], moves)
    steps = checkpoint_steps(folder.path)
    chosen = [steps[i] for i in _spread(len(steps), MOST_CHECKPOINTS)]
    views: list[dict[str, Any]] = []
    missing: list[dict[str, Any]] = []
    for step in chosen:
        tell.note(f"step {step}: {len(views) + len(missing) + 1} of {len(chosen)} checkpoints")
        try:
            seen = _viewed(args, f"{folder.path}@{step}", view, tell)
        except (CheckpointError, FileNotFoundError) as error:  # erased meanwhile, or damaged
            missing.append({"step": step, "problem": str(error)})
            continue
        views.append(seen | {"step": step})
        tell.part({"checkpoint": views[-1]})
    if not views:
        reason = missing[0]["problem"] if missing else "it has no checkpoint yet"
        raise ValueError(f"{folder.path}: {reason}")
    return {
        "game": spec,
        "checkpoints": views,
        "missing": missing,
        "left_out": len(steps) - len(chosen),
    }


def disagree(args: Args, tell: Tell) -> dict[str, Any]:
    """Returns the positions of a run's recorded games where two players are furthest apart.

    Args:
      args: `game`, `players`, `simulations` (0 for the networks alone), `run`, `count`, `measure`
        (one of `MEASURES`) and `positions`, how many to look through.
    """
    spec, game = game_of(args)
    measure = args.get("measure", "both")
    if measure not in MEASURES:
        raise ValueError(f"'measure' must be one of {', '.join(MEASURES)}, got {measure!r}")
    most = number(args, "positions", USUAL_POSITIONS, 1, MOST_POSITIONS)
    count = number(args, "count", 12, 1, MOST_LISTED)
    folder = RunFolder(text(args, "run"))
    if folder.read_config().game != spec:
        raise ValueError(f"{folder.path} plays {folder.read_config().game}, not {spec}")
    names = _two_names(args)
    players = [player_of({**args, "player": name}, game) for name in names]
    lists = recorded_games(folder.games)

    def progress(doing: str, of: int) -> Callable[[int], None]:
        def say(done: int) -> None:
            tell.give_way()
            tell.note(f"{doing}: {done:,} of {of:,} positions")

        return say

    seen = disagreement.positions_of(game, lists, most, progress("reading games", most))
    key = jax.random.key(SEED)
    judged = [
        disagreement.judge(player, seen, key, progress(name, len(seen.moves)))
        for name, player in zip(names, players, strict=True)
    ]
    apart = disagreement.apart(*judged)
    chosen = disagreement.furthest(getattr(apart, measure), seen.looks, count)

    def entry(i: int) -> dict[str, Any]:
        state = positions.take(seen.states, i)
        best = [int(one.policy[i].argmax()) for one in judged]
        return {
            "moves": list(seen.moves[i]),
            "to_play": int(state.to_play),
            "policy": float(apart.policy[i]),
            "value": float(apart.value[i]),
            "both": float(apart.both[i]),
            "values": [float(one.value[i]) for one in judged],
            "best": best,
            "names": [game.action_to_string(state, action) for action in best],
            "shares": [_shares(one.policy[i], state) for one in judged],
        }

    return {
        "players": names,
        "positions": len(seen.moves),
        "games": len(lists),
        "mean": {name: float(getattr(apart, name).mean()) for name in MEASURES},
        "same_best": float(
            np.mean(judged[0].policy.argmax(axis=1) == judged[1].policy.argmax(axis=1))
        ),
        "found": [entry(i) for i in chosen],
    }


def recorded_games(folder: pathlib.Path) -> list[list[int]]:
    """Returns the move lists of the records in a run's `games/`, the newest of each file first."""
    lists: list[list[int]] = []
    for file in sorted(folder.glob("*.jsonl")):
        with game_index.Indexes(TAIL).open(file) as opened:
            first, moves = opened.index.first.tolist(), opened.index.moves.tolist()
        lists += [moves[i:j] for i, j in itertools.pairwise(first)][::-1]
    return lists


def _two_names(args: Args) -> list[str]:
    named = args.get("players")
    if not (isinstance(named, list) and len(named) == 2):
        raise ValueError(f"'players' must be a list of two, got {str(named)[:40]!r}")
    return [text({"players": name}, "players") for name in named]


def _viewed(args: Args, name: str, view: View, tell: Tell) -> dict[str, Any]:
    """Returns what a player thinks of one position; values are for the seat to play."""
    asked = {**args, "player": name}
    player = player_of(asked, view.game)
    note_compilation(player, simulations_of(asked), tell)
    result = think(player, view.state, jax.random.key(SEED), view.moves)
    return {"player": name, **view.of(result, simulations_of(asked))}


def _apart(game: Game[Any], views: list[dict[str, Any]]) -> dict[str, float]:
    """Returns how far two views of a position are apart, as of `disagreement.Apart`."""
    judged = []
    for view in views:
        policy = np.zeros((1, game.num_actions))
        for candidate in view["candidates"]:
            policy[0, candidate["action"]] = candidate["weight"] or 0.0
        judged.append(disagreement.Judgement(policy, np.array([view["value"] or 0.0])))
    apart = disagreement.apart(*judged)
    return {name: float(getattr(apart, name)[0]) for name in MEASURES}


def _shares(policy: np.ndarray, state: State) -> dict[int, float]:
    legal = np.flatnonzero(np.asarray(state.legal_action_mask)).tolist()
    return {action: float(policy[action]) for action in legal}


def _spread(count: int, most: int) -> list[int]:
    """Returns the numbers below `count`, or `most` of them, evenly, the last one among them."""
    chosen: list[int] = (
        np.unique(np.linspace(0, count - 1, min(count, most)).round()).astype(int).tolist()
    )
    return chosen


OPS = {
    "compare": Op(compare, "search"),
    "through": Op(through, "search"),
    "disagree": Op(disagree, "long"),
}
