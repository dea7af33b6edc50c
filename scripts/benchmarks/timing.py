"""Throughput, timed in turns: each round times every work once, so that all meet the same load."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import jax

from scripts.terminal.console import progress

Timed = tuple[Callable[[], Any], int]  # a call, and its units of work for each game of the batch
Rates = dict[str, list[float]]  # units a second over the whole batch, by round
LEAST_SECONDS = 0.3  # that a block of calls fills


def rates_of(work: dict[str, Timed], batch: int, rounds: int, title: str = "bench") -> Rates:
    """Returns the units a second of each work, by round."""
    rates: Rates = {name: [] for name in work}
    done = 0
    with progress(title, (rounds + 1) * len(work)) as update:
        for round_number in range(rounds + 1):
            for name, (call, units) in work.items():
                seconds = seconds_of(call)
                if round_number:  # the first warms up
                    rates[name].append(batch * units / seconds)
                done += 1
                update(done)
    return rates


def ratio(rates: list[float], others: list[float]) -> float:
    """Returns the median of the rounds' ratios: each rate by that of the same round."""
    return statistics.median(rate / other for rate, other in zip(rates, others, strict=True))


def seconds_of(call: Callable[[], Any]) -> float:
    """Returns the seconds of a call, the mean of as many as fill LEAST_SECONDS."""
    jax.block_until_ready(call())
    calls = 1
    while True:
        began = time.perf_counter()
        for _ in range(calls):
            result = call()
        jax.block_until_ready(result)
        seconds = time.perf_counter() - began
        if seconds >= LEAST_SECONDS:
            return seconds / calls
        calls = max(calls + 1, int(calls * LEAST_SECONDS / max(seconds, 1e-4)) + 1)
