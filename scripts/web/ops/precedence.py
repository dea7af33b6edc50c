"""Long work that waits while a person waits for a search: both would take the same cores."""

import threading

from scripts.web.ops.question import Tell

GLANCE = 0.1  # seconds


class Precedence:
    """Lets long work wait while a person waits for a search: both would take the same cores."""

    def __init__(self) -> None:
        self._busy = 0
        self._changed = threading.Condition()

    def __enter__(self) -> None:
        with self._changed:
            self._busy += 1

    def __exit__(self, *exception: object) -> None:
        with self._changed:
            self._busy -= 1
            self._changed.notify_all()

    def give_way(self, tell: Tell) -> None:
        """Waits until nobody waits for a search. Raises Cancelled if the page has gone."""
        tell.check()
        with self._changed:
            while self._busy:
                self._changed.wait(timeout=GLANCE)
                tell.check()


SEARCHES = Precedence()
