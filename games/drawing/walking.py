"""From and to: which of the characters that a move changes a man leaves, and where it arrives."""

import collections
from collections.abc import Sequence
from typing import NamedTuple

from games.drawing.sight import Marks, whose


class Change(NamedTuple):
    """What a move does to a spot: characters before and after, blank for those of nothing."""

    spot: int
    old: str
    new: str


Ends = tuple[int, ...]  # spots in the order of clicks


def in_order(
    moves: Sequence[Sequence[Change]], marks: Marks | None, seat: int
) -> list[Ends] | None:
    """Returns for each move the spots to click: from and to, or the one where it puts something.

    Moves without changes have none. Where moves from and to the same put a further thing each, that
    is a third click.

    Args:
      seat: the one that moves.

    Returns:
      None where it is in doubt of some move.
    """
    ways = [_ways(changes, marks, seat) for changes in moves]
    sure = {some[0] for some in ways if len(some) == 1}
    chosen: list[Ends] = []
    for changes, some in zip(moves, ways, strict=True):
        # Two men may move at once, as in castling: then what no single man can do tells the move.
        left = some if len(some) == 1 else [way for way in some if way not in sure]
        if changes and len(left) != 1:
            return None
        chosen.append(left[0] if changes else ())
    times = collections.Counter(chosen)
    return [
        ends if times[ends] == 1 else _further(changes, ends, marks, seat)
        for changes, ends in zip(moves, chosen, strict=True)
    ]


def _ways(changes: Sequence[Change], marks: Marks | None, seat: int) -> list[Ends]:
    """Returns from and to as they may be meant."""
    own = (None, seat)
    left = [c for c in changes if c.old.strip() and _owner(c.old, marks) in own]
    come = [c for c in changes if c.new.strip() and _owner(c.new, marks) in own]
    # A man looks the same when it arrives, or is promoted.
    pairs = [(a, b) for a in left for b in come if a.old == b.new and a is not b]
    gone = [a for a in left if not a.new.strip()]
    pairs = pairs or [(a, b) for a in gone for b in come]
    pairs = [pair for pair in pairs if _owner(pair[0].old, marks) == seat] or pairs
    if len({a.spot for a, _ in pairs}) == 1:  # it goes where nothing was, and turns others
        pairs = [pair for pair in pairs if not pair[1].old.strip()] or pairs
    if pairs:
        return [(a.spot, b.spot) for a, b in pairs]
    put = [c for c in come if not c.old.strip()] or come or gone
    return [(put[0].spot,)] if len(put) == 1 else []


def _further(changes: Sequence[Change], ends: Ends, marks: Marks | None, seat: int) -> Ends:
    """Returns the ends with where the move puts one thing more, which may be where it began."""
    if len(ends) < 2:
        return ends
    put = [
        c.spot
        for c in changes
        if c.spot != ends[1]
        and c.new.strip()
        and _owner(c.new, marks) in (None, seat)
        and (c.spot == ends[0] or not c.old.strip())
    ]
    return (*ends, put[0]) if len(put) == 1 else ends


def _owner(characters: str, marks: Marks | None) -> int | None:
    return next((seat for c in characters if (seat := whose(c, marks)) is not None), None)
