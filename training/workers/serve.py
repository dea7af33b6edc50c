"""A worker's life in a fleet's folder: it joins, plays, waits, and leaves."""

import os
import socket
import threading
import time
from collections.abc import Callable

import games
from games import consent
from selfplay.files import json_lines
from training import config as config_module
from training.config import RunConfig
from training.workers import identity
from training.workers.folder import ENDED, FolderWorker
from training.workers.transport import FORMAT_VERSION, MOST_UNACKNOWLEDGED, Answer, Hello
from training.workers.worker import Version, Worker

BEAT_SECONDS = 2.0
POLL_SECONDS = 0.05


class RefusedError(RuntimeError):
    """The learner does not want this worker; the message says why."""


class Shown:
    """What a worker has done, for people to see."""

    def __init__(self, update: Callable[[int, str], None], notice: Callable[[str], None]) -> None:
        self._update, self.notice = update, notice
        self.batches = self.rows = 0
        self._began = time.monotonic()

    def activity(self, text: str) -> None:
        """Shows what the worker does from now on."""
        self._update(self.batches, text)

    def played(self, plies: int, version: Version) -> None:
        """Shows a call."""
        self.batches += 1
        self.rows += plies
        rate = self.rows / max(time.monotonic() - self._began, 1e-9)
        self._update(self.batches, f"{rate:,.0f} plies/s | weights of step {version.step}")


def serve(open_link: Callable[[], FolderWorker], stop: Callable[[], bool], shown: Shown) -> bool:
    """Plays for a fleet until its run ends, or until `stop()`.

    Returns:
      Whether the run has ended.

    Raises:
      RefusedError: the learner does not want this worker.
      ValueError: the folder is no fleet's, or its settings cannot work here.
    """
    while True:
        ended = _live(open_link(), stop, shown)
        if ended is not None:
            return ended
        shown.notice("this worker was silent for too long: it joins anew")


def config_of(link: FolderWorker) -> RunConfig:
    """Returns the settings of a fleet's run.

    What they name of a user's own runs only if it was allowed here: the folder may be anybody's.
    """
    file = str(link.folder / "run.json")
    config = config_module.from_dict(json_lines.parse(link.invitation.config, file))
    config.check()
    for code in config_module.code_in(config).values():
        consent.named_by(file, code)
    return config


def hello_of(config: RunConfig, run_id: str) -> Hello:
    """Returns what this process says of itself."""
    game, own = games.load(config.game), identity.alike(config.game)
    return Hello(
        format_version=FORMAT_VERSION,
        run_id=run_id,
        digest=identity.of_settings(config),
        code=own.code,
        rules=identity.of_rules(game),
        host=socket.gethostname(),
        pid=os.getpid(),
        device=own.device,
        devices=own.devices,
        jax=own.jax,
        cores=own.cores,
    )


def _live(link: FolderWorker, stop: Callable[[], bool], shown: Shown) -> bool | None:
    """Plays as one incarnation; returns as `serve`, or None where another is to begin."""
    config = config_of(link)
    shown.activity("comparing the rules")
    link.join(hello_of(config, link.invitation.run_id))
    silent = threading.Event()
    beating = threading.Thread(target=_beat, args=(link, silent), daemon=True)
    beating.start()
    try:
        shown.activity("waiting to be let in")
        answer = link.answer()
        while answer is None:
            current = link.current()
            if current is not None and current.state == ENDED:
                return True
            if stop():
                return False
            time.sleep(POLL_SECONDS)
            answer = link.answer()
        _check(answer)
        if answer.refused:
            return None
        shown.activity("compiling")
        worker = Worker(config, link.invitation.run_id, answer.slot, answer.incarnation)
        return _play(link, worker, stop, shown)
    finally:
        silent.set()
        beating.join()
        link.leave()


def _play(
    link: FolderWorker, worker: Worker, stop: Callable[[], bool], shown: Shown
) -> bool | None:
    version: Version | None = None
    while not stop():
        answer, current = link.answer(), link.current()
        if answer is None or answer.refused:
            if answer is not None:
                _check(answer)
            return None
        if current is not None and current.state == ENDED:
            return True
        if current is None or link.unacknowledged() >= MOST_UNACKNOWLEDGED:
            shown.activity("waiting for the learner")
            time.sleep(POLL_SECONDS)
            continue
        if version is None or version.number != current.number:
            # They may be gone by now: older ones do, up to a bound.
            version = link.weights(worker.network, current) or version
        if version is None or current.number - version.number > current.max_lag:
            time.sleep(POLL_SECONDS)
            continue
        plies = worker.config.self_play.batch * worker.config.self_play.plies_per_call
        link.send(worker.play(version))
        shown.played(plies, version)
    return False


def _check(answer: Answer) -> None:
    if answer.refused and not answer.again:
        raise RefusedError(f"the learner refused this worker: {answer.refused}")


def _beat(link: FolderWorker, silent: threading.Event) -> None:
    while not silent.wait(BEAT_SECONDS):
        try:
            link.beat()
        except OSError:
            return  # the folder is gone: the next look at it says so
