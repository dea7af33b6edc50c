"""The suite's `search`: how much of the network's own speed a search reaches, row by row."""

import dataclasses
import statistics
from typing import Any, NamedTuple

import jax

import games
from mcts import SearchConfig
from mcts.config import Policy
from scripts.benchmarks import device, speed
from scripts.benchmarks.figures import figure
from scripts.benchmarks.settings import SHRUNK
from scripts.benchmarks.speed import Setup, Timed
from training import flops
from training.settings import NetworkConfig

ROUNDS = 3
MAX_SAID = 200  # characters of an error
EVALUATIONS = 64  # of the network alone in a call, at most: more tell no more
SMALL = {"go:size=9": "go:size=5", "go:size=19": "go:size=5", "othello": "othello:size=6"}


class Row(NamedTuple):
    """What is searched, how, and what share we aim at."""

    game: str
    blocks: int
    channels: int
    batch: int
    policy: Policy
    simulations: int
    aim: float
    beside_mctx: bool = True

    def __str__(self) -> str:
        return (
            f"{self.game} {self.blocks}x{self.channels} B={self.batch} "
            f"{self.policy} {self.simulations}"
        )


ROWS = {
    "go9-gumbel": Row("go:size=9", 6, 128, 1024, "gumbel", 32, 0.90),
    "go9-puct": Row("go:size=9", 6, 128, 512, "puct", 200, 0.90),
    "connect-four": Row("connect_four", 4, 64, 4096, "gumbel", 32, 0.95),
    "othello": Row("othello", 6, 128, 1024, "gumbel", 32, 0.90),
    # A search by mctx would take minutes.
    "go19-puct": Row("go:size=19", 20, 256, 256, "puct", 400, 0.97, beside_mctx=False),
}
PLAYED = "go9-self-play"  # this one is played, and its share is that of the card's peak
PLAYS = Row("go:size=9", 6, 128, 4096, "gumbel", 32, 0.50)


def measure(what: str, shrunk: bool) -> dict[str, Any]:
    """Returns the figures of a row by its name, with `alone` before it without mctx."""
    alone = what.removeprefix("alone-")
    row = PLAYS if alone == PLAYED else ROWS[alone]
    if alone != what:
        row = row._replace(beside_mctx=False)
    small = shrink(row) if shrunk else row
    note = f"{SHRUNK} ({small})" if shrunk else ""
    dtype = NetworkConfig(blocks=small.blocks, channels=small.channels, dtype="bfloat16")
    setup = speed.prepare(games.load(small.game), dtype, small.batch)
    config = SearchConfig(policy=small.policy, simulations=small.simulations)
    found = _played(row, setup, config) if alone == PLAYED else _searched(row, setup, config)
    for one in found["figures"]:
        one["note"] = "; ".join(filter(None, (note, one["note"])))
    return found


def shrink(row: Row) -> Row:
    """Returns a row that a CPU measures in seconds: it runs the same code, and tells no speed."""
    game = SMALL.get(row.game, row.game)
    return row._replace(game=game, blocks=1, channels=8, batch=16, simulations=4)


def _searched(row: Row, setup: Setup, config: SearchConfig) -> dict[str, Any]:
    batch = setup.settings.batch
    network = speed.network_work(setup, max(8, min(config.simulations, EVALUATIONS)))
    work = {"network": network, "search": speed.visits_work(setup, config)}
    without = "mctx would take minutes, and was left out"
    if row.beside_mctx:
        other, without = _by_mctx(setup, config)
        work |= {"mctx": other} if other else {}
    rates = speed.rates_of(work, batch, ROUNDS)
    ratio = speed.ratio(rates["search"], rates["network"])
    theirs = speed.ratio(rates["mctx"], rates["network"]) if "mctx" in work else None
    alone = statistics.median(rates["network"])
    share = device.share_of_peak(alone * flops.of_evaluation(setup.network))
    why = device.why_unknown(share)
    found = [
        figure(str(row), "search_to_network", ratio, row.aim, theirs, without),
        figure(str(row), "network alone, share of peak", share, note=why),
    ]
    if theirs is not None:
        same = speed.alike(work["search"][0](), work["mctx"][0]())
        found.append(figure(str(row), "positions with mctx's visit counts", same))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    return {"figures": found, "evaluations_per_s": medians}


def _by_mctx(setup: Setup, config: SearchConfig) -> tuple[Timed | None, str]:
    """Returns the same search by mctx, tried once; None, and why, where it does not work here."""
    try:
        work = speed.visits_work(setup, dataclasses.replace(config, engine="mctx"))
        jax.block_until_ready(work[0]())
    except Exception as error:  # it is absent, or out of memory: ours counts
        return None, f"mctx does not work here: {' '.join(str(error).split())[:MAX_SAID]}"
    return work, ""


def _played(row: Row, setup: Setup, config: SearchConfig) -> dict[str, Any]:
    compiled, seconds = speed.compile_play(setup, config)
    work = {"self_play": speed.play_work(setup, compiled)}
    rates = speed.rates_of(work, setup.settings.batch, ROUNDS)
    plies = statistics.median(rates["self_play"])
    evaluations = flops.evaluations_of_search(config, setup.game, config.simulations)
    share = device.share_of_peak(plies * evaluations * flops.of_evaluation(setup.network))
    found = figure(
        str(row), "self-play, share of peak", share, row.aim, note=device.why_unknown(share)
    )
    return {"figures": [found], "positions_per_s": plies, "compile_s": seconds}
