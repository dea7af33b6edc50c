"""A GTP engine of Othello 4x4 that never passes: it skips a side without moves by itself.

Plain Python on its own. It refuses passes and moves that are none, and plays its first legal one.
"""

import sys

SIZE = 4
LETTERS = "abcd"
AROUND = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]
CELLS = [(row, col) for row in range(SIZE) for col in range(SIZE)]


def opening():
    return {(1, 1): "white", (2, 2): "white", (1, 2): "black", (2, 1): "black"}


def flipped(board, cell, colour):
    """Returns the discs that a new one would turn over."""
    flips = []
    for down, right in AROUND if cell not in board else []:
        run, (row, col) = [], (cell[0] + down, cell[1] + right)
        while board.get((row, col), colour) != colour:
            run.append((row, col))
            row, col = row + down, col + right
        flips += run if (row, col) in board else []
    return flips


def put(board, cell, colour):
    board.update(dict.fromkeys([cell, *flipped(board, cell, colour)], colour))


def main():
    board = opening()
    for line in sys.stdin:
        number, name, *words = line.split()
        colour = words[0] if words else ""
        legal = [cell for cell in CELLS if flipped(board, cell, colour)]
        answer = f"={number} "
        if name == "clear_board":
            board = opening()
        elif name == "play":
            named = [cell for cell in legal if f"{LETTERS[cell[1]]}{cell[0] + 1}" == words[1]]
            answer = answer if named else f"?{number} illegal move"
            for cell in named:
                put(board, cell, colour)
        elif name == "genmove":
            if legal:
                put(board, legal[0], colour)
                answer += f"{LETTERS[legal[0][1]]}{legal[0][0] + 1}"
            else:
                answer = f"?{number} it is not the turn of {colour}"
        print(answer + "\n", flush=True)


main()
