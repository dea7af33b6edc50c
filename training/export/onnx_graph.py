"""ONNX operators of a traced JAX program: of any network, as far as its primitives are known here.

What does not depend on the observation is computed; of the rest each primitive becomes operators of
ONNX (https://onnx.ai/onnx/operators/). The number of positions stays open: the program is traced
for `COUNT` of them, a number that is no other size of it, and where a shape has it, so has N.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from training.traced import bind, interpret

INPUT = "observation"
COUNT = 10_007  # a prime
SAME = {  # primitives that are an operator
    **{"add": "Add", "add_any": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "pow": "Pow"},
    **{"max": "Max", "min": "Min", "neg": "Neg", "abs": "Abs", "sign": "Sign", "floor": "Floor"},
    **{"exp": "Exp", "log": "Log", "tanh": "Tanh", "logistic": "Sigmoid", "sqrt": "Sqrt"},
    **{"erf": "Erf", "sin": "Sin", "cos": "Cos", "gt": "Greater", "lt": "Less", "eq": "Equal"},
    **{"ge": "GreaterOrEqual", "le": "LessOrEqual", "and": "And", "or": "Or", "not": "Not"},
    **{"stop_gradient": "Identity", "copy": "Identity", "copy_p": "Identity"},
}
REDUCTIONS = {"reduce_max": "ReduceMax", "reduce_min": "ReduceMin"}


class Unknown(ValueError):
    """A primitive that has no operator here; its name."""


class Name(str):
    """A value of the graph that depends on the observation; all other values are arrays."""


class Graph:
    """The nodes and constants of a model, as far as it is made."""

    def __init__(self, onnx: Any) -> None:
        self.onnx = onnx
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, operator: str, *inputs: Any, **settings: Any) -> Name:
        """Adds a node; returns its output. Arrays among the inputs become constants."""
        output = Name(f"{operator}_{len(self.nodes)}")
        names = [self.named(value) for value in inputs]
        node = self.onnx.helper.make_node(operator, names, [output], name=output, **settings)
        self.nodes.append(node)
        return output

    def named(self, value: Any) -> str:
        """Returns the name of a value."""
        if isinstance(value, Name):
            return value
        name = f"constant_{len(self.constants)}"
        array = np.ascontiguousarray(_plain(value))
        self.constants.append(self.onnx.numpy_helper.from_array(array, name))
        return name

    def convert(self, equation: Any, inputs: list[Any]) -> Sequence[Any]:
        """Adds the nodes of an equation that calls nothing; returns its results.

        Args:
          inputs: arrays and Names.

        Raises:
          Unknown: its primitive has no operator here.
        """
        name, params = equation.primitive.name, equation.params
        if name == "platform_index":
            return [None]
        if name == "cond" and params.get("branches_platforms"):  # the same on each platform
            return interpret(params["branches"][-1], inputs[1:], self.convert)
        is_open = any(COUNT in variable.aval.shape for variable in equation.outvars)
        if not is_open and not any(isinstance(value, Name) for value in inputs):
            return bind(equation, list(map(jnp.asarray, inputs)))
        if name == "split":
            sizes = np.array(params["sizes"], np.int64)
            return self._split(inputs[0], sizes, params["axis"])
        return [self._operator(equation, inputs)]

    def _operator(self, equation: Any, inputs: list[Any]) -> Name:
        name = equation.primitive.name
        if name in SAME:
            return self.add(SAME[name], *inputs)
        if name in REDUCTIONS:
            return self.add(
                REDUCTIONS[name], *inputs, axes=list(equation.params["axes"]), keepdims=0
            )
        if name not in CONVERTED:
            raise Unknown(name)
        return CONVERTED[name](self, equation, *inputs)

    def _split(self, x: Name, sizes: np.ndarray, axis: int) -> list[Any]:
        outputs = [Name(f"Split_{len(self.nodes)}_{part}") for part in range(len(sizes))]
        names = [self.named(value) for value in (x, sizes)]
        self.nodes.append(self.onnx.helper.make_node("Split", names, outputs, axis=axis))
        return list(outputs)

    def transpose(self, x: Any, order: Sequence[int]) -> Any:
        """Returns x with its axes in another order."""
        if list(order) == sorted(order):
            return x
        return (
            self.add("Transpose", x, perm=list(order))
            if isinstance(x, Name)
            else x.transpose(order)
        )

    def reshape(self, x: Any, shape: Sequence[int]) -> Name:
        """Returns x in a shape that may hold COUNT, or a multiple of it, once."""
        sizes = np.array([-1 if size % COUNT == 0 and size else size for size in shape], np.int64)
        return self.add("Reshape", x, sizes)


def _plain(value: Any) -> np.ndarray:
    """Returns an array as the graph holds it: all floats are float32."""
    array = np.asarray(value)
    return array.astype(np.float32) if jnp.issubdtype(array.dtype, jnp.floating) else array


def _shape(equation: Any, of: int = 0) -> tuple[int, ...]:
    return tuple(equation.invars[of].aval.shape)


def _cast(graph: Graph, equation: Any, x: Any) -> Name:
    wanted = equation.params["new_dtype"]
    kind = np.dtype(np.float32) if jnp.issubdtype(wanted, jnp.floating) else np.dtype(wanted)
    return graph.add("Cast", x, to=graph.onnx.helper.np_dtype_to_tensor_dtype(kind))


def _broadcast(graph: Graph, equation: Any, x: Any) -> Name:
    shape, axes = equation.params["shape"], equation.params["broadcast_dimensions"]
    given = _shape(equation)
    lined_up = [1] * len(shape)
    for axis, size in zip(axes, given, strict=True):
        lined_up[axis] = size
    x = graph.reshape(x, lined_up) if tuple(lined_up) != given else x
    if tuple(lined_up) == tuple(shape):
        return x if isinstance(x, Name) else graph.add("Identity", x)
    # Expand takes the larger of both: 1 leaves an axis as it is.
    target: Any = np.array(
        [1 if size in (COUNT, old) else size for size, old in zip(shape, lined_up, strict=True)],
        np.int64,
    )
    if COUNT in shape and COUNT not in lined_up:
        at = shape.index(COUNT)
        count = graph.add("Slice", graph.add("Shape", Name(INPUT)), *_ints([0], [1]))
        target = graph.add("Concat", target[:at], count, target[at + 1 :], axis=0)
    return graph.add("Expand", x, target)


def _ints(*parts: Sequence[int]) -> list[np.ndarray]:
    return [np.array(part, np.int64) for part in parts]


def _convolution(graph: Graph, equation: Any, x: Any, kernel: Any) -> Name:
    params = equation.params
    numbers, padding = params["dimension_numbers"], params["padding"]
    if set(params["lhs_dilation"]) != {1} or params["batch_group_count"] != 1:
        raise Unknown("conv_general_dilated of a transposed convolution")
    y = graph.add(
        "Conv",
        graph.transpose(x, numbers.lhs_spec),
        graph.transpose(kernel, numbers.rhs_spec),
        strides=list(params["window_strides"]),
        dilations=list(params["rhs_dilation"]),
        pads=[low for low, _ in padding] + [high for _, high in padding],
        group=params["feature_group_count"],
    )
    back: Any = graph.transpose(y, np.argsort(numbers.out_spec).tolist())
    return Name(back)


def _dot(graph: Graph, equation: Any, x: Any, y: Any) -> Name:
    (left, right), (left_batch, right_batch) = equation.params["dimension_numbers"]
    ranks = len(_shape(equation)), len(_shape(equation, 1))
    if ranks[1] == 2 and (tuple(left), tuple(right)) == ((ranks[0] - 1,), (0,)) and not left_batch:
        return graph.add("MatMul", x, y)
    letters = iter("abcdefghijklmnopqrstuvwxyz")
    first = [next(letters) for _ in range(ranks[0])]
    second = [next(letters) for _ in range(ranks[1])]
    for one, other in zip((*left, *left_batch), (*right, *right_batch), strict=True):
        second[other] = first[one]
    batch = [first[axis] for axis in left_batch]
    summed = {first[axis] for axis in left}
    rest = [a for a in (*first, *second) if a not in summed and a not in batch]
    terms = f"{''.join(first)},{''.join(second)}->{''.join(batch + rest)}"
    return graph.add("Einsum", x, y, equation=terms)


def _window_max(graph: Graph, equation: Any, x: Any) -> Name:
    shape, window = _shape(equation), equation.params["window_dimensions"]
    axes = [axis for axis, size in enumerate(window) if size != 1]
    if any(window[axis] != shape[axis] for axis in axes) or np.any(equation.params["padding"]):
        raise Unknown("reduce_window_max of less than the whole board")
    return graph.add("ReduceMax", x, axes=axes, keepdims=1)


def _slice(graph: Graph, equation: Any, x: Any) -> Name:
    params, axes = equation.params, range(len(_shape(equation)))
    ends = [np.iinfo(np.int32).max if end == COUNT else end for end in params["limit_indices"]]
    steps = params["strides"] or [1] * len(ends)
    return graph.add("Slice", x, *_ints(params["start_indices"], ends, list(axes), steps))


def _pad(graph: Graph, equation: Any, x: Any, filled: Any) -> Name:
    low, high, inside = zip(*equation.params["padding_config"], strict=True)
    if any(inside) or min(low + high) < 0:
        raise Unknown("pad between or below")
    return graph.add("Pad", x, *_ints([*low, *high]), filled)


def _power(graph: Graph, equation: Any, x: Any) -> Name:
    return graph.add("Pow", x, np.float32(equation.params["y"]))


CONVERTED: dict[str, Callable[..., Name]] = {
    "convert_element_type": _cast,
    "broadcast_in_dim": _broadcast,
    "conv_general_dilated": _convolution,
    "dot_general": _dot,
    "reduce_window_max": _window_max,
    "slice": _slice,
    "pad": _pad,
    "integer_pow": _power,
    "square": lambda graph, _, x: graph.add("Mul", x, x),
    "rsqrt": lambda graph, _, x: graph.add("Reciprocal", graph.add("Sqrt", x)),
    "ne": lambda graph, _, x, y: graph.add("Not", graph.add("Equal", x, y)),
    "clamp": lambda graph, _, low, x, high: graph.add("Min", graph.add("Max", x, low), high),
    "select_n": lambda graph, _, which, no, yes: graph.add("Where", which, yes, no),
    "reshape": lambda graph, e, x: graph.reshape(x, e.params["new_sizes"]),
    "squeeze": lambda graph, e, x: graph.reshape(x, e.outvars[0].aval.shape),
    "expand_dims": lambda graph, e, x: graph.reshape(x, e.outvars[0].aval.shape),
    "transpose": lambda graph, e, x: graph.transpose(x, e.params["permutation"]),
    "concatenate": lambda graph, e, *x: graph.add("Concat", *x, axis=e.params["dimension"]),
    "reduce_sum": lambda graph, e, x: graph.add(
        "ReduceSum", x, *_ints(e.params["axes"]), keepdims=0
    ),
}
