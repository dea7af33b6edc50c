"""The counters of a run, its end, and the horizon of its learning-rate schedule."""

import dataclasses
import math
import time
from typing import TYPE_CHECKING, Any

from selfplay.files import json_lines
from training.config import RunConfig

if TYPE_CHECKING:
    from training.flops import Work  # which imports jax, and who only reads counters does not

# A run bounded by minutes fixes its schedule's horizon once this share of them has passed.
HORIZON_FIXED_AT = 0.3
LIMITS = {"iterations", "minutes", "flops"}  # settings that end a run
SUMS = {"games", "positions", "flops", "flops_measured", "measured", "rated"}
MOST, MOST_COUNT = 2.0**80, 2.0**31 - 1  # that these may be, and other counters
MEASURED_SHARE = 0.2  # of a run's minutes, by the clock, that evaluations may take at most


@dataclasses.dataclass
class Progress:
    """What changes as the run goes on, apart from weights, games and replay."""

    iteration: int = 0  # self-play calls recorded
    step: int = 0  # training steps dispatched
    skipped: int = 0  # steps that the examples allowed, and that a learner could not keep up with
    workers: int = 0  # that have joined: the number of the next one
    games: int = 0
    positions: int = 0  # plies played
    flops: int = 0  # operations of self-play and training; this and the next follow from the other
    flops_measured: int = 0  # counters, and are kept for who reads them without the network
    seconds: float = 0.0  # up to the last save, over all processes
    seconds_measured: float = 0.0  # of these, in evaluations
    horizon: float = 0.0  # steps; 0 until it is fixed
    trained_from: tuple[float, int] | None = None  # (seconds, step) from which speed is measured
    iteration_seconds: float = 0.0  # of the last one, and of the last evaluation: the time that
    evaluation_seconds: float = 0.0  # must be left for one more within the limit
    compile_seconds: float = 0.0  # that a process took to the end of its first iteration
    best_step: int = 0
    best_loss: float | None = None
    rollbacks: int = 0  # each has lowered the learning rate
    evaluations: int = 0
    evaluated: int = 0  # the iteration after which the last one was due
    measured: int = 0  # network evaluations that these took
    rated: int = 0  # of which, for ratings
    # Steps of weights that were clearly stronger than the one before, in the run's own ladder.
    rungs: list[int] = dataclasses.field(default_factory=list)
    strength_step: int = 0  # of the weights whose strength was last measured by matches
    fixed_point: str = ""  # why the run ended there
    # The limits at which the run ended, by the setting's name: with these it is complete.
    ended: dict[str, float] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        self._seconds_told = time.monotonic()  # when `seconds` was what it says
        self._began = self.seconds  # of the process

    @classmethod
    def of(cls, counters: dict[str, Any]) -> "Progress":
        """Returns the progress that a checkpoint's counters tell.

        Raises:
          ValueError: a counter is missing, or no number.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        if missing := names - counters.keys():
            raise ValueError(
                f"the checkpoint lacks {', '.join(sorted(missing))}: the run was made by another "
                "version"
            )
        for name in names - {"trained_from", "best_loss", "fixed_point"}:
            values, most = [counters[name]], MOST if name in SUMS else MOST_COUNT
            if name == "rungs" and type(counters[name]) is list:
                values = counters[name]
            if name == "ended" and type(counters[name]) is dict and counters[name].keys() <= LIMITS:
                values, most = [*counters[name].values()], MOST
            if not all(json_lines.is_number(value) and 0 <= value <= most for value in values):
                raise ValueError(
                    f"the checkpoint's {name} is {str(counters[name])[:40]}, no number from 0 to "
                    f"{most:.1e}"
                )
        return cls(**{name: counters[name] for name in names})

    def elapsed(self) -> float:
        """Returns the run's seconds so far, over all its processes."""
        return self.seconds + time.monotonic() - self._seconds_told

    def counters(self) -> dict[str, Any]:
        """The progress as a checkpoint keeps it, with the clock of now."""
        self.seconds, self._seconds_told = self.elapsed(), time.monotonic()
        return dataclasses.asdict(self)

    def count(self, work: "Work", batch: int) -> None:
        """Counts the operations so far.

        Args:
          work: what the run's units cost; `batch`: examples of its training steps.
        """
        self.flops = work.so_far(self.positions, self.step * batch)
        self.flops_measured = self.measured * work.evaluation

    def note_iteration(self, seconds: float, is_first: bool) -> None:
        """Notes how long an iteration took; the first one of a process compiles."""
        if is_first:
            self.compile_seconds = self.elapsed() - self._began
        else:
            self.iteration_seconds = seconds

    def reached(self, limits: RunConfig) -> dict[str, float]:
        """Returns the limits that end the run now, by their names; any of them does."""
        # By the clock, it ends before an iteration that would exceed it.
        last = self.evaluation_seconds
        needed = self.iteration_seconds + (last if last <= self.measuring_left(limits) else 0.0)
        done = {
            "iterations": self.iteration,
            "flops": self.flops,
            "minutes": (self.elapsed() + needed) / 60,
        }
        wanted = {name: getattr(limits, name) for name in done}
        return {name: limit for name, limit in wanted.items() if 0 < limit <= done[name]}

    def finished(self, limits: RunConfig) -> bool:
        """Whether the run has reached a limit, or has no time left for another iteration."""
        return bool(self.reached(limits)) or self.is_complete(limits)

    def measuring_left(self, limits: RunConfig) -> float:
        """Returns the seconds that evaluations may still take; infinity without a time limit."""
        if not limits.minutes:
            return math.inf
        return MEASURED_SHARE * 60 * limits.minutes - self.seconds_measured

    def is_complete(self, limits: RunConfig) -> bool:
        """Whether the run has come to its end, evaluation included, and may not go on.

        What ended it is kept, not computed again: the last evaluation may have taken less time than
        was left for it.
        """
        wanted = {name: getattr(limits, name) for name in self.ended}
        met = any(0 < wanted[name] <= limit for name, limit in self.ended.items())
        return met or bool(self.fixed_point)

    def where(self) -> dict[str, Any]:
        """Returns how far the run has come, as the lines of its metrics say it."""
        return {
            "iteration": self.iteration,
            "step": self.step,
            "seconds": round(self.elapsed(), 3),
            "seconds_measured": round(self.seconds_measured, 3),
            "games": self.games,
            "positions": self.positions,
            "flops": self.flops,
            "flops_measured": self.flops_measured,
        }

    def fix_horizon(self, limit: float) -> None:
        """Fixes the schedule's horizon once: for a run bounded by minutes, by its speed so far.

        Args:
          limit: the run's seconds in all; 0: no limit.
        """
        if self.horizon or not limit:
            return
        seconds = self.elapsed()
        if self.trained_from is None and self.step:
            self.trained_from = (seconds, self.step)
        if self.trained_from is not None and seconds >= HORIZON_FIXED_AT * limit:
            since, step = self.trained_from
            # Extrapolate the steps of the whole run from its speed so far.
            rate = (self.step - step) / max(seconds - since, 1e-3)
            self.horizon = self.step + rate * max(limit - seconds, 0.0)


def first_horizon(config: RunConfig, work: "Work") -> float:
    """Returns the steps after which a new run's rate has fallen; 0 if its speed will tell.

    A limit of operations allows as many iterations as take these on average. Examples wait in games
    that have not ended: a run plays somewhat more until that limit, and trains somewhat less.
    """
    allowed = [config.iterations] if config.iterations else []
    if config.flops:
        allowed.append(math.ceil(config.flops / work.of_iteration(config)))
    if config.learner.horizon_steps or config.until_fixed_point or not allowed:
        return config.learner.horizon_steps
    examples = min(allowed) * config.self_play.batch * config.self_play.plies_per_call
    return examples * config.replay.samples_per_example / config.learner.batch
