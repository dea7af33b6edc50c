"""The whole configuration of a run, as JSON and back, and which changes a resumed run refuses."""

import dataclasses
import math
import typing
from typing import Any, Literal

from games import consent, registry
from mcts.config import SearchConfig
from mcts.setting import problems, setting
from selfplay import example
from selfplay.amplify import spec
from selfplay.config import SelfPlayConfig
from training.settings import (
    OF_GAMES,
    CheckpointConfig,
    EvaluationConfig,
    LearnerConfig,
    NetworkConfig,
    OverseerConfig,
    ReplayConfig,
    WorkersConfig,
    distil_code,
    distil_problems,
    network_code,
)

Preset = Literal["quick", "gpu", "gpu-small"]
MAX_WHOLE = 1 << 53  # whole numbers up to here are floats too
# Fields that a resumed run may change: they do not change what is computed.
FREE = ("minutes", "iterations", "flops", "checkpoint", "workers", "tensorboard")
FREE_FIELDS = (
    "learner.on_nan",  # these two matter from the next NaN on
    "learner.rollback_rate",
    "overseer.decisions",  # what is in the file is compared with what the checkpoint notes
)


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """Everything that a run computes with."""

    game: str = "connect_four"
    """NAME or package.module:Class, with options as in NAME:key=value,..."""
    preset: Preset = "quick"
    """Where the defaults below come from: quick for a CPU, gpu for one accelerator."""
    seed: int = 0
    """The seed of all randomness in the run."""
    minutes: float = setting(0.0, at_least=0)
    """Time limit, over all processes of the run, compilation and evaluation included; the run ends
    before an iteration that would exceed it. 0: no limit. Without this, iterations and flops, the
    preset's limit holds."""
    iterations: int = setting(0, at_least=0)
    """Stop after this many self-play calls; 0: no limit."""
    flops: float = setting(0.0, at_least=0, below=math.inf)
    """Stop after the iteration that reaches this many operations of self-play and training, as 1e13
    (docs/training.md says what counts); 0: no limit."""
    gate: float = 0.0
    """Self-play takes new weights only if they score at least this much against those that play,
    tried every evaluation.every iterations; 0: it always takes the newest. AlphaGo Zero: 0.55;
    AlphaZero: none."""
    until_fixed_point: bool = False
    """Stop when search no longer changes the network more than before: see
    docs/ida/fixed-point.md."""
    tensorboard: bool = False
    """Also write TensorBoard files (pip install tensorboardX)."""
    amplify: str = "search"
    """What the network learns from (docs/ida.md): search, policy (its own sampled play),
    committee, engine:COMMAND (a GTP engine), human:PROGRAM (your program decides, A's search
    assists), human (you do, at this terminal), player:SPEC (any player) or module:function."""
    distil: str = "imitation"
    """How it learns (docs/ida.md): imitation (AlphaGo Zero's loss), cloning, action_values,
    reinforce or module:function."""
    targets: str = ""
    """What it also learns, beside policy and value, as NAME=WEIGHT,... with the weights of the
    losses (docs/targets.md); empty: nothing."""
    network: NetworkConfig = NetworkConfig()
    search: SearchConfig = SearchConfig()
    self_play: SelfPlayConfig = SelfPlayConfig()
    replay: ReplayConfig = ReplayConfig()
    learner: LearnerConfig = LearnerConfig()
    overseer: OverseerConfig = OverseerConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    workers: WorkersConfig = WorkersConfig()

    def problems(self) -> list[str]:
        """The faults of all sections, a sentence each."""
        faults = problems(self)
        if self.until_fixed_point and not (self.evaluation.every and self.evaluation.gap_positions):
            faults.append(
                "until_fixed_point needs evaluation.every and evaluation.gap_positions above 0"
            )
        if self.until_fixed_point and self.amplify == "policy":
            faults.append(
                "until_fixed_point needs an amplifier: amplify 'policy' is the network itself, "
                "which is at its own fixed point untrained"
            )
        if not 0 <= self.seed < 1 << 63:
            faults.append(f"seed must be at least 0 and below 2 ** 63, got {self.seed}")
        faults += spec.problems(self.amplify) + distil_problems(self.distil)
        faults += example.target_problems(self.targets)
        if self.amplify == "human" and self.evaluation.every and self.evaluation.gap_positions:
            faults.append(
                "amplify 'human' would ask you about every position that is measured: "
                "evaluation.gap_positions must be 0"
            )
        if self.gate and not 0.5 <= self.gate <= 1:
            faults.append(f"gate must be 0 (off) or from 0.5 to 1, got {self.gate}")
        if self.gate and not self.evaluation.every:
            faults.append("gate needs evaluation.every above 0: that is how often it is tried")
        if self.overseer.decisions and self.distil in OF_GAMES:
            faults.append(
                f"distil {self.distil!r} learns from values or results of games, and "
                "overseer.decisions have none: imitation or cloning do"
            )
        faults += [
            f"{name} must be below 2 ** 31, got {value}"
            for name, value in leaves_of(to_dict(self)).items()
            if type(value) is int and value >= 1 << 31 and name not in ("seed", "iterations")
        ]
        for field in dataclasses.fields(self):
            part = getattr(self, field.name)
            if dataclasses.is_dataclass(part):
                faults += part.problems()  # type: ignore[union-attr]
        return faults

    def check(self) -> None:
        """Raises ValueError with all problems at once."""
        faults = self.problems()
        if faults:
            raise ValueError("the configuration cannot work: " + "; ".join(faults))


def to_dict(config: RunConfig) -> dict[str, Any]:
    """Returns the configuration as JSON takes it."""
    return dataclasses.asdict(config)


def from_dict(data: dict[str, Any]) -> RunConfig:
    """Returns the configuration that `to_dict` gave.

    Raises:
      ValueError: a field is missing, unknown, or has another type.
    """
    config: RunConfig = _build(RunConfig, data, "")
    return config


def code_in(config: RunConfig) -> dict[str, consent.Code]:
    """Returns the code of a user's own that a run's settings name, by field."""
    named = {
        "game": consent.module(config.game) if registry.names_a_module(config.game) else None,
        "amplify": spec.code_in(config.amplify),
        "distil": distil_code(config.distil),
        "network.name": network_code(config.network),
    }
    return {field: code for field, code in named.items() if code}


def differences(stored: RunConfig, wanted: RunConfig) -> list[str]:
    """Returns `field: stored, wanted` for each difference that changes what is computed."""
    old, new = leaves_of(to_dict(stored)), leaves_of(to_dict(wanted))
    return [
        f"{name}: {old[name]!r} in the run, {new[name]!r} asked for"
        for name in old
        if old[name] != new[name] and not (name.partition(".")[0] in FREE or name in FREE_FIELDS)
    ]


def leaves_of(data: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns the settings of `to_dict` by their dotted names, as in `learner.batch`."""
    leaves: dict[str, Any] = {}
    for name, value in data.items():
        leaves |= (
            leaves_of(value, f"{prefix}{name}.")
            if isinstance(value, dict)
            else {prefix + name: value}
        )
    return leaves


def _build(cls: Any, data: Any, where: str) -> Any:
    if not isinstance(data, dict):
        raise ValueError(f"config: {where or 'the whole'} must be an object, got {repr(data)[:80]}")
    types = typing.get_type_hints(cls)
    prefix = f"{where}." if where else ""
    unknown, missing = data.keys() - types.keys(), types.keys() - data.keys()
    for what, names in (("unknown", unknown), ("missing", missing)):
        if names:
            paths = ", ".join(prefix + name for name in sorted(names))
            raise ValueError(f"config: {what} fields {paths}: the run was made by another version")
    values = {}
    for name, value in data.items():
        path = prefix + name
        if dataclasses.is_dataclass(types[name]):
            value = _build(types[name], value, path)
        elif types[name] is float and type(value) is int and abs(value) < MAX_WHOLE:
            value = float(value)
        elif isinstance(types[name], type) and type(value) is not types[name]:
            raise ValueError(
                f"config: {path} must be a {types[name].__name__}, got {repr(value)[:80]}"
            )
        values[name] = value
    return cls(**values)
