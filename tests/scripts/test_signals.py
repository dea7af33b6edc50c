"""Ctrl-C and SIGTERM: what ends, when, with which word and exit code, in processes of their own."""

import pathlib
import signal
import subprocess
import sys

import pytest

from tests.support import ROOT

BEGIN = """
import atexit, hashlib, sys, time
from scripts.terminal import signals
signals.begin("ended", 75)

def ready():
    print("ready", flush=True)

def deaf():  # as a compiler is: it returns to Python when it is done
    ready()
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
"""
ENDED = (75, "ended\n")
STOPPING = "stopping: finishing this iteration, then saving (again: stop at once, unsaved)\n"
STATES = {
    "at any moment": ("deaf()", ENDED),
    "in a finalizer, where what is raised is lost": (
        "class Held:\n def __del__(self):\n  deaf()\nheld = Held()\ndel held",
        ENDED,
    ),
    "with a result to conclude, at the next check": (
        "try:\n"
        " with signals.concluding():\n"
        "  signals.check(); ready()\n"
        "  while True:\n"
        "   time.sleep(0.01); signals.check()\n"
        "except KeyboardInterrupt:\n"
        " sys.exit(7)",
        (7, ""),
    ),
    "with a result to conclude, and no check": (
        "signals.PATIENCE = 0.1\nwith signals.concluding():\n signals.check(); deaf()",
        ENDED,
    ),
    "before there is a result to conclude": (
        "signals.PATIENCE = 600\nwith signals.concluding():\n deaf()",
        ENDED,
    ),
    "before there is something to save": (
        "with signals.stop_on_signal(worth_saving=2) as stop:\n stop()\n deaf()",
        ENDED,
    ),
    "with something to save": (
        "with signals.stop_on_signal(worth_saving=2) as stop:\n"
        " stop(); stop(); ready()\n"
        " while not stop(): time.sleep(0.01)",
        (0, STOPPING),
    ),
    "with little to save, and no end of an iteration": (
        "signals.PATIENCE = 0.1\n"
        "with signals.stop_on_signal(worth_saving=2) as stop:\n stop(); stop(); deaf()",
        (75, f"{STOPPING}ended\n"),
    ),
    "with little to save, and a long last save": (
        "signals.PATIENCE = 0.1\n"
        "with signals.stop_on_signal(worth_saving=2) as stop:\n"
        " stop(); stop(); ready()\n"
        " while not stop(): time.sleep(0.01)\n"
        " time.sleep(0.5)",
        (0, STOPPING),
    ),
    "while a folder is made": (
        "with signals.whole():\n ready(); time.sleep(0.3); print('made', file=sys.stderr)\ndeaf()",
        (75, "made\nended\n"),
    ),
    "with a scratch folder": (
        "import pathlib\n"
        "with signals.scratch() as folder:\n"
        " pathlib.Path(folder, 'file').touch(); print(folder, file=sys.stderr, flush=True)\n"
        " deaf()",
        ENDED,
    ),
    "when the work is done": ("atexit.register(deaf)\nsignals.conclude(0)", (0, "")),
    "when Python itself is at its end": (
        "import os\n"
        "class Last:\n"
        " def __del__(self, write=os.write, sleep=time.sleep):\n"
        "  write(1, b'ready\\n'); sleep(0.5)\n"
        "last = Last()\nsignals.conclude(0)",
        (0, ""),
    ),
}


@pytest.mark.parametrize("state", STATES)
def test_a_signal_ends_a_command_with_one_sentence_and_its_exit_code(state):
    code, expected = STATES[state]
    process = subprocess.Popen(
        [sys.executable, "-c", BEGIN + code],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    if "scratch" in state:
        folder, _, said = said.partition("\n")
        assert not pathlib.Path(folder).exists()
    assert (process.returncode, said) == expected


def test_nothing_slow_to_import_comes_before_signals_are_in_hand():
    """Python's own answer to Ctrl-C holds until then: a traceback, from the midst of an import."""
    code = (
        "import sys; before = {*sys.modules}; import scripts.cli; print(*{*sys.modules} - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    ours = {name for name in done.stdout.split() if name.split(".")[0] in {"scripts", "selfplay"}}
    assert ours == {"scripts", "scripts.cli", "scripts.terminal", "scripts.terminal.signals"}
    assert not {"tyro", "rich", "typing", "numpy", "importlib.metadata"} & {*done.stdout.split()}
