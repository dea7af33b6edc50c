"""The worker's process: lanes that do not wait for each other, requests cancelled, a death."""

import asyncio
import contextlib
import os
import signal
import time

from scripts.web.crew import Crew
from tests.support import ROOT

GAME = "tic_tac_toe"
FAST = {"game": GAME, "player": "uniform", "simulations": 8, "moves": [], "plies": 1}
# Minutes of work, if nobody stops it: each of its parts takes a while, none takes long.
DRAWN = [4, 0, 8, 2, 1, 7, 6, 3, 5]
LONG = {"game": GAME, "player": "uniform", "simulations": 3000, "moves": DRAWN}


def with_crew(work, *allowed):
    """Runs `work(crew)` with a worker, and ends it."""

    async def run():
        crew = Crew(allowed, accelerator=False)
        await crew.begin()
        try:
            return await asyncio.wait_for(work(crew), 120)
        finally:
            crew.close()

    return asyncio.run(run())


async def last(crew, op, args):
    return [line async for line in crew.ask(op, args)][-1]


def test_a_click_is_answered_while_a_long_question_is_under_way_and_a_queue_is_forgotten():
    async def work(crew):
        reviewing = asyncio.create_task(last(crew, "review", LONG))
        search = LONG | {"moves": []}
        analyses = [asyncio.create_task(last(crew, "analyse", search)) for _ in range(50)]
        position = await last(crew, "position", {"game": GAME, "moves": [4]})
        was_open = not reviewing.done()
        for task in (reviewing, *analyses):
            task.cancel()
        for task in (reviewing, *analyses):
            with contextlib.suppress(asyncio.CancelledError):
                await task
        answer = await last(crew, "analyse", FAST)
        began = time.monotonic()
        again = await last(crew, "analyse", FAST)
        return position, was_open, answer, again, time.monotonic() - began

    position, was_open, answer, again, seconds = with_crew(work)
    assert position["result"]["to_play"] == 1
    assert was_open
    assert len(answer["result"]["candidates"]) == 9
    assert again["result"] == answer["result"]
    assert seconds < 5  # none of the 50 is worked on any more


def test_a_worker_that_dies_is_said_to_who_waits_and_the_next_request_gets_another_one():
    async def work(crew):
        waiting = asyncio.create_task(last(crew, "review", LONG))
        first = await last(crew, "position", {"game": GAME, "moves": []})
        os.kill(crew._process.pid, signal.SIGKILL)
        told = await waiting
        return first, told, await last(crew, "position", {"game": GAME, "moves": [4]})

    first, told, second = with_crew(work)
    assert first["result"]["ply"] == 0
    assert "has ended" in told["error"]
    assert second["result"]["ply"] == 1


def test_a_fault_of_one_request_is_told_and_harms_no_other():
    async def work(crew):
        unknown = await last(crew, "no_such_question", {})
        wrong = await last(crew, "position", {"game": GAME, "moves": {"a": 1}})
        return unknown, wrong, await last(crew, "position", {"game": GAME, "moves": []})

    unknown, wrong, right = with_crew(work)
    assert "no_such_question" in unknown["error"]
    assert "moves" in wrong["error"]
    assert "result" in right


MODULE = """
import dataclasses
from games.tic_tac_toe import TicTacToe

@dataclasses.dataclass(frozen=True)
class Mine(TicTacToe):
    '''The {} version.'''
"""


def test_a_module_that_was_changed_is_loaded_anew_by_a_restart_and_who_waits_is_told(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))

    async def work(crew):
        told = []
        for version in ("first", "second"):
            (tmp_path / "changing.py").write_text(MODULE.format(version))
            told.append(await last(crew, "rules", {"game": "changing:Mine"}))
        waiting = asyncio.create_task(last(crew, "review", LONG))
        await asyncio.sleep(0.5)
        await crew.restart()
        return [*told, await waiting, await last(crew, "rules", {"game": "changing:Mine"})]

    first, cached, interrupted, again = with_crew(work, "changing:Mine")
    versions = [line["result"]["documentation"] for line in (first, cached, again)]
    assert versions == [["The first version."], ["The first version."], ["The second version."]]
    assert "started anew" in interrupted["error"]
