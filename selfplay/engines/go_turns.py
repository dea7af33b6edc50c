"""Moves out of turn in Go, as front ends send them: handicap stones, play after two passes."""

from collections.abc import Sequence


def turn_to(moves: Sequence[int], seat: int, nothing: int) -> list[int]:
    """Returns moves of Go after which a seat is to play.

    Passes before a move out of turn, or after two of them, are taken back, for they did not change
    the board; then, if it still has to, the other seat passes.

    Args:
      moves: actions from the opening position, a pass wherever a seat plays twice.
      nothing: the pass.
    """
    line = list(moves)
    if len(line) % 2 == seat and line[-2:] != [nothing, nothing]:
        return line
    while line[-1:] == [nothing]:
        line.pop()
    return line if len(line) % 2 == seat else [*line, nothing]
