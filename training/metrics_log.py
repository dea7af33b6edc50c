"""The metrics log of a run: lines of metrics.jsonl, notices, and a sample of its games."""

from collections.abc import Callable
from typing import Any, TypeAlias

from selfplay.files.game_lines import GameRecord, fields_of, to_line
from selfplay.recorder import FinishedGame
from training.storage.run_folder import RunFolder

# Called with a line of metrics.jsonl, or with {"kind": "notice", "text": ...}.
OnMetrics: TypeAlias = Callable[[dict[str, Any]], None]


class MetricsLog:
    """Where a run writes; for people to see, `on_metrics` is given each line and notice.

    `activity` is called with what the run does from now on, where that takes a while and shows
    nothing.
    """

    def __init__(
        self,
        folder: RunFolder,
        on_metrics: OnMetrics,
        activity: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._folder, self._on_metrics, self.activity = folder, on_metrics, activity

    def write(self, line: dict[str, Any]) -> None:
        """Adds a line to metrics.jsonl."""
        self._folder.append_metrics(line)
        self._on_metrics(line)

    def notice(self, text: str) -> None:
        """Tells the person who watches something that is no measurement."""
        self._on_metrics({"kind": "notice", "text": text})

    def write_game(self, game: FinishedGame, spec: str, iteration: int) -> None:
        """Adds a game of that iteration to the sample of self-play games."""
        # In the format of all recorded games, with where it is from.
        record = GameRecord(
            game=spec,
            moves=tuple(game.moves),
            returns=game.returns,
            players=("self", "self"),
            extra={"iteration": iteration, "game_id": game.game_id},
        )
        self._folder.logs["self_play"].append(to_line(fields_of(record)))


class Silent(MetricsLog):
    """The log of a host that does not write: notices alone are told."""

    def write(self, line: dict[str, Any]) -> None:
        """Rank 0 writes it."""

    def write_game(self, game: FinishedGame, spec: str, iteration: int) -> None:
        """Rank 0 writes its own."""
