"""Engines and overseers' programs end with who started them, even if both ends are deaf."""

import gc
import os
import shlex
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from selfplay import children
from selfplay.gtp.engine import Engine
from selfplay.oversight.program import Program
from tests.support import ROOT
from tests.support.engines import is_running

# Answers whoever asks, as an engine and as a program, then hears nothing any more.
DEAF = """
import os, signal, subprocess, sys, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
with open(sys.argv[1], "a") as file:
    print(os.getpid(), child.pid, file=file, flush=True)
line = sys.stdin.readline()
print("=1 undo\\n" if "list" in line else "{}", flush=True)
sys.stdin.close()
time.sleep(600)
"""
OWNER = """
import sys, time
from concurrent.futures import ThreadPoolExecutor
from selfplay import children
from selfplay.gtp.engine import Engine
from selfplay.oversight.program import Program
engines = [lambda: Engine(sys.argv[1], [], 60.0)] * 2
with ThreadPoolExecutor(2) as workers:
    kept = list(workers.map(lambda start: start(), engines))
program = Program(sys.argv[1], 60.0)
program.ask({})
print(children._WATCHER.process.pid, flush=True)
action = sys.stdin.readline()
if action == "close\\n":
    for engine in kept:
        engine.kill()
    program.close()
if action == "restart\\n":
    kept.append(Engine(sys.argv[1], [], 60.0))
    print(children._WATCHER.process.pid, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def deaf(tmp_path):
    """The command of a deaf engine, and the file of its process and its child's."""
    script = tmp_path / "deaf.py"
    script.write_text(DEAF)
    file = tmp_path / "pids"
    return shlex.join([sys.executable, str(script), str(file)]), file


@pytest.fixture
def owner(deaf):
    """A process that has started deaf ones, and its watcher."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", OWNER, deaf[0]],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    watcher = int(process.stdout.readline())
    yield process, watcher
    process.kill()
    gone([watcher])
    for pid in filter(is_running, numbers(deaf[1])):  # a failed test leaves none either
        os.kill(pid, signal.SIGKILL)
    process.communicate()


def numbers(file):
    return [int(text) for text in file.read_text().split()]


def gone(pids, seconds=30.0):
    deadline = time.monotonic() + seconds
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not any(map(is_running, pids))


def test_deaf_processes_and_their_children_end_with_an_owner_that_is_killed(deaf, owner):
    process, watcher = owner
    pids = numbers(deaf[1])
    assert len(pids) == 6
    assert all(map(is_running, [*pids, watcher]))
    process.kill()
    assert gone([*pids, watcher])


def test_signals_to_a_whole_job_leave_the_watcher_that_ends_the_deaf(deaf, owner):
    process, watcher = owner
    time.sleep(0.3)  # it has begun to watch
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(watcher, number)
    time.sleep(0.3)
    assert is_running(watcher)
    process.kill()
    assert gone([*numbers(deaf[1]), watcher])


@pytest.mark.parametrize("action", ["close\n", "end\n"])
def test_an_owner_that_ends_leaves_nothing_and_warns_of_nothing(action, deaf, owner):
    process, watcher = owner
    _, errors = process.communicate(action, timeout=60)
    assert process.returncode == 0, errors
    assert "subprocess" not in errors
    assert not errors or action == "end\n"  # pipes that nobody closed
    assert gone([*numbers(deaf[1]), watcher], seconds=0 if action == "close\n" else 30)


def test_a_watcher_that_was_killed_has_a_successor_that_knows_all(deaf, owner):
    process, watcher = owner
    os.kill(watcher, signal.SIGKILL)
    assert gone([watcher])
    process.stdin.write("restart\n")
    process.stdin.flush()
    successor = int(process.stdout.readline())
    pids = numbers(deaf[1])
    assert len(pids) == 8
    assert successor != watcher
    process.kill()
    assert gone([*pids, successor])


def test_what_was_ended_is_forgotten_so_that_its_number_may_be_anothers(deaf, monkeypatch):
    killed = []
    real = os.killpg
    monkeypatch.setattr(os, "killpg", lambda *group: (killed.append(group), real(*group)))
    one, program = Engine(deaf[0], [], 60.0), Program(deaf[0], 60.0)
    program.ask({})
    for _ in range(2):
        one.kill()
        program.close()
    assert len(killed) == 2
    assert gone(numbers(deaf[1]))
    assert not children._WATCHER._groups & set(numbers(deaf[1]))


def test_a_watcher_ends_only_groups_that_were_not_ended_before():
    watcher = children.Watcher()
    sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
    groups = [subprocess.Popen(sleep, start_new_session=True) for _ in range(2)]
    watcher.begin()
    for group in groups:
        watcher.add(group.pid)
    watcher._groups.discard(groups[0].pid)
    watcher._tell(f"-{groups[0].pid}\n")
    watcher.close()
    assert groups[1].wait(30) == -signal.SIGKILL
    assert groups[0].poll() is None
    groups[0].kill()
    groups[0].wait()


def test_a_fork_of_the_owner_neither_keeps_its_processes_nor_ends_them(deaf):
    # In a process without threads: a fork of this one would warn.
    code = """
import os, signal, sys, time
from selfplay import children
words = [sys.executable, "-c", "import time; time.sleep(600)"]
process = children.start(words)
pid = os.fork()
if not pid:
    os.close(1), os.close(2)  # who reads them waits for their end
    children.end(process)  # not its own
    time.sleep(600)
time.sleep(0.5)
assert process.poll() is None
print(pid, process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    fork, started = map(int, done.stdout.split())
    try:
        assert gone([started])
        assert is_running(fork)
    finally:
        os.kill(fork, signal.SIGKILL)


def test_many_threads_start_and_end_processes_at_once_and_leave_none():
    words = [sys.executable, "-S", "-c", "import sys; sys.stdin.read()"]

    def work(_):
        process = children.start(words)
        children.end(process)
        return process

    with ThreadPoolExecutor(8) as workers:
        ended = list(workers.map(work, range(40)))
    assert all(process.returncode == -signal.SIGKILL for process in ended)
    assert not children._WATCHER._groups & {process.pid for process in ended}
    gc.collect()  # a pipe left open would warn


def test_a_process_that_does_not_start_is_an_error_and_leaves_no_trace():
    before = set(children._WATCHER._groups)
    with pytest.raises(OSError, match="no/such"):
        children.start(["/no/such/program"])
    assert children._WATCHER._groups == before


def test_when_an_owner_has_ended_normally_nothing_of_it_is_left_to_end():
    code = """
import atexit, sys
from selfplay import children
# Registered first, so called last.
atexit.register(lambda: print(process.wait(10), children._WATCHER.process, flush=True))
process = children.start([sys.executable, "-c", "import time; time.sleep(600)"])
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout == f"-{signal.SIGKILL:d} None\n", done.stderr


ADOPTER = """
import subprocess, sys
from selfplay import children
others = [subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) for _ in "123"]
children.end_with_us([others[0].pid])
children.end_with_us([others[1].pid])
if sys.argv[1] == "restart":
    children._WATCHER.process.kill()
    children._WATCHER.process.wait()
    children.end_with_us([others[1].pid])
print(*(other.pid for other in others), flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("way", ["plain", "restart"])
def test_processes_that_others_started_for_us_end_with_us_and_no_more_than_these(way):
    process = subprocess.Popen(
        [sys.executable, "-c", ADOPTER, way],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    *ours, other = map(int, process.stdout.readline().split())
    process.kill()
    process.wait()
    try:
        until = time.monotonic() + 10
        while any(map(is_running, ours)):
            assert time.monotonic() < until
            time.sleep(0.02)
        assert is_running(other)
    finally:
        os.kill(other, signal.SIGKILL)
        process.stdin.close()
        process.stdout.close()


@pytest.mark.parametrize("module", ["scripts.cli", "scripts.web.worker"])
def test_code_in_the_current_folder_runs_in_no_process_of_ours(tmp_path, module):
    for name in ("jax", "numpy", "json", "scripts/__init__", "games/__init__", "selfplay/__init__"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.py").write_text("open('ran', 'w')\n")
    words = [*children.our_module(module), "game", "list"]
    subprocess.run(words, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    assert not (tmp_path / "ran").exists()
