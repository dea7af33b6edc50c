"""A program that oversees tic-tac-toe and does something else at each position; see the test.

It plays the lowest legal action where it plays at all.
"""

import json
import sys
import time

hangs = "hangs" in sys.argv
number = int(sys.argv[1]) if sys.argv[1:] and sys.argv[1].isdigit() else 0


def say(answer):
    print(answer if isinstance(answer, str) else json.dumps(answer), flush=True)


for line in sys.stdin:
    message = json.loads(line)
    lowest = message["legal"][0] if "legal" in message else None
    if hangs:
        time.sleep(60)
    match number:
        case 0:
            say({"look": [[lowest], message["legal"][-1:]]})
            found = json.loads(sys.stdin.readline())["lines"]
            assert [abs(line["value"]) <= 1 for line in found] == [True, True], found
            say({"play": lowest, "value": 0.25})
        case 1:
            say("I think so, too")
        case 2:
            say({"play": 99})
        case 3:
            say({"skip": True})
        case 4:
            say({"weights": {str(lowest): 0.75, str(message["legal"][-1]): 0.25}})
        case 5:
            say({"look": "everywhere"})
        case _:
            say({"play": lowest})
    number += 1
