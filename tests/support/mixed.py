"""A minibatch with an overseer's decisions mixed in, as examples."""

import numpy as np

from selfplay import example
from selfplay.example import Sample
from training import decision_examples


def mixed(decided, config, examples, symmetry):
    """Returns the examples and symmetries of such a minibatch."""
    layout = example.layout_of(example.flat(examples))
    made = np.zeros(len(examples.ply), layout.dtype)
    example.fill_rows(made, example.flat(examples))
    shown = np.array(symmetry, np.int32)
    decision_examples.mix(decided, config, made, shown, np.random.default_rng(0))
    return example.nested(Sample, example.columns_of(made, layout)), shown
