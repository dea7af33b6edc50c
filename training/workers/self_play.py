"""Self-play of a worker: weights and a key in, the examples of finished games out."""

import time
from typing import Any, NamedTuple

import jax
import numpy as np

import games
from selfplay import example, self_play
from selfplay.randomness import RunPurpose
from selfplay.recorder import Recorder
from training import calls, targets
from training.calls import PlayedCall
from training.config import RunConfig
from training.network import Weights
from training.players import load_amplifier, network_of, playable

GAME_BITS = 40  # of a game's number; those above them tell workers apart


class Rollout(NamedTuple):
    """One self-play rollout of a worker."""

    call: PlayedCall
    seconds: float  # that it took


class SelfPlay(NamedTuple):
    """The job: a run's self-play."""

    config: RunConfig

    def open(self) -> "SelfPlayer":
        """Returns what plays."""
        return SelfPlayer(self.config)


class SelfPlayer:
    """Plays a run's games, one rollout after the other; unfinished ones carry over to the next."""

    def __init__(self, config: RunConfig) -> None:
        """Prepares to play; nothing is compiled yet.

        Raises:
          ValueError: the settings cannot work here.
        """
        self._config, self._game = config, games.load(config.game)
        self._network = network_of(config, self._game)
        self._targets = example.parse_targets(config.targets)
        self._amplifier = load_amplifier(config, self._game)
        self._play = self_play.make_amplified_play(
            self._game, self._amplifier, config.self_play, targets.computes(self._targets)
        )
        self._games: Any = None  # those that are under way
        self._worker = self._step = -1

    def __call__(self, worker: int, step: int, weights: Weights) -> Rollout:
        """Plays a rollout.

        Args:
          worker: its number in the run, which no other has: another one than before begins anew.
          step: the training step of the weights.

        Raises:
          ValueError, NonFiniteError: of a game, an amplifier or a network that gives NaN.
        """
        began = time.monotonic()
        if worker != self._worker:
            self._begin(worker)
        if step != self._step:
            self._variables, self._step = playable(self._network, weights), step
        key = self._key(RunPurpose.WORKER_PLAY, self._rollouts)
        self._games, trajectory = self._play(self._variables, self._games, key)
        seed = [self._config.seed, RunPurpose.WORKER_RECORD, worker, self._rollouts]
        learned = self._game, self._targets
        call = calls.unpack(
            *(self._config, *learned, self._recorder, trajectory, step, np.random.default_rng(seed))
        )
        self._rollouts += 1
        return Rollout(number_games(call, worker), time.monotonic() - began)

    def _begin(self, worker: int) -> None:
        self._worker, self._rollouts, self._recorder = worker, 0, Recorder()
        history = not self._amplifier.on_device
        key = self._key(RunPurpose.WORKER_OPEN, 0)
        self._games = self_play.start(self._game, self._config.self_play, key, history)

    def _key(self, purpose: RunPurpose, index: int) -> jax.Array:
        key = jax.random.fold_in(jax.random.key(self._config.seed), purpose)
        return jax.random.fold_in(jax.random.fold_in(key, self._worker), index)


def number_games(call: PlayedCall, worker: int) -> PlayedCall:
    """Returns a call whose games have numbers that no other worker of the run gives."""
    first = (worker + 1) << GAME_BITS  # below it: games that the run has played itself
    examples = call.examples._replace(game_id=call.examples.game_id + first)
    watched = [game._replace(game_id=game.game_id + first) for game in call.watched]
    return call._replace(examples=examples, watched=watched)
