"""What a run says as it goes: lines of metrics.jsonl, notices, and a sample of its games."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from selfplay.recorder import FinishedGame
from selfplay.records.game_record import GameRecord, to_lines
from training import non_finite as guard
from training.storage.run_folder import RunFolder

Watch = Callable[[dict[str, Any]], None]


class Journal:
    """Where a run writes; `watch` is told of each line and notice, for people to see."""

    def __init__(self, folder: RunFolder, watch: Watch) -> None:
        self.pending: dict[str, Any] | None = None  # the last iteration's line, with its `losses`
        self._folder, self._watch = folder, watch

    def write(self, line: dict[str, Any]) -> None:
        """Adds a line to metrics.jsonl."""
        self._folder.append_metrics(line)
        self._watch(line)

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
        bad = guard.first_bad(losses)
        if bad is not None:
            return line["step"] - len(losses) + bad, line["rows"]
        for name in losses[0] if losses else ():
            line[name] = float(np.mean([row[name] for row in losses]))
        self.write(line)
        return None

    def tell(self, text: str) -> None:
        """Tells the person who watches something that is no measurement."""
        self._watch({"kind": "notice", "text": text})

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
