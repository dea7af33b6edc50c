"""A UCI engine of Breakthrough that plays one move, and can misbehave as its arguments say.

Plain Python on its own: `python bad_uci_engine.py MOVE [FAULT [AT]]`, the fault from its AT-th `go`
on. What it is told goes to the file that LOG in the environment names.
"""

import os
import subprocess
import sys
import time

OPTIONS = """id name Bad
option name Threads type spin default 4 min 1 max 8
option name Skill Level type spin default 20 min -20 max 20
option name UCI_LimitStrength type check default false
option name UCI_Elo type spin default 1350 min 1350 max 2850
option name Style type combo default Normal var Risky var Very Risky var Normal
option name Clear Hash type button
option name Contempt type spin default 0 min 0 max 0
option name UCI_Variant type combo default chess var chess var breakthrough
uciok"""


def main():
    move, fault = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""
    at, asked = int(sys.argv[3]) if len(sys.argv) > 3 else 1, 0
    if fault == "dead":
        sys.exit("cannot open the weights")
    for line in sys.stdin:
        if "LOG" in os.environ:
            with open(os.environ["LOG"], "a") as file:
                file.write(line)
        name = line.split()[0]
        if name == "uci":
            say("Bad 1.0 by nobody\n" + OPTIONS)
        if name == "isready":
            say("readyok")
        if name == "go":
            asked += 1
            say("info depth 1 score cp 3 pv a2a3\ninfo string bestmove is near")
            say(misbehave(fault, move) if asked >= at else f"bestmove {move} ponder a7a6")


def misbehave(fault, move):
    if fault == "hang":
        time.sleep(600)
    if fault == "child":
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        time.sleep(600)
    if fault == "orphan":  # the child holds the output open
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        os._exit(4)
    if fault == "crash":
        print("segmentation fault", file=sys.stderr, flush=True)
        sys.exit(3)
    if fault == "flood":
        while True:
            print("info " * 1000, flush=True)
    if fault == "errors":
        print("warning: " * 100_000, file=sys.stderr, flush=True)
    wrong = {"illegal": "a1a8", "none": "(none)", "null": "0000", "nonsense": "", "number": "21"}
    return f"bestmove {wrong.get(fault, move)}"


def say(text):
    print(text, flush=True)


main()
