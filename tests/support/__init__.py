"""Shared parts of test modules: they import from here, and never from each other."""

import pathlib

ROOT = pathlib.Path(__file__).parents[2]

# `selfplay train` with the programs of the fixture `tiny_run`, so that each is compiled once.
TINY_FLAGS = [
    *("--game", "tic_tac_toe", "--network.blocks", "1", "--network.channels", "8"),
    *("--network.value-hidden", "8", "--search.simulations", "4", "--self-play.batch", "16"),
    *("--self-play.plies-per-call", "6", "--self-play.random-opening-plies", "2"),
    *("--replay.min-examples", "40", "--replay.samples-per-example", "2", "--learner.batch", "32"),
    *("--learner.learning-rate", "0.002", "--learner.dense-rate", "1"),
    *("--learner.root-value-weight", "0", "--evaluation.every", "0"),
]
