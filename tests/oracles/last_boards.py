"""Whose each cell is after all moves of a game, in plain Python, from the moves alone."""

from tests.oracles.go import COLOURS, PlainGo

AROUND = [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if a or b]


def othello(size, moves):
    """Returns {(row, col): seat}, and by how many discs seat 0 leads."""
    low, high = size // 2 - 1, size // 2
    owner = {(low, high): 0, (high, low): 0, (low, low): 1, (high, high): 1}
    for ply, move in enumerate(moves):
        if move == size**2:
            continue
        seat, (row, col) = ply % 2, divmod(move, size)
        for down, right in AROUND:
            line, cell = [], (row + down, col + right)
            while owner.get(cell) == 1 - seat:
                line.append(cell)
                cell = (cell[0] + down, cell[1] + right)
            if owner.get(cell) == seat:
                owner.update(dict.fromkeys(line, seat))
        owner[row, col] = seat
    return owner, lead(owner)


def dots_and_boxes(rows, cols, moves):
    """Returns {(row, col): seat} on the lattice of dots, edges and boxes, and seat 0's lead."""
    across = [(2 * i, 2 * j + 1) for i in range(rows + 1) for j in range(cols)]
    down = [(2 * i + 1, 2 * j) for i in range(rows) for j in range(cols + 1)]
    drawn, owner, seat = set(), {}, 0
    for move in moves:
        drawn.add((across + down)[move])
        closed = [
            (row, col)
            for row in range(1, 2 * rows, 2)
            for col in range(1, 2 * cols, 2)
            if {(row - 1, col), (row + 1, col), (row, col - 1), (row, col + 1)} <= drawn
            and (row, col) not in owner
        ]
        owner.update(dict.fromkeys(closed, seat))
        seat = seat if closed else 1 - seat
    return owner, lead(owner)


def hex_stones(size, moves):
    """Returns {(row, col): seat}, and no margin."""
    owner = {}
    for ply, move in enumerate(moves):
        if move == size**2:  # the swap mirrors the opening stone
            [(row, col)] = owner
            owner = {(col, row): 1}
        else:
            owner[divmod(move, size)] = ply % 2
    return owner, None


def go(size, komi, moves):
    """Returns {(row, col): seat} of each side's area, and seat 0's lead with the komi."""
    plain = PlainGo(size, komi)
    for move in moves:
        plain.play(move)
    owner = {}
    for point, symbol in enumerate(plain.board):
        border = plain.flood(plain.board, point)[1] if symbol == "." else {symbol}
        if len(border) == 1:
            owner[divmod(point, size)] = COLOURS.index(*border)
    return owner, lead(owner) - komi


def lead(owner):
    """Returns how many more cells seat 0 owns."""
    return sum(1 if seat == 0 else -1 for seat in owner.values())


def as_plane(owner, shape, seat):
    """Returns rows of 1 for the seat's cells, -1 for the other's and 0 for the rest."""
    signs = {seat: 1, 1 - seat: -1, None: 0}
    return [[signs[owner.get((r, c))] for c in range(shape[1])] for r in range(shape[0])]
