"""The evidence of a diagnosis, what a run has left on disk: nothing is locked, written or changed.

Works on a run in progress: files that its retention erases meanwhile are left out.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import numpy as np

import games
from games.game import Game, State
from mcts import Variables
from selfplay import example, positions
from selfplay.example import Sample
from selfplay.files import json_lines
from training import metrics, presets, replay
from training.config import RunConfig
from training.decision_examples import NOTHING, DecisionExamples
from training.evaluation.surprise import predict
from training.metrics import EvaluationLine, GateLine, IterationLine, WorkersLine
from training.network import Network, Weights
from training.oversight import decision_file
from training.players import network_of
from training.storage.checkpoint import CheckpointStore
from training.storage.leaves import flatten, under, unflatten
from training.storage.manifest import CheckpointError
from training.storage.run_folder import RunFolder

MOST_EXAMPLES = 20_000  # newest replay examples that are read
JUDGED_EXAMPLES = 4_096  # newest examples by which values and searches are judged
MOST_REPLAYED = 64  # games that are played again


class SavedWeights(NamedTuple):
    """One checkpoint's weights."""

    step: int
    trained: Weights
    average: Weights  # that play


class Replayed(NamedTuple):
    """Examples whose games were played again by the rules; R examples of finished games."""

    examples: np.ndarray  # int64[R], their numbers among the evidence's examples
    states: State  # [R, ...], in NumPy
    observation: np.ndarray  # [R, *observation_shape]
    outcome: np.ndarray  # float32[R], for the seat that was to play


@dataclasses.dataclass(frozen=True)
class Evidence:
    """All that the checks look at."""

    config: RunConfig
    game: Game[Any]
    network: Network
    iterations: list[IterationLine]
    evaluations: list[EvaluationLine]
    gates: list[GateLine]
    workers: list[WorkersLine]
    examples: Sample  # the newest, oldest first
    initial: SavedWeights | None  # of step 0
    newest: SavedWeights
    recorded: dict[int, list[int]]  # the moves, openings too, of sampled games by number, in order
    replayed: Replayed
    seconds: float = 20.0  # the most that a check that trains or searches may take
    progress: Callable[[float], None] = lambda part: None  # told how much of it is done

    @property
    def usual(self) -> RunConfig:
        """The run's preset with nothing changed: what advice on a setting may name."""
        return presets.preset(self.config.preset, self.config.game)

    @functools.cached_property
    def newest_folded(self) -> Variables:
        """The newest averages, as they play."""
        return self.fold(self.newest.average)

    @functools.cached_property
    def decided(self) -> DecisionExamples:
        """The overseer's decisions that the run learns from; none if their file is gone."""
        try:
            return decision_file.load(self.config.overseer, self.config.game, self.game)
        except ValueError:
            return NOTHING

    def turned(self, params: Any) -> dict[str, float]:
        """Returns by how much each kernel has turned since step 0, in radians; {} without step 0.

        Weight decay alone shrinks a kernel along itself: one without a gradient does not turn.
        """
        if self.initial is None:
            return {}
        old, new = kernels(self.initial.average.params), kernels(params)
        return {name: _angle(old[name], new[name]) for name in old}

    def fold(self, weights: Weights) -> Variables:
        """Returns weights as self-play runs them."""
        folded: Variables = self.network.fold(weights)
        return folded

    def predict(self, folded: Variables, examples: Sample) -> tuple[np.ndarray, np.ndarray]:
        """Returns the network's policy float32[N, A] and value float32[N] of examples."""
        return predict(self.network, folded, examples)


def gather(
    folder: RunFolder,
    seconds: float = 20.0,
    progress: Callable[[float], None] = lambda part: None,
) -> Evidence:
    """Reads a run. `seconds` and `progress` are as in `Evidence`.

    Raises:
      ValueError: there is no run, or it has no checkpoint or no finished game yet.
      CheckpointError: its newest checkpoint is damaged.
    """
    config = folder.read_config()
    game = games.load(config.game)
    network = network_of(config, game)
    history = metrics.history(folder.read_metrics())
    initial, newest = _weights(folder, network)
    examples, recorded = _newest_examples(folder, config, game), _recorded_moves(folder)
    return Evidence(
        config=config,
        game=game,
        network=network,
        iterations=history.iterations,
        evaluations=history.evaluations,
        gates=history.gates,
        workers=history.workers,
        examples=examples,
        initial=initial,
        newest=newest,
        recorded=recorded,
        replayed=_replay_games(game, examples, recorded),
        seconds=seconds,
        progress=progress,
    )


def kernels(params: Any) -> dict[str, np.ndarray]:
    """Returns the layers' kernels, which have two axes or more, flat, by name."""
    named = flatten(params).items()
    return {name: np.asarray(x, np.float64).ravel() for name, x in named if np.ndim(x) > 1}


def _angle(a: np.ndarray, b: np.ndarray) -> float:
    lengths = np.linalg.norm(a), np.linalg.norm(b)
    if not min(lengths) > 0:
        return 0.0 if max(lengths) == 0 else np.pi
    # By the chord: a cosine near 1 would lose the small angles.
    chord = float(np.linalg.norm(a / lengths[0] - b / lengths[1]))
    return 2 * float(np.arcsin(min(chord / 2, 1.0)))


def last_part(examples: Sample, count: int) -> Sample:
    """Returns the newest `count` examples."""
    return example.take(examples, slice(max(0, len(examples.ply) - count), None))


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Returns the correlation of two columns, 0 where one of them is constant, or empty."""
    varies = len(a) > 0 and min(a.std(), b.std()) > 1e-6
    return float(np.corrcoef(a, b)[0, 1]) if varies else 0.0


def recent_mean(values: Iterable[float | None]) -> float | None:
    """Returns the mean of the last quarter of those values that are there."""
    known = [value for value in values if value is not None]
    return float(np.mean(known[-max(1, len(known) // 4) :])) if known else None


def _weights(folder: RunFolder, network: Network) -> tuple[SavedWeights | None, SavedWeights]:
    """Returns the weights of step 0, None without them, and the newest."""
    store = CheckpointStore(folder.path)
    steps = store.steps()
    if not steps:
        raise ValueError(f"{folder.path} has no checkpoint yet: let `selfplay train` save one")
    newest = _load(store, network, steps[-1])
    try:
        return _load(store, network, 0) if steps[0] == 0 else None, newest
    except (CheckpointError, OSError):  # erased by retention since it was listed
        return None, newest


def _load(store: CheckpointStore, network: Network, step: int) -> SavedWeights:
    state = store.load(step, with_replay=False).train_state
    template = jax.eval_shape(network.init, jax.random.key(0))

    def pair(name: str) -> Weights:
        parts = (under(f"{name}params", state), under(f"{name}batch_stats", state))
        return Weights(*map(unflatten, template, parts))

    return SavedWeights(step, trained=pair("state/"), average=pair("state/average_"))


def _newest_examples(folder: RunFolder, config: RunConfig, game: Game[Any]) -> Sample:
    names = [*example.COLUMNS, *example.target_forms(example.parse_targets(config.targets), game)]
    columns = replay.newest(folder.path / "replay", names, MOST_EXAMPLES, folder.run_id())
    if not columns:
        raise ValueError(
            f"{folder.path} has no finished game on disk yet that can be read: wait for its next "
            "save"
        )
    return example.nested(Sample, columns)


def _recorded_moves(folder: RunFolder) -> dict[int, list[int]]:
    """Returns the moves, openings too, of the sampled games by their number."""
    moves = {}
    file = folder.games / "self_play.jsonl"
    for text in file.read_text(errors="replace").splitlines() if file.is_file() else ():
        try:
            record = json_lines.parse(text, str(file))
            moves[int(record["game_id"])] = list(record["moves"])
        except (ValueError, KeyError, TypeError):
            continue  # being written
    return moves


def _replay_games(game: Game[Any], examples: Sample, recorded: dict[int, list[int]]) -> Replayed:
    """Plays again the newest games, of which all moves are known."""
    starts = np.flatnonzero(np.diff(examples.game_id, prepend=-1) != 0)
    chosen: list[tuple[np.ndarray, list[int]]] = []
    all_games = list(zip(starts, [*starts[1:], len(examples.ply)], strict=True))
    for start, end in reversed(all_games if _has_one_opening(game) else []):
        numbers, first = np.arange(start, end), int(examples.ply[start])
        moves = (
            recorded.get(int(examples.game_id[start]), [])
            if first
            else examples.action[numbers].tolist()
        )
        whole = len(moves) == first + len(numbers) == int(examples.ply[end - 1]) + 1
        if whole and len(chosen) < MOST_REPLAYED:
            chosen.append((numbers, moves))
    if not chosen:
        chosen = [(np.zeros(0, np.int64), [0])]
    history = positions.pad_moves([moves for _, moves in chosen])
    history = np.resize(history, (MOST_REPLAYED, history.shape[1]))  # one shape
    states, observation, final = jax.device_get(_play_again(game, history))
    env = np.concatenate([np.full(len(numbers), i) for i, (numbers, _) in enumerate(chosen)])
    env, example = env.astype(np.int64), np.concatenate([numbers for numbers, _ in chosen])
    ply = examples.ply[example]
    seat = np.asarray(states.to_play)[env, ply].astype(np.int64)
    return Replayed(
        examples=example,
        states=jax.tree.map(lambda leaf: leaf[env, ply], states),
        observation=observation[env, ply],
        outcome=final[env, seat],
    )


def _has_one_opening(game: Game[Any]) -> bool:
    openings = jax.vmap(game.init)(jax.random.split(jax.random.key(1), 8))
    return len(np.unique(positions.fingerprints(openings))) == 1


@functools.partial(jax.jit, static_argnums=0)
def _play_again(game: Game[Any], history: jax.Array) -> Any:
    """Returns states and observations [N, T, ...] before each move, and the returns at the end."""
    (states, seen), last = positions.watch(game, history, lambda s: (s, game.observe(s)))
    return states, seen, jax.vmap(game.returns)(last)
