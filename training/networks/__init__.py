"""Networks: the catalogue that `--network` names, and networks of a user's own.

Each is a `training.network.Network`. The only room that knows flax.
"""
