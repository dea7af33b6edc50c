"""The plan of a sweep: its TOML file, checked, as variants and seeds.

A file of text is only settings here; the code that some of them name needs consent as any file's
(`games/consent.py`). Nothing that computes is imported.
"""

import dataclasses
import hashlib
import os
import pathlib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from games import consent, registry, spelling
from mcts.setting import problems, setting
from selfplay import player_spec, shipped
from training import config as config_module
from training import presets
from training.config import RunConfig

MAX_FILE = 1 << 20  # bytes
MAX_RUNS = 10_000
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")  # of a variant, which names a folder
FILES = re.compile(r"lock|.*\.(html|json|log|png)", re.IGNORECASE)  # of the sweep, beside these
LIMITS = ("flops", "iterations", "minutes")
OWN_LIMIT = "own_limit"
# What no variant sets, and why.
OF_THE_SWEEP = {
    **dict.fromkeys(
        LIMITS,
        "all variants have the limit of the sweep, for equal compute is the point; where another "
        f"one is meant: {OWN_LIMIT} = {{ flops = 1e13 }}",
    ),
    "game": "all variants play the sweep's game",
    "preset": "all variants begin with the sweep's preset",
    "seed": "the sweep's seeds are those of every variant",
    "until_fixed_point": "a run of a sweep ends at its limit",
    "tensorboard": "a sweep writes no TensorBoard files",
}


@dataclasses.dataclass(frozen=True)
class Measuring:
    """What is measured of each run at its end: on the same positions, from the same openings."""

    positions: int = setting(3000, at_least=1)
    """Most solved positions of a set, where perfect play is known."""
    positions_file: str = ""
    """Solved positions to use instead of ours, as of `selfplay evaluate --positions`."""
    simulations: tuple[int, ...] = (32,)
    """Simulations of each search that is measured; the first one plays the match."""
    against: str = ""
    """A player to play a match against; needed where perfect play is not known."""
    games: int = setting(400, even=True, at_least=2)
    """Games of that match."""

    def problems(self) -> list[str]:
        """Returns what is wrong, a sentence each."""
        faults = problems(self)
        if not self.simulations or min(self.simulations) < 1:
            faults.append(f"simulations must be 1 or more each, got {list(self.simulations)}")
        if self.positions_file and not os.path.isfile(self.positions_file):
            faults.append(f"positions_file: there is no file {self.positions_file!r}")
        return faults

    def identity(self) -> dict[str, Any]:
        """Returns what results must share to be compared, as JSON has it."""
        entries = dataclasses.asdict(self) | {"simulations": list(self.simulations)}
        if self.positions_file:  # it counts what is in the file, wherever it lies
            content = pathlib.Path(self.positions_file).read_bytes()
            entries["positions_file"] = hashlib.sha256(content).hexdigest()
        return entries


class Limit(NamedTuple):
    """Where a run ends."""

    name: str  # one of LIMITS
    value: float


class Job(NamedTuple):
    """One run of a sweep."""

    variant: str
    seed: int

    @property
    def place(self) -> str:
        """Its folder in the sweep's."""
        return f"{self.variant}/seed-{self.seed}"


class Variant(NamedTuple):
    """One column of settings."""

    name: str
    settings: dict[str, Any]  # its own, beside those of the base, by dotted names
    config: RunConfig  # with the limit, of seed 0
    limit: Limit


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a sweep does."""

    game: str
    preset: str
    seeds: tuple[int, ...]
    limit: Limit
    baseline: str
    measuring: Measuring
    base: Mapping[str, Any]  # settings that all variants begin with, by dotted names
    variants: Mapping[str, Variant]

    def jobs(self) -> list[Job]:
        """Returns all runs, seed by seed: a sweep that is cut short has compared something."""
        return [Job(name, seed) for seed in self.seeds for name in self.variants]

    def config(self, job: Job) -> RunConfig:
        """Returns the settings of a run."""
        return dataclasses.replace(self.variants[job.variant].config, seed=job.seed)

    def code(self) -> dict[str, consent.Code]:
        """Returns the code of somebody's own that the file names, by where it does."""
        named = {
            f"variant {name!r}, {field}": code
            for name, variant in self.variants.items()
            for field, code in config_module.code_in(variant.config).items()
        }
        player = self.measuring.against
        of_player = consent.code_of_player(player) if player and not _is_run(player) else None
        return named | ({"against": of_player} if of_player else {})


def read(path: str | os.PathLike[str]) -> Plan:
    """Returns the plan that a file holds.

    Raises:
      ValueError: it is no plan, or settings in it cannot work; names all problems at once.
    """
    data = _parse(pathlib.Path(path))
    faults: list[str] = []
    plan = _plan(data, faults)
    if plan is None or faults:
        raise ValueError(f"{path} cannot work: {'; '.join(faults)}")
    return plan


def _parse(path: pathlib.Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"there is no file {path}: a sweep is a TOML file, see docs/sweeps.md")
    if path.stat().st_size > MAX_FILE:
        raise ValueError(f"{path} has {path.stat().st_size:,} bytes: that is no plan of a sweep")
    try:
        return tomllib.loads(path.read_bytes().decode())
    except ValueError as error:  # of TOML, and of UTF-8
        raise ValueError(f"{path} is not valid TOML: {error}") from None


def _plan(data: dict[str, Any], faults: list[str]) -> Plan | None:
    """Returns the plan, None where too much of it is missing; adds what is wrong to `faults`."""
    known = ("game", "preset", "seeds", "baseline", "base", "variants", *LIMITS)
    measured = [field.name for field in dataclasses.fields(Measuring)]
    for name in data.keys() - {*known, *measured}:
        where = " (settings of runs belong below [base] or [variants.NAME])"
        near = spelling.did_you_mean(name, [*known, *measured])
        faults.append(f"unknown entry {name!r}{near or where}")
    game, preset = data.get("game"), data.get("preset", "quick")
    seeds, limit = _seeds(data, faults), _limit(data, "the sweep", faults)
    measuring = _measuring({name: data[name] for name in measured if name in data}, faults)
    tables = _tables(data, faults)
    if not isinstance(game, str) or not isinstance(preset, str):
        faults.append(f"game and preset must be texts, got {game!r} and {preset!r}")
        return None
    start = _first(game, preset, faults)
    if start is None or limit is None:
        return None
    base = _flat(data.get("base", {}), "[base]", faults)
    variants = {
        name: _variant(name, start, base, table, limit, faults) for name, table in tables.items()
    }
    baseline = str(data.get("baseline", next(iter(tables), "")))
    if tables and baseline not in tables:
        near = spelling.did_you_mean(baseline, tables)
        faults.append(f"baseline {baseline!r} is no variant{near}; there are {', '.join(tables)}")
    runs = len(seeds) * len(tables)
    if runs > MAX_RUNS:
        faults.append(f"{runs:,} runs are too many, at most {MAX_RUNS:,}")
    return Plan(game, preset, seeds, limit, baseline, measuring, base, variants)


def _first(game: str, preset: str, faults: list[str]) -> RunConfig | None:
    """Returns the preset's settings, without its limit."""
    try:
        registry.check_name(game)
        config = presets.preset(preset, game)  # type: ignore[arg-type]
    except ValueError as error:
        faults.append(str(error))
        return None
    return dataclasses.replace(config, minutes=0.0)


def _seeds(data: dict[str, Any], faults: list[str]) -> tuple[int, ...]:
    seeds = data.get("seeds")
    if (
        not isinstance(seeds, list)
        or not seeds
        or any(type(seed) is not int or seed < 0 for seed in seeds)
        or len(set(seeds)) < len(seeds)
    ):
        faults.append(f"seeds must be different whole numbers, as in [1, 2, 3], got {seeds!r}")
        return ()
    return tuple(seeds)


def _limit(data: Mapping[str, Any], whose: str, faults: list[str]) -> Limit | None:
    named = {name: data[name] for name in LIMITS if name in data}
    if len(named) != 1:
        got = " and ".join(named) or "none"
        faults.append(f"{whose} needs one limit of {', '.join(LIMITS)}, got {got}")
        return None
    [(name, value)] = named.items()
    whole = name == "iterations"
    if type(value) not in ((int,) if whole else (int, float)) or not 0 < value < float("inf"):
        kind = "a whole number" if whole else "a number"
        faults.append(f"{whose}: {name} must be {kind} above 0, got {value!r}")
        return None
    return Limit(name, value if whole else float(value))


def _measuring(given: dict[str, Any], faults: list[str]) -> Measuring:
    kinds = {"positions": int, "games": int, "positions_file": str, "against": str}
    for name, kind in kinds.items():
        if name in given and type(given[name]) is not kind:
            word = "a whole number" if kind is int else "a text"
            faults.append(f"{name} must be {word}, got {given.pop(name)!r}")
    budgets = given.pop("simulations", [32])
    budgets = budgets if isinstance(budgets, list) else [budgets]
    if any(type(budget) is not int for budget in budgets):
        faults.append(f"simulations must be whole numbers, as in [32, 128], got {budgets!r}")
        budgets = [32]
    measuring = Measuring(**given, simulations=tuple(dict.fromkeys(budgets)))
    faults += measuring.problems()
    try:
        if measuring.against:
            player_spec.check(measuring.against)
            run = player_spec.run_of(measuring.against)
            if run and run[1] is None and not shipped.is_name(measuring.against):
                faults.append(
                    f"against: {measuring.against!r} may go on meanwhile: name a checkpoint of it, "
                    "R@STEP, for all runs play against the same one"
                )
    except ValueError as error:
        faults.append(f"against: {error}")
    return measuring


def _tables(data: dict[str, Any], faults: list[str]) -> dict[str, dict[str, Any]]:
    tables = data.get("variants")
    if not isinstance(tables, dict) or not tables:
        faults.append("there is no variant: each is a table [variants.NAME], an empty one too")
        return {}
    for name, table in tables.items():
        if not NAME.fullmatch(name):
            faults.append(
                f"variant {name!r}: its name is that of a folder: letters, digits, . _ and -, and "
                "a letter or digit first"
            )
        if FILES.fullmatch(name):
            faults.append(f"variant {name!r}: beside its folder the sweep has files of such names")
        if not isinstance(table, dict):
            faults.append(f"variant {name!r} must be a table of settings, got {table!r}")
    return {name: table for name, table in tables.items() if isinstance(table, dict)}


def _variant(
    name: str,
    start: RunConfig,
    base: Mapping[str, Any],
    table: dict[str, Any],
    limit: Limit,
    faults: list[str],
) -> Variant:
    whose, other = f"variant {name!r}", table.get(OWN_LIMIT)
    rest = {key: value for key, value in table.items() if key != OWN_LIMIT}
    if other is not None:
        limit = (
            _limit(other if isinstance(other, dict) else {}, f"{whose}, {OWN_LIMIT}", faults)
            or limit
        )
    own = _flat(rest, whose, faults)
    config = _with(start, {**base, **own, limit.name: limit.value}, whose, faults)
    if config.amplify == "human":
        faults.append(
            f"{whose}: amplify 'human' asks a person at a terminal, which a sweep has not"
        )
    faults += [f"{whose}: {fault}" for fault in config.problems()]
    return Variant(name, own, config, limit)


def _flat(table: Any, whose: str, faults: list[str]) -> dict[str, Any]:
    """Returns a table's settings by the dotted names."""
    settings: dict[str, Any] = {}
    if not isinstance(table, dict):
        faults.append(f"{whose} must be a table of settings, got {table!r}")
        return settings
    known = config_module.leaves_of(config_module.to_dict(RunConfig()))
    for written, value in _entries(table):
        name = written.replace("-", "_")
        if name in OF_THE_SWEEP:
            faults.append(f"{whose}: {written}: {OF_THE_SWEEP[name]}")
        elif any(one.startswith(f"{name}.") for one in known):
            if value != {}:
                faults.append(f"{whose}: {written} must be a table of settings, got {value!r}")
        elif name not in known:
            near = _meant(name, list(known)) or "; docs/settings.md lists them"
            faults.append(f"{whose}: unknown setting {written!r}{near}")
        elif name in settings:
            faults.append(f"{whose}: {name} is given twice")
        else:
            settings[name] = value
    return settings


def _meant(name: str, known: Sequence[str]) -> str:
    """Returns what may have been meant: of a section that is right, one of its settings."""
    section, dot, _ = name.rpartition(".")
    within = [other for other in known if other.startswith(section + dot)] if dot else []
    fields = {other.rpartition(".")[2]: other for other in within}
    near = spelling.near(name.rpartition(".")[2], fields)
    if within:
        return f" (did you mean {fields[near]}?)" if near else ""
    return spelling.did_you_mean(name, known)


def _entries(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, dict) and value:  # an empty one may have a wrong name, too
            yield from _entries(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _with(
    config: RunConfig, settings: Mapping[str, Any], whose: str, faults: list[str]
) -> RunConfig:
    """Returns a configuration with those of the settings that are of the right type."""
    for name, value in settings.items():
        data: dict[str, Any] = config_module.to_dict(config)
        part = data
        *sections, field = name.split(".")
        for section in sections:
            part = part[section]
        part[field] = value
        try:
            config = config_module.from_dict(data)
        except ValueError as error:
            faults.append(f"{whose}: {str(error).removeprefix('config: ')}")
    return config


def _is_run(player: str) -> bool:
    return player_spec.run_of(player) is not None
