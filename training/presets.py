"""The defaults of a run by machine and game: what we tuned, beside the general ones."""

import dataclasses

from mcts.config import SearchConfig
from selfplay.config import SelfPlayConfig
from training.config import Preset, RunConfig
from training.settings import EvaluationConfig, LearnerConfig, NetworkConfig, ReplayConfig


def preset(name: Preset, game: str) -> RunConfig:
    """Returns the defaults for a game: its own where we tuned some, else the general ones."""
    if name not in PRESETS:
        raise ValueError(f"unknown preset {name!r}; known: {', '.join(PRESETS)}")
    table = PRESETS[name]
    base = table.get(game.partition(":")[0], table[""])
    return dataclasses.replace(base, game=game, preset=name)


# Many games by short searches, each row seen twice, in many small steps: docs/strength.md. Dense
# layers at the usual rate of 2e-3, or most units of the value's would die.
_QUICK = RunConfig(
    preset="quick",
    minutes=10.0,
    search=SearchConfig(simulations=8),
    self_play=SelfPlayConfig(random_opening_plies=8),
    replay=ReplayConfig(samples_per_row=2.0),
    learner=LearnerConfig(batch=128, learning_rate=1.6e-2, dense_rate=0.125, root_value_weight=0.5),
    evaluation=EvaluationConfig(every=100),
)

# Whose each point is in the end is learned too.
_OWNERS = dataclasses.replace(_QUICK, targets="final_board=1.5")

_GPU = RunConfig(
    preset="gpu",
    minutes=60.0,
    network=NetworkConfig(blocks=6, channels=128, dtype="bfloat16", value_hidden=128),
    self_play=SelfPlayConfig(batch=1024, plies_per_call=32, random_opening_plies=8),
    replay=ReplayConfig(capacity=2_000_000, min_rows=50_000, samples_per_row=4.0),
    learner=LearnerConfig(batch=2048, root_value_weight=0.5, ema_decay=0.995),
    evaluation=EvaluationConfig(every=50),
)


PRESETS: dict[str, dict[str, RunConfig]] = {
    "quick": {
        "": _QUICK,
        "tic_tac_toe": dataclasses.replace(
            _QUICK,
            minutes=1.5,
            network=NetworkConfig(blocks=1),
            search=SearchConfig(simulations=16),
            replay=ReplayConfig(samples_per_row=8.0),
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
        "connect_four": dataclasses.replace(
            _GPU,
            minutes=4.0,
            network=NetworkConfig(blocks=5, channels=64, dtype="bfloat16", value_hidden=128),
            self_play=SelfPlayConfig(batch=2048, plies_per_call=16, random_opening_plies=12),
        ),
    },
}
