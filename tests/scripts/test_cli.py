"""The command line: help, exit codes, one-sentence errors, and a run from start to report."""

import importlib
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from scripts import cli, train
from scripts.flags import train as flags
from scripts.terminal import console, train_display
from scripts.terminal.signals import stop_on_signal
from tests.support import ROOT, TINY_FLAGS
from training.config import RunConfig
from training.storage.run_folder import RunFolder


@pytest.mark.parametrize("command", sorted(cli.COMMANDS))
def test_every_command_has_help_with_examples(command, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.run([*command.split(), "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert "Examples:" in text
    assert f"selfplay {command}" in text


def flags_shown(command, asked, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.run([command, asked])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    return set(re.findall(r"^\W (?:-h, )?--(\w[\w.-]*)", text, re.MULTILINE)), text


@pytest.mark.parametrize(("command", "most"), [("train", 23), ("bench", 7)])
def test_help_shows_the_flags_to_know_first_and_help_all_every_flag(command, most, capsys):
    shown, text = flags_shown(command, "--help", capsys)
    in_sight = importlib.import_module(f"scripts.flags.{command}").IN_SIGHT
    names = {name.strip("_").replace("_", "-") for name in in_sight}
    assert shown == names - {"run"} | {"help"}  # which is an argument
    assert len(shown) <= most
    assert "--help-all" in text
    every, _ = flags_shown(command, "--help-all", capsys)
    assert every > shown
    assert {"search.c-visit", "network.momentum"} <= every - shown


def test_a_flag_that_help_hides_works():
    given = ["--search.c-visit", "7", "--overseer.no-augment", "--learner.weight_decay=0.5"]
    config = console.parse(flags.Args, given, "train", flags.defaults(given), flags.IN_SIGHT).config
    assert (config.search.c_visit, config.learner.weight_decay) == (7.0, 0.5)
    assert not config.overseer.augment


@pytest.mark.parametrize(
    ("argv", "folder"),
    [
        (["--run-dir", "a"], "a"),
        (["--run-dir=a", "--seed", "3"], "a"),
        (["--run_dir", "a", "--dry-run"], "a"),
        (["--run_dir=a=b"], "a=b"),
        (["--run-dir", "a", "--run-dir", "b"], "b"),
        (["--run-dir="], ""),
        (["--seed", "3"], ""),
    ],
)
def test_defaults_hang_on_the_same_words_that_the_flags_are_read_from(argv, folder):
    assert console.flag_value(argv, "run-dir") == folder
    default = flags.Args(config=RunConfig())
    assert console.parse(flags.Args, argv, "train", default).run_dir == folder


def test_a_flag_takes_all_words_until_the_next_flag():
    argv = ["--records", "a", "b", "--json", "c"]
    assert console.flag_words(argv, "records") == ["a", "b"]
    assert console.flag_words(argv, "json") == ["c"]
    assert console.flag_words(["--records"], "records") == []
    assert console.flag_words(argv, "game") is None


def test_the_bare_command_lists_the_commands(capsys):
    assert cli.run([]) == 2
    assert cli.run(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(command in text for command in cli.COMMANDS)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["tran"], "unknown command 'tran'"),
        (
            ["train", "--game", "conect_four"],
            "unknown game 'conect_four' (did you mean connect_four?); known: ",
        ),
        (["train", "--game", "go:size=99"], "size"),
        (["train", "--game", "go:sise=9"], "unknown option 'sise'"),
        (["train", "--game", "tic_tac_toe", "--search.simulations", "0"], "simulations must be"),
        (["train", "--preset", "huge"], "huge"),
        (["train", "--from", "nowhere", "--run-dir", "x"], "no such run folder: nowhere"),
        (["evaluate", "nowhere", "--against", "random"], "nowhere"),
        (["runs", "nowhere"], "no such run folder: nowhere"),
        (["doctor", "nowhere"], "no such run folder: nowhere"),
        (["arena", "random", "random", "--game", "tic_tac_toe", "--games", "3"], "even"),
        (["arena", "nobody", "random"], "nobody"),
        (["bench", "--game", "nogame"], "unknown game 'nogame'"),
        (["game", "check", "no_module:Game"], "no_module"),
        (["play", "chess"], "a game, not a player: selfplay play uniform --game pgx:chess"),
        (["play", "reversi"], "selfplay play othello"),
    ],
)
def test_a_users_mistake_is_exit_code_2_and_a_sentence_with_the_value(
    argv, said, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    try:
        code = cli.run(argv)
    except SystemExit as stop:  # the flag parser's own exit
        code = stop.code
    assert code == 2
    captured = capsys.readouterr()
    assert said in captured.err + captured.out
    assert "Traceback" not in captured.err
    assert not list(tmp_path.iterdir()), "a mistake left something behind"


HEX = "shipped:hex_5x5"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["engine", "shipped:go"], "(did you mean go_9x9?)"),
        (["engine", "shipped:connect_four", "--protocol", "uci"], "is not played by UCI"),
        (["engine", "uniform", "--game", "open_spiel:breakthrough"], "only as a reference"),
        (["game", "check", "pettingzoo.classic:chess_v6"], "there is no adapter"),
        (["arena", HEX, "shipped:go_5x5"], "plays go:size=5, not hex:size=5"),
        (["play", HEX, "--game", "hex"], "plays hex:size=5, not hex"),
        (["evaluate", f"{HEX}@7"], "there is no checkpoint of step 7; there are"),
        (["train", "--from", f"{HEX}@7"], "there is no checkpoint of step 7; there are"),
        (["train", "--game", "go", "--amplify", f"player:{HEX}"], "plays hex:size=5, not go"),
    ],
)
def test_wrong_names_are_told_before_anything_heavy_is_imported(argv, said, capsys, monkeypatch):
    monkeypatch.setattr(console, "starting", lambda: pytest.fail("it was about to import jax"))
    assert cli.run(argv) == 2
    assert said in capsys.readouterr().err


def test_a_run_folder_that_holds_other_things_is_refused_and_left_alone(capsys, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    assert cli.run(["train", *TINY_FLAGS, "--run-dir", str(tmp_path)]) == 2
    assert "not empty and holds no run" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    file = tmp_path / "notes.txt"
    assert cli.run(["train", *TINY_FLAGS, "--run-dir", str(file)]) == 2
    assert "is a file" in capsys.readouterr().err


def test_a_run_of_another_game_is_refused_with_the_fields_that_differ(tiny_run, capsys):
    assert cli.run(["train", "--run-dir", str(tiny_run), "--game", "connect_four"]) == 2
    assert "game: 'tic_tac_toe' in the run, 'connect_four' asked for" in capsys.readouterr().err
    assert cli.run(["train", "--run-dir", str(tiny_run), "--network.blocks", "3"]) == 2
    assert "network.blocks: 1 in the run, 3 asked for" in capsys.readouterr().err


def test_weights_that_do_not_fit_are_wrong_use_and_leave_no_folder(tiny_run, tmp_path, capsys):
    new = tmp_path / "new"
    given = ["train", "--from", str(tiny_run), "--run-dir", str(new)]
    assert cli.run([*given, "--game", "connect_four"]) == 2
    error = capsys.readouterr().err
    assert f"{tiny_run} plays tic_tac_toe, and this run connect_four" in error
    assert cli.run([*given, "--network.channels", "24"]) == 2
    assert "leave out what changes the network" in capsys.readouterr().err
    assert not new.exists()


def test_a_start_whose_default_name_is_taken_meanwhile_takes_the_next(
    tiny_run, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(train, "next_free", lambda game: RunFolder(tiny_run))  # it was free then
    assert cli.run(["train", *TINY_FLAGS, "--from", str(tiny_run), "--iterations", "1"]) == 0
    assert (tmp_path / "runs" / "tic_tac_toe-1" / "config.json").exists()


@pytest.mark.parametrize(
    ("words", "minutes"),
    [("", 6.0), ("--flops 1e13", 0.0), ("--iterations 3", 0.0), ("--flops=1e13 --minutes 2", 6.0)],
)
def test_the_presets_minutes_hold_only_where_no_limit_is_given(words, minutes):
    made = flags.defaults(["--game", "connect_four", *words.split()])
    assert made.config.minutes == minutes  # before the flags themselves


def test_a_finished_run_says_so_and_exits_0(tiny_run, capsys):
    assert cli.run(["train", "--run-dir", str(tiny_run), "--json"]) == 0
    captured = capsys.readouterr()
    assert "reached its limit" in captured.err
    assert json.loads(captured.out)["finished"] is True


@pytest.mark.parametrize(
    "argv", [[""], ["--run-dir", ""], ["--run-dir="], ["--run_dir="], ["--from", ""]]
)
def test_an_empty_name_starts_no_run(argv, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.run(["train", *argv]) == 2
    assert "an argument is empty" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_games_name_where_the_run_folder_stands_is_not_taken_for_one(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert cli.run(["train", "tic_tac_toe", "--iterations", "1"]) == 2
    assert "--game tic_tac_toe trains it" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_run_is_named_as_by_every_other_command(tiny_run, tmp_path, capsys):
    for argv in ([str(tiny_run), "--json"], ["--seed", "0", str(tiny_run), "--json"]):
        assert cli.run(["train", *argv]) == 0
        assert json.loads(capsys.readouterr().out)["run_dir"] == str(tiny_run)
    assert cli.run(["train", str(tiny_run), "--run-dir", str(tmp_path / "x")]) == 2
    assert "name one folder" in capsys.readouterr().err


def test_a_damaged_config_is_a_sentence(tiny_run, tmp_path, capsys):
    (tmp_path / "config.json").write_text('{"format_version": 1, "config": {"blocks"')
    assert cli.run(["train", "--run-dir", str(tmp_path)]) == 2
    assert "config.json is damaged" in capsys.readouterr().err
    (tmp_path / "config.json").write_text('{"format_version": 99, "config": {}}')
    assert cli.run(["train", "--run-dir", str(tmp_path)]) == 2
    assert "has format 99, this version reads 1" in capsys.readouterr().err


def test_runs_sums_up_a_run_and_writes_plots_if_wanted(tiny_run, tmp_path, capsys):
    words = ["runs", str(tiny_run), str(tiny_run), "--out", str(tmp_path), "--png", "--json"]
    assert cli.run(words) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told["written"]) == {str(path) for path in tmp_path.glob("*.png")}
    assert [run["run"] for run in told["runs"]] == [str(tiny_run)]
    pictures = sorted(path.name for path in tmp_path.glob("*.png"))
    for name in ("losses", "entropy", "kl", "evaluations", "mistakes", "speed"):
        assert f"{name}.png" in pictures
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert cli.run(["runs", str(tiny_run)]) == 0
    text = capsys.readouterr().out
    assert "policy_loss" in text
    assert "kl" in text


@pytest.mark.slow
def test_bench_prints_the_promised_keys(capsys):
    flags = "--game tic_tac_toe --batch 16 --rounds 1 --network.blocks 0 --network.channels 4"
    assert cli.run(["bench", *flags.split(), "--search.simulations", "4", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert set(result) == {
        *("device", "game", "batch", "simulations", "network_evals_per_s", "env_steps_per_s"),
        *("step_to_evaluation", "advice"),
        *("simulations_per_s", "positions_per_s", "search_to_network", "compile_s", "peak_bytes"),
        *("network_share_of_peak", "self_play_share_of_peak"),
    }
    assert 0 < result["search_to_network"] < 2
    assert result["simulations"] == 4


def test_the_first_signal_asks_to_stop_and_the_second_stops():
    with stop_on_signal() as stop:
        assert not stop()
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)  # `make` hands on what its group was sent
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_closed_terminal_asks_to_stop_however_often_but_not_under_nohup():
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may run under nohup
    with stop_on_signal() as stop:
        for _ in range(3):
            signal.raise_signal(signal.SIGHUP)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_on_signal() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert not stop()
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def test_sigterm_saves_and_exits_75_and_the_same_command_goes_on(tmp_path):
    path = tmp_path / "run"
    argv = ["train", *TINY_FLAGS, "--run-dir", str(path), "--minutes", "30"]
    command = [sys.executable, "-c", "from scripts.cli import main; main()", *argv]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 240
    while len(RunFolder(path).read_metrics()) < 3 and time.monotonic() < deadline:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 75, said
    assert "is saved at step" in said
    stopped_at = RunFolder(path).read_metrics()[-1]["iteration"]
    # Going on until a limit that lies a little ahead.
    more = ["train", "--run-dir", str(path), "--iterations", str(stopped_at + 2)]
    assert cli.run(more) == 0
    lines = [line for line in RunFolder(path).read_metrics() if line["kind"] == "iteration"]
    assert [line["iteration"] for line in lines] == list(range(1, stopped_at + 3))


def test_a_terminal_that_is_gone_ends_no_work(monkeypatch):
    class Gone:
        isatty = staticmethod(lambda: False)

        def write(self, text):
            raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(sys, "stderr", Gone())
    console.say("a line")
    with console.progress("train", 3) as update:
        update(3)


def test_closed_input_is_the_end_of_input_for_a_person_and_wrong_use_of_engine(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", None)
    assert console.ask("your move: ") is None
    assert cli.run(["engine", "uniform", "--protocol", "uci"]) == 2
    assert "standard input is closed" in capsys.readouterr().err


def test_progress_never_goes_back_where_an_evaluation_comes_before_its_iteration(
    monkeypatch, capsys
):
    monkeypatch.setattr(console, "LOG_EVERY_SECONDS", 0.0)
    counts = {"step": 1, "games": 1, "positions": 1, "flops": 0, "flops_measured": 0}
    iteration = {"kind": "iteration", **counts, "examples": 1, "kl": 0.0}
    perfect = {"all": {"raw": 0.0, "search": 0.0}}
    evaluation = {"kind": "evaluation", **counts, "loss": 0.0, "simulations": 4, "perfect": perfect}
    for limits, shown, share in (
        ({"minutes": 1.0}, [("20", "60 s"), ("45", "60 s"), ("45", "60 s")], "75%"),
        ({"flops": 2e13}, [("5", "20 TFLOP"), ("10", "20 TFLOP"), ("10", "20 TFLOP")], "50%"),
    ):
        with train_display.display(RunConfig(**limits), None) as show:
            show(iteration | {"iteration": 1, "seconds": 20.0, "flops": 5 * 10**12})
            show(evaluation | {"iteration": 2, "seconds": 45.0, "flops": 10**13})
            show(iteration | {"iteration": 2, "seconds": 22.0, "flops": 10**13})
        said = capsys.readouterr().err
        assert re.findall(r"train: (\S+) of (\S+ \w+)", said) == shown
        assert re.search(rf"\({share}, \S+ left\)", said), said


@pytest.mark.parametrize("words", ["--help", "train --help", "game list", "bogus"])
def test_a_reader_that_leaves_early_makes_no_noise(words):
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "scripts.cli", *words.split()]
    done = subprocess.run(
        command, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60
    )
    os.close(writing)
    assert done.returncode
    assert "pipe" not in done.stderr.lower(), done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_disk_under_the_output_is_a_sentence(tmp_path):
    command = [sys.executable, "-c", "from scripts.cli import main; main()", "--help"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert "No space left on device" in done.stderr
