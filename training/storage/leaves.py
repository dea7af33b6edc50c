"""The leaves of a tree by name, as checkpoints hold them."""

from typing import Any

import jax

from training.storage.manifest import CheckpointError


def flatten(tree: Any) -> dict[str, Any]:
    """Returns the leaves of a tree by path, such as `params/stem/conv/kernel`."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def unflatten(template: Any, leaves: dict[str, Any]) -> Any:
    """Returns a tree of `template`'s structure with the given leaves.

    Raises:
      CheckpointError: a leaf is missing, unknown, or of another shape or dtype; says which.
    """
    wanted = flatten(template)
    wrong = sorted(wanted.keys() ^ leaves.keys())
    wrong += [
        name
        for name in wanted
        if name in leaves
        and (wanted[name].shape, wanted[name].dtype) != (leaves[name].shape, leaves[name].dtype)
    ]
    if wrong:
        shown = ", ".join(wrong[:3]) + (", ..." if len(wrong) > 3 else "")
        raise CheckpointError(
            f"the checkpoint does not fit this configuration: {len(wrong)} arrays differ ({shown})"
        )
    return jax.tree.unflatten(jax.tree.structure(template), [leaves[name] for name in wanted])


def under(prefix: str, arrays: dict[str, Any]) -> dict[str, Any]:
    """Returns the arrays whose name begins with `prefix/`, by the rest of their name."""
    start = f"{prefix}/"
    return {name[len(start) :]: leaf for name, leaf in arrays.items() if name.startswith(start)}
