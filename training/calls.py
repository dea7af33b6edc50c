"""The training examples of one self-play rollout: the examples of the games that ended in it."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from games.game import Game
from selfplay import recorder
from selfplay.example import Sample
from selfplay.recorder import FinishedGame, Recorder
from selfplay.self_play import Trajectory
from training import non_finite, targets
from training.config import RunConfig


class PlayedCall(NamedTuple):
    """One call, after its plies were unpacked."""

    examples: Sample  # of the games that ended, game after game and ply after ply
    plies: int  # played, of all games
    games: int  # ended
    watched: list[FinishedGame]  # a sample of these, to keep as records
    monitors: dict[str, Any]  # entries of a line of metrics


def of_games(examples: Sample, plies: Sequence[int] | np.ndarray) -> dict[str, Any]:
    """Returns the entries of a line of metrics about games that ended, from the plies of each."""
    return {
        "new_games": len(plies),
        "new_examples": len(examples.ply),
        "game_plies": float(np.mean(plies)) if len(plies) else 0.0,
        "value_error": float(np.square(examples.raw_value - examples.outcome).mean())
        if len(examples.ply)
        else None,
    }


def counted(call: PlayedCall | None, held: int) -> tuple[float, ...]:
    """The numbers of a rollout that hosts sum; `joined` takes all but the first four.

    Args:
      call: None where its network gives NaN or infinity.
      held: examples in this process's replay before it.
    """
    if call is None:
        return (1.0, *(0.0,) * 9)
    # Sums rather than means: they are added over hosts.
    told, examples = call.monitors, len(call.examples.ply)
    sums = (told["game_plies"] * call.games, (told["value_error"] or 0.0) * examples)
    counts = (0.0, held + examples, call.games, call.plies)
    return (*counts, 1.0, told["kl"], told["entropy"], *sums, examples)


def joined(sums: Sequence[float], games: int) -> dict[str, Any]:
    """Returns the entries of a line of metrics about several rollouts, from sums of `counted`."""
    rollouts, kl, entropy, plies, error, examples = sums
    return {
        "kl": kl / rollouts,
        "entropy": entropy / rollouts,
        "new_games": games,
        "new_examples": int(examples),
        "game_plies": plies / games if games else 0.0,
        "value_error": error / examples if examples else None,
    }


def unpack(
    config: RunConfig,
    game: Game[Any],
    wanted: Mapping[str, float],
    pending: Recorder,
    trajectory: Trajectory,
    weights_step: int,
    rng: np.random.Generator,
) -> PlayedCall:
    """Waits for the plies of a call, and returns what they give.

    Args:
      wanted: the run's targets.
      pending: holds the plies of games that have not ended, and is given these.
      weights_step: the training step of the weights that played.
      rng: draws the games that are kept as records.

    Raises:
      ValueError, NonFiniteError: the plies hold a number that is none, or an illegal action.
    """
    # The host waits here for the device; the next rollout is under way meanwhile.
    with jax.profiler.TraceAnnotation("wait"):
        jax.block_until_ready(trajectory)
    with jax.profiler.TraceAnnotation("fetch"):
        trajectory = jax.device_get(trajectory)
    non_finite.check_plies(config.game, config.amplify, trajectory)
    # Plies of games that ended become examples; the others wait.
    examples, finished = pending.add(trajectory, weights_step)
    examples = targets.of_games(examples, finished, wanted, game)
    plies, envs = trajectory.ply.shape
    # A small sample of games goes to disk as records.
    watched = recorder.envs_to_watch(game.max_plies, envs, plies)
    monitors = {
        "kl": float(trajectory.kl.mean()),
        "entropy": float(trajectory.entropy.mean()),
        **of_games(examples, finished.moves_each),
    }
    return PlayedCall(
        examples=examples,
        plies=trajectory.ply.size,
        games=len(finished),
        watched=recorder.draw_games(finished, envs, watched, rng),
        monitors=monitors,
    )
