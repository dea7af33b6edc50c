"""A device without memory: the runtime's error as a sentence that says what to change."""

import contextlib
import re
from collections.abc import Callable, Iterator

import jax

from training.preflight.estimate import in_words


class OutOfMemoryError(RuntimeError):
    """A device ran out of memory; the message says what to change."""


@contextlib.contextmanager
def advise(advice: Callable[[], str]) -> Iterator[None]:
    """Turns a device's lack of memory into an OutOfMemoryError; `advice` ends its sentence."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        # "... trying to allocate 68719476736 bytes", "... allocating 70368744177664 bytes"
        asked = re.search(r"allocat\w* (\d+) ?b", str(error), re.IGNORECASE)
        of = f" for {in_words(int(asked[1]))} more" if asked else ""
        raise OutOfMemoryError(f"a device has no memory left{of}: {advice()}") from error


def halve(args: object) -> str:
    """Returns the advice for a command that plays: half its `--simulations`, half its `--games`."""
    steps = [
        f"--{name} from {now} to {now // 2 // even * even}"
        for name, even in (("simulations", 1), ("games", 2))
        if (now := _number(getattr(args, name, 0))) >= 2 * even
    ]
    return f"lower {' or '.join(steps)}" if steps else "use a smaller network"


def _number(given: int | tuple[int, ...]) -> int:
    """The largest of several; 0 without any."""
    return max(given, default=0) if isinstance(given, tuple) else given
