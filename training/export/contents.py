"""What is written of a network: its folded weights by name, and what a reader must know of it."""

import importlib.metadata
import json
import os
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from training.export.sample import Sample
from training.networks.resnet import Affine, Folded
from training.players import Trained

FORMAT_VERSION = 1  # of names, shapes and metadata; docs/export.md
PLANES = "plane 0 shows the pieces of the seat to play"


class Contents(NamedTuple):
    """A residual network by its layers."""

    # float32, by name: `stem.kernel`, `blocks.0.first.bias`. Kernels are [k, k, in, out] of
    # convolutions and [in, out] of dense layers, whose inputs are [H, W, channels], made flat.
    weights: dict[str, np.ndarray]
    metadata: dict[str, str]


def contents(trained: Trained, metadata: dict[str, str]) -> Contents:
    """Returns what is written of a residual network.

    Raises:
      ValueError: it is no residual network.
    """
    if not isinstance(trained.folded, Folded):
        raise ValueError(
            f"{trained.name} has the network {trained.network.config.name!r}: --safetensors writes "
            "resnet's alone, whose layers docs/export.md names; --onnx and --jax write others"
        )
    if trained.network.config.value == "wdl":
        raise ValueError(
            f"{trained.name} has network.value wdl: --safetensors writes tanh's alone, "
            "--jax writes either"
        )
    weights = {}
    for name, layer in _layers(trained):
        for part, array in zip(Affine._fields, layer, strict=True):
            weights[f"{name}.{part}"] = np.asarray(array).astype(np.float32)
    return Contents(weights, metadata)


def _layers(trained: Trained) -> Iterator[tuple[str, Affine]]:
    """Yields the layers by name; the heads' convolutions, folded side by side, apart."""
    folded, own = trained.folded, trained.network.config.policy_channels
    yield "stem", folded.stem
    for number, (first, second) in enumerate(folded.blocks):
        yield f"blocks.{number}.first", first
        yield f"blocks.{number}.second", second
    yield "policy_conv", Affine(*(array[..., :own] for array in folded.heads_conv))
    yield "policy", folded.policy
    yield "value_conv", Affine(*(array[..., own:] for array in folded.heads_conv))
    yield "value_hidden", folded.value_hidden
    yield "value", folded.value


def metadata(trained: Trained, sample: Sample) -> dict[str, str]:
    """Returns what a reader must know, each a text: that is all that either form can hold.

    Args:
      sample: positions of its game, from which the names of actions are read.
    """
    run = os.path.abspath(trained.name.rpartition("@")[0] or trained.name)
    height, width, planes = trained.game.observation_shape
    return {
        "format_version": str(FORMAT_VERSION),
        "game": trained.config.game,
        "board_shape": json.dumps([height, width]),
        "planes": str(planes),
        "planes_about": PLANES,
        "observation_dtype": str(sample.observations.dtype),
        "network": trained.network.config.name,
        "blocks": str(trained.network.config.blocks),
        "num_actions": str(trained.game.num_actions),
        "actions": json.dumps(sample.names),
        "run": os.path.basename(run),  # where it lay is nobody's business
        "step": str(trained.step),
        "trained_dtype": trained.network.config.dtype,
        "written_by": f"selfplay-zero {importlib.metadata.version('selfplay-zero')}",
    }
