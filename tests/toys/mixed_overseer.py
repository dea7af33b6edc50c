"""A program that oversees tic-tac-toe in each of the ways that it may, by the number of moves.

After 4n moves it plays the lowest free cell; after 4n + 1 it weighs the lowest and the highest,
more; after 4n + 2 it looks first and plays the highest; else it skips.
"""

import json
import sys


def say(answer):
    print(json.dumps(answer), flush=True)


for line in sys.stdin:
    message = json.loads(line)
    low, high = message["legal"][0], message["legal"][-1]
    match len(message["moves"]) % 4:
        case 0:
            say({"play": low})
        case 1:
            say({"weights": {str(low): 0.25, str(high): 0.75}, "value": 0.5})
        case 2:
            say({"look": [[low], [high]]})
            assert len(json.loads(sys.stdin.readline())["lines"]) == 2
            say({"play": high})
        case _:
            say({"skip": True})
