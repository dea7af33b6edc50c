"""Presets: tuned hyperparameters by machine and game, beside the general defaults."""

import dataclasses

from mcts.config import SearchConfig
from selfplay.config import SelfPlayConfig
from training.config import Preset, RunConfig
from training.settings import EvaluationConfig, LearnerConfig, NetworkConfig, ReplayConfig


def preset(name: Preset, game: str) -> RunConfig:
    """Returns the defaults for a game: its own where we have some, else the general ones.

    Those of a size, as `go:size=19`, hold for that size whatever its other options are.

    Example:
      >>> import training
      >>> config = training.preset("quick", "tic_tac_toe")
      >>> config.game, config.preset
      ('tic_tac_toe', 'quick')
    """
    if name not in PRESETS:
        raise ValueError(f"unknown preset {name!r}; known: {', '.join(PRESETS)}")
    table = PRESETS[name]
    bare, _, options = game.partition(":")
    sizes = [f"{bare}:{option}" for option in options.split(",") if option.startswith("size=")]
    base = next((table[key] for key in (*sizes, bare) if key in table), table[""])
    return dataclasses.replace(base, game=game, preset=name)


def without_board(config: RunConfig) -> RunConfig:
    """Returns a preset for a game whose observation is no board: a perceptron, and rates for it."""
    network = dataclasses.replace(config.network, name="mlp")
    learner = dataclasses.replace(config.learner, learning_rate=2e-3, dense_rate=1.0)
    return dataclasses.replace(config, network=network, learner=learner)


# Many games by short searches, each example seen twice, in many small steps: docs/strength.md.
# Dense layers at the usual rate of 2e-3, or most units of the value's would die.
_QUICK = RunConfig(
    preset="quick",
    minutes=10.0,
    search=SearchConfig(simulations=8),
    self_play=SelfPlayConfig(random_opening_plies=8),
    replay=ReplayConfig(samples_per_example=2.0),
    learner=LearnerConfig(batch=128, learning_rate=1.6e-2, dense_rate=0.125, root_value_weight=0.5),
    evaluation=EvaluationConfig(every=100),
)

# Whose each point is in the end is learned too.
_OWNERS = dataclasses.replace(_QUICK, targets="final_board=1.5")

# Batches lie just below a whole number of waves of an H100: its 132 processors take a tile of 128 x
# 128 each, and the tower is B * cells / 128 by channels / 128 of them (docs/accelerator.md).
_GPU = RunConfig(
    preset="gpu",
    minutes=60.0,
    network=NetworkConfig(blocks=6, channels=128, dtype="bfloat16", value_hidden=128),
    self_play=SelfPlayConfig(batch=1024, plies_per_call=32, random_opening_plies=8),
    replay=ReplayConfig(capacity=8_000_000, min_examples=50_000, samples_per_example=4.0),
    # On the same examples better than 2e-3, or level: docs/strength.md.
    learner=LearnerConfig(
        batch=2048,
        learning_rate=8e-3,
        dense_rate=0.25,
        root_value_weight=0.5,
        ema_decay=0.995,
        steps_per_iteration=96,
    ),
    evaluation=EvaluationConfig(every=50),
)

# For cards of 8 to 12 GB, which have 28 to 48 processors.
_GPU_SMALL = dataclasses.replace(
    _GPU,
    preset="gpu-small",
    network=NetworkConfig(blocks=5, channels=64, dtype="bfloat16", value_hidden=64),
    self_play=SelfPlayConfig(batch=512, plies_per_call=32, random_opening_plies=8),
    replay=dataclasses.replace(_GPU.replay, capacity=2_000_000, min_examples=25_000),
    learner=dataclasses.replace(_GPU.learner, batch=1024),
)


def _envs(base: RunConfig, batch: int, plies: int = 0, openings: int = 0) -> RunConfig:
    """Returns a preset with other games at once, plies a call, or random opening plies."""
    own = base.self_play
    changed = SelfPlayConfig(
        batch=batch,
        plies_per_call=plies or own.plies_per_call,
        random_opening_plies=openings or own.random_opening_plies,
    )
    return dataclasses.replace(base, self_play=changed)


def _sized(base: RunConfig, blocks: int, channels: int) -> RunConfig:
    network = dataclasses.replace(base.network, blocks=blocks, channels=channels)
    return dataclasses.replace(base, network=network)


def _owners(base: RunConfig) -> RunConfig:
    return dataclasses.replace(base, targets=_OWNERS.targets)


PRESETS: dict[str, dict[str, RunConfig]] = {
    "quick": {
        "": _QUICK,
        "tic_tac_toe": dataclasses.replace(
            _QUICK,
            minutes=1.5,
            network=NetworkConfig(blocks=1),
            search=SearchConfig(simulations=16),
            replay=ReplayConfig(samples_per_example=8.0),
            learner=dataclasses.replace(_QUICK.learner, batch=256, learning_rate=2.2e-2),
            evaluation=EvaluationConfig(every=16, positions=5_000),
        ),
        "connect_four": dataclasses.replace(
            _QUICK,
            minutes=6.0,
            self_play=SelfPlayConfig(random_opening_plies=20),
        ),
        "go": _OWNERS,
        "othello": _OWNERS,
    },
    "gpu": {
        "": _GPU,
        "tic_tac_toe": dataclasses.replace(
            _envs(_sized(_GPU, 2, 64), 3712, plies=8, openings=2), minutes=2.0
        ),
        "connect_four": dataclasses.replace(
            _envs(_sized(_GPU, 5, 64), 1984, plies=16, openings=12), minutes=4.0
        ),
        "dots_and_boxes": _envs(_GPU, 960),
        "hex": _envs(_GPU, 960),
        "go": _owners(_GPU),
        "othello": _owners(_GPU),
        # Examples are four times as large, and games three times as long.
        "go:size=19": dataclasses.replace(
            _owners(_envs(_sized(_GPU, 10, 128), 512)),
            minutes=720.0,
            replay=dataclasses.replace(_GPU.replay, capacity=4_000_000),
        ),
    },
    "gpu-small": {
        "": _GPU_SMALL,
        "tic_tac_toe": dataclasses.replace(
            _envs(_sized(_GPU_SMALL, 2, 64), 1024, plies=8, openings=2), minutes=4.0
        ),
        "connect_four": dataclasses.replace(
            _envs(_GPU_SMALL, 1024, plies=16, openings=12), minutes=10.0
        ),
        "go": _owners(_GPU_SMALL),
        "othello": _owners(_GPU_SMALL),
        "go:size=19": dataclasses.replace(
            _owners(_envs(_GPU_SMALL, 128)),
            minutes=720.0,
            replay=dataclasses.replace(_GPU_SMALL.replay, capacity=1_000_000),
        ),
    },
}
