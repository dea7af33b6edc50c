"""A GTP engine that passes at every move, and can misbehave as its arguments say.

Plain Python on its own: `python bad_engine.py [FAULT [AT]]`, the fault from its AT-th genmove on.
"""

import subprocess
import sys
import time


def main():
    fault = sys.argv[1] if len(sys.argv) > 1 else ""
    at, genmoves = int(sys.argv[2]) if len(sys.argv) > 2 else 1, 0
    if fault == "dead":
        sys.exit("cannot open the weights")
    if fault == "slow-start":
        time.sleep(1)
    if fault == "child":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        with open(sys.argv[3], "a") as file:
            print(child.pid, file=file)
    for line in sys.stdin:
        number, name, *_ = line.split()
        if name == "boardsize" and fault == "no-board":
            say(f"?{number} unacceptable size")
            continue
        text = {"genmove": "pass", "list_commands": "undo" if fault != "no-undo" else ""}.get(
            name, ""
        )
        if name == "undo" and fault == "no-undo":
            sys.exit(1)
        if name == "genmove":
            genmoves += 1
            if genmoves >= at and fault:
                text = misbehave(fault, number)
        say(f"={number} {text}" if text is not None else "")
        if name == "quit":
            return


def misbehave(fault, number):
    if fault == "hang":
        time.sleep(600)
    if fault == "crash":
        print("segmentation fault", file=sys.stderr, flush=True)
        sys.exit(3)
    if fault == "flood":
        while True:
            print("info " * 1000, flush=True)
    if fault == "errors":
        print("warning: " * 100_000, file=sys.stderr, flush=True)
    if fault == "no-answer-to-this":
        say(f"=9{number} pass")
        return None
    if fault == "nonsense":
        say("hello")
        return None
    return {"illegal": "A1", "off": "Z99", "resign": "resign"}.get(fault, "pass")


def say(text):
    print(text + "\n", flush=True)


main()
