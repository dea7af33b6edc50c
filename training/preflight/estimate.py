"""The memory and the disk that the settings of a run ask for, from shapes alone: can it work?

Nothing is compiled or allocated, so that every run can ask first. Trees, weights, plies and replay
are counted exactly. What the network keeps while it runs is a floor, for the compiler needs more:
`training/preflight/trial.py` asks it how much.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import jax
import numpy as np

from games.game import Game, as_board
from mcts import SearchConfig, tree_bytes
from selfplay import example
from training import learner
from training.config import RunConfig
from training.learner import TrainState
from training.network import Network
from training.players import network_of
from training.preflight.machine import Machine
from training.settings import LearnerConfig
from training.targets import forms

# Tensors of the tower's size, [batch, H, W, channels], that live at once at least. Forward: a
# residual block's input, inner and outer result. For the way back, of each convolution: its input,
# and its result, which the batch norm after it needs.
FORWARD_TENSORS, BACKWARD_TENSORS = 3, 2
CALLS_HELD = 2  # self-play calls whose plies and weights are held: one runs, one is unpacked


class Needs(NamedTuple):
    """Bytes that a run asks for."""

    tree: int  # on each device that plays
    play: int  # there too, of a call beside its tree: plies, the network's tensors
    train: int  # on each device that trains: gradients, the network's tensors
    weights: int  # there too: training state, weights that act, a copy while a save is written
    replay: int  # on the host: the ring
    checkpoint: int  # on disk, one


class Scale(NamedTuple):
    """What a compiled program takes, as a multiple of its floor."""

    play: float = 1.0
    train: float = 1.0


AS_FLOORS = Scale()


def needs(config: RunConfig, game: Game[Any], has: Machine) -> Needs:
    """Returns the bytes that a run asks for; the network's tensors by their floor."""
    network = network_of(config, game)
    state = _state_shapes(network, config.learner)
    actor = bytes_of(state.averages)
    envs = math.ceil(config.self_play.batch / has.players)
    targets = tuple(example.parse_targets(config.targets))
    ply_bytes = example_bytes(game, targets) + _of_other_seat(game, targets)
    plies = CALLS_HELD * config.self_play.plies_per_call * envs * ply_bytes
    minibatch = math.ceil(config.learner.batch / has.learners)
    back = BACKWARD_TENSORS * (1 + 2 * config.network.blocks) * _tensor_bytes(network, minibatch)
    return Needs(
        tree=_tree_bytes(game, config.search, envs),  # type: ignore[arg-type]
        play=plies + FORWARD_TENSORS * _tensor_bytes(network, envs),
        train=bytes_of(state.params) + back,
        weights=2 * bytes_of(state) + 2 * CALLS_HELD * actor,
        replay=config.replay.capacity * held_bytes(game, targets),
        checkpoint=bytes_of(state) + actor,
    )


def problems(
    config: RunConfig, game: Game[Any], has: Machine, scale: Scale = AS_FLOORS
) -> list[str]:
    """Returns why a run cannot work here, a sentence each: which setting to change, and to what."""

    def need(config: RunConfig) -> Needs:
        return scaled(needs(config, game, has), scale)

    checks = [_checkpoints(has)]
    checks += [_host_memory(has)] if has.on_host else _device_memory(has)
    complaints = (_complaint(config, need, check, has) for check in checks)
    return [complaint for complaint in complaints if complaint]


def search_problems(config: RunConfig, game: Game[Any], has: Machine, flag: str) -> list[str]:
    """Returns why self-play alone cannot work; `flag` is what the command calls its batch."""
    check = _Check(
        "trees and network need {need} on each device",
        lambda _, need: need.tree + need.play,
        has.host_bytes and has.host_bytes // has.players if has.on_host else has.device_bytes,
        ("self_play.batch",),
    )
    complaint = _complaint(config, lambda config: needs(config, game, has), check, has)
    return [complaint.replace("--self-play.batch", flag)] if complaint else []


def advice(config: RunConfig, game: Game[Any], has: Machine) -> str:
    """Returns which batch to halve after a device ran out of memory: first the hungrier one."""
    need = needs(config, game, has)
    settings = ["self_play.batch", "learner.batch"]
    if need.train > need.tree + need.play:
        settings.reverse()
    steps = [
        f"--{setting.replace('_', '-')} from {_get(config, setting)} to {_get(changed, setting)}"
        for setting in settings
        if (changed := _halved(config, setting, has)) is not None
    ]
    return f"lower {' or '.join(steps)}" if steps else "use a smaller network"


def scaled(floor: Needs, scale: Scale) -> Needs:
    """Returns the needs with measured programs in place of their floors."""
    play, train = int(floor.play * scale.play), int(floor.train * scale.train)
    return floor._replace(play=play, train=train)


def summary(need: Needs, has: Machine) -> str:
    """Returns the needs in a line."""
    where = "" if has.on_host else " of device memory"
    return (
        f"memory: tree {in_words(need.tree)} on each of {has.players} devices; at least "
        f"{in_words(memory(need, has))}{where} in all, replay {in_words(need.replay)} of the host"
    )


def memory(need: Needs, has: Machine) -> int:
    """Returns the bytes that the devices hold at once: of each, or of all if they are the CPU's.

    An accelerator plays and trains in turns; the devices of a CPU run at the same time.
    """
    playing = need.tree + need.play
    if has.on_host:
        return need.weights + need.train + has.players * playing
    return need.weights + max(playing, need.train)


def checkpoints_kept(config: RunConfig, steps: float = 0.0) -> int:
    """Returns how many checkpoints lie on disk at once at most, in a run of so many steps."""
    every = config.checkpoint.keep_every
    # Step 0, the best one, those that measured strength and the ladder need, and the one that is
    # being written.
    return config.checkpoint.keep_newest + 5 + (int(steps / every) if every else 0)


def example_bytes(game: Game[Any], targets: Collection[str] = ()) -> int:
    """Returns the bytes of one replay example, uncompressed."""
    return sum(form.bytes() for form in forms(game, targets).values())


def held_bytes(game: Game[Any], targets: Collection[str] = ()) -> int:
    """Returns the bytes of one example in the replay's ring."""
    return sum(example.held(form).bytes() for form in forms(game, targets).values())


def bytes_of(tree: Any) -> int:
    """Returns the bytes of all arrays, or shapes, in a tree."""
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def in_words(count: float) -> str:
    """Returns a number of bytes for a person, such as `1.5 GB`."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def _of_other_seat(game: Game[Any], targets: Collection[str]) -> int:
    """Returns what a ply holds beside its example: targets of the end, which are of both seats."""
    asked = (example.TARGETS[name] for name in targets)
    return sum(example.form(target.column, game).bytes() for target in asked if target.at == "end")


# ---- what cannot work, and what to change -------------------------------------------------------


class _Check(NamedTuple):
    """One thing that must fit."""

    subject: str
    total: Callable[[RunConfig, Needs], int]  # bytes
    room: int | None
    settings: tuple[str, ...]  # whose reduction helps
    otherwise: str = "fewer --search.simulations or a smaller network are needed"


def _device_memory(has: Machine) -> list[_Check]:
    return [
        _Check(
            "self-play needs {need} on each device",
            lambda _, need: need.weights + need.tree + need.play,
            has.device_bytes,
            ("self_play.batch",),
        ),
        _Check(
            "training needs {need} on each device",
            lambda _, need: need.weights + need.train,
            has.device_bytes,
            ("learner.batch",),
        ),
        _Check(
            "the replay needs {need} of the host's memory",
            lambda _, need: need.replay,
            has.host_bytes,
            ("replay.capacity",),
        ),
    ]


def _host_memory(has: Machine) -> _Check:
    return _Check(
        "the run needs {need} of memory",
        lambda _, need: memory(need, has) + need.replay,
        has.host_bytes,
        ("replay.capacity", "self_play.batch", "learner.batch"),
    )


def _checkpoints(has: Machine) -> _Check:
    return _Check(
        "its checkpoints need {need} of disk",
        lambda config, need: checkpoints_kept(config) * need.checkpoint,
        has.disk_bytes,
        (),
        "free some, or name another --run-dir",
    )


def _complaint(
    config: RunConfig, need: Callable[[RunConfig], Needs], check: _Check, has: Machine
) -> str:
    """Returns "" if it fits."""

    def total(config: RunConfig) -> int:
        return check.total(config, need(config))

    wanted = total(config)
    if check.room is None or wanted <= check.room:
        return ""
    head = f"{check.subject.format(need=in_words(wanted))}, and there is {in_words(check.room)}"
    changed, left = config, wanted
    while left > check.room:
        smaller = [
            candidate
            for setting in check.settings
            if (candidate := _halved(changed, setting, has)) is not None
        ]
        best = min(smaller, key=total, default=None)
        if best is None or total(best) >= left:
            return f"{head}: {check.otherwise}"
        changed, left = best, total(best)
    advice = [
        f"--{setting.replace('_', '-')} from {_get(config, setting)} to {_get(changed, setting)}"
        for setting in check.settings
        if _get(config, setting) != _get(changed, setting)
    ]
    return f"{head}: lower {' and '.join(advice)}"


def _halved(config: RunConfig, setting: str, has: Machine) -> RunConfig | None:
    """Returns the configuration with the next lower power of two, None where it cannot work."""
    value = _get(config, setting)
    power = 2 ** ((value - 1).bit_length() - 1) if value > 1 else 0
    shares = {"self_play.batch": has.players, "learner.batch": has.learners}.get(setting, 1)
    changed = _with(config, setting, power)
    return None if power % shares or changed.problems() else changed


def _get(config: RunConfig, setting: str) -> int:
    part, _, field = setting.partition(".")
    value: int = getattr(getattr(config, part), field)
    return value


def _with(config: RunConfig, setting: str, value: int) -> RunConfig:
    part, _, field = setting.partition(".")
    changed = dataclasses.replace(getattr(config, part), **{field: value})
    return dataclasses.replace(config, **{part: changed})


# Cached, for advice asks again and again, and tracing takes a tenth of a second.
@functools.cache
def _tree_bytes(game: Any, config: SearchConfig, envs: int) -> int:
    return tree_bytes(game, config, envs)


@functools.cache
def _state_shapes(network: Network, config: LearnerConfig) -> TrainState:
    state: TrainState = jax.eval_shape(
        lambda key: learner.init(network, config, key), jax.random.key(0)
    )
    return state


# ---- what there is ------------------------------------------------------------------------------


def _tensor_bytes(network: Network, batch: int) -> int:
    height, width, _ = as_board(network.observation_shape)
    size = np.dtype(jax.numpy.dtype(network.config.dtype)).itemsize
    return batch * height * width * network.config.channels * size
