"""The worker started anew: a game's module is imported as it is now, and who waits is told."""

import asyncio
import os

from scripts.web.crew import Crew
from tests.support import ROOT

MODULE = """
import dataclasses
from games.tic_tac_toe import TicTacToe

@dataclasses.dataclass(frozen=True)
class Mine(TicTacToe):
    '''The {} version.'''
"""


async def answer(crew, op, **args):
    """Returns the last line of an answer."""
    lines = [line async for line in crew.ask(op, args)]
    return lines[-1]


def test_a_module_that_was_changed_is_loaded_again_and_who_waits_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    file = tmp_path / "changing.py"

    async def work():
        crew = Crew(["changing:Mine"], accelerator=False)
        crew.begin(asyncio.get_running_loop())
        try:
            told = []
            for version in ("first", "second"):
                file.write_text(MODULE.format(version))
                told.append(await answer(crew, "rules", game="changing:Mine"))
            waiting = asyncio.create_task(answer(crew, "check", game="connect_four", games=4096))
            await asyncio.sleep(0.5)
            crew.restart()
            told += [await waiting, await answer(crew, "rules", game="changing:Mine")]
            return told
        finally:
            crew.close()

    first, cached, interrupted, again = asyncio.run(work())
    versions = [line["result"]["documentation"] for line in (first, cached, again)]
    assert versions == [["The first version."], ["The first version."], ["The second version."]]
    assert "started anew" in interrupted["error"]
