"""README and the like: files, flags, settings and modules that pages name are there."""

import ast
import dataclasses
import functools
import importlib
import importlib.util
import json
import pathlib
import re

import pytest

from scripts import cli
from scripts.terminal.options import options
from tests.support import ROOT
from training.config import RunConfig

LAYERS = ("games", "mcts", "selfplay", "training", "scripts", "tests")
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "docs" / "notebook.ipynb",  # its links, flags and files stand in it as in Markdown
]
OF_ANY_COMMAND = {"--help", "--help-all", "--debug", "--allow", "--version"}  # read by cli.py
OF_OTHERS = {  # flags of other programs that the docs run
    *("--mode", "--level", "--chinese-rules", "--positional-superko", "--capture-all-dead"),
    *("--play-out-aftermath", "--never-resign"),  # GNU Go
    "--kills",  # tests.soak
    "--xla_gpu_enable_command_buffer",
    *("--signal", "--gpus", "--time", "--nodes", "--ntasks-per-node"),  # Slurm
    *("--build-arg", "--device", "--file", "--nv", "--rm", "--stop-timeout", "--tag", "--volume"),
    "--no-deps",  # pip
}
SECTIONS = [
    field.name for field in dataclasses.fields(RunConfig) if dataclasses.is_dataclass(field.default)
]

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
    shown = re.findall(r"(?:^|`|\s)selfplay (game [a-z]+|[a-z]+)\b([^`\n|#]*)", whole, re.MULTILINE)
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
    flags = importlib.import_module(f"scripts.flags.{command.replace(' ', '_')}")
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
    unknown = unknown_flags(page.read_text())
    assert not unknown


@texts
def test_every_setting_that_a_page_names_is_one(page):
    unknown = settings_in(page.read_text()) - setting_names(RunConfig())
    assert not unknown


@texts
def test_every_module_that_a_page_runs_is_there(page):
    for name in re.findall(r"python -m\s+([\w.]+)", page.read_text()):
        assert name.endswith(".NAME") or importlib.util.find_spec(name), name


def of_ours(tree: ast.AST) -> set[str]:
    """Returns what code takes of our packages, as `package.module.name`."""
    named, modules = set(), {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {one.asname or one.name: one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules |= {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            named.add(f"{modules.get(node.value.id)}.{node.attr}")
    return {name for name in {*named, *modules.values()} if name.split(".")[0] in LAYERS}


def is_there(name: str) -> bool:
    """Returns whether a module, or what one holds, is there."""
    module, _, attribute = name.rpartition(".")
    if not module or importlib.util.find_spec(module) is None:
        return not module and importlib.util.find_spec(name) is not None
    held = importlib.import_module(module)
    return hasattr(held, attribute) or importlib.util.find_spec(name) is not None


def test_the_notebook_shows_its_pictures_and_what_it_takes_of_ours_is_there():
    text = (ROOT / "docs" / "notebook.ipynb").read_text()
    assert len(text) < 500_000  # it is in every clone, in each of its versions
    notebook = json.loads(text)
    assert (notebook["nbformat"], notebook["metadata"]["kernelspec"]["name"]) == (4, "python3")
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for cell in cells:
        kinds = {kind for shown in cell["outputs"] for kind in shown.get("data", ())}
        drawn = kinds & {"image/svg+xml", "image/png"}
        assert bool(drawn) == bool(re.search(r"games.picture\(|subplots", "".join(cell["source"])))
    taken = of_ours(ast.parse("\n".join("".join(cell["source"]) for cell in cells)))
    assert {"games.picture", "training.train_run", "mcts.search"} <= taken
    assert not {name for name in taken if not is_there(name)}
    for wrong in ("import games\ngames.pictures", "from training import trains"):
        assert not all(map(is_there, of_ours(ast.parse(wrong)))), wrong


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
