"""The scripts of `selfplay completion`: they parse, and bash completes what it should."""

import shutil
import subprocess

import pytest

from scripts import cli

DRIVE = """
source ./completion
try() { COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 )); _selfplay; printf '%s\\n' "${COMPREPLY[@]}"; }
"""


def script(shell, capsys):
    assert cli.run(["completion", shell]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(("shell", "check"), [("bash", "-n"), ("zsh", "-n"), ("fish", "-n")])
def test_a_script_parses(shell, check, capsys, tmp_path):
    text = script(shell, capsys)
    for command in cli.COMMANDS:
        assert all(word in text for word in command.split())
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    file = tmp_path / "completion"
    file.write_text(text)
    subprocess.run([shell, check, str(file)], check=True)


def test_bash_completes_commands_flags_choices_games_players_runs_and_files(capsys, tmp_path):
    (tmp_path / "completion").write_text(script("bash", capsys))
    for run in ("runs/mine", "runs/my other"):
        (tmp_path / run).mkdir(parents=True)
        (tmp_path / run / "config.json").touch()
    (tmp_path / "runs" / "no run").mkdir()
    expected = {
        ("ar",): ["arena"],
        ("train", "--learner.lea"): ["--learner.learning-rate"],
        ("train", "--game", "conn"): ["connect_four"],
        ("train", "--preset", ""): ["quick", "gpu", "gpu-small"],
        ("train", "--minutes", ""): [""],
        ("arena", "ran"): ["random"],
        ("arena", "runs/mine", "run"): ["runs/mine", "runs/my other"],
        ("train", "--run-dir", "runs/my "): ["runs/my other"],
        ("runs", "comp"): ["completion"],
        ("game", ""): ["list", "new", "check"],
        ("game", "check", "othe"): ["othello"],
        ("game", "check", "--ga"): ["--games"],
        ("completion", "b"): ["bash"],
    }
    tries = [" ".join(f"'{word}'" for word in ("selfplay", *words)) for words in expected]
    lines = "".join(f"try {words}; echo ==\n" for words in tries)
    done = subprocess.run(
        ["bash", "-c", DRIVE + lines], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    got = [part.strip("\n").split("\n") for part in done.stdout.split("==\n") if part]
    assert dict(zip(expected, got, strict=True)) == expected
