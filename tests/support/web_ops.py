"""What tests of the worker of the browser app share: questions asked without a server."""

import json

from scripts.web.ops import OPS
from scripts.web.ops.question import Cancelled, Tell


class Asked:
    """What a question to the worker said on its way, and its result."""

    def __init__(self, op, args, cancel_after=None):
        self.notes, self.parts, self.result = [], [], None
        self.cancelled = False

        def say(line):
            line = json.loads(json.dumps(line, allow_nan=False))  # as it is sent, at that moment
            self.notes += [line["note"]] if "note" in line else []
            self.parts += [line["part"]] if "part" in line else []

        def gone():
            return cancel_after is not None and len(self.parts) >= cancel_after

        try:
            self.result = json.loads(
                json.dumps(OPS[op].run(args, Tell(say, gone)), allow_nan=False)
            )
        except Cancelled:
            self.cancelled = True


def ask(op, **args):
    """Returns the result of a question."""
    return Asked(op, args).result


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
