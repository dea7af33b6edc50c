"""The metrics log of a run: lines of metrics.jsonl, notices, and a sample of its games."""

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import numpy as np

from selfplay.recorder import FinishedGame
from selfplay.records.game_record import GameRecord, to_lines
from training import non_finite
from training.storage.run_folder import RunFolder

# Called with a line of metrics.jsonl, or with {"kind": "notice", "text": ...}.
OnMetrics: TypeAlias = Callable[[dict[str, Any]], None]


class MetricsLog:
    """Where a run writes; `on_metrics` is given each line and notice, for people to see."""

    def __init__(self, folder: RunFolder, on_metrics: OnMetrics) -> None:
        self.pending: dict[str, Any] | None = None  # the last iteration's line, with its `losses`
        self._folder, self._on_metrics = folder, on_metrics

    def write(self, line: dict[str, Any]) -> None:
        """Adds a line to metrics.jsonl."""
        self._folder.append_metrics(line)
        self._on_metrics(line)

    def write_pending(self) -> tuple[int, int] | None:
        """Writes the pending line with the means of its losses, waiting for them.

        Returns:
          None; or, with nothing written, the training step at which a loss is not finite, and how
          many rows the replay had taken by then.
        """
        if self.pending is None:
            return None
        line, self.pending = self.pending, None
        losses = jax.device_get(line.pop("losses"))
        bad = non_finite.first_bad(losses)
        if bad is not None:
            return line["step"] - len(losses) + bad, line["rows"]
        for name in losses[0] if losses else ():
            line[name] = float(np.mean([row[name] for row in losses]))
        self.write(line)
        return None

    def notice(self, text: str) -> None:
        """Tells the person who watches something that is no measurement."""
        self._on_metrics({"kind": "notice", "text": text})

    def write_game(self, game: FinishedGame, spec: str, iteration: int) -> None:
        """Adds a game of that iteration to the sample of self-play games."""
        record = GameRecord(
            game=spec,
            moves=tuple(game.moves),
            returns=game.returns,
            players=("self", "self"),
            extra={"iteration": iteration, "game_id": game.game_id},
        )
        self._folder.logs["self_play"].append(to_lines([record]))
