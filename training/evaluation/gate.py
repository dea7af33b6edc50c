"""The gate of AlphaGo Zero: new weights play self-play only once they have beaten the old ones.

Silver et al. 2017 promote after a score of 55% in 400 games; AlphaZero (2018) has no gate, and so
have we by default.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from selfplay.arena import play_match
from selfplay.players import Player
from training.players import make_player

if TYPE_CHECKING:
    from training.run import Run, Weights

GATE = 100  # purpose of the matches' seeds


def choose(run: "Run", candidate: "Weights", acting: "Weights") -> "Weights":
    """Returns the weights of the next self-play call: of these two, by a match where one is due.

    It depends on nothing but the iteration and the two weights, both of which a checkpoint holds:
    a resume decides alike.
    """
    settings = run.config.evaluation
    if not run.config.gate or candidate.step == acting.step:
        return candidate
    if run.progress.iteration % settings.every:
        return acting
    seed = np.random.SeedSequence([run.config.seed, GATE, candidate.step]).generate_state(1)[0]

    def player(weights: "Weights") -> Player:
        variables = run.folded(weights)
        search, simulations = run.config.search, settings.simulations
        return make_player(
            f"step {weights.step}", run.game, run.network, variables, search, simulations
        )

    result = play_match(player(candidate), player(acting), run.game, settings.gate_games, int(seed))
    promoted = result.score >= run.config.gate
    line: dict[str, Any] = {
        "kind": "gate",
        "iteration": run.progress.iteration,
        "step": candidate.step,
        "seconds": round(run.seconds(), 3),
        "acting_step": acting.step,
        "games": result.games,
        "score": result.score,
        "interval": list(result.interval),
        "promoted": promoted,
    }
    run.journal.write(line)
    return candidate if promoted else acting
