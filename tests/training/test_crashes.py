"""A crash at any operation on files leaves a run that goes on from its last whole save."""

import shutil
import zlib

import numpy as np

from tests.planted.crashes import every_crash
from tests.support.checkpoints import examples, made
from training.config import RunConfig
from training.replay import ReplayBuffer
from training.settings import ReplayConfig
from training.storage.checkpoint import NO_LOGS, CheckpointStore
from training.storage.leftovers import recover
from training.storage.log import Log
from training.storage.run_folder import RunFolder


def save(folder, step, first, count):
    """Saves a step that adds some replay examples; returns when it is on the disk."""
    store = CheckpointStore(folder)
    if steps := store.steps():
        store.load(steps[-1])  # as a run does that goes on
    counters = {"step": step, "examples": first + count, "replay_oldest_kept": max(0, first - 10)}
    counters |= {"actor_step": 0}
    try:
        store.save(made(step)._replace(counters=counters), first, [examples(first, count)])
        store.wait()
    finally:
        store.close()


def examples_of(folder, step):
    saved = CheckpointStore(folder).load(step)
    buffer = ReplayBuffer(ReplayConfig(capacity=20, min_examples=5))
    buffer.restore(folder / "replay", saved.counters["examples"])
    return buffer.sample(np.random.default_rng(0), 200)["game_id"]


def crashes_of_a_save(tmp_path, step):
    """Yields the folder after a crash at each operation of saving `step` after 0, 5 and 7."""
    base, folder = tmp_path / "base", tmp_path / "run"
    for first, earlier in ((0, 0), (10, 5), (20, 7)):
        save(base, earlier, first, 10)

    def prepare():
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(base, folder)

    for k in every_crash(folder, prepare, lambda: save(folder, step, 30, 10)):
        yield k, folder


def test_a_crash_at_any_operation_of_a_save_leaves_the_old_state_or_the_new_one(tmp_path):
    seen, crashes = set(), 0
    for k, folder in crashes_of_a_save(tmp_path, step=9):
        crashes += 1
        recover(folder)
        newest = CheckpointStore(folder).steps()[-1]
        seen.add(newest)
        drawn = examples_of(folder, newest)
        assert drawn.max() == {7: 29, 9: 39}[newest], k
        for step in CheckpointStore(folder).steps():
            CheckpointStore(folder).load(step, with_replay=step >= newest - 2)
        left = [path.name for path in folder.rglob("*") if "." in path.name]
        assert not [name for name in left if name.endswith(("partial", "old", "removed"))], k
        # The run goes on, does the lost work again, and has nothing twice.
        RunFolder(folder).discard_after(0, NO_LOGS, CheckpointStore(folder).load(newest).chunks)
        if newest == 7:
            save(folder, 9, 30, 10)
        assert CheckpointStore(folder).steps()[-2:] == [7, 9], k
        assert examples_of(folder, 9).max() == 39
    assert seen == {7, 9}
    assert crashes > 20, "the crashes do not reach the save"


def test_a_crash_while_a_step_is_saved_again_keeps_one_of_the_two(tmp_path):
    for k, folder in crashes_of_a_save(tmp_path, step=7):
        recover(folder)
        assert CheckpointStore(folder).steps()[-1] == 7, k
        assert examples_of(folder, 7).max() in (29, 39), k


def test_a_crash_while_a_run_is_made_lets_the_same_command_make_it(tmp_path):
    folder = tmp_path / "run"

    def make():
        run = RunFolder(folder)
        if not run.exists():
            run.check_free()
        with run.lock():
            if run.exists():
                run.read_config()
                run.write_config(RunConfig())
            else:
                run.create(RunConfig(), "elsewhere@3")

    crashes = list(every_crash(folder, lambda: shutil.rmtree(folder, ignore_errors=True), make))
    assert len(crashes) > 3
    for k in every_crash(folder, lambda: None, make):  # each one after the other, on one folder
        if RunFolder(folder).exists():
            assert RunFolder(folder).read_config() == RunConfig(), k
            assert RunFolder(folder).source() == "elsewhere@3"
    make()
    assert RunFolder(folder).games.is_dir()


def test_a_log_that_was_shortened_or_blanked_goes_on_with_whole_lines(tmp_path):
    log = Log(tmp_path / "metrics.jsonl", max_bytes=100)
    for i in range(40):
        log.append(f'{{"kind": "x", "i": {i}}}\n')
    saved, last = log.size(), log.path.read_bytes()
    kept = 40 - last.count(b"\n")
    assert last.count(b"\n") > 1
    for left, newest in ((last[:-3], 38), (b"", kept - 1), (bytes(len(last)), kept - 1)):
        log.path.write_bytes(left)
        assert log.cut(saved, None, RunFolder(tmp_path).discarded) == "lines are missing"
        log.append('{"kind": "x", "i": 99}\n')
        assert [line["i"] for line in log.read()][-2:] == [newest, 99]


def test_a_change_anywhere_in_what_was_saved_of_a_log_is_told_and_nothing_else_is(tmp_path):
    log, discarded = Log(tmp_path / "metrics.jsonl", max_bytes=100), RunFolder(tmp_path).discarded
    seals = []
    for i in range(40):
        log.append(f'{{"kind": "x", "i": {i}}}\n')
        if i % 7 == 0:
            seals.append(log.seal())
    assert len(log.parts()) > 4
    for size, crc in seals:  # each seal is of all that stood there then
        text = "".join(part.read_text() for part in log.parts()).encode()
        assert zlib.crc32(text[:size]) == crc
    size, crc = seals[-1]
    for part in log.parts()[::2]:
        content = part.read_bytes()
        part.write_bytes(content.replace(b'"x"', b'"y"', 1))
        assert log.cut(size, crc, discarded) == "what stands there has changed", part
        part.write_bytes(content)
    for size, crc in reversed(seals):
        assert log.cut(size, crc, discarded) == ""
        assert log.seal() == (size, crc)


def test_a_log_whose_oldest_parts_were_removed_overwrites_no_other(tmp_path):
    log = Log(tmp_path / "metrics.jsonl", max_bytes=100)
    for i in range(20):
        log.append(f'{{"kind": "x", "i": {i}}}\n')
    log.parts()[0].unlink()
    first = log.read()[0]["i"]
    for i in range(20, 60):
        log.append(f'{{"kind": "x", "i": {i}}}\n')
    assert [line["i"] for line in log.read()] == list(range(first, 60))


def test_a_crash_while_late_lines_move_away_loses_and_repeats_none(tmp_path):
    folder = tmp_path / "run"
    lines = [f'{{"iteration": {i}}}\n' for i in range(40)]
    kept = sum(map(len, lines[:13]))

    def prepare():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        log = Log(folder / "metrics.jsonl", max_bytes=100)
        for line in lines:
            log.append(line)

    def cut():
        Log(folder / "metrics.jsonl").cut(kept, None, RunFolder(folder).discarded)

    def text(path):
        return "".join(part.read_text() for part in Log(path / "metrics.jsonl").parts())

    prepare()
    assert len(Log(folder / "metrics.jsonl").parts()) > 4
    for k in every_crash(folder, prepare, cut):
        cut()
        assert text(folder) == "".join(lines[:13]), k
        moved = "".join(sorted(p.read_text() for p in folder.glob("discarded/*/*")))
        assert all(line in moved for line in lines[13:]), k
