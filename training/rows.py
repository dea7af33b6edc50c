"""Rows of the replay: an example's columns as bytes side by side, on the host and on a device.

A minibatch is then one gather on the host, and one transfer.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from selfplay import example
from selfplay.example import Bits, Form


class Layout(NamedTuple):
    """What a row holds, column after column."""

    columns: tuple[tuple[str, Form], ...]  # by flat name, the form of an example's values

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of a row in NumPy, a field a column; truth values as bits."""
        held = [(name, example.held(form)) for name, form in self.columns]
        return np.dtype([(name, form.dtype, form.shape) for name, form in held])


def layout_of(columns: Mapping[str, Any]) -> Layout:
    """Returns the layout of rows that hold these columns."""
    forms = {name: Form(column.shape[1:], column.dtype) for name, column in columns.items()}
    return Layout(tuple(forms.items()))


def fill(rows: np.ndarray, columns: Mapping[str, Any], places: Any = slice(None)) -> None:
    """Puts examples into rows of a layout, at `places`."""
    for name, column in columns.items():
        held = example.packed(column)
        rows[name][places] = held.data if isinstance(held, Bits) else held


def columns_of(rows: np.ndarray, layout: Layout) -> dict[str, Any]:
    """Returns the columns of rows, by flat name."""
    return {
        name: Bits(rows[name], form.shape) if example.held(form) != form else rows[name]
        for name, form in layout.columns
    }


def on_device(rows: jax.Array, layout: Layout) -> dict[str, jax.Array]:
    """Returns the columns of rows, uint8[M, bytes of a row], on the device; no int64 there."""
    columns = {}
    for name, form in layout.columns:
        held, first = example.held(form), layout.dtype.fields[name][1]  # type: ignore[index]
        if held.dtype.itemsize == 8:
            continue  # numbers of games and steps, which training does not look at
        count, size = math.prod(held.shape), held.dtype.itemsize
        values = rows[:, first : first + count * size]
        if held != form:
            values = jnp.unpackbits(values, axis=1, count=math.prod(form.shape)).astype(bool)
        elif size > 1:
            values = jax.lax.bitcast_convert_type(
                values.reshape(len(rows), count, size), held.dtype
            )
        else:
            values = jax.lax.bitcast_convert_type(values, held.dtype)
        columns[name] = values.reshape(len(rows), *form.shape)
    return columns
