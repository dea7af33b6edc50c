"""A process that speaks as a rank does, without jax, and ends as told by its arguments.

python -m tests.planted.ranks FATE...      a fate for each rank: see `_FATES`
"""

import json
import os
import signal
import sys
import time

_TOLD = json.loads(os.environ["SELFPLAY_RANK"])


def _say(kind: str, **word: object) -> None:
    print(json.dumps({"kind": kind, **word}), flush=True)


def _beat_for(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        _say("beat")
        time.sleep(0.05)


def _works() -> None:
    _beat_for(0.3)
    _say("out", text=f"{_TOLD['rank']} of {_TOLD['hosts']}\n")
    _say("ended", code=0)


def _goes_on() -> None:
    _beat_for(60.0)


def _stops() -> None:
    _say("worth")
    while json.loads(sys.stdin.readline())["kind"] != "stop":
        pass
    _say("ended", code=75)
    os._exit(75)


def _fails() -> None:
    _beat_for(0.2)
    _say("failed", text="komi must be a number", code=2)
    _beat_for(60.0)


def _sees_a_loss() -> None:
    _beat_for(0.2)
    _say("lost", text="Gloo: connection reset by peer")
    os.kill(os.getpid(), signal.SIGABRT)


def _is_killed() -> None:
    _beat_for(0.5)  # others hear of it first
    os.kill(os.getpid(), signal.SIGKILL)


def _is_silent() -> None:
    _say("beat")
    time.sleep(60.0)


def _exits() -> None:
    os._exit(3)


_FATES = {
    "works": _works,
    "goes on": _goes_on,
    "stops": _stops,
    "fails": _fails,
    "sees a loss": _sees_a_loss,
    "is killed": _is_killed,
    "is silent": _is_silent,
    "exits": _exits,
}

if __name__ == "__main__":
    _FATES[sys.argv[1 + _TOLD["rank"]]]()
