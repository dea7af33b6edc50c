"""Files that are damaged or come from somebody else: an error with file and place, nothing else."""
# ruff: noqa: PT017 - an error is one of two right answers here

import concurrent.futures
import dataclasses
import gzip
import json
import os
import random
import shutil
import sys
import threading
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import games
import training
from games import consent
from selfplay import example
from selfplay.arena import ladder, opening_file
from selfplay.files import durable, json_lines, npz
from selfplay.oversight import decisions
from selfplay.perfect import mistakes
from selfplay.player_spec import parse_player
from selfplay.records import game_record
from selfplay.records.sgf_draft import read_drafts
from tests.support.checkpoints import read_chunk
from training import config as config_module
from training import replay
from training.config import RunConfig
from training.evaluation.distillation import audit
from training.evaluation.train_run import train_folder
from training.oversight import queries
from training.players import load_amplifier
from training.settings import NetworkConfig
from training.storage import run_folder, trust
from training.storage.checkpoint import CheckpointStore
from training.storage.log import Log
from training.storage.manifest import ARRAYS, CheckpointError, sha256
from training.storage.run_folder import RunFolder
from training.storage.tail import Tail
from training.sweep import plan

FLIPS = 1  # of each file
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
        columns = example.flat(read_chunk(path))
        found[path.name] = [column.tobytes() for column in columns.values()]
    return found


def test_a_flipped_bit_anywhere_in_a_run_is_an_error_or_changes_nothing(tiny_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    whole, rng = read(run), random.Random(7)
    logs = {"metrics.jsonl", "self_play.jsonl"}  # read below
    files = [
        path
        for path in sorted(run.rglob("*"))
        if path.is_file() and path.stat().st_size and path.name not in logs | {"lock"}
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
    assert errors > len(files) * FLIPS // 2


@pytest.mark.parametrize("name", ["iteration", "step", "seconds", "games", "positions", "examples"])
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


def test_a_checkpoint_that_declares_more_than_memory_is_refused(tiny_run, monkeypatch):
    monkeypatch.setattr(npz, "largest", lambda: 1000)
    with pytest.raises(CheckpointError, match="more than fit in memory"):
        CheckpointStore(tiny_run).load(0)


@pytest.mark.parametrize(
    ("save", "factor", "said"),
    [
        (np.savez_compressed, 0, "than it has itself"),
        (np.savez, np.nan, "weights hold NaN or infinity"),
    ],
)
def test_weights_that_are_packed_or_no_numbers_are_damage(save, factor, said, tiny_run, tmp_path):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    step = run / "checkpoints" / "0"
    leaves = npz.read(step / ARRAYS)
    save(step / ARRAYS, **{name: leaf * factor for name, leaf in leaves.items()})
    manifest = json.loads((step / "manifest.json").read_text())
    manifest["files"][ARRAYS] = sha256(step / ARRAYS)
    (step / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match=said):
        training.load_player(run, checkpoint=0)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[" * 100_000, "line 1: not JSON that we read: nested too deeply"),
        (b'{"a": ' + b"9" * 5000 + b"}", "line 1: a whole number has more than"),
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
    at_fault = game_record.scan_records(path).problems
    at_fault += decisions.scan(path, "tic_tac_toe", game).problems
    readers = [lambda: mistakes.load_positions("tic_tac_toe", path)]
    if '{"moves": [4]' not in line:  # these moves are right
        readers += [
            lambda: queries.from_file(str(path), "tic_tac_toe", game),
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
    everything, problems = queries.from_file(str(path), "tic_tac_toe", game)
    assert not problems
    monkeypatch.setattr(queries, "MAX_MOVES", 30)
    found, problems = queries.from_file(str(path), "tic_tac_toe", game)
    assert 0 < sum(map(len, found)) <= 30
    assert found == everything[: len(found)]
    assert problems[-1].endswith(f"reading stopped here, at {len(found)} positions")


def test_solved_sets_of_very_many_long_names_take_little_memory(tmp_path):
    path = tmp_path / "solved.jsonl"
    row = {"moves": [], "outcomes": [0] * 9}
    names = [f"{i}" for i in range(400)] + ["x" * 200_000]
    path.write_text("\n".join(json.dumps({"set": name} | row) for name in names))
    tracemalloc.start()
    sets = mistakes.load_positions("tic_tac_toe", path)
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
                config_module.from_dict(config_module.to_dict(RunConfig()) | changed).check()


def whole(config):
    """A config.json with these settings, under the right sum."""
    content = dict.fromkeys(run_folder.ENTRIES - {"sha256"}, "") | {"config": config}
    content["format_version"] = run_folder.FORMAT_VERSION
    return content | {"sha256": run_folder._digest(content)}


@QUICK
@given(JSON)
def test_any_json_as_a_config_is_a_config_or_a_sentence(tmp_path, value):
    path = tmp_path / "config.json"
    for content in (value, whole(value)):
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
    (tmp_path / "config.json").write_text(json.dumps(whole(stored)))
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


EVIL = "import pathlib\npathlib.Path(__file__).with_name('executed').touch()\n"
TOUCH = "touch executed"
NAMED = {  # what a stranger's settings name
    "engine": {"amplify": f"engine:{TOUCH}"},
    "engine with options": {"amplify": f"player:gtp:timeout=3,processes=1:{TOUCH}"},
    "engine by UCI": {"amplify": f"player:uci:Skill Level=3:{TOUCH}"},
    "program": {"amplify": f"human:{TOUCH}"},
    "amplifier": {"amplify": "evil:f"},
    "player": {"amplify": "player:evil:f"},
    "loss": {"distil": "evil:f"},
    "network": {"network": dataclasses.asdict(NetworkConfig(name="evil:f"))},
    "game": {"game": "evil:Game"},
    "game with options": {"game": "evil:Game:size=3"},
}
# Commands, and which of the settings each would run.
USING = {
    "train --run-dir {run}": ("amplify", "distil", "game", "network"),
    "train --run-dir {run} --dry-run": ("amplify", "distil", "game", "network"),
    "train --from {run} --run-dir new --iterations 1": ("game", "network"),
    "evaluate {run} --against overseer --sample 8 --checkpoints 1": ("amplify", "game", "network"),
    "oversee {run} --count 1 --simulations 1 --script script": ("game", "network"),
    "evaluate {run} --games 2 --simulations 1": ("game", "network"),
    "evaluate {run} --against perfect --simulations 1": ("game", "network"),
    "arena {run} random --games 2 --simulations 1": ("game", "network"),
    "arena {run} random --ladder --games 2 --simulations 1 --out store": ("game", "network"),
    "play {run} --json --simulations 1": ("game", "network"),
    "engine {run} --protocol gtp --simulations 1": ("game", "network"),
    "engine {run} --protocol uci --simulations 1": ("game",),
    "doctor {run} --seconds 1": ("game", "network"),
    "runs {run}": (),
}


@pytest.fixture
def downloads(tmp_path, monkeypatch):
    """A current folder as a stranger would fill it, and no typed name."""
    for name in ("evil", "libtpu", "jax_plugins", "pickle"):
        (tmp_path / f"{name}.py").write_text(EVIL)
    (tmp_path / "script").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def of_a_stranger(run, target, **settings):
    """Copies a run with other settings, under right sums, as somebody else would sign it."""
    shutil.copytree(run, target)
    file = target / "config.json"
    content = json.loads(file.read_text())
    content["config"] |= settings
    del content["sha256"]
    content["sha256"] = run_folder._digest(content)
    file.write_text(json.dumps(content))
    return target


def command(line, run):
    from scripts import cli

    return cli.run([word.format(run=run) for word in line.split()])


@pytest.mark.parametrize("kind", NAMED)
def test_a_stranger_s_run_executes_nothing_whatever_is_done_with_it(
    kind, tiny_run, downloads, capsys, monkeypatch
):
    run = of_a_stranger(tiny_run, downloads / "run", **NAMED[kind])
    before = sorted(downloads.rglob("*"))
    for line, used in USING.items():
        if not used or next(iter(NAMED[kind])) in used:
            with open(os.devnull) as nothing:  # `engine` reads commands
                monkeypatch.setattr("sys.stdin", nothing)
                code = command(line, run)
            said = " ".join(capsys.readouterr().err.split())
            assert (code == 2 and "config.json" in said and "--allow" in said) or not used, said
            assert not (downloads / "executed").exists(), line
    assert [path for path in sorted(downloads.rglob("*")) if "report" not in str(path)] == before


@pytest.mark.slow
@pytest.mark.parametrize("kind", NAMED)
def test_what_a_stranger_s_run_names_is_not_needed_to_look_at_it(kind, tiny_run, downloads):
    run = of_a_stranger(tiny_run, downloads / "run", **NAMED[kind])
    for line, used in USING.items():
        if "engine" not in line and next(iter(NAMED[kind])) not in used:
            assert command(line, run) == 0, line
    assert not (downloads / "executed").exists()


def test_who_names_what_a_file_names_lets_it_run(tiny_run, downloads):
    run = of_a_stranger(tiny_run, downloads / "run", distil="evil:f")
    for more in ("--distil evil:f", "--allow evil:f", "--allow=evil:f", "--distil=evil:f"):
        assert command(f"train --run-dir {{run}} {more}", run) == 2  # there is no evil.f
        (downloads / "executed").unlink()
        sys.modules.pop("evil")
    for more in ("", "--amplify search", "--allow evil:g", "--allow engine:evil:f"):
        assert command(f"train --run-dir {{run}} {more}", run) == 2
        assert not (downloads / "executed").exists(), more


@pytest.mark.parametrize(
    ("words", "allowed", "refused"),
    [
        (["--game", "a:B:size=3"], ["a:B", "a:B:size=9"], ["a:C", "engine:a:B", "a"]),
        (["--amplify=player:gtp:x -y"], ["engine:x -y", "human:x -y"], ["engine:x", "gtp:x:y"]),
        (["R", "gtp:timeout=3:x"], ["gtp:timeout=3:x"], ["gtp:x"]),
        (["R", "uci:A B=3:x"], ["uci:A B=3:x"], ["uci:x", "uci:A B=4:x"]),
        (["--program", "python x.py"], ["human:python x.py"], ["engine:python y.py"]),
        (["--records", "a:B", "--out", "c:D"], [], ["a:B", "c:D"]),
        (["a:B", "script"], [], ["a:B", "engine:script", "human:a:B"]),  # paths that are there
        (["a:B@63", "R"], [], ["a:B@63", "a:B"]),
        (["engine:a b"], [], ["engine:a b"]),
        (["--json", "c:D", "--no-x", "e:F"], ["c:D", "e:F"], ["c:E"]),
        (["--game", "go:size=5", "uniform:simulations=8"], [], ["go:x=1", "uniform:x=1"]),
        (["gtp:./script"], ["engine:./script"], ["engine:script"]),
        (["c:D"], ["c:D", "player:c:D"], ["engine:c:D"]),
    ],
)
def test_a_command_line_allows_what_it_names_and_no_path(words, allowed, refused, downloads):
    (downloads / "a:B").mkdir()
    (downloads / "engine:a b").mkdir()
    if words[0] == "--game":
        (downloads / "a:B").rmdir()
    consent.close(words)
    try:
        for spec in allowed:
            assert consent.require(consent.code_of(spec), "x") == [str(downloads)]
        for spec in refused:
            with pytest.raises(ValueError, match=r"x would run .* add --allow"):
                consent.require(consent.code_of(spec), "x")
    finally:
        consent.reset()


def test_what_this_user_made_runs_anywhere_and_what_another_made_or_changed_does_not(
    tiny_config, downloads, tmp_path_factory, monkeypatch
):
    (downloads / "own.py").write_text("from games.tic_tac_toe import TicTacToe as Game\n")
    made = RunFolder(downloads / "made")
    made.create(dataclasses.replace(tiny_config, game="own:Game"))
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    shutil.copytree(made.path, elsewhere / "run")
    monkeypatch.chdir(elsewhere)
    (elsewhere / "own.py").write_text("raise AssertionError('the current folder is no path')\n")
    try:
        assert games.load(RunFolder("run").read_config().game).num_actions == 9
        consent.reset()
        monkeypatch.setenv("XDG_CONFIG_HOME", str(elsewhere / "another"))
        refused = r"which was not made here by you: .* add --allow own:Game"
        with pytest.raises(ValueError, match=refused):
            games.load(RunFolder("run").read_config().game)
        with pytest.raises(ValueError, match=refused):
            training.load_player("run")
        games.allow("own:Game", str(downloads))
        assert games.load(RunFolder("run").read_config().game).num_actions == 9
    finally:
        consent.reset()
        sys.modules.pop("own", None)


@pytest.mark.parametrize(
    ("spec", "anywhere"),
    [
        ("engine:./engine.sh", False),
        ("engine:sh engine.sh", False),
        ("engine:/bin/true", True),
        ("engine:true x", True),
    ],
)
def test_a_signed_command_is_not_that_of_another_folder(
    spec, anywhere, tiny_config, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    folder = RunFolder(tmp_path / "run")
    folder.create(dataclasses.replace(tiny_config, amplify=spec))
    (tmp_path / "back").mkdir()
    for here in (tmp_path, tmp_path / "back"):
        (here / "engine.sh").write_text("")
        monkeypatch.chdir(here)
        folder.read_config()
        try:
            if anywhere or here == tmp_path:
                consent.require(consent.code_of(spec), "x")
            else:
                with pytest.raises(ValueError, match="not made here by you"):
                    consent.require(consent.code_of(spec), "x")
        finally:
            consent.reset()


def test_a_folder_named_like_code_is_code_in_a_file(tiny_config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gtp:pwn").mkdir()
    (tmp_path / "evil:f@3").mkdir()
    for spec in ("player:gtp:pwn", "player:evil:f@3", "player:evil:f:simulations=3"):
        assert "amplify" in config_module.code_in(dataclasses.replace(tiny_config, amplify=spec))
    for spec in ("player:R@3", "player:uniform:simulations=3", "player:random", "search"):
        assert not config_module.code_in(dataclasses.replace(tiny_config, amplify=spec))


def test_what_a_file_names_is_refused_in_python_too(tiny_run, downloads):
    run = of_a_stranger(tiny_run, downloads / "run", amplify=f"engine:{TOUCH}")
    folder = RunFolder(run)
    config = folder.read_config()
    longer = dataclasses.replace(config, iterations=config.iterations + 1)
    game = games.load(config.game)
    try:
        for use in (
            lambda: load_amplifier(config, game),
            lambda: audit(folder, 1, 8, 0),
            lambda: train_folder(folder, longer, pytest.fail, lambda: True),
        ):
            with pytest.raises(ValueError, match=r"not made here by you: .* add --allow"):
                use()
        assert not (downloads / "executed").exists()
    finally:
        consent.reset()


def test_the_current_folder_is_not_looked_into_for_what_is_installed(tmp_path, monkeypatch):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "mine.py").write_text("import sys\nseen = list(sys.path)\n")
    monkeypatch.syspath_prepend(tmp_path / "lib")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="no class 'H'"):
        games.load("mine:H")
    assert str(tmp_path) not in sys.modules.pop("mine").seen


@pytest.mark.parametrize("fault", ["readable by others", "cut", "a link", "no folder for it"])
def test_a_key_that_others_may_know_or_that_cannot_be_signs_nothing(
    fault, tiny_config, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    assert trust.fault() == ""
    key = tmp_path / "home" / "selfplay" / "key"
    if fault == "no folder for it":
        (tmp_path / "home").write_text("in the way")
    else:
        assert trust.is_signed({"a": 1}, trust.sign({"a": 1}))
        assert not trust.is_signed({"a": 2}, trust.sign({"a": 1}))
        assert key.stat().st_mode & 0o777 == 0o600
    if fault == "readable by others":
        key.chmod(0o640)
    elif fault == "cut":
        key.write_bytes(b"")
    elif fault == "a link":
        key.rename(tmp_path / "key")
        key.symlink_to(tmp_path / "key")
    assert trust.sign({"a": 1}) == ""
    assert ("proves nothing" in trust.fault()) == (fault != "no folder for it")
    assert not trust.is_signed({"a": 1}, "")
    RunFolder(tmp_path / "run").create(tiny_config)  # without a signature
    assert RunFolder(tmp_path / "run").read_config() == tiny_config


def test_processes_that_make_the_key_at_once_agree_on_it(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        signatures = set(pool.map(trust.sign, [{"a": 1}] * 32))
    assert len(signatures) == 1
    assert signatures != {""}
    assert [path.name for path in (tmp_path / "selfplay").iterdir()] == ["key"]


WRITING = [
    "train --run-dir {run} --iterations 5",
    "evaluate {run} --games 2 --simulations 1",
    "oversee {run} --count 1 --simulations 1 --script script",
    "evaluate {run} --against overseer --sample 8 --checkpoints 1",
]


@pytest.mark.parametrize(
    ("inside", "lines"),
    [
        ("lock", WRITING[:1]),
        ("metrics.jsonl", WRITING[:1]),
        ("games/self_play.jsonl", WRITING[:1]),
        ("games", WRITING[:1]),
        ("report", WRITING),
        ("ladder", WRITING[:2]),
        ("oversight", [WRITING[0], WRITING[2]]),
    ],
)
def test_a_link_inside_a_run_leads_no_command_to_write_elsewhere(
    inside, lines, tiny_run, tmp_path, capsys, monkeypatch
):
    run, mine = tmp_path / "run", tmp_path / "mine"
    shutil.copytree(tiny_run, run)
    shutil.rmtree(run / inside, ignore_errors=True)
    (run / inside).unlink(missing_ok=True)
    mine.mkdir() if "." not in inside and inside != "lock" else mine.write_text("precious\n")
    (run / inside).symlink_to(mine)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "script").write_text("")
    for line in lines:
        code = command(line, run)
        said = capsys.readouterr().err
        assert "Traceback" not in said
        assert code != 1 or "link" in said, (line, said)
        assert code == 1 or not line.startswith("train"), (line, said)
        assert mine.is_dir() or mine.read_text() == "precious\n", line
        assert mine.is_file() or not list(mine.iterdir()), line


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_link_in_a_match_folder_leads_nowhere(link, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    line = "arena random random --game tic_tac_toe --games 4 --block 2 --out match"
    (tmp_path / "other").write_text("random")  # two players need two names
    assert command(line, "") == 0
    games_file = tmp_path / "match" / "games.jsonl"
    content = games_file.read_text()
    games_file.rename(tmp_path / "mine")
    (tmp_path / "mine").write_text(content[: len(content) // 2])
    link(tmp_path / "mine", games_file)
    assert command(line, "") == 1
    assert " link" in capsys.readouterr().err
    assert (tmp_path / "mine").read_text() == content[: len(content) // 2]


def test_nothing_printed_about_a_name_is_obeyed_by_a_terminal(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command("evaluate \x1b[31mrun", "") == 2
    assert "\x1b" not in capsys.readouterr().err


def test_a_link_in_a_strangers_run_lets_train_touch_no_file_of_mine(
    tiny_run, tmp_path, capsys, monkeypatch
):
    mine, gift = tmp_path / "mine", tmp_path / "gift"
    shutil.copytree(tiny_run, mine)
    (mine / "checkpoints" / "2023.old").mkdir()
    shutil.copytree(tiny_run, gift)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "another user"))
    before = sorted(mine.rglob("*"))
    for part in ("replay", "checkpoints"):
        shutil.rmtree(gift / part)
        (gift / part).symlink_to(mine / part)
        assert command("train {run} --iterations 5", gift) == 1
        assert "is a link in a run that you have not made here" in capsys.readouterr().err
        assert sorted(mine.rglob("*")) == before
        (gift / part).unlink()
        shutil.copytree(tiny_run / part, gift / part)


def test_where_a_link_of_ones_own_leads_another_runs_files_stay(tiny_run, tmp_path):
    run, disk = tmp_path / "run", tmp_path / "disk"
    shutil.copytree(tiny_run, run)
    for part in ("replay", "checkpoints"):
        (disk / part).mkdir(parents=True)
        shutil.rmtree(run / part)
        (run / part).symlink_to(disk / part)
    [(_, _, chunk), *_] = replay.chunks(tiny_run / "replay")
    sample = read_chunk(chunk)
    names = [
        replay.write_chunk(disk / "replay", first, [sample], run_id).name
        for first, run_id in ((10**6, RunFolder(run).run_id()), (2 * 10**6, "another's"))
    ]
    newest = max(map(int, durable.names_in(tiny_run / "checkpoints")))
    other = shutil.copytree(tiny_run / "checkpoints" / str(newest), disk / "checkpoints" / "7.old")
    manifest = json.loads((other / "manifest.json").read_text()) | {"run_id": "another's"}
    (other / "manifest.json").write_text(json.dumps(manifest))
    with RunFolder(run).lock():
        RunFolder(run).discard_after(0, {"sizes": {}, "sums": {}}, frozenset())
    assert durable.names_in(disk / "replay") == names[1:]
    assert durable.names_in(disk / "checkpoints") == ["7.old"]


def _of_zeros(path, size=300 << 20):
    """A file of one line that does not end; it takes no room on the disk."""
    with path.open("wb") as file:
        file.truncate(size)
    return path


def test_large_files_of_no_lines_are_read_by_parts_or_refused(tmp_path):
    path = _of_zeros(tmp_path / "metrics.jsonl")
    log, other = Log(path), _of_zeros(tmp_path / "games.jsonl")
    tracemalloc.start()
    tail = Tail(log)
    assert sum(1 for _ in tail.lines()) > 50  # each too long to be one
    assert not list(tail.lines())
    assert log.seal()[0] == 300 << 20
    assert ladder.stored_players(path, "hex") == {}
    with pytest.raises(durable.WriteError, match="larger than any"):
        durable.keep_lines(other)
    durable.append(other, "one\n")
    assert other.read_text() == "one\n"
    assert log.cut(1 << 20, None, lambda: tmp_path) == "lines are missing"
    assert tracemalloc.get_traced_memory()[1] < 30 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("text", ["a" + ".a" * 30_000 + " = 1\n", "a = " + "[" * 1900 + "\n"])
def test_a_plan_that_takes_gigabytes_to_read_is_refused(text, tmp_path):
    (tmp_path / "plan.toml").write_text(text)
    with pytest.raises(ValueError, match="is not valid TOML"):
        plan.read(tmp_path / "plan.toml")


def test_a_pipe_in_the_place_of_the_key_signs_nothing_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "selfplay").mkdir()
    os.mkfifo(tmp_path / "selfplay" / "key")
    said = []
    signing = threading.Thread(target=lambda: said.append(trust.sign({"a": 1})), daemon=True)
    signing.start()
    signing.join(10)
    assert said == [""]


def test_a_link_in_the_place_of_an_older_part_of_a_log_is_not_read(tmp_path):
    (tmp_path / "mine.jsonl").write_text("precious\n")
    (tmp_path / "metrics-000001.jsonl").symlink_to(tmp_path / "mine.jsonl")
    assert Log(tmp_path / "metrics.jsonl").parts() == []


def test_set_up_stones_count_once(tmp_path):
    (few,) = read_drafts("(;GM[1]FF[4]SZ[5]AB" + "[aa:ee]" * 25 + ")")
    assert len(few.moves) <= 2 * 25
    (many,) = read_drafts("(;GM[1]FF[4]SZ[5]AB" + "[aa:ee]" * 26 + ")")
    assert "26 values, more than there are points" in many.problem
