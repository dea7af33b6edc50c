"""Quick starts: a command that needs no device imports neither jax nor the libraries behind it."""

import ast
import json
import subprocess
import sys

from scripts import cli
from tests.support import ROOT

HEAVY = ("jax", "jaxlib", "flax", "optax", "matplotlib", "scipy", "mctx", "tensorstore")
QUICK = {
    "no command": [],
    "help": ["--help"],
    "version": ["--version"],
    "a wrong command": ["tran"],
    "the games": ["game", "list"],
    "the games as JSON": ["game", "list", "--json"],
    "an unknown game": ["game", "check", "go_9"],
    "an unknown game of a match": ["arena", "random", "random", "--game", "chess"],
    "a run that is not there": ["runs", "runs/nowhere"],
    "a checkpoint that is not there": ["evaluate", "runs/nowhere@3", "--against", "random"],
    "an unknown game of a run": ["train", "--game", "go_9"],
    "a source that is not there": ["train", "--from", "runs/nowhere"],
    "every flag": ["train", "--game", "othello", "--preset", "gpu", "--help-all"],
    "an unknown option of a game": ["train", "--game", "tic_tac_toe:size=3"],
    "an option of another type": ["train", "--game", "go:size=large"],
    "a player that is not there": ["play", "runs/nowhere"],
    "players of any game": ["arena", "random", "random"],
    "a wrong setting of a player": ["arena", "uniform:fp=1", "random", "--game", "go"],
    "a game by another name": ["bench", "--game", "connect4"],
    "a flag by another name": ["train", "--learner.lr", "1"],
    "a choice that is nearly right": ["evaluate", ".", "--against", "randm"],
    "a list of runs": ["runs", "."],
    "a shell's completion": ["completion", "bash"],
    "a wrong flag": ["doctor", "runs/nowhere", "--secnds", "3"],
    **{f"help of {c}": [c, "--help"] for c in cli.COMMANDS},
}
PROGRAM = """
import contextlib, io, json, sys
from scripts import cli
seen = {}
for name, argv in json.loads(sys.argv[1]).items():
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        with contextlib.suppress(SystemExit):
            cli.run(argv)
    seen[name] = sorted(set(json.loads(sys.argv[2])) & set(sys.modules))
print(json.dumps(seen))
"""


def imported(commands: dict[str, list[str]]) -> dict[str, list[str]]:
    """Returns the heavy libraries that one process has imported after each of some commands."""
    argv = [sys.executable, "-c", PROGRAM, json.dumps(commands), json.dumps(HEAVY)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def test_help_lists_and_mistakes_import_nothing_heavy():
    for name, heavy in imported(QUICK).items():
        assert not heavy, f"{name}: {heavy}"


def test_the_probe_sees_what_a_command_imports():
    seen = imported(
        {"a list": ["game", "list"], "a check": ["game", "check", "tic_tac_toe", "--games", "0"]}
    )
    assert seen["a list"] == []
    assert "jax" in seen["a check"]


def test_the_flags_of_a_command_import_no_command():
    """So that a command's own imports, which may be heavy, wait until its flags are right."""
    commands = {f"scripts.{path.stem}" for path in (ROOT / "scripts").glob("*.py")}
    for path in (ROOT / "scripts" / "flags").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                names = {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
                assert not names & commands, f"{path.name} imports {names & commands}"
