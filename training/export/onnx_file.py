"""A network as an ONNX model."""

import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from selfplay.files import durable
from training.export.onnx_graph import COUNT, INPUT, Graph, Name, Unknown
from training.players import Trained
from training.traced import interpret

# Of 2022, as old as the operators that are used allow: onnxruntime reads all that is older than it,
# and refuses what is newer.
OPSET, IR_VERSION = 17, 8
POLICY, VALUE = "policy_logits", "value"


def library() -> Any:
    """Returns the package onnx.

    Raises:
      ValueError: it is not installed.
    """
    try:
        import onnx
    except ImportError:
        raise ValueError("--onnx needs a package: pip install 'selfplay-zero[onnx]'") from None
    return onnx


def write(
    path: pathlib.Path, trained: Trained, metadata: Mapping[str, str], dtype: np.dtype[Any]
) -> None:
    """Writes a network whole or not at all; then reads it again, and checks that it is valid.

    Args:
      dtype: of the game's observations; the model takes float32.

    Raises:
      ValueError: the network computes what has no operator here.
    """
    onnx = library()
    durable.write_whole(path, _model(onnx, trained, metadata, dtype).SerializeToString())
    onnx.checker.check_model(onnx.load(path), full_check=True)


def _model(onnx: Any, trained: Trained, metadata: Mapping[str, str], dtype: np.dtype[Any]) -> Any:
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    shape, actions = trained.game.observation_shape, trained.game.num_actions
    graph = _graph(onnx, trained, dtype)
    made = helper.make_graph(
        graph.nodes,
        "network",
        [helper.make_tensor_value_info(INPUT, kind, ["N", *shape])],
        [
            helper.make_tensor_value_info(POLICY, kind, ["N", actions]),
            helper.make_tensor_value_info(VALUE, kind, ["N"]),
        ],
        graph.constants,
    )
    model = helper.make_model(
        made,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="selfplay-zero",
    )
    helper.set_model_props(model, dict(metadata))
    return model


def _graph(onnx: Any, trained: Trained, dtype: np.dtype[Any]) -> Graph:
    seen = jax.ShapeDtypeStruct((COUNT, *trained.game.observation_shape), dtype)
    program = jax.make_jaxpr(trained.network.evaluate)(trained.folded, seen)
    graph = Graph(onnx)
    observation = graph.add("Cast", Name(INPUT), to=onnx.helper.np_dtype_to_tensor_dtype(dtype))
    try:
        results = interpret(program, [*jax.tree.leaves(trained.folded), observation], graph.convert)
    except Unknown as error:
        raise ValueError(
            f"network {trained.network.config.name!r} computes {error}, which has no operator of "
            "ONNX here: --jax writes any network"
        ) from None
    for name, result in zip((POLICY, VALUE), results, strict=True):
        graph.nodes.append(onnx.helper.make_node("Identity", [graph.named(result)], [name]))
    return graph
