"""The context of a run: what its settings give, and what never changes while it goes on."""

import dataclasses
import secrets
from collections.abc import Mapping
from typing import Any

import jax

import games
from games.game import Game
from selfplay import example, self_play
from selfplay.amplify.slot import Amplifier
from selfplay.config import SelfPlayConfig
from selfplay.randomness import RunPurpose
from selfplay.self_play import Play, SelfPlayState
from training import flops, learner, losses, multihost, targets
from training.config import RunConfig
from training.decision_examples import NOTHING, DecisionExamples
from training.devices import learner_mesh
from training.flops import Work
from training.learner import TrainStep, TrainSteps
from training.metrics_log import MetricsLog
from training.network import Network
from training.players import load_amplifier, network_of
from training.storage.checkpoint import CheckpointStore, Part
from training.storage.run_folder import RunFolder


@dataclasses.dataclass(frozen=True, eq=False)
class Context:
    """All that the stages of a run are given beside its state."""

    folder: RunFolder
    config: RunConfig
    metrics: MetricsLog
    store: CheckpointStore
    game: Game[Any]
    network: Network
    work: Work  # in operations
    amplifier: Amplifier
    decision_examples: DecisionExamples
    targets: Mapping[str, float]  # what is learned beside policy and value, and how much it counts
    play: Play
    train_step: TrainStep
    train_steps: TrainSteps  # several of these in one dispatch
    rollbacks: int  # that have lowered the learning rate of `train_step`
    symmetries: int  # through which examples are shown; the first one is the identity

    @property
    def own_games(self) -> SelfPlayConfig:
        """How this process plays: with its part of the run's environments."""
        games = self.config.self_play
        return dataclasses.replace(games, batch=games.batch // multihost.parts())

    def key(self, purpose: RunPurpose, index: int) -> jax.Array:
        """Returns the key of one use of randomness."""
        key = jax.random.fold_in(jax.random.key(self.config.seed), purpose)
        return jax.random.fold_in(key, index)

    def open_games(self) -> SelfPlayState:
        """Returns the first games of this process's environments."""
        history = not self.amplifier.on_device
        key, first = self.key(RunPurpose.OPEN, 0), multihost.first_device()
        return self_play.start(self.game, self.own_games, key, history, first)


def open_store(folder: RunFolder, config: RunConfig) -> CheckpointStore:
    """Returns the checkpoints of a run; a save waits for its logs, and that the run is held."""
    # A number that no other start has: shares that an earlier one has left are not taken for ours.
    number = int(multihost.broadcast([secrets.randbits(48)])[0])
    part = Part(multihost.part(), multihost.parts(), f"{number:012x}")
    store = CheckpointStore(folder.path, config.checkpoint, part)
    store.sync_logs, store.check_held = folder.sync_logs, folder.check_held
    return store


def make_context(
    folder: RunFolder,
    config: RunConfig,
    metrics: MetricsLog,
    store: CheckpointStore,
    rollbacks: int = 0,
    decision_examples: DecisionExamples = NOTHING,
) -> Context:
    """Returns the context of a run at the learning rate that so many rollbacks have left.

    Raises:
      ValueError: the settings cannot work here; says which.
    """
    game = games.load(config.game)
    network = network_of(config, game)
    # Amplify: search, an engine, a person, or the user's own.
    amplifier = load_amplifier(config, game, decisions=str(folder.decisions))
    examples, count = config.learner.batch, learner_mesh(config.learner.batch).size
    if examples % count:
        raise ValueError(f"learner.batch must be a multiple of the {count} devices, got {examples}")
    multihost.check_parts(config.self_play.batch, config.amplify, amplifier.on_device)
    # Auxiliary targets beside policy and value.
    wanted = example.parse_targets(config.targets)
    targets.check(wanted, game, config.game)
    settings = config.learner
    # Each rollback after NaN has lowered the rate.
    rate = settings.learning_rate * settings.rollback_rate**rollbacks
    settings = dataclasses.replace(settings, learning_rate=rate)
    # Distill: the training step. Each rollback after NaN has lowered its rate.
    train_step = learner.make_train_step(
        network, game, settings, losses.load(config.distil), wanted
    )
    return Context(
        folder=folder,
        config=config,
        metrics=metrics,
        store=store,
        game=game,
        network=network,
        work=flops.work_of(config, game, network),
        amplifier=amplifier,
        decision_examples=decision_examples,
        targets=wanted,
        play=self_play.make_amplified_play(
            game, amplifier, config.self_play, targets.computes(wanted)
        ),
        train_step=train_step,
        train_steps=learner.make_train_steps(train_step),
        rollbacks=rollbacks,
        symmetries=len(game.symmetries()) if config.learner.augment else 1,
    )
