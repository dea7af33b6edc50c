"""The speed of the rules alone: of ours, and of pgx's beside them."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from games import pgx_adapter
from games.game import Game
from games.pgx_adapter import Stepper
from scripts.console import progress
from selfplay import devices, self_play

BATCHES = (64, 1024)  # compared at these, and at the batch of the whole measurement
STEPS = 64  # of every game in one measured call
LEAST_SECONDS = 0.1  # of a block of calls


def stepper(game: Game[Any]) -> Stepper:
    """Returns the rules of `game` for many positions at once."""
    return Stepper(
        init=jax.vmap(game.init),
        step=jax.vmap(game.step),
        look=lambda at: (at.legal_action_mask, at.terminated, jax.vmap(game.returns)(at)),
    )


def compiled(rules: Stepper, batch: int) -> Callable[[], Any]:
    """Returns a call that plays STEPS random moves in each of `batch` games, over all devices.

    A step is what every user of the rules needs of it: the next position, its legal actions,
    whether it ended the game, and the returns. Finished games begin anew. No observations: these
    are computed on demand by us, and dropped by the compiler from pgx's step, where nobody reads
    them.
    """
    opening = jax.jit(rules.init)(jax.random.split(jax.random.key(0), batch))

    def steps(variables: Any, opening: Any, key: jax.Array) -> Any:
        del variables
        lanes, actions = rules.look(opening)[0].shape
        # One random number a move, drawn before: the draw of one for each action took longer than
        # a step of a small game.
        offsets = jax.random.randint(key, (STEPS, lanes), 0, actions)

        def once(carry: Any, offset: jax.Array) -> tuple[Any, None]:
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

        return jax.lax.scan(once, (opening, jnp.zeros((lanes, 2))), offsets)[0][1]

    call = jax.jit(devices.data_parallel(steps)).lower((), opening, jax.random.key(1)).compile()
    return lambda: call((), opening, jax.random.key(1))


def compare(game: Game[Any], batch: int, rounds: int) -> dict[str, Any]:
    """Returns the steps a second of pgx's rules beside ours; the two take turns.

    `env_steps_per_s` is pgx's at `batch`, as all that stands below a peer's name; `by_batch` has,
    for BATCHES too, `ours`, `theirs`, and the median of the rounds' ratios.

    Raises:
      ValueError: pgx has no such game, or not of that size, or is not installed.
    """
    theirs = pgx_adapter.raw(game)
    sizes = sorted({batch, *BATCHES})
    by_batch = {}
    with progress("bench against pgx", len(sizes) * (rounds + 1)) as update:
        for number, size in enumerate(sizes):
            calls = [compiled(rules, size) for rules in (stepper(game), theirs)]
            rates: list[list[float]] = [[], []]
            for round_number in range(rounds + 1):
                for call, found in zip(calls, rates, strict=True):
                    seconds = _seconds(call)
                    if round_number:  # the first warms up
                        found.append(size * STEPS / seconds)
                update(number * (rounds + 1) + round_number + 1)
            ratios = [a / b for a, b in zip(*rates, strict=True)]
            by_batch[str(size)] = {
                "ours": statistics.median(rates[0]),
                "theirs": statistics.median(rates[1]),
                "ratio": statistics.median(ratios),
            }
    return {"env_steps_per_s": by_batch[str(batch)]["theirs"], "by_batch": by_batch}


def _seconds(call: Callable[[], Any]) -> float:
    """Returns seconds a call, over as many calls as fill LEAST_SECONDS."""
    began, calls = time.perf_counter(), 0
    while True:
        jax.block_until_ready(call())
        calls += 1
        seconds = time.perf_counter() - began
        if seconds >= LEAST_SECONDS:
            return seconds / calls
