"""Batches of workers, played again: those of an honest worker come out the same."""

import dataclasses
import functools
import re
import shutil

import jax
import pytest

from scripts import train as command
from scripts.flags.train import Args
from selfplay import devices
from selfplay.files import npz
from tests.support.fleet import MemoryTransport, ScriptedWorker
from tests.support.runs import NEVER_SAVE_BETWEEN, run_once
from training.replay import LANES
from training.run import train
from training.settings import EvaluationConfig, FleetConfig
from training.storage.manifest import DamagedError
from training.storage.run_folder import RunFolder
from training.workers import fleet, identity, ledger
from training.workers.again import AgainSource
from training.workers.audit import Auditor
from training.workers.fleet import FleetSource
from training.workers.serve import hello_of
from training.workers.worker import Worker

BATCHES, EVERY = 8, 3


@pytest.fixture(scope="module")
def config(tiny_config):
    return dataclasses.replace(
        tiny_config,
        iterations=BATCHES,
        evaluation=EvaluationConfig(every=0),
        checkpoint=NEVER_SAVE_BETWEEN,
        fleet=FleetConfig(audit=EVERY, surplus="wait"),
        replay=dataclasses.replace(tiny_config.replay, keep="all"),
    )


@pytest.fixture(scope="module", autouse=True)
def quickly():
    """Rules are compared once, and each batch has weights of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(identity, "of_rules", functools.cache(identity.of_rules))
        patch.setattr(fleet, "PUBLISH_SECONDS", 0.0)
        patch.setattr(fleet, "POLL_SECONDS", 0.001)
        yield


class Run:
    """A run with workers of this process, of one device each, that really play."""

    def __init__(self, path, config):
        self.folder, self.config = RunFolder(path), config
        self.notices, self.auditors = [], []
        self.workers = {}  # by name: what it does to weights, its batches, what it says of itself
        self._playing = {}  # by name

    def add(self, name, spoil=lambda leaf, seq: leaf, count=BATCHES, **said):
        self.workers[name] = (spoil, count, said)

    def watch(self, line):
        if line["kind"] == "notice":
            self.notices.append(line["text"])

    def train(self, monkeypatch):
        def made(*given):
            self.auditors.append(Auditor(*given))
            return self.auditors[-1]

        monkeypatch.setattr(fleet, "Auditor", made)
        self.folder.create(self.config)
        source = FleetSource(lambda context, own: self._transport(own))
        with self.folder.lock():
            assert train(self.folder, self.config, self.watch, lambda: False, source=source)

    def _transport(self, own):
        with devices.only(1):
            hello = hello_of(self.config, own.run_id)
        assert hello.devices == 1
        return MemoryTransport(
            ScriptedWorker(
                name,
                dataclasses.replace(hello, **said),
                functools.partial(self._play, name, spoil, own.run_id),
                count,
            )
            for name, (spoil, count, said) in self.workers.items()
        )

    def _play(self, name, spoil, run_id, key, version):
        with devices.only(1):
            if name not in self._playing:
                self._playing[name] = Worker(self.config, run_id, key.slot, key.incarnation)
            worker = self._playing[name]
            weights = jax.device_get(version.weights)
            spoiled = jax.tree.map(lambda leaf: spoil(leaf, key.seq), weights)
            return worker.play(version._replace(weights=spoiled))

    @property
    def taken(self):
        return ledger.read(self.folder.path / "replay").taken


@pytest.fixture(scope="module")
def honest(config, tmp_path_factory):
    """A run with one honest worker; do not write to it."""
    run = Run(tmp_path_factory.mktemp("runs") / "honest", config)
    run.add("honest")
    with pytest.MonkeyPatch.context() as patch:
        run.train(patch)
    return run


def test_calls_in_which_no_game_ended_come_out_the_same(tmp_path, config, monkeypatch):
    short = dataclasses.replace(config.self_play, plies_per_call=1, random_opening_plies=0)
    run = Run(tmp_path / "run", dataclasses.replace(config, self_play=short))
    run.add("honest")
    run.train(monkeypatch)
    assert not run.taken[0].rows, "games end in the first ply"
    assert run.auditors[0].done == 3


def test_an_honest_worker_s_first_batch_and_one_in_three_come_out_the_same(honest):
    [auditor] = honest.auditors
    assert len(honest.taken) == BATCHES
    assert auditor.done == 3  # batches 0, 3 and 6
    assert len({line.weights_step for line in honest.taken}) > 2, "all had the same weights"
    assert not [said for said in honest.notices if "again" in said]


def test_a_worker_whose_weights_are_others_is_refused_before_anything_of_it_is_taken(
    tmp_path, config, monkeypatch
):
    run = Run(tmp_path / "run", config)
    run.add("liar", lambda leaf, seq: leaf * 1.5)
    run.add("honest")
    run.train(monkeypatch)
    [said] = [said for said in run.notices if "was given up" in said]
    assert said.startswith("worker liar was given up: its batch 0 was refused: played again by")
    assert " rows " in said
    known = ledger.read(run.folder.path / "replay")
    [liar] = [join.incarnation for join in known.joins if join.name == "liar"]
    assert {line.incarnation for line in known.taken} == {1 - liar}


@pytest.mark.slow
def test_a_worker_that_begins_to_differ_is_found_by_the_games_that_it_sent_along(
    tmp_path, config, monkeypatch
):
    run = Run(tmp_path / "run", dataclasses.replace(config, iterations=3 * BATCHES))
    run.add("forgetful", lambda leaf, seq: leaf * (1.5 if seq >= EVERY else 1.0))
    run.add("honest", count=3 * BATCHES)
    run.train(monkeypatch)
    [said] = [said for said in run.notices if "was given up" in said]
    # Batch 3 may have the version of batch 2, whose weights the worker holds already.
    pattern = r"worker forgetful was given up: its batch [36] was refused: played again by"
    assert re.match(pattern, said)


def test_a_worker_unlike_the_learner_is_not_audited_and_that_is_said_once(
    tmp_path, config, monkeypatch
):
    run = Run(tmp_path / "run", config)
    run.add("other", jax="0.0.1")
    run.train(monkeypatch)
    said = [said for said in run.notices if "audited" in said]
    assert said == [f"worker other is not audited: jax 0.0.1 there, {jax.__version__} here"]
    assert run.auditors[0].done == 0
    assert len(run.taken) == BATCHES


def learned_again(honest, path):
    """Learns a run again and plays its batches again, in a new folder; returns the source."""
    folder, source = RunFolder(path), AgainSource(honest.folder, plays=True)
    config = dataclasses.replace(honest.config, iterations=0, minutes=0.0)
    folder.create(config)
    with folder.lock():
        first = (honest.folder, 0)
        assert train(folder, config, lambda line: None, lambda: False, first, source=source)
    return source


def test_a_run_whose_batches_brought_games_with_them_goes_on(tmp_path, honest):
    chunk = honest.folder.path / "replay" / honest.taken[EVERY].chunk
    assert any(name.startswith(LANES) for name in npz.read(chunk))
    shutil.copytree(honest.folder.path, tmp_path / "run")
    assert run_once(tmp_path / "run", dataclasses.replace(honest.config, iterations=BATCHES + 2))


@pytest.mark.slow
def test_what_was_learned_again_is_equal_only_if_it_is_all_that_was_learned(
    tmp_path, honest, monkeypatch, capsys
):
    args = Args(honest.config, replay_of="R")
    whole = learned_again(honest, tmp_path / "whole")
    assert command._say_again(args, whole)
    read = ledger.read
    cut = lambda folder: read(folder)._replace(taken=read(folder).taken[:-1])  # noqa: E731
    monkeypatch.setattr(ledger, "read", cut)
    assert not command._say_again(args, learned_again(honest, tmp_path / "cut"))
    assert "not compared to the end" in capsys.readouterr().err


def test_all_batches_of_a_run_can_be_played_again(tmp_path, honest):
    source = learned_again(honest, tmp_path / "again")
    assert source.played == source.batches == BATCHES
    assert source.equal
    assert not source.different


@pytest.mark.slow
def test_a_batch_that_other_weights_played_than_the_ledger_says_is_named(
    tmp_path, honest, monkeypatch
):
    read = ledger.read

    def changed(folder):
        known = read(folder)
        steps = [line.weights_step for line in known.taken]
        late = max(steps)
        assert steps[-1] == late != steps[0]
        wrong = dataclasses.replace(known.taken[-1], weights_step=steps[0])
        return known._replace(taken=[*known.taken[:-1], wrong])

    monkeypatch.setattr(ledger, "read", changed)
    said = rf"batch slot 0, incarnation 0, batch {BATCHES - 1}, played again: \d+ (of \d+ )?rows"
    with pytest.raises(DamagedError, match=said):
        learned_again(honest, tmp_path / "again")
