"""Files that are damaged or come from somebody else: an error with file and place, nothing else."""
# ruff: noqa: PT017 - an error is one of two right answers here

import errno
import gzip
import io
import json
import os
import pickle
import random
import shutil
import tarfile
import tracemalloc
import zipfile
import zlib

import jax
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import games
import training
from selfplay import decisions, json_lines, opening_file, perfect, records
from selfplay.players import parse_player
from training import config as config_module
from training import npz, preflight, replay, undecided
from training.checkpoint import CheckpointError, CheckpointStore
from training.config import RunConfig
from training.report import text_report
from training.run_folder import RunFolder

FLIPS = 2  # of each file
QUICK = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


@pytest.fixture(scope="session")
def old_run(tmp_path_factory):
    """A run that the first version of the format made; its lock names another machine."""
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open("tests/data/run_format_1.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder / "run1"


def read(run):
    """Returns all that a resume reads of a run, in comparable form."""
    folder = RunFolder(run)
    found = {"config": config_module.to_dict(folder.read_config())}
    store = CheckpointStore(run)
    for step in store.steps():
        saved = store.load(step)
        found[f"{step}"] = (saved.counters, saved.logs, sorted(saved.chunks))
        found |= {f"{step}/{k}": v.tobytes() for k, v in saved.train_state.items()}
        found |= {f"{step}/{k}": v.tobytes() for k, v in saved.games.items()}
    for _, _, path in replay.chunks(run / "replay"):
        found[path.name] = [column.tobytes() for column in replay.read_chunk(path)]
    return found


@pytest.mark.parametrize("which", ["tiny_run", pytest.param("old_run", marks=pytest.mark.slow)])
def test_a_flipped_bit_anywhere_in_a_run_is_an_error_or_changes_nothing(which, request, tmp_path):
    source = request.getfixturevalue(which)
    run = tmp_path / "run"
    shutil.copytree(source, run)
    whole, rng = read(run), random.Random(7)
    logs = {"metrics.jsonl", "self_play.jsonl"}  # read below
    seals = which == "tiny_run"  # the first version had no sum over config.json
    files = [
        path
        for path in sorted(run.rglob("*"))
        if path.is_file() and path.stat().st_size and path.name not in logs | {"lock"}
        if seals or path != run / "config.json"
    ]
    errors = 0
    for path in files:
        content = path.read_bytes()
        for _ in range(FLIPS):
            place, bit = rng.randrange(len(content)), 1 << rng.randrange(8)
            path.write_bytes(content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :])
            try:
                assert read(run) == whole, (path, place, bit)
            except (ValueError, CheckpointError) as error:
                errors += 1
                assert str(run) in str(error), (path, place, bit)
            finally:
                path.write_bytes(content)
    assert errors > len(files)


def test_a_flipped_bit_in_the_metrics_is_an_error_with_its_line_or_another_value(
    tiny_run, tmp_path
):
    shutil.copytree(tiny_run, tmp_path / "run")
    folder, rng = RunFolder(tmp_path / "run"), random.Random(3)
    whole, content = folder.read_metrics(), folder.metrics_file.read_bytes()
    for _ in range(200):
        flipped = bytearray(content)
        flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
        folder.metrics_file.write_bytes(flipped)
        try:
            found = folder.read_metrics()
        except ValueError as error:
            assert "metrics.jsonl" in str(error)
        else:
            assert sum(a != b for a, b in zip(found, whole, strict=False)) <= 1


@pytest.mark.parametrize("name", ["iteration", "step", "seconds", "games", "positions", "rows"])
def test_a_metrics_line_without_a_number_that_reports_need_is_named(name, tiny_run, tmp_path):
    folder = RunFolder(tmp_path)
    first, *others = RunFolder(tiny_run).metrics_file.read_text().splitlines()
    for damaged in (
        first.replace(f'"{name}": ', f'"{name[1:]}": '),
        first[:-1] + f', "{name}": []}}',
    ):
        folder.metrics_file.write_text("\n".join([*others, damaged, *others]) + "\n")
        with pytest.raises(ValueError, match=rf"line {len(others) + 1}: '{name}' must be a number"):
            folder.read_metrics()


@pytest.mark.slow
def test_a_run_of_the_first_format_plays_reports_and_goes_on(old_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(old_run, run)
    assert training.checkpoint_steps(run) == [0, 14]
    player = training.load_player(run, simulations=2)
    game = games.load("tic_tac_toe")
    states = jax.vmap(game.init)(jax.random.split(jax.random.key(0), 2))
    assert player(states, jax.random.key(1)).action.shape == (2,)
    assert "iteration 3" in text_report([RunFolder(run)])
    from scripts import cli

    assert cli.run(["train", "--run-dir", str(run)]) == 0
    lines = [line for line in RunFolder(run).read_metrics() if line["kind"] == "iteration"]
    assert [line["iteration"] for line in lines] == [1, 2, 3, 4]
    assert CheckpointStore(run).steps()[1] == 14


class Payload:
    def __reduce__(self):
        return os.mkdir, ("executed",)


def test_no_array_file_executes_what_it_holds(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "000000000000-000000000000.npz"
    np.savez(path, allow_pickle=True, ply=np.array([Payload()], object))
    with pytest.raises(ValueError, match=r"npz is damaged: .*objects"):
        replay.read_chunk(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ply.npy", pickle.dumps(Payload()))
    with pytest.raises(ValueError, match="is damaged"):
        npz.read(path)
    assert not (tmp_path / "executed").exists()


def bomb(path, declared, size):
    """Writes an array file whose header declares a shape, over `size` zeros packed small."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (declared,)}
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", header.getvalue() + bytes(size))


def test_no_array_file_exhausts_memory(tmp_path, monkeypatch):
    path = tmp_path / "x.npz"
    bomb(path, 10**15, 1000)
    with pytest.raises(ValueError, match="does not have the size that it declares"):
        npz.read(path)
    bomb(path, 10**6, 10**6)
    assert path.stat().st_size < 3000
    assert npz.read(path)["x"].shape == (10**6,)
    monkeypatch.setattr(npz, "largest", lambda: 10**5)
    with pytest.raises(ValueError, match=r"unpack to 1,000,\d+ bytes, more than fit"):
        npz.read(path)


def test_a_pipe_where_an_array_file_belongs_is_an_error_at_once(tmp_path):
    path = tmp_path / "x.npz"
    os.mkfifo(path)
    # Open at both ends, or a reader that opens it would hang this test.
    with open(os.open(path, os.O_RDWR), "rb"), pytest.raises(OSError, match=r"x\.npz is a .*pipe"):
        npz.read(path)


MACHINE = [  # of this machine, just now: the file may be right
    MemoryError(),
    OSError(errno.EMFILE, "Too many open files"),
    OSError(errno.EIO, "Input/output error"),
    ImportError("no module named zlib"),
    LookupError("unknown encoding: cp437"),
    RuntimeError("can't start new thread"),
    RuntimeError("Compression requires the (missing) zlib module"),
]
CONTENT = [
    OSError(errno.EINVAL, "Invalid argument"),
    KeyError("There is no item named 'x' in the archive"),
    IndexError("index out of range"),
    NotImplementedError("strong encryption (flag bit 6)"),
    RuntimeError("File 'x.npy' is encrypted, password required for extraction"),
    RecursionError("maximum recursion depth exceeded"),
    EOFError(),
    OverflowError("too large"),
    zipfile.BadZipFile("Bad CRC-32"),
    zlib.error("invalid stored block lengths"),
]


@pytest.mark.parametrize("error", [*MACHINE, *CONTENT], ids=repr)
def test_a_fault_of_the_machine_is_no_damage_to_an_array_file(error, tmp_path, monkeypatch):
    path = tmp_path / "x.npz"
    np.savez(path, allow_pickle=False, x=np.arange(3))

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(np, "load", fail)
    with pytest.raises((ValueError, type(error))) as caught:
        npz.read(path)
    if error in MACHINE:
        assert caught.value is error
    else:
        assert isinstance(caught.value, ValueError)
        assert f"{path} is damaged" in str(caught.value)


@pytest.mark.parametrize(
    "names",
    [
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ],
)
def test_a_container_allows_half_its_limit_and_has_left_what_is_not_used(
    names, tmp_path, monkeypatch
):
    monkeypatch.setattr(npz, "CGROUPS", ((str(tmp_path), *names),))
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert npz.container() is None
    assert npz.largest() == physical // 2
    (tmp_path / names[1]).write_text("900\n")
    (tmp_path / "memory.stat").write_text(f"anon 5\n{names[2]} 300\n")
    (tmp_path / names[0]).write_text("max\n")
    assert npz.largest() == physical // 2
    (tmp_path / names[0]).write_text("5000\n")
    assert npz.largest() == 2500
    assert npz.container() == (5000, 5000 - 900 + 300)
    assert preflight._host_bytes() == 4400
    (tmp_path / names[0]).write_text(f"{2**63 - 4096}\n")  # what v1 says for no limit
    assert npz.largest() == physical // 2


def test_a_checkpoint_that_declares_more_than_memory_is_refused(tiny_run, monkeypatch):
    monkeypatch.setattr(npz, "largest", lambda: 1000)
    with pytest.raises(CheckpointError, match="more than fit in memory"):
        CheckpointStore(tiny_run).load(0)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[" * 100_000, "line 1: not JSON that we read: nested too deeply"),
        (b'{"a": ' + b"9" * 5000 + b"}", "line 1: not JSON"),
        (b"\xff\xfe", "line 1: not text"),
        (b"x" * (json_lines.MAX_LINE + 1), "line 1: longer than"),
        (b"\x1f\x8b\x08" + b"\0" * 40, "not a whole gzip file"),
    ],
)
def test_a_hostile_line_is_an_error_with_its_place(content, said, tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"lines.jsonl.*{said}"):
        [json_lines.parse(line, place) for place, line in json_lines.read(path)]


BEYOND = "9" * 400  # a number that is no float


@pytest.mark.parametrize(
    "line",
    [
        "[" * 100_000,
        '{"moves": ' * 9_000,
        "[4294967296]",
        f"[{BEYOND}]",
        "[0, -1, 1]",
        f"[0{', 0' * 200_000}]",
        f'{{"moves": [4], "returns": [{BEYOND}, 0], "value": {BEYOND}, "weights": {{"0": 1}}}}',
        f'{{"moves": [4], "weights": {{"0": {BEYOND}}}, "value": 0, "returns": [NaN, 0]}}',
        f'{{"moves": [4], "set": "x", "outcomes": [{BEYOND}]}}',
    ],
    ids=lambda line: line[:9],
)
def test_no_line_crashes_any_reader_and_each_error_has_its_place(line, tmp_path):
    path, game = tmp_path / "lines.jsonl", games.load("tic_tac_toe")
    named = line.replace('{"moves"', '{"game": "tic_tac_toe", "players": ["a", "b"], "moves"')
    path.write_text(f"\n{named}\n")
    at_fault = records.scan_records(path).problems
    at_fault += decisions.scan(path, "tic_tac_toe", game).problems
    readers = [lambda: perfect.load_positions("tic_tac_toe", path)]
    if '{"moves": [4]' not in line:  # these moves are right
        readers += [
            lambda: undecided.from_file(str(path), "tic_tac_toe", game),
            lambda: opening_file.file_openings(path, game, 2, 0, 9),
        ]
    for read_lines in readers:
        with pytest.raises(ValueError, match=r"lines.jsonl") as caught:
            read_lines()
        at_fault.append(str(caught.value))
    assert len(at_fault) == 2 + len(readers)
    assert all("line 2: " in said and len(said) < 700 for said in at_fault), at_fault


def test_a_small_file_of_very_many_lines_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(json_lines, "MAX_LINES", 1000)
    path = tmp_path / "lines.jsonl.gz"
    path.write_bytes(gzip.compress(b"\n" * 10**6))
    with pytest.raises(ValueError, match=r"line 1001: the file has more than 1,000 lines"):
        list(json_lines.read(path))


def test_all_positions_of_a_file_of_finished_games_are_bounded(tmp_path, monkeypatch):
    game = games.load("tic_tac_toe")
    path = tmp_path / "games.jsonl"
    lines = [f'{{"moves": [{a}, 3, 1, 4, 2]}}' for a in (0, 5, 6, 7, 8)]
    path.write_text("\n".join(lines) + "\n")
    everything, problems = undecided.from_file(str(path), "tic_tac_toe", game)
    assert not problems
    monkeypatch.setattr(undecided, "MAX_MOVES", 30)
    found, problems = undecided.from_file(str(path), "tic_tac_toe", game)
    assert 0 < sum(map(len, found)) <= 30
    assert found == everything[: len(found)]
    assert problems[-1].endswith(f"reading stopped here, at {len(found)} positions")


def test_solved_sets_of_very_many_long_names_take_little_memory(tmp_path):
    path = tmp_path / "solved.jsonl"
    row = {"moves": [], "outcomes": [0] * 9}
    names = [f"{i}" for i in range(400)] + ["x" * 200_000]
    path.write_text("\n".join(json.dumps({"set": name} | row) for name in names))
    tracemalloc.start()
    sets = perfect.load_positions("tic_tac_toe", path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert list(sets) == names
    assert peak < 50 << 20


@pytest.mark.parametrize("value", [float("nan"), -float("inf"), 10**400])
def test_a_number_that_is_none_is_taken_for_no_setting(value):
    for part, settings_of in config_module.to_dict(RunConfig()).items():
        fields = settings_of if isinstance(settings_of, dict) else {part: settings_of}
        for name in [name for name, old in fields.items() if isinstance(old, float)]:
            changed = {part: fields | {name: value}} if fields is settings_of else {name: value}
            with pytest.raises(ValueError, match=name):
                config_module.from_dict(changed).check()


@QUICK
@given(JSON)
def test_any_json_as_a_config_is_a_config_or_a_sentence(tmp_path, value):
    path = tmp_path / "config.json"
    for content in (value, {"format_version": 1, "config": value}):
        path.write_text(json.dumps(content))
        try:
            assert isinstance(RunFolder(tmp_path).read_config(), RunConfig)
        except ValueError as error:
            assert "config" in str(error)


@QUICK
@given(st.sampled_from(sorted(config_module.to_dict(RunConfig()))), st.text(max_size=6), JSON)
def test_any_value_of_any_setting_is_taken_or_named(tmp_path, part, name, value):
    stored = config_module.to_dict(RunConfig())
    names = list(stored[part]) if isinstance(stored[part], dict) else []
    if names:
        stored[part][names[len(name) % len(names)]] = value
    else:
        stored[part] = value
    (tmp_path / "config.json").write_text(json.dumps({"format_version": 1, "config": stored}))
    try:
        RunFolder(tmp_path).read_config()
    except ValueError as error:
        assert part in str(error)


@QUICK
@given(st.text(max_size=12) | st.from_regex(r"(go|hex|gomoku):[a-z]{1,5}=[-0-9e.x]{1,8}"))
def test_any_text_as_a_game_or_player_is_one_or_a_value_error(spec):
    for load in (games.load, lambda s: parse_player(s, None, 1, lambda *_, **__: None)):
        try:
            load(spec)
        except ValueError as error:
            assert "\n" not in str(error).strip()


@pytest.mark.parametrize("spec", ["sys:exit", "os:abort", "http.server:test:port=0"])
def test_a_game_spec_calls_nothing_but_a_class(spec):
    with pytest.raises(ValueError, match="has no class"):
        games.load(spec)


@QUICK
@given(st.binary(max_size=300))
def test_any_bytes_as_the_metrics_are_lines_or_a_sentence(tmp_path, content):
    (tmp_path / "metrics.jsonl").write_bytes(content)
    try:
        assert all(isinstance(line, dict) for line in RunFolder(tmp_path).read_metrics())
    except ValueError as error:
        assert "metrics.jsonl" in str(error)
