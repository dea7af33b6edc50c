"""Questions to the worker of `selfplay web`, without a worker: answered at once, here."""

import json

from scripts.web.ops import OPS
from scripts.web.ops.question import Cancelled, Tell, refusal


def ask(op, tell=None, /, **args):
    """Returns the result of a question, as a page would get it; raises what is no refusal."""
    given = json.loads(json.dumps(args))
    result = OPS[op].run(given, tell or Tell(lambda line: None, lambda: False))
    return json.loads(json.dumps(result, allow_nan=False))


def refused(op, **args):
    """Returns the answer to a question that is refused."""
    try:
        result = ask(op, **args)
    except Exception as error:
        answer = refusal(error) or {"fault": repr(error)}
    else:
        answer = {"answered": result}
    assert "error" in answer, f"{op}: {answer}"
    return answer


class Listener:
    """Who asked, and may go: keeps the notes and parts, and leaves after some number of lines.

    Args:
      until: leaves at a note with this in it.
    """

    def __init__(self, patience=10**6, until=None):
        self.lines, self.patience, self.until = [], patience, until
        self.tell = Tell(self.lines.append, self.has_left)

    def has_left(self):
        """Whether it waits no more."""
        heard = self.until and any(self.until in line.get("note", "") for line in self.lines)
        return bool(heard) or len(self.lines) >= self.patience

    def ask(self, op, **args):
        """Asks; returns None if it has left before the answer."""
        try:
            return ask(op, self.tell, **args)
        except Cancelled:
            return None


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
            self.result = ask(op, Tell(say, gone), **args)
        except Cancelled:
            self.cancelled = True
