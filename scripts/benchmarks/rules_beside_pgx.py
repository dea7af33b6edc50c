"""The suite's `rules`: a step of ours as a multiple of pgx's."""

from typing import Any

import games
from games import pgx_adapter
from scripts.benchmarks import rules
from scripts.benchmarks.figures import figure
from scripts.benchmarks.settings import SHRUNK

BATCH, SMALL_BATCH = 1024, 16
ROUNDS = 5
NAME = "steps a second, multiple of pgx's"


def measure(what: str, shrunk: bool) -> dict[str, Any]:
    """Returns the figure of a game; without pgx there is none, and the note says so."""
    game, batch = games.load(what), SMALL_BATCH if shrunk else BATCH
    title = f"{what} B={BATCH}"
    try:
        theirs = pgx_adapter.raw(game)
    except ValueError as error:
        return {"figures": [figure(title, NAME, None, note=str(error))]}
    found = rules.at_batch(game, theirs, batch, ROUNDS)
    note = f"{SHRUNK} (B={batch})" if shrunk else ""
    return {"figures": [figure(title, NAME, found["ratio"], note=note)]} | found
