"""What each worker of a fleet does, in figures."""

import time
from typing import Any

from training.calls import PlayedCall
from training.workers.batch import Header
from training.workers.ledger import Join
from training.workers.transport import Hello


class WorkerFigures:
    """Of one worker: since it joined, and since its last line."""

    def __init__(self, join: Join, hello: Hello, restarts: int) -> None:
        self._fixed = {
            "slot": join.slot,
            "incarnation": join.incarnation,
            "worker": join.name,
            "host": hello.host,
            "device": f"{hello.devices} x {hello.device}",
            "restarts": restarts,
        }
        self.rows = self.batches = 0
        self._best = 0.0  # rows a second
        self._taken = time.monotonic()
        self._begin()

    def _begin(self) -> None:
        self._new_batches = self._new_rows = self._new_games = self._lag = 0
        self._seconds = self._bias = self._error = 0.0

    def took(self, header: Header, call: PlayedCall, lag: int) -> None:
        """Counts a batch; `lag`: training steps since its weights."""
        self.rows += header.rows
        self.batches += 1
        self._taken = time.monotonic()
        self._new_batches += 1
        self._new_rows += header.rows
        self._new_games += header.games
        self._seconds += header.seconds
        self._lag = max(self._lag, lag)
        missed = call.rows.raw_value - call.rows.outcome
        self._bias += float(missed.sum())
        self._error += float((missed**2).sum())

    def line(self, seconds: float) -> dict[str, Any]:
        """Returns its part of a line of metrics, over the last `seconds`, and begins anew."""
        rows, rate = self._new_rows, self._new_rows / max(seconds, 1e-9)
        self._best = max(self._best, rate)
        line = self._fixed | {
            "batches": self.batches,
            "rows": self.rows,
            "rate": round(rate, 1),
            "best_rate": round(self._best, 1),
            "silent": round(time.monotonic() - self._taken, 3),
            "lag": self._lag,
            "call_seconds": round(self._seconds / max(self._new_batches, 1), 4),
            "games": self._new_games,
            "game_plies": rows / self._new_games if self._new_games else None,
            "value_bias": self._bias / rows if rows else None,
            "value_error": self._error / rows if rows else None,
        }
        self._begin()
        return line
