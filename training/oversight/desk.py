"""Where an overseer sits down, at a terminal or in the browser: A, a lock, and what waits."""

import contextlib
import dataclasses
import getpass
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import games
from selfplay.files import durable
from selfplay.oversight import decisions, images
from selfplay.oversight.session import OverseerSession
from selfplay.players import Player
from training.oversight.queries import from_file, select_queries, with_images
from training.players import load_player
from training.storage.run_folder import RunFolder

BY_HAND = 20  # positions, where nobody says how many
Note = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Order:
    """What is to be decided, and by whom."""

    run: str  # a run's folder
    by: str  # for the decisions' provenance
    step: int | None = None  # of the checkpoint that is A; None: the newest
    simulations: int = 128  # of each search by A
    count: int = BY_HAND  # most positions
    seed: int = 0  # draws them
    positions: str = ""  # a file of games to take them from
    play: bool = False  # play on from the opening position instead
    images: bool = False  # some are images of others: does the overseer decide alike there?


@contextlib.contextmanager
def sit_down(order: Order, note: Note) -> Iterator[OverseerSession]:
    """Yields a session at the desk of a run, which nobody else has meanwhile.

    Args:
      note: called with what is wrong with the files that are read.

    Raises:
      BlockingIOError: somebody else has the desk; says which process.
      ValueError, CheckpointError: there is no such run or file, or it is damaged.
    """
    folder = RunFolder(order.run)
    spec = folder.read_config().game
    player = load_player(
        order.run, order.simulations, checkpoint=order.step, search={"reuse_nodes": 0}
    )
    durable.make_folder(folder.decisions.parent)
    with durable.lock(lock_of(folder)):
        waiting = _find_positions(order, player, note)
        about = {"by": order.by, "player": player.name, "simulations": order.simulations}
        yield OverseerSession(player, spec, str(folder.decisions), about, waiting, order.play)


def lock_of(folder: RunFolder) -> pathlib.Path:
    """Returns the file that is locked while somebody decides for a run."""
    return folder.decisions.parent / "lock"


def user_name() -> str:
    """Returns who uses this program, as the system knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # as in a container without users
        return "unknown"


def in_words(summary: dict[str, Any]) -> str:
    """Returns a session's summary as a sentence."""
    if not summary["decided"]:
        return f"0 decided, {summary['skipped']} skipped"
    return (
        f"{summary['decided']} decided, {summary['skipped']} skipped; A's search would have played "
        f"{summary['agrees']:.0%} of the decisions, and sees a mean loss of value of "
        f"{summary['regret']:.3f} in them"
    )


def conclusion(session: OverseerSession) -> list[str]:
    """Returns what to say at a session's end of the file that it has written to."""
    if not pathlib.Path(session.path).exists():
        return []
    known = decisions.scan(session.path, session.spec, session.game)
    said = [f"{session.path} holds {decisions.tally(known.decisions) or 'no decision'}"]
    if session.summary()["decided"] and known.states is not None:
        likeness = images.compare(session.game, known.decisions, known.states)
        if told := images.in_words(session.game, likeness):
            said.append(f"note: {told}")
    return said


def _find_positions(order: Order, player: Player, note: Note) -> list[tuple[int, ...]]:
    """Returns the moves to each position that waits for a decision."""
    folder = RunFolder(order.run)
    spec, file = folder.read_config().game, folder.decisions
    decided: set[tuple[int, ...]] = set()
    if file.exists():
        known = decisions.scan(file, spec, games.load(spec))
        for problem in known.problems:
            note(f"decision left out: {problem}")
        decided = {decision.moves for decision in known.decisions}
    if order.play:
        return [()]
    if order.positions:
        waiting, problems = from_file(order.positions, spec, player.game)
        for problem in problems:
            note(f"left out: {problem}")
    else:
        raw = load_player(order.run, simulations=0, checkpoint=order.step)
        waiting = select_queries(raw, player, order.seed, order.count + len(decided))
    waiting = [moves for moves in waiting if moves not in decided][: order.count]
    if order.images and not order.positions:
        return with_images(player.game, waiting, decided)
    return waiting
