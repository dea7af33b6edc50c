"""README and the like: files, flags, settings and modules that pages name are there."""

import dataclasses
import functools
import importlib
import importlib.util
import pathlib
import re

import pytest

from scripts import cli
from scripts.terminal.options import options
from selfplay import old_names
from tests.support import ROOT
from training.config import RunConfig

LAYERS = ("games", "mcts", "selfplay", "training", "scripts", "tests")
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
OF_ANY_COMMAND = {"--help", "--help-all", "--debug", "--allow", "--version"}  # read by cli.py
OF_OTHERS = {  # flags of other programs that the docs run
    *("--mode", "--level", "--chinese-rules", "--positional-superko", "--capture-all-dead"),
    *("--play-out-aftermath", "--never-resign"),  # GNU Go
    *("--kills", "--only"),  # tests.soak, tests.golden
    "--plot",  # scripts.developer.compare_slots
    "--xla_gpu_enable_command_buffer",
}
SECTIONS = [
    field.name for field in dataclasses.fields(RunConfig) if dataclasses.is_dataclass(field.default)
]
# It explains the old names.
OLD_NAMES_PAGE = ROOT / "docs" / "decisions" / "old-names.md"

texts = pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))


def paths_in(text: str) -> set[str]:
    """Returns what a text in backticks names as a Python file in a folder, and where links lead."""
    files = re.findall(r"`((?:[a-z_*]+/)+[a-z_*]+\.py)`", text)  # no tests/LAYER/test_NAME.py
    return {*files, *(link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link)}


def flags_in(text: str) -> set[str]:
    """Returns the flags in a text, without their values."""
    # Not `--search.` or `--search.*`, which stand for many.
    return set(re.findall(r"(?<![\w-])--[a-z][\w-]*+(?:\.[\w-]+)*+(?!\.[*`])", text))


def commands_in(text: str) -> list[tuple[str, set[str]]]:
    """Returns the commands of `selfplay` that a text shows, each with its flags."""
    whole = text.replace("\\\n", " ")
    shown = re.findall(r"(?:^|`|\s)selfplay ([a-z]+(?:-[a-z]+)?)\b([^`\n|#]*)", whole, re.MULTILINE)
    return [(name, flags_in(rest)) for name, rest in shown if name in cli.COMMANDS]


def settings_in(text: str) -> set[str]:
    """Returns the settings that a text names as `section.name`, as Python spells them."""
    sections = "|".join([*SECTIONS, "self-play"])
    names = re.findall(rf"`(?:--)?((?:{sections})\.)(?:no-)?([a-z][\w-]*)[` ]", text)
    files = (".py", ".jsonl")  # such as replay.py
    named = {(section + name).replace("-", "_") for section, name in names}
    return {name for name in named if not name.endswith(files)}


@functools.cache
def flags_of(command: str) -> frozenset[str]:
    """Returns all flags of a command, those of both signs too, which its help shows once."""
    flags = importlib.import_module(f"scripts.flags.{command.replace('-', '_')}")
    return frozenset({f"--{option.flag}" for option in options(flags.Args)} | OF_ANY_COMMAND)


def setting_names(config: object, prefix: str = "") -> set[str]:
    names = set()
    for field in dataclasses.fields(config):  # type: ignore[arg-type]
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            names |= setting_names(value, f"{prefix}{field.name}.")
        names.add(prefix + field.name)
    return names


def missing_paths(page: pathlib.Path, text: str) -> set[str]:
    """Returns the named files that are not there; CONTRIBUTING names some within their layer."""
    places = [ROOT, page.parent, *(ROOT / layer for layer in LAYERS)]
    return {path for path in paths_in(text) if not any([*place.glob(path)] for place in places)}


def unknown_flags(text: str) -> set[str]:
    """Returns the flags that no command has, and those that the command before them has not."""
    every = frozenset().union(*map(flags_of, cli.COMMANDS))
    unknown = flags_in(text) - every - OF_OTHERS
    for command, flags in commands_in(text):
        unknown |= {f"{command} {flag}" for flag in flags - flags_of(command) - OF_OTHERS}
    return unknown


@texts
def test_every_file_that_a_page_names_is_there(page):
    missing = missing_paths(page, page.read_text())
    assert not missing


@texts
def test_every_flag_that_a_page_names_is_one_and_of_the_command_before_it(page):
    if page != OLD_NAMES_PAGE:
        unknown = unknown_flags(page.read_text())
        assert not unknown


@texts
def test_every_setting_that_a_page_names_is_one(page):
    if page != OLD_NAMES_PAGE:
        unknown = settings_in(page.read_text()) - setting_names(RunConfig())
        assert not unknown


@texts
def test_every_module_that_a_page_runs_is_there(page):
    for name in re.findall(r"python -m\s+([\w.]+)", page.read_text()):
        assert name.endswith(".NAME") or importlib.util.find_spec(name), name


def reached_from(page: pathlib.Path, seen: frozenset[pathlib.Path]) -> frozenset[pathlib.Path]:
    """Returns the pages that links lead to from a page, it and `seen` included."""
    seen |= {page}
    for link in re.findall(r"\]\(([^)#\s]+\.md)", page.read_text()):
        other = (page.parent / link).resolve()
        if other not in seen and other.exists():
            seen |= reached_from(other, seen)
    return seen


def test_links_lead_from_the_index_to_every_page_of_the_docs():
    index = ROOT / "docs" / "index.md"
    assert {*index.parent.rglob("*.md")} <= reached_from(index, frozenset())
    assert "docs/index.md" in (ROOT / "README.md").read_text()


def test_links_are_followed_from_page_to_page(tmp_path):
    first, second, alone = (tmp_path / name for name in ("first.md", "second.md", "alone.md"))
    first.write_text("[x](second.md#here) [y](gone.md)")
    second.write_text("[back](first.md)")
    alone.write_text("[x](first.md)")
    assert reached_from(first, frozenset()) == {first, second}


def test_the_reading_sees_what_is_wrong():
    page = ROOT / "docs" / "page.md"
    assert missing_paths(page, "`mcts/search.py` [x](arena.md) `conformance/check.py`") == set()
    assert missing_paths(page, "`mcts/lost.py` [x](gone.md)") == {"mcts/lost.py", "gone.md"}
    assert unknown_flags("    $ selfplay arena A B --games 4 \\\n  --sprt 0 50") == set()
    assert unknown_flags("`--learner.rate 1`") == {"--learner.rate"}
    assert unknown_flags("selfplay arena A B --learner.batch 4") == {"arena --learner.batch"}
    assert settings_in("`replay.reuse` and `mcts/search.py`, `--self-play.batch 4`") == {
        "replay.reuse",
        "self_play.batch",
    }
    old = [f"--{name.replace('_', '-')}" for name in old_names.SETTINGS if "." in name]
    assert unknown_flags(" ".join(old)) == set(old)
