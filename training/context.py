"""The context of a run: what its settings give, and what never changes while it goes on."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax

import games
from games.game import Game
from selfplay import devices, row, self_play
from selfplay.amplify.slot import Amplifier
from selfplay.config import SelfPlayConfig
from selfplay.randomness import RunPurpose
from selfplay.self_play import Play, SelfPlayState
from training import flops, learner, losses, targets
from training.config import RunConfig
from training.devices import learner_mesh
from training.flops import Work
from training.hosts.exchange import Together
from training.hosts.peers import ALONE, Hosts, Peers
from training.learner import TrainStep
from training.metrics_log import MetricsLog
from training.network import Network
from training.oversight import decision_rows
from training.oversight.decision_rows import DecisionRows
from training.players import load_amplifier, network_of
from training.storage.checkpoint import CheckpointStore
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
    decision_rows: DecisionRows
    targets: Mapping[str, float]  # what is learned beside policy and value, and how much it counts
    play: Play
    train_step: TrainStep
    rollbacks: int  # that have lowered the learning rate of `train_step`
    symmetries: int  # through which rows are shown; the first one is the identity
    peers: Peers = ALONE  # with whom this process trains

    @property
    def own(self) -> SelfPlayConfig:
        """How this host plays: with its share of the run's games."""
        games = self.config.self_play
        return dataclasses.replace(games, batch=games.batch // self.peers.count)

    @property
    def first_device(self) -> int:
        """The number of our first device among those of all hosts."""
        return self.peers.rank * devices.mesh().size

    def key(self, purpose: RunPurpose, index: int) -> jax.Array:
        """Returns the key of one use of randomness."""
        key = jax.random.fold_in(jax.random.key(self.config.seed), purpose)
        return jax.random.fold_in(key, index)

    def open_games(self) -> SelfPlayState:
        """Returns the run's first games, of several hosts this one's."""
        history = not self.amplifier.on_device
        key = self.key(RunPurpose.OPEN, 0)
        return self_play.start(self.game, self.own, key, history, self.first_device)


def open_store(folder: RunFolder, config: RunConfig) -> CheckpointStore:
    """Returns the checkpoints of a run; a save waits for its logs, and that the run is held."""
    store = CheckpointStore(folder.path, config.checkpoint)
    store.sync_logs, store.check_held = folder.sync_logs, folder.check_held
    return store


def make_context(
    folder: RunFolder,
    config: RunConfig,
    metrics: MetricsLog,
    store: CheckpointStore,
    rollbacks: int = 0,
    peers: Peers = ALONE,
) -> Context:
    """Returns the context of a run at the learning rate that so many rollbacks have left.

    Args:
      peers: with whom this process trains.

    Raises:
      ValueError: the settings cannot work here; says which.
    """
    game = games.load(config.game)
    network = network_of(config, game)
    amplifier = load_amplifier(config, game, decisions=str(folder.decisions))
    rows, count = config.learner.batch, learner_mesh(config.learner.batch).size
    if rows % count:
        raise ValueError(f"learner.batch must be a multiple of the {count} devices, got {rows}")
    check_shares(config, amplifier, peers.count)
    wanted = row.parse_targets(config.targets)
    targets.check(wanted, game, config.game)
    settings = config.learner
    rate = settings.learning_rate * settings.rollback_rate**rollbacks
    settings = dataclasses.replace(settings, learning_rate=rate)
    train_step = learner.make_train_step(
        network, game, settings, losses.load(config.distil), wanted
    )
    if isinstance(peers, Hosts):
        train_step = Together(train_step, peers, rows, metrics.notice)
    return Context(
        folder=folder,
        config=config,
        metrics=metrics,
        store=store,
        game=game,
        network=network,
        work=flops.work_of(config, game, network),
        amplifier=amplifier,
        decision_rows=decision_rows.load(config.overseer, config.game, game),
        targets=wanted,
        play=self_play.make_amplified_play(
            game, amplifier, config.self_play, targets.computes(wanted)
        ),
        train_step=train_step,
        rollbacks=rollbacks,
        symmetries=len(game.symmetries()) if config.learner.augment else 1,
        peers=peers,
    )


def check_shares(config: RunConfig, amplifier: Amplifier, hosts: int) -> None:
    """Raises ValueError unless so many hosts can share a run."""
    if hosts == 1:
        return
    if not amplifier.on_device:
        raise ValueError(
            f"--hosts needs a search on each host's devices, and {config.amplify} is none"
        )
    count = hosts * devices.mesh().size
    if config.self_play.batch % count:
        raise ValueError(
            f"self_play.batch must be a multiple of the {count} devices of {hosts} hosts, "
            f"got {config.self_play.batch}"
        )
