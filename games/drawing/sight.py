"""What can be seen of a game by playing it a little: whose marks are whose, and what is no board.

Nothing here is told by the game: all is read off the pictures of random games.
"""

import collections
import functools
from typing import Any, NamedTuple

import numpy as np

from games.drawing import characters
from games.drawing.children import children, legal_actions, opening, rendered
from games.game import Game

PLIES, EVERY = 27, 3  # of random games; every which of them is looked at: odd, for both seats
ALIKE, OFTEN, FEW = 0.6, 0.8, 0.05  # shares of moves
CAPITALS, SMALL = "capital letters", "small letters"


class Sample(NamedTuple):
    """A position of the random game and all that its moves lead to."""

    seat: int  # to play
    pictures: np.ndarray  # uint32[1 + L, H, W], its own and one for each legal action


class Sight(NamedTuple):
    """What was seen of a game."""

    empty: frozenset[int]  # code points of what a picture shows where nothing is
    marks: tuple[str, str] | None  # what each seat puts down, a character or kind of letters
    walks: bool  # whether moves take up what they put down elsewhere
    status: frozenset[tuple[int, int]]  # line and column of what nearly every move changes alike
    samples: tuple[Sample, ...]


@functools.lru_cache(maxsize=16)
def sight(game: Any) -> Sight:
    """Returns what random games show."""
    samples = tuple(_samples(game))
    changes = [change for sample in samples for change in _changes(sample)]
    taken = collections.Counter(old for _, found in changes for old, _ in found)
    background = [(n, old) for old, n in taken.items() if not chr(old).isalnum()]
    empty = frozenset({characters.BLANK, max(background, default=(0, ord(".")))[1]})
    walking = sum(_walks(found, empty) for _, found in changes)
    return Sight(
        empty=empty,
        marks=_marks(changes, empty),
        walks=walking > FEW * len(changes),
        status=_status(samples),
        samples=samples,
    )


def whose(mark: str, marks: tuple[str, str] | None) -> int | None:
    """Returns the seat that a character belongs to, None if nobody's."""
    if marks == (CAPITALS, SMALL):
        return int(mark.islower()) if mark.isalpha() else None
    return marks.index(mark) if marks and mark in marks else None


def of_the_turn(picture: np.ndarray, seen: Sight) -> np.ndarray:
    """Returns bool[H, W]: what tells of the turn, such as "X to move", with all words beside it."""
    result = np.zeros(picture.shape, bool)
    for row, column in seen.status:
        if row < len(picture):
            line = "".join(map(chr, picture[row]))
            start = line.rfind("  ", 0, column) + 1
            end = line.find("  ", column)
            last = end < 0 or not line[end:].strip()  # more may follow on other occasions
            result[row, start : len(line) if last else end] = True
    return result


def _samples(game: Game[Any]) -> list[Sample]:
    rng, state, found = np.random.default_rng(0), opening(game), []
    for ply in range(PLIES):
        actions = legal_actions(state)
        if not len(actions):
            state = opening(game)
            actions = legal_actions(state)
        if not len(actions):
            break  # a game that is over when it begins
        after = list(children(game, state, actions))
        if ply % EVERY == 0:
            texts = [rendered(game, at) for at in (state, *after)]
            found.append(Sample(int(state.to_play), characters.aligned(texts)))
        state = after[int(rng.integers(len(after)))]
    return found


def _changes(sample: Sample) -> list[tuple[int, list[tuple[int, int]]]]:
    """Returns for each move the seat that makes it, and what was and is where it changes."""
    before, after = sample.pictures[:1], sample.pictures[1:]
    changed = after != before
    changed &= ~_same_for_most(changed, after) if len(after) > 1 else True
    return [
        (sample.seat, list(zip(before[0][at].tolist(), now[at].tolist(), strict=True)))
        for at, now in zip(changed, after, strict=True)
    ]


def _same_for_most(changed: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Returns bool[H, W]: the characters that most moves make into the same other one."""
    often = changed.mean(axis=0) >= ALIKE
    result = np.zeros_like(often)
    for row, col in np.argwhere(often).tolist():
        made = after[changed[:, row, col], row, col]
        result[row, col] = np.unique(made, return_counts=True)[1].max() >= ALIKE * len(after)
    return result


def _walks(found: list[tuple[int, int]], empty: frozenset[int]) -> bool:
    left = {old for old, new in found if old not in empty and new in empty}
    return bool(left & {new for _, new in found})


def _status(samples: tuple[Sample, ...]) -> frozenset[tuple[int, int]]:
    """Returns the characters that, at most positions, most moves make into the same one."""
    looked, alike = 0, collections.Counter[tuple[int, int]]()
    for sample in samples:
        changed = sample.pictures[1:] != sample.pictures[:1]
        if len(changed) > 2:
            looked += 1
            found = np.argwhere(_same_for_most(changed, sample.pictures[1:])).tolist()
            alike.update((row, column) for row, column in found)
    enough = max(3, ALIKE * looked)
    return frozenset(at for at, times in alike.items() if times >= enough)


def _marks(
    changes: list[tuple[int, list[tuple[int, int]]]], empty: frozenset[int]
) -> tuple[str, str] | None:
    """Returns what seats 0 and 1 put down, if that can be told apart."""
    put = (collections.Counter[str](), collections.Counter[str]())
    for seat, found in changes:
        fresh = [new for old, new in found if old in empty and new not in empty]
        put[seat].update(map(chr, fresh))
    if not all(put):
        return None
    (first, times), (second, others) = (counted.most_common(1)[0] for counted in put)
    clear = times >= OFTEN * put[0].total() and others >= OFTEN * put[1].total()
    if first != second and clear:
        return first, second
    capitals = all(mark.isupper() for mark in put[0])
    return (CAPITALS, SMALL) if capitals and all(mark.islower() for mark in put[1]) else None
