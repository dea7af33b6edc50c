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
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from games import consent, registry, spelling
from mcts.setting import problems, setting
from selfplay import player_spec, shipped
from selfplay.files import json_objects
from training import config as config_module
from training import presets
from training.config import RunConfig

MAX_FILE = 1 << 16  # bytes
MAX_LINE = 2000  # characters: a key of 30,000 parts takes gigabytes
MAX_RUNS = 10_000
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")  # of a variant, which names a folder
FILES = re.compile(r"lock|.*\.(json|log)", re.IGNORECASE)  # of the sweep, beside these
LIMITS = ("flops", "iterations", "minutes")
# Settings that no variant may have, and why.
OF_THE_SWEEP = {
    **dict.fromkeys(LIMITS, "all variants have the limit of the sweep: equal compute is the point"),
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
        """What is wrong, a sentence each."""
        faults = problems(self)
        if not self.simulations or min(self.simulations) < 1:
            faults.append(f"simulations must be 1 or more each, got {list(self.simulations)}")
        if self.positions_file and not os.path.isfile(self.positions_file):
            faults.append(f"positions_file: there is no file {self.positions_file!r}")
        if self.against:
            try:
                player_spec.check(self.against)
                run = player_spec.run_of(self.against)
            except ValueError as error:
                return [*faults, f"against: {error}"]
            if run and run[1] is None and not shipped.is_name(self.against):
                faults.append(
                    f"against: {self.against!r} may go on meanwhile: name a checkpoint of it, "
                    "R@STEP, for all runs play against the same one"
                )
        return faults

    def identity(self) -> dict[str, Any]:
        """What results must share to be compared, as JSON."""
        entries = dataclasses.asdict(self) | {"simulations": list(self.simulations)}
        if self.positions_file:  # it counts what is in the file, wherever it lies
            content = pathlib.Path(self.positions_file).read_bytes()
            entries["positions_file"] = hashlib.sha256(content).hexdigest()
        return entries


MEASURED = tuple(field.name for field in dataclasses.fields(Measuring))
ENTRIES = ("game", "preset", "seeds", "baseline", "base", "variants", *LIMITS, *MEASURED)


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

    settings: dict[str, Any]  # its own, beside those of the base, by dotted names
    config: RunConfig  # with the limit, of seed 0


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
        """All runs, seed by seed: a sweep that is cut short has compared something."""
        return [Job(name, seed) for seed in self.seeds for name in self.variants]

    def config(self, job: Job) -> RunConfig:
        """The settings of a run."""
        return dataclasses.replace(self.variants[job.variant].config, seed=job.seed)

    def code(self) -> dict[str, consent.Code]:
        """The code of somebody's own that the file names, by where it does."""
        named = {
            f"variant {name!r}, {field}": code
            for name, variant in self.variants.items()
            for field, code in config_module.code_in(variant.config).items()
        }
        player = self.measuring.against
        if player and player_spec.run_of(player) is None:
            named |= {"against": code} if (code := consent.code_of_player(player)) else {}
        return named


def read(path: str | os.PathLike[str]) -> Plan:
    """Reads the plan that a file holds.

    Raises:
      ValueError: it is no plan, or settings in it cannot work; names all problems at once.
    """
    faults: list[str] = []
    plan = _plan(_parse(pathlib.Path(path)), faults)
    if plan is None or faults:
        raise ValueError(f"{path} cannot work: {'; '.join(faults)}")
    return plan


def _parse(path: pathlib.Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"there is no file {path}: a sweep is a TOML file, see docs/sweeps.md")
    if path.stat().st_size > MAX_FILE:
        raise ValueError(f"{path} has {path.stat().st_size:,} bytes: that is no plan of a sweep")
    try:
        content = path.read_bytes().decode()
        if any(len(line) > MAX_LINE for line in content.splitlines()):
            raise ValueError(f"a line has more than {MAX_LINE:,} characters")
        return tomllib.loads(content)
    except (ValueError, RecursionError) as error:  # of TOML, of UTF-8, and of its nesting
        raise ValueError(f"{path} is not valid TOML: {error}") from None


def _plan(data: dict[str, Any], faults: list[str]) -> Plan | None:
    """The plan, None where too much of it is missing; adds what is wrong to `faults`."""
    for name in data.keys() - set(ENTRIES):
        where = " (settings of runs belong below [base] or [variants.NAME])"
        faults.append(f"unknown entry {name!r}{spelling.did_you_mean(name, ENTRIES) or where}")
    seeds, limit, tables = _seeds(data, faults), _limit(data, faults), _tables(data, faults)
    measuring = _measuring({name: data[name] for name in MEASURED if name in data}, faults)
    game, preset = data.get("game"), data.get("preset", "quick")
    if not isinstance(game, str) or not isinstance(preset, str):
        faults.append(f"game and preset must be texts, got {game!r} and {preset!r}")
        return None
    try:
        registry.check_name(game)
        start = presets.preset(preset, game)  # type: ignore[arg-type]
    except ValueError as error:
        faults.append(str(error))
        return None
    if limit is None:
        return None
    if (runs := len(seeds) * len(tables)) > MAX_RUNS:
        faults.append(f"{runs:,} runs are too many, at most {MAX_RUNS:,}")
        return None
    start = _with(start, {"minutes": 0.0, limit.name: limit.value}, "limit", faults)
    base = _settings(data.get("base", {}), "[base]", faults)
    variants = {name: _variant(name, start, base, table, faults) for name, table in tables.items()}
    baseline = str(data.get("baseline", next(iter(tables), "")))
    if tables and baseline not in tables:
        near = spelling.did_you_mean(baseline, tables)
        faults.append(f"baseline {baseline!r} is no variant{near}; there are {', '.join(tables)}")
    return Plan(game, preset, seeds, limit, baseline, measuring, base, variants)


def _seeds(data: dict[str, Any], faults: list[str]) -> tuple[int, ...]:
    seeds = data.get("seeds")
    whole = isinstance(seeds, list) and all(type(seed) is int and seed >= 0 for seed in seeds)
    if not (whole and seeds and len(set(seeds)) == len(seeds)):
        faults.append(f"seeds must be different whole numbers, as in [1, 2, 3], got {seeds!r}")
        return ()
    return tuple(seeds)


def _limit(data: Mapping[str, Any], faults: list[str]) -> Limit | None:
    named = {name: data[name] for name in LIMITS if name in data}
    if len(named) != 1:
        got = " and ".join(named) or "none"
        faults.append(f"the sweep needs one limit of {', '.join(LIMITS)}, got {got}")
        return None
    [(name, value)] = named.items()
    whole = name == "iterations"
    if type(value) not in ((int,) if whole else (int, float)) or not 0 < value < float("inf"):
        kind = "a whole number" if whole else "a number"
        faults.append(f"{name} must be {kind} above 0, got {value!r}")
        return None
    return Limit(name, value if whole else float(value))


def _measuring(given: dict[str, Any], faults: list[str]) -> Measuring:
    if type(given.get("simulations")) is int:
        given["simulations"] = [given["simulations"]]
    try:
        measuring = json_objects.read(Measuring, given)
    except ValueError as error:
        faults.append(str(error))
        return Measuring()
    faults += measuring.problems()
    return measuring


def _tables(data: dict[str, Any], faults: list[str]) -> dict[str, dict[str, Any]]:
    tables = data.get("variants")
    if not isinstance(tables, dict) or not tables:
        faults.append("there is no variant: each is a table [variants.NAME], an empty one too")
        return {}
    for name in tables:
        if not NAME.fullmatch(name):
            faults.append(
                f"variant {name!r}: its name is that of a folder: letters, digits, . _ and -, and "
                "a letter or digit first"
            )
        if FILES.fullmatch(name):
            faults.append(f"variant {name!r}: beside its folder the sweep has files of such names")
    return tables


def _variant(
    name: str, start: RunConfig, base: Mapping[str, Any], table: Any, faults: list[str]
) -> Variant:
    whose = f"variant {name!r}"
    own = _settings(table, whose, faults)
    config = _with(start, {**base, **own}, whose, faults)
    if config.amplify == "human":
        faults.append(
            f"{whose}: amplify 'human' asks a person at a terminal, which a sweep has not"
        )
    faults += [f"{whose}: {fault}" for fault in config.problems()]
    return Variant(own, config)


def _settings(table: Any, whose: str, faults: list[str]) -> dict[str, Any]:
    """A table's settings by their dotted names, however they are nested or spelled."""
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
            near = spelling.did_you_mean(name, known) or "; docs/settings.md lists them"
            faults.append(f"{whose}: unknown setting {written!r}{near}")
        elif name in settings:
            faults.append(f"{whose}: {name} is given twice")
        else:
            settings[name] = value
    return settings


def _entries(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, dict) and value:  # an empty one may have a wrong name, too
            yield from _entries(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _with(
    config: RunConfig, settings: Mapping[str, Any], whose: str, faults: list[str]
) -> RunConfig:
    """The configuration with other settings; unchanged where one has the wrong type."""
    data = config_module.to_dict(config)
    for name, value in settings.items():
        section, _, field = name.rpartition(".")
        (data[section] if section else data)[field] = value
    try:
        return config_module.from_dict(data)
    except ValueError as error:
        faults.append(f"{whose}: {str(error).removeprefix('config: ')}")
        return config
