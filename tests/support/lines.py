"""Lines of records, as files of games hold them."""

import json


def write_lines(path, lines):
    """Writes a file of JSON lines; texts go in as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    path.write_text(text)


def line_of(moves, winner=0, game="tic_tac_toe", players=("a", "b"), **extra):
    """Returns a line of a record; `winner` is a seat, or None."""
    returns = {0: [1.0, -1.0], 1: [-1.0, 1.0], None: [0.0, 0.0]}[winner]
    return {
        "game": game,
        "moves": list(moves),
        "returns": returns,
        "players": list(players),
        **extra,
    }
