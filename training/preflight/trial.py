"""A few seconds of a run that leaves nothing behind: what it takes to compile, how fast it will be.

Self-play is played for real, by a fresh network. Training is timed on blank examples, which take as
long as others. How long a game is must come from random play: few games end in seconds. Where a
call would take minutes, as with a GPU's settings on a CPU, a part of it is timed.
"""

import dataclasses
import io
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from games.game import Game
from selfplay import devices, example, positions
from selfplay.example import Sample
from selfplay.files import npz
from selfplay.randomness import RunPurpose
from selfplay.recorder import Recorder
from selfplay.self_play import Trajectory
from training import learner, targets
from training.config import RunConfig
from training.context import Context, make_context, open_store
from training.devices import learner_mesh, to_learner
from training.flops import PASSES
from training.losses import Minibatch, minibatch
from training.metrics_log import MetricsLog
from training.players import playable
from training.preflight.estimate import Needs, Scale
from training.stages import NO_HORIZON
from training.storage.run_folder import RunFolder

RANDOM_GAMES = 64
LEAST_CALLS = 2  # of each kind that is timed
ENVS = 8  # positions a device that the network is timed on
PATIENCE = 4  # times the seconds that are to be spent; what would take longer is timed in part


class Trial(NamedTuple):
    """What was measured. Times in seconds, sizes in bytes."""

    compile_s: float  # of self-play and the training step
    play_bytes: int  # on each device that plays, during a call, its tree included; 0 if the moves
    # are chosen outside the devices
    train_bytes: int  # on each device that trains, during a step
    call_s: float  # a self-play call
    step_s: float  # a training step
    iteration_s: float  # a call, and the training steps that its plies allow
    call_flops: int  # operations of each of these
    step_flops: int
    iteration_flops: float
    positions_per_s: float  # of the whole loop, without evaluation and saving
    games_per_s: float  # likewise, were games as long as at random
    game_plies: float  # of a game at random
    compressed: float  # share of a replay example that is left on disk
    timed_share: float  # of a call's positions; below 1 where a whole one would have taken minutes

    def scale(self, floor: Needs) -> Scale:
        """Returns by how much the compiler's plans exceed the floors of the same settings."""
        return Scale(
            max(self.play_bytes - floor.tree, 0) / floor.play, self.train_bytes / floor.train
        )


def run_trial(folder: RunFolder, config: RunConfig, seconds: float) -> Trial:
    """Compiles a run's self-play and training and runs them for `seconds`, or two calls of each.

    `folder` is the run's; it is not touched.
    """
    run = _prepared(folder, config)
    game, key = run.game, run.key(RunPurpose.INIT, 0)
    state = to_learner(learner.init(run.network, config.learner, key), config.learner.batch)
    variables = playable(run.network, state.averages)
    began = time.perf_counter()
    play, play_bytes = run.play, 0
    if run.amplifier.on_device:
        play = play.lower(variables, run.open_games(), key).compile()  # type: ignore[attr-defined]
        play_bytes = _planned(play)
    compile_s = time.perf_counter() - began

    timed = _part(config, _env_seconds(run, variables, seconds), seconds)
    part = run if timed == config else _prepared(folder, timed)
    play, games = play if part is run else part.play, part.open_games()
    trajectory: Any = None

    def call() -> None:
        nonlocal games, trajectory
        games, trajectory = play(variables, games, key)
        trajectory = jax.device_get(trajectory)

    positions, timed_positions = _positions(config), _positions(timed)
    call_s = _seconds(call, seconds / 2) * positions / timed_positions
    began = time.perf_counter()
    examples, horizon = (
        _blank_examples(run, trajectory, config.learner.batch),
        jnp.float32(NO_HORIZON),
    )
    training = run.train_step.lower(state, examples, horizon).compile()  # type: ignore[attr-defined]
    compile_s += time.perf_counter() - began
    step = training if part is run else part.train_step
    examples = _blank_examples(run, trajectory, timed.learner.batch)
    state = to_learner(state, timed.learner.batch)

    def train() -> None:
        nonlocal state
        state, _ = jax.block_until_ready(step(state, examples, horizon))

    step_s = _seconds(train, seconds / 2) * config.learner.batch / timed.learner.batch
    iteration_s = (
        call_s + step_s * positions * config.replay.samples_per_example / config.learner.batch
    )
    game_plies = random_game_plies(game, key)
    return Trial(
        compile_s=compile_s,
        play_bytes=play_bytes,
        train_bytes=_planned(training),
        call_s=call_s,
        step_s=step_s,
        iteration_s=iteration_s,
        call_flops=run.work.so_far(positions, 0),
        step_flops=run.work.so_far(0, config.learner.batch),
        iteration_flops=run.work.of_iteration(config),
        positions_per_s=positions / iteration_s,
        games_per_s=positions / iteration_s / game_plies,
        game_plies=game_plies,
        compressed=_compressed(trajectory),
        timed_share=timed_positions / positions,
    )


def _prepared(folder: RunFolder, config: RunConfig) -> Context:
    metrics = MetricsLog(folder, on_metrics=lambda line: None)
    return make_context(folder, config, metrics, open_store(folder, config))


def _positions(config: RunConfig) -> int:
    return config.self_play.batch * config.self_play.plies_per_call


def _env_seconds(run: Context, variables: Any, seconds: float) -> float:
    """Returns how long the network takes for one of a batch's positions.

    It is timed on a few, then on all if that is quick: a GPU takes for a few as long as for many.
    """
    evaluate, players = jax.jit(run.network.evaluate), devices.mesh().size

    def of(count: int) -> float:
        observation = jnp.zeros((count, *run.game.observation_shape))
        observation = devices.split_envs(observation)
        work = lambda: jax.block_until_ready(evaluate(variables, observation))  # noqa: E731
        return _seconds(work, 0.0) / count

    few, batch = of(ENVS * players), run.config.self_play.batch
    return of(batch) if few * batch < seconds else few


def _part(config: RunConfig, env_seconds: float, seconds: float) -> RunConfig:
    """Returns the settings to time: a smaller call and step, where these would take too long.

    Both take as long a position in the part as in the whole, for even a part fills a device that
    needs minutes for the whole.
    """
    simulations = config.search.simulations + 1
    evaluations = simulations * _positions(config) + PASSES * config.learner.batch
    share = seconds / (env_seconds * evaluations)
    if share > 1 / PATIENCE:
        return config
    plies = max(1, int(share * config.self_play.plies_per_call))
    envs = share * _positions(config) / plies
    players, learners = devices.mesh().size, learner_mesh(config.learner.batch).size
    whole = config.self_play, config.learner
    return dataclasses.replace(
        config,
        self_play=dataclasses.replace(
            whole[0], plies_per_call=plies, batch=players * max(1, int(envs / players))
        ),
        learner=dataclasses.replace(
            whole[1], batch=learners * max(1, int(share * whole[1].batch / learners))
        ),
    )


def random_game_plies(game: Game[Any], key: jax.Array) -> float:
    """Returns the mean number of plies of games played uniformly at random."""

    def ply(state: Any, key: jax.Array) -> tuple[Any, jax.Array]:
        # Of an ended game the action is meaningless, and the step changes nothing.
        action = positions.random_actions(key, state.legal_action_mask)
        after = jax.vmap(game.step)(state, action)
        return after, (~state.terminated).sum()

    @jax.jit
    def play(key: jax.Array) -> jax.Array:
        state = jax.vmap(game.init)(jax.random.split(key, RANDOM_GAMES))
        plies = jax.lax.scan(ply, state, jax.random.split(key, game.max_plies))[1]
        return plies.sum() / RANDOM_GAMES

    return float(play(key))


def _blank_examples(run: Context, trajectory: Trajectory, count: int) -> Minibatch:
    """Returns training examples of the kind that such a trajectory becomes."""
    # Perhaps no example at all, but of the right types.
    kind, finished = Recorder().add(trajectory, 0)
    kind = targets.of_games(kind, finished, run.targets, run.game)

    def blank(name: str, column: np.ndarray) -> np.ndarray:
        ones = name in ("weight", "legal_action_mask") or name.startswith("target_weights/")
        return np.full((count, *column.shape[1:]), ones, column.dtype)

    columns = {name: blank(name, column) for name, column in example.flat(kind).items()}
    return minibatch(example.nested(Sample, columns), np.zeros(count, np.int32))


def _seconds(work: Callable[[], None], least: float) -> float:
    """Returns the seconds that `work` takes, the mean of as many runs as fill `least` seconds."""
    work()  # the first one warms up
    runs = 0
    began = time.perf_counter()
    while runs < LEAST_CALLS or time.perf_counter() - began < least:
        work()
        runs += 1
    return (time.perf_counter() - began) / runs


def _planned(compiled: Any) -> int:
    """Returns the bytes that the compiler plans for a call, beside its arguments."""
    plan = compiled.memory_analysis()
    new = plan.output_size_in_bytes - plan.alias_size_in_bytes  # donated arguments are written over
    return int(plan.temp_size_in_bytes + new)


def _compressed(trajectory: Trajectory) -> float:
    file = io.BytesIO()
    columns = example.flat(trajectory)
    npz.write(file, columns)
    share: float = file.tell() / sum(np.asarray(column).nbytes for column in columns.values())
    return min(share, 1.0)  # above 1 where the file's own headers outweigh a few examples
