"""Faults of long runs: each gets its sentence, and none loses a save.

A row injects one fault into a real run folder, then gives a real command.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scripts import cli
from selfplay import self_play
from selfplay.files.durable import WriteError
from tests.support.checkpoints import made as made_checkpoint
from tests.support.runs import assert_same, run_once
from training import learner, non_finite
from training.evaluation import in_run, ladder
from training.evaluation.train_run import train_folder
from training.settings import CheckpointConfig
from training.storage.checkpoint import CheckpointStore, NonFiniteError
from training.storage.manifest import CheckpointError
from training.storage.run_folder import RunFolder

GO_ON = ["train", "--run-dir", "{run}", "--iterations", "4"]
REPORT = ["runs", "{run}"]
PLUG_IN = """
import dataclasses
from games.tic_tac_toe import TicTacToe

@dataclasses.dataclass(frozen=True)
class Raises(TicTacToe):
    def observe(self, state):
        raise KeyError("no such tile")

@dataclasses.dataclass(frozen=True)
class GivesNan(TicTacToe):
    def returns(self, state):
        return super().returns(state) * float("nan")

def player(states, key, history):
    raise RuntimeError("the engine has gone")

def asks(variables, states, key, history):
    return {}["no such board"]

def branches(variables, states, key):
    if states.to_play[0] == 0:
        return None

branches.on_device = True

def no_loss(predicted, batch, value_target):
    import json
    return json.loads("")
"""


@pytest.fixture(scope="module", autouse=True)
def compiled_once():
    """Lets all runs of this file share what they compile: their games tell them apart."""
    made = {}

    def share(make):
        def once(first, second, config, *rest):
            key = (make, str(first), str(second), config) if rest else (make, first, config)
            if key not in made:
                made[key] = make(first, second, config, *rest)
            return made[key]

        return once

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(self_play, "make_amplified_play", share(self_play.make_amplified_play))
        patch.setattr(learner, "make_train_step", share(learner.make_train_step))
        yield


@pytest.fixture(scope="module")
def config(tiny_config):
    """Of runs of three iterations with a save after each, as small as they can be."""
    return dataclasses.replace(
        tiny_config,
        iterations=3,
        network=dataclasses.replace(tiny_config.network, blocks=0),
        search=dataclasses.replace(tiny_config.search, simulations=2),
        evaluation=dataclasses.replace(tiny_config.evaluation, every=0),
        checkpoint=CheckpointConfig(every_seconds=1e-6, keep_newest=3),
    )


@pytest.fixture(scope="module")
def made(config, tmp_path_factory):
    """A run of three iterations, and the same one after the fourth."""
    folder = tmp_path_factory.mktemp("made")
    run_once(folder / "three", config)
    shutil.copytree(folder / "three", folder / "four")
    run_once(folder / "four", dataclasses.replace(config, iterations=4))
    return folder


@pytest.fixture
def run(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    shutil.copytree(made / "three", tmp_path / "run")
    (tmp_path / "faulty.py").write_text(PLUG_IN)
    sys.modules.pop("faulty", None)
    return tmp_path / "run"


def newest(run, name):
    return next((run / "checkpoints" / str(CheckpointStore(run).steps()[-1])).rglob(name))


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def cut(path):
    os.truncate(path, path.stat().st_size // 2)


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def tensors(run):
    """The largest file of the newest checkpoint's weights."""
    folder = newest(run, "train_state")
    return max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def chunk(run, number):
    return sorted((run / "replay").iterdir())[number]


def pipe(path):
    """Puts a pipe in a file's place: to open it waits for ever."""
    path.unlink()
    os.mkfifo(path)


def newer_format(run):
    manifest = newest(run, "manifest.json")
    change(manifest, '"format_version": 1', '"format_version": 2')


def of_another_network(run):
    """Puts a whole checkpoint of another run in the place of the newest."""
    store, step = CheckpointStore(run), CheckpointStore(run).steps()[-1]
    saved = store.load(step)
    arrays = {name: x for name, x in saved.train_state.items() if "policy/kernel" not in name}
    store.save(saved._replace(train_state=arrays), 0, None)
    store.close()
    store.wait()


def lose_newest(run):
    manifest = newest(run, "manifest.json")
    manifest.rename(run / "manifest-lost.json")


class Row(NamedTuple):
    """A fault: how it comes about, then a command, its exit code and what it says on stderr."""

    inject: object
    command: list[str]
    code: int
    said: str


FALL_BACK = r"going on from step \d+; step \d+ is now in .*discarded"
FAULTS = {
    "weights bit-flipped": Row(lambda r: flip(tensors(r)), GO_ON, 0, FALL_BACK),
    "manifest lost": Row(lose_newest, GO_ON, 0, FALL_BACK),
    "newest chunk lost": Row(lambda r: chunk(r, -1).unlink(), GO_ON, 0, FALL_BACK),
    "empty checkpoint folder": Row(
        lambda r: (r / "checkpoints" / "999").mkdir(), GO_ON, 0, FALL_BACK
    ),
    "oldest chunk bit-flipped": Row(
        lambda r: flip(chunk(r, 0)), GO_ON, 1, r"\.npz is damaged.*from a copy.*--from \S+@\d+"
    ),
    "oldest chunk lost": Row(
        lambda r: chunk(r, 0).unlink(), GO_ON, 1, r"\.npz is missing.*from a copy.*--from \S+@\d+"
    ),
    "checkpoint of a newer version": Row(newer_format, GO_ON, 1, r"has format 2, .*reads 1: use"),
    "checkpoint of another network": Row(
        of_another_network, GO_ON, 1, r"does not fit this configuration: \d+ arrays differ"
    ),
    "config cut": Row(
        lambda r: cut(r / "config.json"), GO_ON, 2, r"config.json is damaged: .*; copy \S+/config"
    ),
    "config lost": Row(
        lambda r: (r / "config.json").unlink(),
        GO_ON,
        2,
        r"config.json is missing; copy \S+/config.json over it",
    ),
    "config is a pipe": Row(
        lambda r: pipe(r / "config.json"), REPORT, 1, "config.json is a folder, a"
    ),
    "games are a pipe": Row(
        lambda r: pipe(r / "games" / "self_play.jsonl"), GO_ON, 1, "self_play.jsonl is a folder, a"
    ),
    "lock is no text": Row(lambda r: (r / "lock").write_bytes(b"\xff\xfe"), GO_ON, 0, "done: "),
    "metrics line damaged": Row(
        lambda r: change(r / "metrics.jsonl", '"kind"', '"kind'),
        REPORT,
        2,
        r"metrics.jsonl, line 1: not JSON: .*remove that line",
    ),
    "metrics line damaged, going on": Row(
        lambda r: change(r / "metrics.jsonl", '"iteration": 1', '"iteration": 7'),
        GO_ON,
        0,
        r"metrics.jsonl is not as it was saved: what stands there has changed",
    ),
    "metrics line cut by a kill": Row(
        lambda r: os.truncate(r / "metrics.jsonl", (r / "metrics.jsonl").stat().st_size - 9),
        REPORT,
        0,
        "",
    ),
    "metrics lost": Row(
        lambda r: (r / "metrics.jsonl").unlink(),
        GO_ON,
        0,
        r"metrics.jsonl is not as it was saved: lines are missing",
    ),
    "a file where the folder should be": Row(
        lambda r: (shutil.rmtree(r), r.write_text("mine")), GO_ON, 2, "is a file"
    ),
    "run folder moved, a link in its place": Row(
        lambda r: r.rename(r.with_name("moved")) and r.symlink_to("moved"), GO_ON, 0, "done: "
    ),
    "a plug-in game raises": Row(
        lambda r: None,
        ["train", "--game", "faulty:Raises", "--run-dir", "new", "--iterations", "2"],
        2,
        r"KeyError: 'no such tile' \(at .*faulty.py:8\)",
    ),
    "a plug-in game gives NaN": Row(
        lambda r: None,
        [
            *("train", "--game", "faulty:GivesNan", "--run-dir", "new", "--iterations", "2"),
            *("--network.blocks", "0", "--search.simulations", "2", "--self-play.batch", "16"),
        ],
        2,
        r"game 'faulty:GivesNan' breaks the law of returns: expected returns that sum to zero and "
        r"lie in \[-1, 1\]; found \[nan, nan\]; selfplay game check faulty:GivesNan shows all",
    ),
    "a plug-in player raises": Row(
        lambda r: None,
        ["arena", "{run}", "faulty:player", "--games", "2", "--simulations", "2"],
        1,
        r"player 'faulty:player' raised RuntimeError: the engine has gone \(at .*faulty.py:16\)",
    ),
    **{
        f"a plug-in {slot} {name}": Row(
            lambda r: None,
            ["train", *("--game", game, "--run-dir", "new"), f"--{slot}", f"faulty:{name}"],
            1,
            rf"{slot} 'faulty:{name}' raised {said} \(at .*faulty.py:\d+\)",
        )
        for slot, name, said, game in (
            ("amplify", "asks", "KeyError: 'no such board'", "tic_tac_toe"),
            ("amplify", "branches", "TracerBoolConversionError: Attempted.*", "connect_four"),
            ("distil", "no_loss", "JSONDecodeError: Expecting value: .*", "tic_tac_toe"),
        )
    },
    "solved positions damaged": Row(
        lambda r: (r / "solved").write_bytes(b"\x1f\x8b" + bytes(90)),
        ["evaluate", "{run}", "--against", "perfect", "--positions", "{run}/solved"],
        2,
        "solved: not a whole gzip file",
    ),
    "nowhere to write the report": Row(
        lambda r: (r / "report").write_text("in the way"),
        ["runs", "{run}", "--png"],
        1,
        "run/report",
    ),
}


def saves(folder):
    """Returns the sums of all replay chunks, and the steps of all checkpoints, moved or not."""
    chunks = {hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*-*.npz")}
    parents = [p.parent.name for p in folder.rglob("train_state")]
    return chunks, {int(name.removeprefix("checkpoint-")) for name in parents if name[-1] != "l"}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_has_its_sentence_and_loses_no_save(name, run, made, capsys):
    row = FAULTS[name]
    row.inject(run)
    chunks, steps = saves(run.parent)
    code = cli.run([word.format(run=run) for word in row.command])
    said = " ".join(capsys.readouterr().err.split())
    assert code == row.code, said
    assert re.search(row.said, said), said
    assert "Traceback" not in said
    after_chunks, after_steps = saves(run.parent)
    assert chunks <= after_chunks, "a replay chunk is gone"
    assert max(steps, default=0) <= max(after_steps, default=0), "a checkpoint is gone"
    if code == 0 and row.command is GO_ON and "metrics" not in name:
        assert_same(run.resolve(), made / "four")


@contextlib.contextmanager
def mounted(path, *options):
    """A small file system of memory on `path`; skips the test where that is not allowed."""
    path.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", path], capture_output=True
    )
    if done.returncode:
        pytest.skip("needs the right to mount a file system")
    try:
        yield lambda *new: subprocess.run(
            ["mount", "-o", ",".join(("remount", *new)), path], check=True
        )
    finally:
        subprocess.run(["umount", "-l", path], check=True)


def test_a_full_disk_stops_the_run_with_advice_and_once_there_is_room_it_goes_on(
    config, run, made, tmp_path, capsys
):
    with mounted(tmp_path / "small", "size=4m") as remount:
        path = tmp_path / "small" / "run"
        shutil.copytree(run, path)
        room = shutil.disk_usage(path).free
        for left in (0, 30_000, 60_000):  # full for the log, for a replay chunk, for weights
            filler = path.parent / "filler"
            filler.write_bytes(bytes(max(room - left, 0) // 4096 * 4096))
            assert cli.run(["train", "--run-dir", str(path), "--iterations", "4"]) == 1
            said = " ".join(capsys.readouterr().err.split())
            assert re.search(r"cannot write \S+ \(.*No space left on device", said), said
            assert "free some space there" in said
            filler.unlink()
        remount("size=64m")
        assert cli.run(["train", "--run-dir", str(path), "--iterations", "4"]) == 0
        assert_same(path, made / "four")


def test_a_folder_that_may_not_be_written_to_is_named(run, tmp_path, capsys):
    with mounted(tmp_path / "frozen", "size=4m") as remount:
        path = tmp_path / "frozen" / "run"
        shutil.copytree(run, path)
        remount("ro")
        assert cli.run(["train", "--run-dir", str(path), "--iterations", "4"]) == 1
        assert "needs a folder that it may write to" in capsys.readouterr().err
        assert cli.run(["runs", str(path)]) == 0
        assert cli.run(["runs", str(path), "--png"]) == 1
        assert "Read-only file system" in capsys.readouterr().err


def train_with(run, config, act):
    """Goes on with a run for two iterations; after the first, `act(line)` is called."""
    folder = RunFolder(run)
    config = dataclasses.replace(config, iterations=5)
    with folder.lock():
        return train_folder(folder, config, act, lambda: False)


def test_parts_of_a_run_may_lie_on_another_disk(run, made, tmp_path, capsys):
    with mounted(tmp_path / "other", "size=16m"):
        for name in ("checkpoints", "replay"):
            shutil.move(run / name, tmp_path / "other" / name)
            (run / name).symlink_to(tmp_path / "other" / name)
        (run / "replay" / "000000099000-000000099999.npz").write_bytes(b"after the save")
        flip(newest(run, "games.npz"))
        assert cli.run(["train", "--run-dir", str(run), "--iterations", "4"]) == 0
        assert re.search(FALL_BACK, " ".join(capsys.readouterr().err.split()))
        assert_same(run, made / "four")
        moved = {path.name for path in run.glob("discarded/*/*")}
        assert "000000099000-000000099999.npz" in moved
        assert any(name.startswith("checkpoint-") for name in moved)


def test_no_checkpoint_is_removed_while_a_rating_plays_with_them(run, config, monkeypatch):
    busy, rated = [], []
    save = CheckpointStore._save  # in the saving thread, retention last

    def slowly(store, *arguments):
        busy.append(True)
        save(store, *arguments)
        time.sleep(0.3)
        busy.pop()

    def rate(*_):
        rated.append(bool(busy))
        return ladder.Rated({"elo": 0.0, "interval": [0.0, 0.0], "games": 0}, True, False)

    monkeypatch.setattr(CheckpointStore, "_save", slowly)
    monkeypatch.setattr(ladder, "rate", rate)
    monkeypatch.setattr(in_run, "evaluate_run", lambda *_: in_run.Played({"loss": 1.0}, 0))
    measured = dataclasses.replace(config.evaluation, every=1, ladder_games=2)
    train_with(run, dataclasses.replace(config, evaluation=measured), lambda line: None)
    assert len(rated) >= 2
    assert not any(rated)


def test_a_folder_that_vanishes_is_missed_and_what_was_saved_is_in_it(run, config):
    before = CheckpointStore(run).steps()
    with pytest.raises(WriteError, match=r"cannot write .*: the folder was moved or deleted"):
        train_with(run, config, lambda line: run.exists() and run.rename(run.with_name("away")))
    assert CheckpointStore(run.with_name("away")).steps()[-1] >= before[-1]


def test_a_run_that_another_machine_has_taken_over_stops_without_saving(run, config):
    def take_over(line):
        # At once: the thread that saves may be looking.
        (run / "taken").write_text("process 7 on elsewhere\n")
        (run / "taken").rename(run / "lock")

    with pytest.raises(CheckpointError, match="taken over by process 7 on elsewhere"):
        train_with(run, config, take_over)


def test_a_second_process_is_refused_with_the_name_of_the_first(run, capsys):
    held = "import fcntl,sys,time; f=open(sys.argv[1],'a'); fcntl.flock(f,2); print(1,flush=True)"
    (run / "lock").write_text("process 99 on here\n")
    command = [sys.executable, "-c", f"{held}; time.sleep(600)", str(run / "lock")]
    other = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        other.stdout.readline()
        assert cli.run(["train", "--run-dir", str(run), "--iterations", "4"]) == 1
        assert "in use by process 99 on here: stop it first" in capsys.readouterr().err
    finally:
        other.kill()
        other.communicate()


def test_a_clock_that_jumps_changes_nothing_and_no_folder_is_written_twice(
    run, config, made, monkeypatch
):
    monkeypatch.setattr(time, "time", lambda: -(10.0**9))
    monkeypatch.setattr(time, "strftime", lambda *_: "20000101-000000")
    with (run / "metrics.jsonl").open("a") as file:
        file.write("late\n")
    folder = RunFolder(run)
    (folder.discarded() / "metrics.jsonl").write_text("earlier")
    run_once(run, dataclasses.replace(config, iterations=4))
    assert_same(run, made / "four")
    moved = {p.parent.name: p.read_text() for p in run.glob("discarded/*/metrics.jsonl")}
    assert moved["20000101-000000-1"] == "earlier"
    assert "late" in moved["20000101-000000-2"]


@pytest.mark.parametrize("on_nan", ["stop", "rollback"])
def test_nan_in_a_loss_stops_or_goes_back_to_the_last_save_at_a_lower_rate(
    on_nan, run, config, monkeypatch
):
    first = json.loads(newest(run, "counters.json").read_text())["step"]
    make, rates = learner.make_train_step, []

    def make_poisoned(network, game, settings, *rest):
        rates.append(settings.learning_rate)
        step = make(network, game, settings, *rest)

        def poisoned(state, batch, horizon):
            bad = (state.step == first + 1) & (settings.learning_rate > 1e-3)
            state, measured = step(state, batch, horizon)
            by = jnp.where(bad, jnp.nan, 1.0)
            broken = jax.tree.map(lambda x: x * by, state.params)
            measured["value_loss"] *= by
            return state._replace(params=broken), measured

        return poisoned

    monkeypatch.setattr(learner, "make_train_step", make_poisoned)
    settings = dataclasses.replace(config.learner, on_nan=on_nan)
    config = dataclasses.replace(config, learner=settings)
    told = []
    if on_nan == "stop":
        with pytest.raises(NonFiniteError, match=rf"step {first + 1}, see .*; step {first} is the"):
            train_with(run, config, told.append)
        assert CheckpointStore(run).steps()[-1] == first
    else:
        assert train_with(run, config, told.append)
        assert rates == [2e-3, 2e-3 * config.learner.rollback_rate]
        notices = [line["text"] for line in told if line["kind"] == "notice"]
        assert f"going back to step {first} with a learning rate of 0.001" in notices[0]
        saved = CheckpointStore(run).load(CheckpointStore(run).steps()[-1])
        assert saved.counters["rollbacks"] == 1
        assert all(np.isfinite(x).all() for x in saved.train_state.values())
    with np.load(run / f"nan-{first + 1}.npz") as file:
        drawn = file["observation"]  # of the batch, what was not overwritten since
        assert drawn.shape[1:] == (3, 3, 2)
        assert 0.9 * config.learner.batch < len(drawn) <= config.learner.batch
        assert max(file[name][1] for name in file.files if name.startswith("state/")) > 0


def test_nan_that_comes_back_after_three_rollbacks_ends_the_run(run, config):
    settings = dataclasses.replace(config.learner, on_nan="rollback", rollback_rate=0.1)
    config = dataclasses.replace(config, learner=settings)
    error, store = NonFiniteError("NaN at training step 9"), CheckpointStore(run)
    said = non_finite.roll_back(error, config, store, 3)
    assert "NaN at training step 9: going back to step" in said
    assert "learning rate of 2e-06" in said
    with pytest.raises(NonFiniteError, match="comes back after 3 rollbacks"):
        non_finite.roll_back(error, config, store, 4)


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    store, whole = CheckpointStore(tmp_path), made_checkpoint(3)
    bad = whole._replace(train_state=whole.train_state | {"state/x": np.array([1.0, np.inf])})
    store.save(bad, 0, None)
    with pytest.raises(NonFiniteError, match="state/x is not finite at step 3"):
        store.wait()
    assert store.steps() == []
