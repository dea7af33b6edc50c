"""The writer of docs/settings.md: every setting of a run, its defaults, and what it does.

python -m scripts.developer.settings_page
"""

import dataclasses
import inspect
import pathlib
from typing import Any

from scripts.terminal.options import documented
from training import presets
from training.config import RunConfig

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "settings.md"
HEAD = """# The settings of a run

Each is a flag of `selfplay train`, such as `--network.blocks 6` or `--search.no-proven`. `--help`
shows those to know first, `--help-all` all of them. A run's `config.json` holds the same names,
with `_` for `-`. The defaults are those of the presets; a resumed run keeps its own.

This page is written by `python -m scripts.developer.settings_page`.
"""


def page() -> str:
    """Returns the whole page."""
    general = {name: tables[""] for name, tables in presets.PRESETS.items()}
    parts = [field for field in dataclasses.fields(RunConfig) if _is_section(field)]
    sections = [_section("The run", RunConfig, general)]
    for part in parts:
        configs = {name: getattr(config, part.name) for name, config in general.items()}
        sections.append(_section(part.name, type(configs["quick"]), configs))
    return "\n".join([HEAD, *sections, _by_game()])


def _is_section(field: "dataclasses.Field[Any]") -> bool:
    return dataclasses.is_dataclass(field.default)


def _section(title: str, cls: type, configs: dict[str, Any]) -> str:
    """Returns a table of a class's settings; `configs` has an instance for each preset."""
    texts, heads = documented(cls), " | ".join(configs)
    prefix = "" if cls is RunConfig else f"{_flag(title)}."
    rows = []
    for field in dataclasses.fields(cls):
        if _is_section(field):
            continue
        values = [_shown(getattr(config, field.name)) for config in configs.values()]
        cells = [f"`{prefix}{_flag(field.name)}`", *values, texts[field.name].replace("|", "\\|")]
        rows.append(f"| {' | '.join(cells)} |")
    about = [] if cls is RunConfig else [f"{inspect.getdoc(cls)}\n"]
    lines = [f"| setting | {heads} | |", f"|---|{'---|' * len(configs)}---|", *rows]
    return "\n".join([f"## {_flag(title)}\n", *about, *lines, ""])


def _by_game() -> str:
    """Returns what the presets of single games change."""
    lines = ["## Where a game's preset differs\n"]
    for name, tables in presets.PRESETS.items():
        for game in filter(None, tables):
            general, own = _leaves(tables[""]), _leaves(tables[game])
            changed = [f"`{key} {_shown(own[key])}`" for key in own if own[key] != general[key]]
            lines.append(f"- `{game}`, {name}: {', '.join(changed)}")
    return "\n".join([*lines, ""])


def _leaves(config: Any, prefix: str = "") -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        name, value = prefix + _flag(field.name), getattr(config, field.name)
        leaves |= _leaves(value, f"{name}.") if dataclasses.is_dataclass(value) else {name: value}
    return leaves


def _flag(name: str) -> str:
    return name.replace("_", "-")


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value) if value != "" else "none"


if __name__ == "__main__":
    PAGE.write_text(page())
