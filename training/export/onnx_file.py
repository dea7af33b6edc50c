"""A network as an ONNX model."""

import pathlib
from typing import Any, NamedTuple

import numpy as np

from selfplay.files import durable
from training.export.contents import Contents

# Of 2022, as old as the operators that are used allow: onnxruntime reads all that is older than it,
# and refuses what is newer.
OPSET, IR_VERSION = 17, 8
INPUT, POLICY, VALUE = "observation", "policy_logits", "value"


class _Graph(NamedTuple):
    """What a model is made of, as far as it is made."""

    nodes: list[Any]
    constants: list[Any]


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


def write(path: pathlib.Path, content: Contents) -> None:
    """Writes a network whole or not at all; then reads it again, and checks that it is valid."""
    onnx = library()
    durable.write_whole(path, _model(onnx, content).SerializeToString())
    onnx.checker.check_model(onnx.load(path), full_check=True)


def _model(onnx: Any, content: Contents) -> Any:
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = _Graph([], [])
    _layers(onnx, graph, content)
    made = helper.make_graph(
        graph.nodes,
        "network",
        [helper.make_tensor_value_info(INPUT, kind, ["N", *content.observation_shape])],
        [
            helper.make_tensor_value_info(POLICY, kind, ["N", content.num_actions]),
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
    helper.set_model_props(model, content.metadata)
    return model


def _layers(onnx: Any, graph: _Graph, content: Contents) -> None:
    """Adds the network's layers, which are those of `Network.evaluate`."""

    def add(operator: str, output: str, *inputs: str, **settings: Any) -> str:
        node = onnx.helper.make_node(operator, inputs, [output], name=output, **settings)
        graph.nodes.append(node)
        return output

    def constant(name: str, value: np.ndarray) -> str:
        array = np.ascontiguousarray(value)
        graph.constants.append(onnx.numpy_helper.from_array(array, name))
        return name

    def convolve(layer: str, x: str) -> str:
        kernel = content.weights[f"{layer}.kernel"]
        width = len(kernel) // 2
        weight = constant(f"{layer}.kernel", kernel.transpose(3, 2, 0, 1))
        bias = constant(f"{layer}.bias", content.weights[f"{layer}.bias"])
        return add("Conv", layer, x, weight, bias, pads=[width] * 4)

    def dense(layer: str, x: str, output: str, of_cells: bool = False) -> str:
        kernel = content.weights[f"{layer}.kernel"]
        if of_cells:  # ours are in the order H, W, C
            by_cell = kernel.reshape(*content.observation_shape[:2], -1, kernel.shape[1])
            kernel = by_cell.transpose(2, 0, 1, 3).reshape(kernel.shape)
        weight = constant(f"{layer}.kernel", kernel)
        bias = constant(f"{layer}.bias", content.weights[f"{layer}.bias"])
        return add("Gemm", output, x, weight, bias)

    def relu(x: str) -> str:
        return add("Relu", f"{x}.relu", x)

    x = add("Transpose", "planes", INPUT, perm=[0, 3, 1, 2])
    x = relu(convolve("stem", x))
    for number in range(content.blocks):
        inner = relu(convolve(f"blocks.{number}.first", x))
        second = convolve(f"blocks.{number}.second", inner)
        x = relu(add("Add", f"blocks.{number}", x, second))
    policy = add("Flatten", "policy_conv.flat", relu(convolve("policy_conv", x)))
    dense("policy", policy, POLICY, of_cells=True)
    value = add("Flatten", "value_conv.flat", relu(convolve("value_conv", x)))
    hidden = relu(dense("value_hidden", value, "value_hidden", of_cells=True))
    bounded = add("Tanh", "value.bounded", dense("value", hidden, "value.raw"))
    add("Squeeze", VALUE, bounded, constant("value.axis", np.array([1], np.int64)))
