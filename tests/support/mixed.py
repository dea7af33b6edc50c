"""A minibatch with an overseer's decisions mixed in, as examples."""

import numpy as np

from selfplay import example
from selfplay.example import Sample
from training import decision_examples, rows


def mixed(decided, config, examples, symmetry):
    """Returns the examples and symmetries of such a minibatch."""
    layout = rows.layout_of(example.flat(examples))
    made = np.zeros(len(examples.ply), layout.dtype)
    rows.fill(made, example.flat(examples))
    shown = np.array(symmetry, np.int32)
    decision_examples.mix(decided, config, made, shown, np.random.default_rng(0))
    return example.nested(Sample, rows.columns_of(made, layout)), shown
