"""Examples drawn from a replay, by column."""

import numpy as np

from selfplay import example
from selfplay.example import Sample


def drawn(buffer, rng, count):
    """Returns what `sample` draws as examples, truth values unpacked."""
    columns = example.columns_of(buffer.sample(rng, count), buffer.layout)
    return example.nested(Sample, {name: np.asarray(c) for name, c in columns.items()})
