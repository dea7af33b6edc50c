"""What the process of a rank does: it joins the others, and rank 0 tells them what to train."""

import pathlib
import sys
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

from games import consent
from scripts.hosts import child
from scripts.hosts.child import Words
from scripts.terminal.console import code_of, say, sentence
from scripts.terminal.signals import INTERRUPTED, stop_on_signal
from training import config as config_module
from training.config import RunConfig
from training.hosts import store
from training.hosts.peers import Hosts, Peers
from training.run import follow
from training.source import LOCAL
from training.storage.run_folder import RunFolder
from training.workers import identity
from training.workers.following import FollowingSource
from training.workers.identity import Alike


def run(words: Words, lead: Callable[[Peers], int]) -> NoReturn:
    """Runs one rank, and ends the process.

    Args:
      lead: what rank 0 does; returns the exit code.
    """
    told = words.told
    try:
        service = store.join(told["coordinator"], told["rank"], told["hosts"], told["device"])
        peers = Hosts(service, told["rank"], told["hosts"])
        code = _follow(peers) if peers.rank else lead(peers)
        store.leave()
    except BaseException as error:
        if store.is_loss(error):
            words.lose(sentence(error))
        if "--debug" in sys.argv:
            traceback.print_exc()
        words.fail(sentence(error), code_of(error))
    words.end(code)


def _follow(peers: Hosts) -> int:
    config, has_workers = introduce(peers, None)
    source = FollowingSource() if has_workers else LOCAL
    folder = RunFolder(pathlib.Path("/nonexistent"))  # rank 0 has it
    with stop_on_signal(worth_saving=2) as stop:
        stop = also_of_command(stop)
        finished = follow(folder, config, lambda line: None, stop, peers, source)
    return 0 if finished else INTERRUPTED


def introduce(
    peers: Peers, config: RunConfig | None, has_workers: bool = False
) -> tuple[RunConfig, bool]:
    """Returns what rank 0 gives, the run's settings and whether workers play for it.

    Compares what the ranks are.

    Raises:
      ValueError: a rank has other code, or other devices; on rank 0, for all.
    """
    if peers.count == 1:
        assert config is not None
        return config, has_workers
    words = child.words()
    assert words is not None
    given = config_module.to_dict(config) if config else None
    first = peers.share("settings", {"config": given, "has_workers": has_workers})[0]
    read = config_module.from_dict(first["config"])
    if config is None:
        # Rank 0's machine may be somebody else's: what is not typed here needs consent.
        for code in config_module.code_in(read).values():
            consent.named_by("rank 0's settings", code)
    own = identity.alike(read.game)
    named = {"name": words.told["name"], **own._asdict()}
    ranks = peers.share("likeness", named)
    if peers.rank == 0:
        _compare(ranks)
        places = (f"{r['name']}: {r['devices']} x {r['device']}" for r in ranks)
        say(f"hosts: {', '.join(places)}")
    return read, bool(first["has_workers"])


def _compare(ranks: list[dict[str, Any]]) -> None:
    ours = _as_compared(ranks[0])
    for rank, theirs in enumerate(map(_as_compared, ranks)):
        if different := identity.difference(theirs, ours):
            raise ValueError(
                f"rank {rank} on {ranks[rank]['name']} cannot train with rank 0: {different}; all "
                "hosts need the same version of selfplay and jax, and as many devices of one kind"
            )


def _as_compared(told: dict[str, Any]) -> Alike:
    """Returns what ranks must have in common."""
    return Alike(told["code"], told["jax"], told["device"], told["devices"], cores=0)


def also_of_command(stop: Callable[[], bool]) -> Callable[[], bool]:
    """Returns whether to stop, by a signal or by a word of the command that has started us."""
    words = child.words()
    if words is None:
        return stop
    asked = 0

    def is_wished() -> bool:
        nonlocal asked
        asked += 1
        if asked == 2:  # before, there is nothing to save
            words.say("worth")
        return stop() or words.wished

    return is_wished
