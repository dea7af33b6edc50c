"""Hex in plain Python: who joins their edges, and who wins; shares no code with the game."""

import functools

ROUND = ((-1, 0), (-1, 1), (0, 1), (1, 0), (1, -1), (0, -1))


def joins(board, size, seat):
    """Whether a seat's stones join its edges: rows for seat 0, columns for seat 1."""
    along = [(i // size, i % size)[seat] for i in range(size * size)]
    todo = [i for i in range(size * size) if board[i] == seat and along[i] == 0]
    seen = set(todo)
    while todo:
        cell = todo.pop()
        if along[cell] == size - 1:
            return True
        for down, right in ROUND:
            row, col = cell // size + down, cell % size + right
            other = row * size + col
            if 0 <= row < size and 0 <= col < size and board[other] == seat and other not in seen:
                seen.add(other)
                todo.append(other)
    return False


@functools.cache
def winner(board, size, seat):
    """Who wins when `seat` is to play, by plain search."""
    if joins(board, size, 1 - seat):
        return 1 - seat
    for cell in range(size * size):
        after = (*board[:cell], seat, *board[cell + 1 :])
        if board[cell] == -1 and winner(after, size, 1 - seat) == seat:
            return seat
    return 1 - seat
