"""The compilation cache: it may save time, and must change nothing else."""

import os
import pathlib
import random
import subprocess
import sys
import zlib

import numpy as np
import pytest

from scripts.terminal import compilation_cache
from tests.support import ROOT, TINY_FLAGS
from training.storage.checkpoint import CheckpointStore


@pytest.fixture
def settings(monkeypatch):
    """The settings of jax as the cache sees them: on and not yet placed; nothing really changes."""
    changed = {}

    class Config:
        jax_compilation_cache_dir = None
        jax_enable_compilation_cache = True

        def update(self, name, value):
            changed[name] = value

    monkeypatch.setattr(compilation_cache.jax, "config", Config())
    return changed


def test_the_cache_lies_in_the_users_cache_folder_and_is_theirs_alone(
    settings, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compilation_cache.start()
    folder = pathlib.Path(settings["jax_compilation_cache_dir"])
    assert folder.parent == tmp_path / "selfplay" / "jax"
    assert folder.stat().st_mode & 0o077 == 0
    assert folder.parent.stat().st_mode & 0o077 == 0
    assert [path.name for path in folder.iterdir()] == [compilation_cache.CHECKED]
    assert capsys.readouterr().err == ""


def test_a_cache_that_the_user_placed_or_switched_off_is_left_alone(settings, monkeypatch):
    monkeypatch.setattr(compilation_cache.jax.config, "jax_compilation_cache_dir", "/there")
    compilation_cache.start()
    monkeypatch.setattr(compilation_cache.jax.config, "jax_compilation_cache_dir", None)
    monkeypatch.setattr(compilation_cache.jax.config, "jax_enable_compilation_cache", False)
    compilation_cache.start()
    assert not settings


def test_a_cache_without_a_folder_or_space_is_a_warning(settings, tmp_path, monkeypatch, capsys):
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(file))
    compilation_cache.start()
    assert "warning: no compilation cache" in capsys.readouterr().err
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(compilation_cache, "LEAST_FREE", 10**18)
    compilation_cache.start()
    assert "of space left" in capsys.readouterr().err
    assert not settings


PROGRAM = random.Random(0).randbytes(5000) + bytes(300_000)
ZLIB = zlib.compress(PROGRAM)
# Blocks of all three kinds under all kinds of headers, put together by hand as RFC 8878 has them:
# this Python may have no zstd.
RAW = (4000 << 3 | 0 << 1).to_bytes(3, "little") + PROGRAM[:4000]
SAME = (100_000 << 3 | 1 << 1).to_bytes(3, "little") + b"\0"
LAST = (12 << 3 | 2 << 1 | 1).to_bytes(3, "little") + bytes(range(12))
BLOCKS = RAW + SAME + LAST
ZSTD = {
    "single segment, 4 bytes of size": b"\x28\xb5\x2f\xfd\xa0" + bytes(4) + BLOCKS,
    "window, no size": b"\x28\xb5\x2f\xfd\x00\x50" + BLOCKS,
    "window, 8 bytes of size": b"\x28\xb5\x2f\xfd\xc0\x50" + bytes(8) + BLOCKS,
    "single segment, 1 byte, checksum": b"\x28\xb5\x2f\xfd\x24" + bytes(1) + BLOCKS + bytes(4),
}


@pytest.mark.parametrize("whole", [ZLIB, *ZSTD.values()], ids=["zlib", *ZSTD])
def test_an_entry_cut_anywhere_is_removed_at_the_next_start_and_a_whole_one_stays(whole, tmp_path):
    entry = tmp_path / "jit_f-00-cache"
    for length in {0, 1, 4, 5, 6, 9, len(whole) // 2, len(whole) - 5, len(whole) - 1}:
        entry.write_bytes(whole[:length])
        compilation_cache.drop_damaged(tmp_path)
        assert not entry.exists(), length
    entry.write_bytes(whole)
    other = tmp_path / "notes.txt"
    other.write_text("not an entry")
    compilation_cache.drop_damaged(tmp_path)
    assert entry.read_bytes() == whole
    assert other.exists()


def test_each_entry_is_checked_once(tmp_path, monkeypatch):
    for i in range(5):
        (tmp_path / f"jit_f-{i}-cache").write_bytes(ZLIB)
        os.utime(tmp_path / f"jit_f-{i}-cache", (1e9, 1e9))
    read = []
    whole = compilation_cache._is_whole
    monkeypatch.setattr(compilation_cache, "_is_whole", lambda e: read.append(e) or whole(e))
    compilation_cache.drop_damaged(tmp_path)
    assert len(read) == 5
    compilation_cache.drop_damaged(tmp_path)
    assert len(read) == 5
    (tmp_path / "jit_f-9-cache").write_bytes(ZLIB[:-1])  # new
    compilation_cache.drop_damaged(tmp_path)
    assert len(read) == 6
    assert len(list(tmp_path.glob("*-cache"))) == 5


def test_an_entry_that_jax_wrote_and_a_kill_cut_is_mended_without_a_warning(tmp_path):
    program = "import jax; print(jax.jit(lambda x: x * 3 + 1)(2))"
    environment = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }

    def compute():
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return done.stdout.strip(), "cache" in done.stderr

    assert compute() == ("7", False)
    compilation_cache.drop_damaged(tmp_path)
    entries = sorted(tmp_path.glob("*-cache"))
    assert entries, "what jax writes counts as whole"
    entries[0].write_bytes(entries[0].read_bytes()[:-9])
    assert compute() == ("7", True), "jax warns of a cut entry, or this test tests nothing"
    compilation_cache.drop_damaged(tmp_path)
    assert compute() == ("7", False)
    assert sorted(tmp_path.glob("*-cache")) == entries, "it was written anew"


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o1777])
def test_a_cache_that_others_may_write_to_is_not_used(
    mode, settings, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = compilation_cache._folder()
    folder.mkdir(parents=True)
    folder.chmod(mode)
    compilation_cache.start()
    said = capsys.readouterr().err
    assert f"warning: no compilation cache, {folder} may be written by others" in said
    assert len(said.splitlines()) == 1
    assert not settings
    assert not list(folder.iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_cache_of_another_user_is_not_used(settings, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = compilation_cache._folder()
    folder.mkdir(mode=0o700, parents=True)
    os.chown(folder, 4242, -1)
    compilation_cache.start()
    assert f"{folder} belongs to user 4242, whose programs" in capsys.readouterr().err
    assert not settings
    assert not list(folder.iterdir())


@pytest.mark.slow
def test_a_run_is_the_same_bit_by_bit_without_a_cache_and_with_one_empty_or_full(tmp_path):
    caches = {"none": None, "empty": tmp_path / "cache", "full": tmp_path / "cache"}
    found = {}
    for name, cache in caches.items():
        on = {"JAX_ENABLE_COMPILATION_CACHE": "true" if cache else "false"}
        environment = os.environ | on | {"XDG_CACHE_HOME": str(cache), "PYTHONPATH": str(ROOT)}
        environment.pop("JAX_COMPILATION_CACHE_DIR", None)
        argv = ["train", *TINY_FLAGS, "--run-dir", str(tmp_path / name), "--iterations", "8"]
        command = [sys.executable, "-c", "from scripts.cli import main; main()", *argv]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        store = CheckpointStore(tmp_path / name)
        saved = store.load(store.steps()[-1])
        found[name] = saved.train_state | saved.games
    assert list((tmp_path / "cache" / "selfplay").rglob("*-cache")), "nothing was cached"
    for name in ("empty", "full"):
        assert found[name].keys() == found["none"].keys()
        for leaf, value in found["none"].items():
            np.testing.assert_array_equal(found[name][leaf], value, err_msg=f"{name}: {leaf}")
