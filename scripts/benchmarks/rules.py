"""The speed of the rules alone, and of another library's rules of the same game beside them."""

import statistics
from typing import Any

import jax
import jax.numpy as jnp

from games.game import Game
from games.pgx_adapter import Stepper
from scripts.benchmarks.timing import Timed, rates_of, ratio
from selfplay import devices, self_play

BATCHES = (64, 1024)  # compared at these, and at the batch of the whole measurement
LONGEST = 64  # steps of every game in one measured call; fewer where a step takes long
COSTLY = 0.1  # a step that takes more of an evaluation is worth a look


def advice(step: float) -> str:
    """Returns what to do about the rules, empty for nothing.

    Args:
      step: how long a step takes, as a share of an evaluation by the network: with every one of
        these, a search makes one of those.
    """
    if step <= COSTLY:
        return ""
    return (
        f"a step of the rules costs {step:.0%} of an evaluation by the network: the rules slow the "
        "search down. In `step`, look for scatters (`.at[]`), loops, and a mask computed twice"
    )


def stepper(game: Game[Any]) -> Stepper:
    """Returns the rules of `game` for many positions at once."""
    return Stepper(
        init=jax.vmap(game.init),
        step=jax.vmap(game.step),
        look=lambda at: (at.legal_action_mask, at.terminated, jax.vmap(game.returns)(at)),
    )


def compiled(rules: Stepper, batch: int) -> Timed:
    """Returns a call that plays random moves in each of `batch` games, and how many in each.

    A step is what every user of the rules needs of it: the next position, its legal actions,
    whether it ended the game, and the returns. Finished games start over; the next call goes on
    with the others. No observations: they are computed on demand in ours, and the compiler drops
    them from pgx's step, since nobody reads them.
    """
    opening = jax.jit(rules.init)(jax.random.split(jax.random.key(0), batch))
    actions = rules.look(opening)[0].shape[1]
    steps = max(8, min(LONGEST, 4096 // actions))

    def play(variables: Any, games: tuple[Any, Any], key: jax.Array) -> tuple[Any, jax.Array]:
        del variables
        opening, states = games
        envs = rules.look(opening)[1].shape[0]
        # One random number a move, drawn before: the draw of one for each action took longer than
        # a step of a small game.
        offsets = jax.random.randint(key, (steps, envs), 0, actions)

        def once(carry: tuple[Any, jax.Array], offset: jax.Array) -> tuple[Any, None]:
            states, total = carry
            mask, _, _ = rules.look(states)
            # The first legal action from a random one on, around the end.
            distance = (jnp.arange(actions)[None, :] - offset[:, None]) % actions
            nearest = jnp.where(mask, distance, actions).min(axis=1)
            states = rules.step(states, (nearest + offset) % actions)
            _, ended, returns = rules.look(states)
            # Summed up, so that the compiler cannot leave them out.
            total = total + jnp.abs(returns)
            return (self_play.select(ended, opening, states), total), None

        return jax.lax.scan(once, (states, jnp.zeros((envs, 2))), offsets)[0]

    key, states = jax.random.key(1), opening
    run = jax.jit(devices.data_parallel(play)).lower((), (opening, states), key).compile()

    def call() -> Any:
        nonlocal states
        states, total = run((), (opening, states), key)
        return total

    return call, steps


def compare(game: Game[Any], theirs: Stepper, batch: int, rounds: int) -> dict[str, Any]:
    """Returns the steps a second of two rules of one game, which take turns to be measured.

    `env_steps_per_s` is theirs at `batch`; `by_batch` has, there and at BATCHES, the medians of
    `ours`, `theirs`, and `ratio`, ours divided by theirs.
    """
    by_batch = {}
    for size in sorted({batch, *BATCHES}):
        work = {"ours": compiled(stepper(game), size), "theirs": compiled(theirs, size)}
        rates = rates_of(work, size, rounds, f"bench, rules at batch {size}")
        by_batch[str(size)] = {
            **{name: statistics.median(series) for name, series in rates.items()},
            "ratio": ratio(rates["ours"], rates["theirs"]),
        }
    return {"env_steps_per_s": by_batch[str(batch)]["theirs"], "by_batch": by_batch}
