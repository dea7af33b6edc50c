"""The wheel, installed where nothing else of ours is, trains: nothing relies on the checkout."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import zipfile

import pytest

from tests.support import ROOT

LAYERS = ("games", "mcts", "selfplay", "training", "scripts")
TINY = [
    *("--game", "tic_tac_toe", "--network.blocks", "1", "--network.channels", "8"),
    *("--search.simulations", "4", "--self-play.batch", "16", "--self-play.plies-per-call", "6"),
    *("--replay.min-examples", "40", "--learner.batch", "32", "--evaluation.games", "16"),
    *("--evaluation.every", "3", "--evaluation.positions", "64", "--evaluation.gap-positions", "0"),
]


def call(*command, **options):
    """Returns what a command prints on stdout; without PYTHONPATH, which may show the checkout."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, env=env, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel built offline from a copy: the build leaves files beside the sources."""
    copy, out = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("wheel")
    for name in LAYERS:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    flags = ("--no-build-isolation", "--no-deps", "--no-index", "--wheel-dir", str(out))
    call(sys.executable, "-m", "pip", "wheel", "--quiet", *flags, str(copy))
    [path] = out.iterdir()
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The programs of an environment that holds the wheel, and the libraries of this one."""
    folder = tmp_path_factory.mktemp("environment")
    call(sys.executable, "-m", "venv", "--without-pip", str(folder))
    pip = (sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"))
    call(*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel))
    # Python reads no .pth files of folders named in one, such as the one that leads to a checkout.
    libraries = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    [site] = folder.glob("lib/python*/site-packages")
    (site / "libraries.pth").write_text("\n".join(libraries) + "\n")
    return folder / "bin"


def test_a_wheel_holds_every_file_of_the_packages_and_nothing_else(wheel):
    files = {
        str(path.relative_to(ROOT))
        for layer in LAYERS
        for path in (ROOT / layer).rglob("*")
        if path.is_file() and not {"__pycache__", "developer"} & {*path.parts}
    }
    assert any(name.endswith("connect_four.jsonl.gz") for name in files), "the solved positions"
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == files
    assert wheel.name.startswith("selfplay_zero-")


def test_the_wheel_trains_where_the_checkout_is_not(installed, tmp_path):
    code = "import games, scripts, training; print(games.__file__, training.__file__)"
    for file in call(installed / "python", "-c", code, cwd=tmp_path).split():
        assert pathlib.Path(file).is_relative_to(installed.parent), "the checkout is in reach"
    train = (installed / "selfplay", "train", *TINY, "--run-dir", "run", "--iterations", "6")
    result = json.loads(call(*train, "--json", cwd=tmp_path))
    assert result["finished"]
    assert result["iteration"] == 6
    assert result["step"] > 0
    assert json.loads((tmp_path / "run" / "config.json").read_text())["versions"]["selfplay-zero"]


def test_the_wheels_command_knows_its_version_and_its_games(installed, tmp_path):
    said = call(installed / "selfplay", "--version", cwd=tmp_path)
    assert said.startswith("selfplay 0.")
    rows = json.loads(call(installed / "selfplay", "game", "list", "--json", cwd=tmp_path))["games"]
    assert {"tic_tac_toe", "go"} <= {row["name"] for row in rows}
