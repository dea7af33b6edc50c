"""The flags of `selfplay export`."""

import dataclasses
import os

from scripts.flags import checks
from scripts.terminal.console import Positional


@dataclasses.dataclass(frozen=True)
class Args:
    """Writes a run's network as a file that other programs read: JAX, ONNX or safetensors.

    The file holds the network as it plays, in float32, and as texts what a reader must know: the
    game, the board's shape, the names of actions, the run and its step. It says a policy and a
    value of positions, without search. Each file is read again and checked; JAX's program, and
    ONNX if onnxruntime is installed, are compared with the network on positions of random games.
    --jax writes any network, the others the one named resnet. What the file holds,
    and how to read it from Python, C++ and JavaScript: docs/export.md.

    Examples:
      selfplay export runs/c4 --onnx c4.onnx
      selfplay export shipped:connect_four --onnx c4.onnx
      selfplay export runs/c4@2000 --safetensors c4.safetensors
      selfplay export runs/c4 --jax c4.jax
      selfplay export runs/go --onnx go.onnx --safetensors go.safetensors --json
    """

    run: Positional[str]
    """A run folder R (its newest checkpoint), R@STEP, or shipped:NAME."""
    jax: str = ""
    """Write JAX's portable program, weights included, to this file, which must not exist yet."""
    onnx: str = ""
    """Write an ONNX model to this file, which must not exist yet
    (pip install 'selfplay-zero[onnx]')."""
    safetensors: str = ""
    """Write the weights, by name, to this file, which must not exist yet
    (pip install 'selfplay-zero[safetensors]')."""
    json: bool = False
    """Print one JSON object on stdout."""


def check(args: Args) -> None:
    """Raises ValueError for what is wrong at first sight."""
    files = {"--jax": args.jax, "--onnx": args.onnx, "--safetensors": args.safetensors}
    wanted = {flag: os.path.abspath(file) for flag, file in files.items() if file}
    if not wanted:
        raise ValueError("say what to write: --jax FILE, --onnx FILE or --safetensors FILE")
    if len({*wanted.values()}) < len(wanted):
        raise ValueError(f"two of {', '.join(wanted)} name one file: name one for each")
    for flag, path in wanted.items():
        if not os.path.isdir(os.path.dirname(path)):
            raise ValueError(f"{flag} {files[flag]}: there is no folder {os.path.dirname(path)}")
        if os.path.lexists(path):
            raise ValueError(
                f"{flag} {files[flag]}: it is there already, and nothing is written over it: "
                "remove it, or name another file"
            )
    checks.run(args.run, shipped_too=True)
