"""Distributed self-play: examples from workers that come and go, for a process that only learns.

The learner publishes weights, a version each; a worker that has joined is asked for one rollout
after the other, each with the newest version there is. What a learner or worker that dies has not
handed over is lost, and nothing is taken twice: rollouts are answers to calls of this process.
"""

import collections
import dataclasses
import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from selfplay import example
from selfplay.example import Sample
from selfplay.self_play import SelfPlayState
from training.context import Context
from training.metrics import WorkerFigures, WorkersLine
from training.stages import take, write_pending
from training.state import Actor, InFlight, State
from training.storage.checkpoint import NonFiniteError
from training.workers.pool import Answer, Pool, Worker
from training.workers.self_play import Rollout, SelfPlay

PUBLISH_SECONDS = 0.5  # between versions, at least; and ten times what publishing takes
LOOK_SECONDS = 0.02
QUICK_SECONDS = 0.5  # a worker whose rollouts take less is asked for the next one ahead
MOST_CREDIT = 1.0  # seconds
WAIT_SECONDS = 1.0  # after which it is shown that the learner waits
LINE_SECONDS, FIRST_SECONDS = 10.0, 2.0  # between lines of metrics; before the first
BEHIND = 0.95  # of the samples an example that are wanted: with fewer the learner cannot keep up


class Version(NamedTuple):
    """Weights as they were published."""

    number: int
    step: int  # the training step that they are from
    weights: Any  # a reference to Ray's store


@dataclasses.dataclass
class _Player:
    """A worker as it plays for this run."""

    number: int  # no other worker of the run has it
    heard: float  # when its last rollout came
    newest: int  # the newest version then: before that it has not begun the one after it
    open: int = 0  # rollouts that it was asked for and that are not in the replay
    seconds: float = QUICK_SECONDS  # that its last rollout took
    examples: int = 0  # taken since the last line of metrics
    lag: int = 0  # training steps that their weights were behind, at most

    def figures(self, worker: Worker, now: float, seconds: float) -> WorkerFigures:
        """Returns what it did in the last `seconds`, and counts again from zero."""
        rate, lag = round(self.examples / seconds, 1), self.lag
        self.examples = self.lag = 0
        silent = round(now - self.heard, 3)
        return WorkerFigures(
            worker=self.number,
            host=worker.host,
            device=worker.device,
            rate=rate,
            silent=silent,
            lag=lag,
        )


class _Waiting(NamedTuple):
    """A rollout that has come and was not taken yet."""

    worker: Worker
    version: Version
    rollout: Rollout


class WorkerSource:
    """Examples from the workers of a pool; see `training.source.Source`."""

    def __init__(self, pool: Pool, least: int = 1) -> None:
        """Asks for nothing yet.

        Args:
          least: workers without which nothing is taken.
        """
        self._pool, self._least = pool, least
        self._took = 0.0  # when examples were taken last
        self._credit = 0.0  # seconds that training has had more than taking, up to a bound

    def start(self, context: Context, index: int, actor: Actor, games: SelfPlayState) -> InFlight:
        """Lets workers come and publishes the weights; the run's own games wait."""
        del index  # of a rollout of our own
        self._context = context
        batch, cores = context.config.self_play.batch, int(self._pool.resources["CPU"])
        devices = next(n for n in range(max(1, cores), 0, -1) if batch % n == 0)
        self._pool.begin(context.config.game, devices, ["code"], context.metrics.notice)
        self._job = self._pool.new_job(SelfPlay(context.config))
        self._players: dict[Worker, _Player] = {}
        self._waiting = collections.deque[_Waiting]()
        self._told = (time.monotonic(), 0, 0)  # when a line was written; examples and steps then
        self._tell_at = math.inf
        self._version = Version(-1, -1, None)
        self._publish(actor)
        return InFlight(actor, games, games, None)

    def next(
        self, context: Context, state: State, actor: Actor, stop: Callable[[], bool]
    ) -> dict[str, Any] | None:
        """Takes the examples of the next rollout; waits for one, unless it is to stop."""
        state.in_flight = state.in_flight._replace(actor=actor)
        due = time.monotonic() - self._published >= self._pause
        if due and actor.step != self._version.step:
            self._publish(actor)
        began = time.monotonic()
        self._look(state, 0.0)
        while not stop():
            if self._is_ready():
                return self._take(state, self._waiting.popleft())
            if time.monotonic() - began >= WAIT_SECONDS:
                context.metrics.activity("waiting for workers")
            self._look(state, LOOK_SECONDS)
        return None

    def should_yield(self, state: State) -> bool:
        """Whether rollouts wait, and training has had as much time as taking them."""
        now = time.monotonic()
        if now - self._looked >= LOOK_SECONDS:
            self._look(state, 0.0)
        if self._context.config.workers.surplus == "wait":
            return False
        return self._is_ready() and self._credit + now - self._took > 0

    def close(self) -> None:
        """Wants nothing more of what was asked for; the workers stay, for a run that goes back."""
        self._pool.forget()

    def _publish(self, actor: Actor) -> None:
        began = time.monotonic()
        weights = self._pool.ray.put(jax.device_get(actor.weights))
        self._version = Version(self._version.number + 1, actor.step, weights)
        self._published = time.monotonic()
        self._pause = max(PUBLISH_SECONDS, 10 * (self._published - began))

    # ---- workers ----------------------------------------------------------------------------

    def _look(self, state: State, seconds: float) -> None:
        """Takes in what has come, and asks those who may play on."""
        for event in self._pool.look(seconds):
            if not isinstance(event, Answer):
                self._players.pop(event.worker, None)
            elif event.worker not in self._players:
                pass  # it was replaced a moment ago
            elif event.error is not None:
                self._raised(state, event.worker, event.error)
            else:
                self._came(event)
        self._looked = time.monotonic()
        for worker in self._pool.workers():
            self._keep_busy(state, worker)

    def _keep_busy(self, state: State, worker: Worker) -> None:
        if worker not in self._players:
            number, state.progress.workers = state.progress.workers, state.progress.workers + 1
            self._players[worker] = _Player(number, time.monotonic(), self._version.number)
            self._context.metrics.notice(
                f"worker {number} joined: {worker.device} on {worker.host}"
            )
        player, version = self._players[worker], self._version
        most = 2 if player.seconds < QUICK_SECONDS else 1
        while player.open < most:
            given = player.number, version.step, version.weights
            self._pool.ask(worker, version, self._job, *given)
            player.open += 1

    def _came(self, event: Answer) -> None:
        """Keeps a rollout until its turn comes."""
        version, rollout = event.task, event.result
        self._pool.worked()
        player = self._players[event.worker]
        oldest = player.newest - self._context.config.workers.max_lag
        player.newest = self._version.number
        player.heard, player.seconds = time.monotonic(), rollout.seconds
        if version.number < oldest:  # it has waited in the worker's queue for too long
            player.open -= 1
            return
        columns = example.flat(rollout.call.examples)  # in Ray's memory, which has a bound
        examples = example.nested(
            Sample, {name: np.array(column) for name, column in columns.items()}
        )
        rollout = rollout._replace(call=rollout.call._replace(examples=examples))
        self._waiting.append(_Waiting(event.worker, version, rollout))

    def _raised(self, state: State, worker: Worker, error: Exception) -> None:
        """Replaces a worker whose process has failed; weights of NaN are the learner's fault."""
        if isinstance(error, NonFiniteError):
            write_pending(self._context, state)  # knows the step at which it began
        self._drop(worker, f"{type(error).__name__}: {error}")

    def _drop(self, worker: Worker, why: str) -> None:
        self._players.pop(worker, None)
        self._pool.replace(worker, why)

    # ---- examples ---------------------------------------------------------------------------

    def _is_ready(self) -> bool:
        return bool(self._waiting) and len(self._pool.workers()) >= self._least

    def _take(self, state: State, one: _Waiting) -> dict[str, Any]:
        """Gives a rollout's examples to the replay."""
        began, progress = time.monotonic(), state.progress
        # After a long step several are taken, one an iteration: else as many as steps are the most.
        self._credit = min(self._credit + began - self._took, MOST_CREDIT)
        if self._tell_at == math.inf:
            self._told = (began, state.replay.total, progress.step)
            self._tell_at = began + FIRST_SECONDS
        monitors = take(self._context, state, one.rollout.call)
        if player := self._players.get(one.worker):
            player.open -= 1
            player.examples += len(one.rollout.call.examples.ply)
            player.lag = max(player.lag, progress.step - one.version.step)
        self._give_up_steps(state)
        self._report(state)
        self._took = time.monotonic()
        self._credit = max(self._credit, 0.0) - (self._took - began)
        return monitors

    def _give_up_steps(self, state: State) -> None:
        """Gives up training steps that the learner cannot keep up with: beyond a window's worth.

        Else a learner that was too slow for a day would go on for a day with the newest examples
        once its workers are gone.
        """
        progress, replay, batch = state.progress, state.replay, self._context.config.learner.batch
        most = int(replay.window() * self._context.config.replay.samples_per_example) // batch
        due = replay.steps_allowed(batch) - progress.skipped - progress.step
        progress.skipped += max(0, due - most)

    def _report(self, state: State) -> None:
        """Writes a line of metrics, now and then."""
        progress, config, now = state.progress, self._context.config, time.monotonic()
        if now < self._tell_at:
            return
        told, self._told = self._told, (now, state.replay.total, progress.step)
        self._tell_at = now + LINE_SECONDS
        seconds, new, steps = (
            after - before for before, after in zip(told, self._told, strict=True)
        )
        reuse = steps * config.learner.batch / new if new else None
        wanted = config.replay.samples_per_example
        is_behind = reuse is not None and reuse < BEHIND * wanted and progress.step > 0
        line = WorkersLine(
            iteration=progress.iteration,
            step=progress.step,
            seconds=round(progress.elapsed(), 3),
            rate=round(new / seconds, 1),
            reuse=reuse,
            wanted_reuse=wanted,
            is_learner_bound=is_behind and bool(self._waiting),
            lost=self._pool.lost,
            workers=tuple(
                player.figures(worker, now, seconds) for worker, player in self._players.items()
            ),
        )
        self._context.metrics.write({"kind": line.kind, **dataclasses.asdict(line)})
