"""Passing faults of the machine: they stop a run, and no save is set aside as damaged."""

import concurrent.futures
import contextlib
import errno
import hashlib
import io
import json
import os
import pathlib
import re
import shutil
import zipfile

import numpy as np
import pytest

import training
from scripts import cli
from selfplay.files import durable, npz
from tests.support.checkpoints import read_chunk
from training import replay
from training.imitation import fit
from training.storage import checkpoint, leftovers, recovery, run_folder
from training.storage.checkpoint import CheckpointStore
from training.storage.manifest import FILES, CheckpointError, DamagedError, sha256
from training.storage.run_folder import RunFolder


@pytest.fixture
def run(tiny_run, tmp_path):
    shutil.copytree(tiny_run, tmp_path / "run")
    return tmp_path / "run"


def newest(run):
    return run / "checkpoints" / str(training.checkpoint_steps(run)[-1])


def load(run):
    folder, store = RunFolder(run), CheckpointStore(run)
    try:
        return recovery.last_good(folder, store, pytest.fail)
    finally:
        store.close()


NO_MEMORY, NO_HANDLE = MemoryError(), OSError(errno.EMFILE, "Too many open files")
BAD_DISK, NO_THREAD = OSError(errno.EIO, "I/O error"), RuntimeError("can't start new thread")
NO_CODEC = LookupError("unknown encoding: cp437")
PASSING = {
    "no memory for the weights": (npz, "read", NO_MEMORY),
    "no memory for a member": (np.lib.format, "read_array", NO_MEMORY),
    "no handle": (io, "open", NO_HANDLE),
    "no text": (pathlib.Path, "read_text", BAD_DISK),
    "no sum": (hashlib, "file_digest", BAD_DISK),
    "no look at a file": (pathlib.Path, "stat", BAD_DISK),
    "no thread": (np, "load", NO_THREAD),
    "no codec": (zipfile, "ZipFile", NO_CODEC),
    "no memory for JSON": (json, "loads", NO_MEMORY),
}


def fail_at(monkeypatch, owner, name, error, call):
    """Makes the call of that number raise the error, once."""
    real, calls = getattr(owner, name), []

    def failing(*args, **kwargs):
        calls.append(args)
        if len(calls) == call:
            raise error
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, name, failing)
    return calls


@pytest.mark.parametrize("name", PASSING)
def test_a_passing_fault_at_any_call_of_loading_passes_through_and_moves_nothing(
    name, run, monkeypatch
):
    owner, attribute, error = PASSING[name]
    before = sorted(run.rglob("*"))
    for call in range(1, 200):
        with monkeypatch.context() as patch:
            calls = fail_at(patch, owner, attribute, error, call)
            try:
                load(run)
            except type(error) as caught:
                assert caught is error, call  # noqa: PT017 - at the last call there is none
        if len(calls) < call:
            break
    assert call > 1, "the fault met no call"
    assert sorted(run.rglob("*")) == before
    assert load(run).step == training.checkpoint_steps(run)[-1]


def test_a_passing_fault_ends_the_command_with_1_and_the_same_command_goes_on(
    run, monkeypatch, capsys
):
    owner, attribute, error = PASSING["no sum"]
    command = ["train", "--run-dir", str(run), "--iterations", "5", "--evaluation.every", "0"]
    kept = newest(run)
    with monkeypatch.context() as patch:
        fail_at(patch, owner, attribute, error, 1)
        assert cli.run(command[:5]) == 1
    assert "Traceback" not in capsys.readouterr().err
    assert kept.is_dir()
    assert not (run / "discarded").exists()
    assert cli.run(command[:5]) == 0


def test_stray_files_condemn_no_checkpoint(run):
    names = [".DS_Store", ".nfs00000000a1", "counters.json~", "Thumbs.db", "notes/mine.txt"]
    names += ["train_state/.DS_Store", "../notes.txt", "../../.DS_Store", "../../replay/Thumbs.db"]
    for name in names:
        path = newest(run) / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"\0\0\0\1Bud1")
    assert load(run).step == training.checkpoint_steps(run)[-1]
    assert training.load_player(run, simulations=0)


@pytest.mark.parametrize("name", sorted(FILES))
def test_what_a_save_always_has_is_never_read_unlisted(name, run):
    path = newest(run) / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["files"][name]
    path.write_text(json.dumps(manifest))
    with pytest.raises(DamagedError, match=rf"it does not list {name}"):
        CheckpointStore(run).load(int(newest(run).name))


def test_editors_and_backups_lie_about_a_run_unharmed(run):
    links = [run / ".#config.json", run / "games" / ".#self_play.jsonl", newest(run) / ".#x"]
    for link in links:
        link.symlink_to("nobody@elsewhere.17:1")
    (run / "checkpoints" / "4913").write_text("")  # vim tries whether it may write
    backups = [run / "metrics-20260101.jsonl", run / "replay" / "\N{SUPERSCRIPT TWO}-7.npz"]
    backups += [run / "replay" / "0-5.npz"]
    for backup in backups:
        backup.write_bytes(b"mine")
    with RunFolder(run).lock():
        assert load(run).step == int(newest(run).name)
    assert RunFolder(run).read_metrics(pytest.fail)
    CheckpointStore(run)._apply_retention()
    assert all(path.is_symlink() for path in links)
    assert all(path.read_bytes() == b"mine" for path in backups)


def test_what_a_kill_left_is_known_by_its_name_and_nothing_else_goes(run, tmp_path):
    """Links may lead where other things lie."""
    home = tmp_path / "home"
    home.mkdir()
    for part in ("checkpoints", "replay"):
        shutil.rmtree(run / part)
        (run / part).symlink_to(home)
    others = ["movie.mkv.partial", "a.removed", "notes", "notes.old", "taxes.old", "0-5.npz"]
    ours = ["7.partial", "7.12-0123abcd.partial", "8.removed", f"{0:012}-{9:012}.npz.partial"]
    for name in (*others, *ours):
        (home / name).mkdir()
    (run / "film.partial").write_text("mine")
    leftovers.recover(run)
    assert sorted(path.name for path in home.iterdir()) == sorted(others)
    assert (run / "film.partial").exists()


@pytest.mark.parametrize("away", ["a link without its disk", "an empty disk", "no list"])
def test_a_run_whose_checkpoints_are_away_does_not_begin_anew(away, run, tmp_path, monkeypatch):
    (run / "checkpoints").rename(tmp_path / "disk")
    (run / "checkpoints").symlink_to(tmp_path / "disk")
    if away != "no list":
        (tmp_path / "disk").rename(tmp_path / "away")
    if away == "an empty disk":
        (tmp_path / "disk").mkdir()
    before = sorted(run.rglob("*"))
    command = ["train", "--run-dir", str(run)]
    with monkeypatch.context() as patch:
        if away == "no list":
            denied = PermissionError(errno.EACCES, "Permission denied")
            fail_at(patch, os, "listdir", denied, 1)
        assert cli.run(command) == 1
    assert sorted(run.rglob("*")) == before
    if away == "an empty disk":
        (tmp_path / "disk").rmdir()
    if away != "no list":
        (tmp_path / "away").rename(tmp_path / "disk")
    assert load(run).step == int(newest(run).name)


@pytest.mark.parametrize("name", ["../../../outside", "/etc/hostname"])
def test_a_manifest_that_leads_out_of_its_checkpoint_is_damaged(name, run):
    path = newest(run) / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"][name] = "0" * 64
    path.write_text(json.dumps(manifest))
    with pytest.raises(DamagedError, match="is no file of the checkpoint"):
        CheckpointStore(run).load(training.checkpoint_steps(run)[-1])


@pytest.mark.parametrize("name", [".", "train_state", "games.npz"])
def test_a_link_in_a_checkpoint_is_none_of_its_files(name, run, tmp_path):
    path = newest(run) / name if name != "." else newest(run)
    path.rename(tmp_path / "moved")
    path.symlink_to(tmp_path / "moved")
    with pytest.raises(DamagedError, match="is a link"):
        CheckpointStore(run).load(int(newest(run).name))


CRAFTED = {
    "counters.json": [
        {},
        {"examples": "many", "replay_oldest_kept": 0, "actor_step": 0},
        {"examples": 1, "replay_oldest_kept": 0, "actor_step": None},
    ],
    "logs.json": [
        {"sizes": []},
        {"sizes": {"metrics": "x"}},
        {"losses": [[]]},
        {"losses": [{"policy_loss": "x"}]},
        {"line": {"kind": "iteration"}},
        {"line": 7},
    ],
}


@pytest.mark.parametrize(
    ("name", "content"), [(name, c) for name, contents in CRAFTED.items() for c in contents]
)
def test_what_is_of_another_form_under_right_sums_is_an_error_with_its_file(name, content, run):
    folder = newest(run)
    (folder / name).write_text(json.dumps(content))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][name] = sha256(folder / name)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match=rf"{folder.name} .*: {name}: '"):
        CheckpointStore(run).load(int(folder.name))


# ---- a run knows what is its own ----------------------------------------------------------------


def test_another_run_s_checkpoints_and_examples_are_refused_and_stay(run, tiny_config, tmp_path):
    other = RunFolder(tmp_path / "other")
    other.create(tiny_config)
    assert len({other.run_id(), RunFolder(run).run_id()} - {""}) == 2
    for part in ("checkpoints", "replay"):
        shutil.copytree(run / part, other.path / part)
    before = sorted(other.path.rglob("*"))
    with pytest.raises(CheckpointError, match=r"is another run's .*: put this run's own"):
        load(other.path)
    with pytest.raises(CheckpointError, match="is another run's"):
        training.load_player(other.path)
    (_, _, chunk), *_ = replay.chunks(other.path / "replay")
    with pytest.raises(ValueError, match=r"npz is another run's"):
        read_chunk(chunk, other.run_id())
    assert sorted(other.path.rglob("*")) == before


def test_retention_removes_no_folder_that_is_not_this_run_s(run, tiny_config, tmp_path):
    other = RunFolder(tmp_path / "other")
    other.create(tiny_config)
    (other.path / "checkpoints").symlink_to(run / "checkpoints")
    (run / "checkpoints" / "5").mkdir()
    before = sorted((run / "checkpoints").iterdir())
    CheckpointStore(other.path)._apply_retention()
    assert sorted((run / "checkpoints").iterdir()) == before


# ---- one writer ----------------------------------------------------------------------------------


@pytest.fixture
def no_locks(monkeypatch):
    """As where locks do not reach other machines."""
    monkeypatch.setattr(durable.fcntl, "flock", lambda *_: None)


def test_of_two_trainers_of_one_name_the_first_writes_nothing_more(run, no_locks):
    first, second = RunFolder(run), RunFolder(run)
    lines = (run / "metrics.jsonl").read_text()
    started = int(re.search(r", start (\d+), ", (run / "lock").read_text())[1])
    with first.lock():
        first.append_metrics({"kind": "note"})
        with second.lock():
            pass
        for write in (
            lambda: first.append_metrics({"kind": "note"}),
            lambda: first.logs["self_play"].append("{}\n"),
            first.check_held,
        ):
            with pytest.raises(CheckpointError, match="has been taken over by process"):
                write()
    assert (run / "metrics.jsonl").read_text() == lines + '{"kind": "note"}\n'
    assert (run / "lock").read_text().count(f", start {started + 2}, ") == 1


@pytest.mark.parametrize("moment", ["before it", "when all of it is written"])
def test_a_save_gets_its_name_only_while_the_run_is_held(moment, run, no_locks, monkeypatch):
    first, store = RunFolder(run), CheckpointStore(run)
    saved = store.load(int(newest(run).name))

    def take_over(*_):
        (run / "lock").write_text("process 1 on elsewhere, start 9, 0123456789abcdef\n")

    with first.lock():
        store.check_held = first.check_held
        if moment == "before it":
            take_over()
        else:
            monkeypatch.setattr(durable, "sync_tree", take_over)
        store.save(saved._replace(step=999), 0, None)
        with pytest.raises(CheckpointError, match="taken over by process 1 on elsewhere:"):
            store.wait()
    store.close()
    assert not (run / "checkpoints" / "999").exists()


def test_what_a_kill_left_is_removed_before_anything_is_written(run, monkeypatch):
    """The disk may be full of it."""
    shutil.copytree(newest(run), run / "checkpoints" / "999.1-0123abcd.partial")
    (run / "config.json.7-0123abcd.partial").write_text("{")
    monkeypatch.setattr(run_folder.durable, "write_whole", pytest.fail)
    with RunFolder(run).lock():
        assert not list(run.rglob("*.partial"))
        RunFolder(run).write_config(RunFolder(run).read_config())  # nothing is new: not written


def test_two_processes_that_write_one_file_do_not_share_what_is_half_written(tmp_path):
    path = tmp_path / "file"

    def slowly(file):
        file.write(b"first ")
        durable.write_whole(path, b"second")
        file.write(b"whole")

    durable.write_whole(path, slowly)
    assert path.read_bytes() == b"first whole"
    assert [left.name for left in tmp_path.iterdir()] == ["file"]


def test_a_file_that_cannot_be_written_stays_and_nothing_half_written_is_left(tmp_path):
    path = tmp_path / "file"
    durable.write_whole(path, b"old")

    def full(file):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(durable.WriteError, match=r"cannot write .*file \(No space.*then give the"):
        durable.write_whole(path, full)
    assert path.read_bytes() == b"old"
    assert [left.name for left in tmp_path.iterdir()] == ["file"]


def test_runs_that_begin_at_once_without_a_name_get_one_each(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        made = list(pool.map(run_folder.reserve, ["go:size=5"] * 24))
    names = sorted(str(folder.path) for folder in made)
    assert names == sorted(f"runs/go-size-5-{n}" for n in range(1, 25))


def test_an_imitation_whose_name_was_taken_meanwhile_keeps_its_fit(tiny_config, tmp_path):
    folder, weights = RunFolder(tmp_path / "run"), None
    folder.path.mkdir()
    (folder.path / "mine").touch()
    with pytest.raises(OSError, match="was taken meanwhile") as error:
        fit.make_run(folder, tiny_config, weights, {"kind": "imitation"})
    assert training.checkpoint_steps(str(error.value).rpartition(" ")[2]) == [0]
    assert [path.name for path in folder.path.iterdir()] == ["mine"]


def test_all_folders_of_a_run_are_on_the_disk_after_its_first_save(
    tiny_config, tmp_path, monkeypatch
):
    synced, fsync = set(), os.fsync

    def note(descriptor):
        synced.add(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    folder = RunFolder(tmp_path / "runs" / "new")
    folder.create(tiny_config)
    folder.append_metrics({"kind": "note"})
    folder.logs["self_play"].append("{}\n")
    store = CheckpointStore(folder.path)
    store.sync_logs = folder.sync_logs
    counters = {"examples": 0, "replay_oldest_kept": 0, "actor_step": 0}
    arrays = {"x": np.zeros(3, np.float32)}
    store.save(checkpoint.Checkpoint(0, arrays, {"y": np.zeros(2)}, counters), 0, None)
    store.wait()
    store.close()
    wanted = ["", "runs", "runs/new", "runs/new/checkpoints", "runs/new/games"]
    wanted += ["runs/new/metrics.jsonl", "runs/new/games/self_play.jsonl"]
    assert {str(tmp_path / name) for name in wanted} <= synced


# ---- memory --------------------------------------------------------------------------------------


def resident():
    """Returns the bytes of memory that this process holds."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc")
def test_loads_and_saves_keep_no_memory(run):
    steps = training.checkpoint_steps(run)
    store = CheckpointStore(run)
    saved = store.load(steps[-1])

    def both():
        for step in steps:
            store.load(step)
            training.load_player(run, simulations=0, checkpoint=step)
        store.save(saved, 0, None)
        store.wait()

    for _ in range(5):
        both()
    before = resident()
    for _ in range(20):
        both()
    with contextlib.closing(store):
        assert resident() - before < 4e6  # orbax kept 2 MB a load, and 0.1 a save
