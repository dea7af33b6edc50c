"""Hyperparameters: each setting of a run's configuration, the paper's value and ours."""

import dataclasses
import math
from typing import Literal

from games import consent, spelling
from mcts.setting import problems, setting

# Networks by name, as module:class of the room that is imported when one is named.
NETWORKS = {
    "resnet": "training.networks.resnet:Resnet",
    "nbt": "training.networks.nbt:NestedBottleneck",
    "convolutional": "training.networks.convolutional:Convolutional",
    "transformer": "training.networks.transformer:Transformer",
    "mlp": "training.networks.mlp:Mlp",
}
# The ways to distil that training/losses.py has, and those of them that need more than what to do
# in a position: values, or results of games.
DISTIL = ("imitation", "cloning", "action_values", "reinforce")
OF_GAMES = ("action_values", "reinforce")
BY_BUDGET = -1  # as a number of games: as many as may be spent
MAX_BLOCKS = 1000  # each is built by Python, one after the other


@dataclasses.dataclass(frozen=True)
class NetworkConfig:
    """Which network, its size and precision. Source of the paper's values: Silver et al. 2017."""

    name: str = "resnet"
    """One of the catalogue, perhaps with options as in resnet:pool=true, or module:factory, a
    network of one's own (docs/networks.md). AlphaGo Zero: resnet."""
    blocks: int = setting(2, at_least=0, at_most=MAX_BLOCKS)
    """Residual blocks. AlphaGo Zero: 19 or 39."""
    channels: int = setting(32, at_least=1)
    """Channels of the tower. AlphaGo Zero: 256."""
    policy_channels: int = setting(8, at_least=1)
    """Channels of the policy head before its dense layer. AlphaGo Zero: 2."""
    value_channels: int = setting(4, at_least=1)
    """Channels of the value head before its dense layers. AlphaGo Zero: 1."""
    value_hidden: int = setting(64, at_least=1)
    """Width of the value head's hidden layer. AlphaGo Zero: 256."""
    dtype: Literal["float32", "bfloat16"] = setting("float32", choices=("float32", "bfloat16"))
    """The type that convolutions compute in. Weights are kept, and the heads end, in float32."""
    momentum: float = setting(0.99, at_least=0, below=1)
    """Share of the running batch statistics that a training step keeps."""

    def is_ours(self) -> bool:
        """Whether it is one of the catalogue."""
        return self.name.partition(":")[0] in NETWORKS

    def may_fit_any_size(self) -> bool:
        """Whether weights on one board may fit others; of one's own it is seen when it is made."""
        return self.name == "convolutional" or not self.is_ours()

    def problems(self) -> list[str]:
        """The faults of these settings, a sentence each."""
        name, colon, _ = self.name.partition(":")
        faults = problems(self, "network")
        if self.is_ours() or (name and colon):
            return faults
        near = spelling.did_you_mean(name, NETWORKS)
        known = ", ".join(NETWORKS)
        return [*faults, f"there is no network {name!r}{near}; known: {known}, or module:factory"]


@dataclasses.dataclass(frozen=True)
class LearnerConfig:
    """How the network is trained. AlphaGo Zero: Silver et al. 2017, Methods, "Optimization"."""

    batch: int = setting(512, at_least=1)
    """M, examples a training step. AlphaGo Zero: 2,048."""
    optimizer: Literal["adamw", "sgd"] = setting("adamw", choices=("adamw", "sgd"))
    """adamw, or sgd with momentum, as AlphaGo Zero."""
    learning_rate: float = setting(2e-3, above=0, below=math.inf)
    """The peak of its schedule. AlphaGo Zero, by sgd: 0.01, 0.001 and 0.0001 in turn."""
    dense_rate: float = setting(1.0, above=0, at_most=1)
    """Rate of dense layers, as a share of that of the convolutions, which batch norm lets grow
    without harm: at a high rate units of dense layers die. AlphaGo Zero: 1."""
    final_rate_fraction: float = setting(0.05, at_least=0, at_most=1)
    """Share of the peak rate that is left at the schedule's horizon."""
    decay_start_fraction: float = setting(0.4, at_least=0, below=1)
    """Share of the horizon after which the rate falls, along a line."""
    warmup_steps: int = setting(100, at_least=0)
    """Steps in which the rate rises from 0, along a line. AlphaGo Zero: 0."""
    horizon_steps: int = setting(0, at_least=0, note="0: automatic")
    """Training steps until the rate has fallen; 0: fixed once from the run's limits, and kept."""
    momentum: float = setting(0.9, at_least=0, below=1)
    """Momentum of sgd; adamw has none. AlphaGo Zero: 0.9."""
    weight_decay: float = setting(1e-4, at_least=0)
    """Share of the weights that a step takes off, times the rate. AlphaGo Zero: 1e-4, as a loss."""
    max_gradient_norm: float = setting(5.0, above=0)
    """Gradients are clipped to this global norm. AlphaGo Zero: no clipping."""
    value_weight: float = setting(1.0, at_least=0)
    """Weight of the value's loss beside the policy's, which counts 1. AlphaGo Zero: 1."""
    root_value_weight: float = setting(0.0, at_least=0, at_most=1)
    """Share of the search's root value in the value target; the rest is the game's outcome.
    AlphaGo Zero: 0."""
    ema_decay: float = setting(0.99, at_least=0, below=1)
    """Decay a step of the moving average of the weights, which plays and is evaluated. AlphaGo
    Zero: 0, no average."""
    steps_per_iteration: int = setting(0, at_least=0)
    """Most training steps after a call of self-play; those that the examples allow beyond it come
    after later calls, so that many games that end at once make no burst. 0: no limit."""
    augment: bool = True
    """Show each example through a random symmetry of the game (AlphaGo Zero: as here). Off for an
    amplifier that does not decide alike in positions that are alike, which would be averaged."""
    on_nan: Literal["stop", "rollback"] = setting("stop", choices=("stop", "rollback"))
    """When a loss or weight is NaN or infinite. stop: the run ends; rollback: it goes back to the
    last save, at a lower rate, three times at most."""
    rollback_rate: float = setting(0.5, above=0, below=1)
    """Factor on the learning rate at each such rollback."""

    def problems(self) -> list[str]:
        """The faults of these settings, a sentence each."""
        return problems(self, "learner")


@dataclasses.dataclass(frozen=True)
class ReplayConfig:
    """How long examples stay, and how often they are trained on."""

    capacity: int = 200_000
    """Most examples held. AlphaGo Zero: the last 500,000 games, about 100 million positions."""
    min_examples: int = setting(2_000, at_least=1)
    """Examples before training starts; also the first size of the window."""
    window_growth: float = setting(0.75, above=0, at_most=1)
    """Exponent a of the window's growth; 1: in proportion to the examples. KataGo: 0.75 (Wu 2019,
    appendix C)."""
    window_scale: float = setting(0.8, above=0)
    """Factor b of it: of N examples so far, training draws from the newest min_examples
    (1 + b ((N / min_examples)^a - 1) / a). KataGo: 0.4."""
    samples_per_example: float = setting(6.0, above=0)
    """Times an example is trained on, on average: the number of training steps follows from it.
    AlphaGo
    Zero: about 1.5."""
    keep: Literal["window", "all"] = setting("window", choices=("window", "all"))
    """Which examples stay on disk. window: those of the newest `capacity`; all: every one."""

    def problems(self) -> list[str]:
        """The faults of these settings, a sentence each."""
        wrong = problems(self, "replay")
        if self.capacity < self.min_examples:
            wrong.append(
                f"replay.capacity must be at least replay.min_examples, got {self.capacity}"
            )
        return wrong


@dataclasses.dataclass(frozen=True)
class EvaluationConfig:
    """The measurements that a run takes of itself."""

    every: int = setting(25, at_least=0)
    """Iterations between evaluations; 0: none."""
    simulations: int = setting(32, at_least=1)
    """Simulations a move of the search that is measured."""
    positions: int = setting(512, at_least=1)
    """Most solved positions of a set, where perfect play is known."""
    games: int = setting(128, even=True, at_least=2)
    """Games against `random`, where it is not; 16 at most in a run that is rated by budget."""
    ladder_games: int = setting(BY_BUDGET, at_least=BY_BUDGET, note="-1: by budget")
    """Games an evaluation of the newest weights against the run's earlier ones, for a rating by
    which the best checkpoint is chosen where perfect play is not known. -1: there, as many as keep
    all measuring below 5% of what is computed, and elsewhere none; 0: none; else an even number."""
    gate_games: int = setting(400, even=True, at_least=2)
    """Games between new weights and those that play, with --gate. AlphaGo Zero: 400."""
    gap_positions: int = setting(256, at_least=0)
    """Positions of each of three sets on which the gap between the network and what amplifies it is
    measured (docs/ida/fixed-point.md); 0: it is not."""
    strength_games: int = setting(32, even=True, at_least=0)
    """Games of each match of what amplifies against the network alone; 0: none."""
    strength_every: int = setting(4, at_least=1)
    """Evaluations between such matches; the run's last evaluation has them too."""

    def problems(self) -> list[str]:
        """The faults of these settings, a sentence each."""
        wrong = problems(self, "evaluation")
        if self.ladder_games > 0 and self.ladder_games % 2:
            wrong.append(f"evaluation.ladder_games must be even, got {self.ladder_games}")
        return wrong


@dataclasses.dataclass(frozen=True)
class CheckpointConfig:
    """When a run is saved and what is kept; changing it changes nothing that is computed."""

    every_seconds: float = setting(60.0, above=0)
    """Seconds between saves; the end and an interruption save too."""
    keep_newest: int = setting(2, at_least=2)
    """Newest checkpoints kept; step 0, the best one and those that measurements need stay too."""
    keep_every: int = setting(0, at_least=0)
    """Also keep the first checkpoint after every so many steps; 0: none."""

    def problems(self) -> list[str]:
        """The faults of these settings, a sentence each."""
        return problems(self, "checkpoint")


@dataclasses.dataclass(frozen=True)
class WorkersConfig:
    """How workers play for a run (docs/distributed.md); a run that goes on may change it."""

    max_lag: int = setting(2, at_least=0)
    """A worker begins no rollout with weights that are so many published versions older than the
    newest."""
    surplus: Literal["take", "wait"] = setting("take", choices=("take", "wait"))
    """When workers play more than the learner can train on: take all of it and train less often on
    each example, or let them wait. wait: replay.samples_per_example holds, as without workers."""

    def problems(self) -> list[str]:
        """The faults of these settings, a sentence each."""
        return problems(self, "workers")


@dataclasses.dataclass(frozen=True)
class OverseerConfig:
    """What the network learns from an overseer's decisions."""

    decisions: str = ""
    """A file of decisions, as `selfplay oversee` writes it. Read at each start of the run."""
    weight: float = setting(0.25, above=0, at_most=1)
    """Share of each minibatch that is drawn from them: their weight in the loss. 1: nothing else is
    learned, no values of games either."""
    games_policy: float = setting(1.0, at_least=0, at_most=1)
    """How much the examples of games still teach the policy, from 0 to 1. 0, the default of a run
    --from another: it is learned from the decisions alone, and games teach the value."""
    wins_policy: float = setting(1.0, at_least=0, at_most=1)
    """The same for examples of games in which search found a win at once, if that is more. 0: as
    any example; where nobody decided so, the network then unlearns to win."""
    augment: bool = True
    """Show each decision through a random symmetry of the game. Off for an overseer that does not
    decide alike in positions that are alike."""

    def problems(self) -> list[str]:
        """The faults of these settings, a sentence each."""
        return problems(self, "overseer")


def distil_problems(spec: str) -> list[str]:
    """The faults of a loss's name, without importing anything."""
    module, _, function = spec.partition(":")
    if spec in DISTIL or (module and function):
        return []
    return [f"distil must be {', '.join(DISTIL)} or module:function, got {spec!r}"]


def network_code(network: NetworkConfig) -> consent.Code | None:
    """Returns the code of a user's own that a network's name names, if any."""
    names_code = ":" in network.name and not network.is_ours()
    return consent.module(network.name) if names_code else None


def distil_code(spec: str) -> consent.Code | None:
    """Returns the code of a user's own that a loss's name names, if any."""
    return None if spec in DISTIL else consent.module(spec)
