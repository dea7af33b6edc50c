"""Rounds of a ladder, one after the other or, where others play them, several at once.

Rounds count in the order in which they were begun. One is begun when a fixed number before it is
still to be counted, so who plays whom depends on how many others play, not on how fast they are.
"""

from collections.abc import Callable, Iterator
from typing import TypeAlias

from selfplay.arena.ladder import Ladder, Round
from selfplay.tasks import AHEAD, Crew, InOrder

# Finds those who play rounds, given what says which round a task is; their results are matches.
Elsewhere: TypeAlias = Callable[[Callable[[int], Round]], Crew]


def play_rounds(
    ladder: Ladder,
    begin: Callable[[], Round | None],
    waiting: Callable[[], None] = lambda: None,
    elsewhere: Elsewhere | None = None,
) -> Iterator[Round]:
    """Plays rounds and stores their games; yields each round that is stored.

    Args:
      begin: returns the next round of the ladder to be played; None if there is none now.
      waiting: called now and then.
      elsewhere: finds who plays the rounds; without it, this process does.

    Raises:
      ValueError: a player chose an illegal action.
      TaskError: others could not play a round.
    """
    if elsewhere is None:
        while one := begin():
            ladder.end(one, ladder.result_of(one))
            yield one
        return
    rounds: list[Round] = []
    crew = elsewhere(rounds.__getitem__)
    tasks = InOrder(crew, 0, 0, "round")

    def fill(counted: int) -> None:
        while len(rounds) < counted + AHEAD * crew.size and (one := begin()):
            rounds.append(one)
            tasks.end = len(rounds)

    fill(0)
    for number, result in enumerate(tasks.results(lambda turn: waiting())):
        ladder.end(rounds[number], result)
        yield rounds[number]
        fill(number + 1)
