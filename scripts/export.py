"""`selfplay export`."""

import pathlib
from typing import Any

from scripts.flags.export import Args
from scripts.terminal.console import print_json, print_text
from selfplay.player_spec import run_of
from training.export import comparison, jax_file, onnx_file, safetensors_file, sample
from training.export.contents import contents, metadata
from training.players import load_trained


def run(args: Args) -> int:
    """Runs the command; returns its exit code."""
    if args.onnx:
        onnx_file.library()  # says what is missing, before anything takes time
    if args.safetensors:
        safetensors_file.library()
    trained = load_trained(*(run_of(args.run) or (args.run, None)))
    positions = sample.draw(trained.game)
    told: dict[str, Any] = {"player": trained.name, "metadata": metadata(trained, positions)}
    if args.jax:
        path = pathlib.Path(args.jax)
        jax_file.write(path, trained, positions.observations)
        told["jax"] = _file(path)
    if args.onnx:
        path = pathlib.Path(args.onnx)
        onnx_file.write(path, trained, told["metadata"], positions.observations.dtype)
        found = comparison.compare(path, trained, positions.observations)
        told["onnx"] = _file(path) | {"differences": found._asdict() if found else None}
    if args.safetensors:
        path = pathlib.Path(args.safetensors)
        safetensors_file.write(path, contents(trained, told["metadata"]))
        told["safetensors"] = _file(path)
    if args.json:
        print_json(told)
    else:
        print_text(_text(told))
    return 0


def _file(path: pathlib.Path) -> dict[str, Any]:
    return {"file": str(path), "bytes": path.stat().st_size}


def _text(told: dict[str, Any]) -> str:
    """The files written, and the largest error of an ONNX file."""
    about = told["metadata"]
    shape = f"{about['board_shape']} x {about['planes']} planes, {about['num_actions']} actions"
    lines = [f"{told['player']}: {about['game']}, {shape}"]
    for form in ("jax", "onnx", "safetensors"):
        if form in told:
            lines.append(f"{form}: {told[form]['file']}, {told[form]['bytes']:,} bytes")
    if "onnx" in told:
        lines.append(_compared(told["onnx"]["differences"]))
    return "\n".join(lines)


def _compared(found: dict[str, Any] | None) -> str:
    if found is None:
        return "not compared with the network: the package onnxruntime is not installed"
    return (
        f"compared with the network on {found['positions']} positions of random games: logits "
        f"differ by {found['policy_logits']:.2g} at most, values by {found['value']:.2g}"
    )
