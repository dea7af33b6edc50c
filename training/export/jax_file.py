"""A network as JAX's own portable program, weights included: of any network, `jax.export`."""

import pathlib

import jax
import numpy as np
from jax import export

from selfplay.files import durable
from training.players import Trained

PLATFORMS = ("cpu", "cuda", "tpu")


def write(path: pathlib.Path, trained: Trained, observations: np.ndarray) -> None:
    """Writes `observation [N, ...] -> (policy_logits [N, A], value [N])`, N any number.

    Args:
      observations: positions on which what was read again is compared with the network.

    Raises:
      OSError: it says other things than the network.
    """
    count = export.symbolic_shape("N")
    given = jax.ShapeDtypeStruct((*count, *observations.shape[1:]), observations.dtype)

    @jax.vmap  # position by position: a network of a user's own may want N to be a number
    def scores(observation: jax.Array) -> tuple[jax.Array, jax.Array]:
        evaluation = trained.network.evaluate(trained.folded, observation[None])
        return evaluation.prior_logits[0], evaluation.value[0]

    program = export.export(jax.jit(scores), platforms=PLATFORMS)(given)
    durable.write_whole(path, bytes(program.serialize()))
    read = export.deserialize(bytearray(path.read_bytes()))
    for found, own in zip(read.call(observations), jax.jit(scores)(observations), strict=True):
        if not np.allclose(found, own, rtol=1e-3, atol=1e-3):
            raise OSError(f"{path} says other things than the network: the disk may be damaged")
