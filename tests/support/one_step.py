"""Two training steps on examples of which each rank has a share; as a program, one rank.

python -m tests.support.one_step RANK COUNT PORT OUT
"""

import sys
from typing import Any

import jax
import numpy as np

import games
from selfplay import example
from training import learner, multihost
from training.config import RunConfig
from training.devices import to_learner
from training.losses import minibatch
from training.players import network_of
from training.settings import LearnerConfig, NetworkConfig

EXAMPLES = 256


def one_step(rank: int = 0, count: int = 1) -> Any:
    """Returns the state after two steps on a batch of which this rank gives its share."""
    game = games.load("tic_tac_toe")
    sizes = NetworkConfig(blocks=1, channels=8, value_hidden=8)
    network = network_of(RunConfig(game="tic_tac_toe", network=sizes), game)
    config = LearnerConfig(batch=EXAMPLES)
    rng = np.random.default_rng(0)
    examples = example.make(
        rng.random((EXAMPLES, 3, 3, 2)) < 0.3,
        legal_action_mask=np.ones((EXAMPLES, 9), bool),
        policy_target=rng.dirichlet(np.ones(9), EXAMPLES).astype(np.float16),
        q=np.zeros((EXAMPLES, 9), np.float16),
        outcome=rng.integers(-1, 2, EXAMPLES).astype(np.float32),
    )
    own = slice(rank * EXAMPLES // count, (rank + 1) * EXAMPLES // count)
    symmetry = (np.arange(EXAMPLES) % 8).astype(np.int32)[own]
    state = to_learner(learner.init(network, config, jax.random.key(0)), EXAMPLES)
    step = learner.make_train_step(network, game, config)
    for _ in range(2):
        state, _ = step(state, minibatch(example.take(examples, own), symmetry), np.float32(1e9))
    return state


def _main(rank: int, count: int, port: str, out: str) -> None:
    if count > 1:
        multihost.join(count, f"127.0.0.1:{port}", rank)
    leaves = jax.tree.leaves(one_step(rank, count))
    if rank == 0:
        np.savez(out, **{str(number): np.asarray(leaf) for number, leaf in enumerate(leaves)})
    if count > 1:
        multihost.leave()


if __name__ == "__main__":
    _main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
