"""The tutorial's code is run as it stands on the page, so that the page cannot drift."""

import pathlib
import re
import sys
import tomllib

import pytest

import games
from games import registry
from games.conformance import LAWS, check
from scripts import game_check as check_command

PAGE = (pathlib.Path(games.__file__).parent.parent / "docs" / "new-game.md").read_text()
BLOCKS = re.findall(r"^```(\S*)( test)?\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
GAME = "".join(text for language, test, text in BLOCKS if language == "python" and not test)
TESTS = [text for _, test, text in BLOCKS if test]
[PACKAGE] = [text for language, _, text in BLOCKS if language == "toml"]
# With a bug that the reference notices, without one, and with one that breaks a law.
DIFFERS, CONFORMS, BROKEN = (
    text for language, _, text in BLOCKS if not language and "selfplay game check snort:" in text
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A current folder with the tutorial's `snort.py`; import path and modules are put back."""
    (tmp_path / "snort.py").write_text(GAME)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    sys.modules.pop("snort", None)


def test_the_game_is_under_100_lines_of_code():
    lines = [line for line in GAME.splitlines() if line.strip()]
    assert len(lines) < 100


def test_the_game_conforms_and_the_check_prints_what_the_page_shows(folder, capsys):
    assert check_command.run(check_command.Args("snort:Snort")) == 0
    assert without_seconds(capsys.readouterr().out) == without_seconds(CONFORMS)


def test_the_broken_game_is_rejected_as_the_page_shows(folder, capsys):
    line = "        return jnp.where(state.terminated, result, 0.0)\n"
    assert GAME.count(line) == 1
    (folder / "snort.py").write_text(GAME.replace(line, "        return result\n"))
    assert check_command.run(check_command.Args("snort:Snort")) == 1
    printed = without_seconds(capsys.readouterr().out)
    for part in without_seconds(BROKEN).split("...\n"):
        assert part.strip() in printed, printed


def without_seconds(text):
    lines = [line for line in text.strip().splitlines() if not line.startswith("$ ")]
    return re.sub(r"\d+\.\d s", "0.0 s", "\n".join(lines))


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 3, 9])
def test_other_sizes_conform_too(folder, size):
    report = check(games.load(f"snort:Snort:size={size}"), games=32, fresh_process=False)
    assert not report.violations, "\n".join(map(str, report.violations))


@pytest.mark.parametrize("text", TESTS)
def test_the_pages_own_tests_pass(folder, monkeypatch, text):
    monkeypatch.syspath_prepend(folder)
    space = {}
    exec(compile(text, "docs/new-game.md", "exec"), space)
    tests = [value for name, value in space.items() if name.startswith("test_")]
    assert tests
    for test in tests:
        test()


def test_the_pages_reference_notices_the_mistake_that_the_page_tells_of(folder, capsys):
    right = " | mine[1:-1, 2:]"
    assert GAME.count(right) == 1
    (folder / "snort.py").write_text(GAME.replace(right, ""))
    (folder / "test_snort.py").write_text(next(text for text in TESTS if "Reference" in text))
    args = check_command.Args("snort:Snort", against="test_snort.py:Reference")
    assert check_command.run(args) == 1
    printed = without_seconds(capsys.readouterr().out)
    for part in without_seconds(DIFFERS).split("...\n"):
        assert part.strip() in printed, printed


def test_the_package_names_an_entry_point_that_loads(folder):
    package = tomllib.loads(PACKAGE)
    [(name, target)] = package["project"]["entry-points"][registry.ENTRY_POINTS].items()
    assert name not in registry.BUILT_IN
    assert type(games.load(target)).__name__ == "Snort"
    assert package["tool"]["setuptools"]["py-modules"] == [target.partition(":")[0]]


def test_every_law_is_explained():
    table = PAGE.partition("## When the check says no")[2]
    for law in LAWS:
        assert f"\n| {law} |" in table, law
