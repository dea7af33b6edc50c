"""The gate of AlphaGo Zero: new weights play self-play only once they have beaten the old ones.

Silver et al. 2017 promote after a score of 55% in 400 games; AlphaZero (2018) has no gate, and so
have we by default.
"""

from typing import Any, NamedTuple

import numpy as np

from selfplay.arena import play_match
from selfplay.arena.openings import default_plies
from selfplay.players import Player
from selfplay.randomness import RunPurpose
from training import flops
from training.context import Context
from training.evaluation import budget
from training.players import make_player, playable
from training.state import Actor, State


class Decision(NamedTuple):
    """Which weights play next, and the line of metrics that says why, if a match was due."""

    actor: Actor
    line: dict[str, Any] | None = None
    evaluations: int = 0  # of networks, that the match took


def decide(context: Context, state: State, candidate: Actor) -> Decision:
    """Returns the weights of the next self-play call: the candidate's, or those that play now.

    It depends on nothing but the iteration and the two weights, both of which a checkpoint holds:
    a resume decides alike.
    """
    config, progress, incumbent = context.config, state.progress, state.in_flight.actor
    settings = config.evaluation
    if not config.gate or candidate.step == incumbent.step:
        return Decision(candidate)
    if progress.iteration % settings.every:
        return Decision(incumbent)
    seed = np.random.SeedSequence([config.seed, RunPurpose.GATE, candidate.step])

    def player(actor: Actor) -> Player:
        return make_player(
            f"step {actor.step}",
            context.game,
            context.network,
            playable(context.network, actor.weights),
            config.search,
            settings.simulations,
        )

    result = play_match(
        player(candidate),
        player(incumbent),
        context.game,
        settings.gate_games,
        int(seed.generate_state(1)[0]),
    )
    promoted = result.score >= config.gate
    line = {
        "kind": "gate",
        "iteration": progress.iteration,
        "step": candidate.step,
        "seconds": round(progress.elapsed(), 3),
        "actor_step": incumbent.step,
        "games": result.games,
        "simulations": settings.simulations,
        "opening_plies": default_plies(context.game),
        "score": result.score,
        "interval": list(result.interval),
        "promoted": promoted,
    }
    each = flops.evaluations_of_search(config.search, context.game, settings.simulations)
    evaluations = budget.of_match(result, each, each)
    return Decision(candidate if promoted else incumbent, line, evaluations)
