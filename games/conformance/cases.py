"""The case of a violation: its position as the game renders it, and its action by name."""

from typing import Any

import jax
import numpy as np

from games.conformance.playouts import one, take
from games.game import Game
from games.laws import Scene
from games.plug_in import described


def scene(
    states: Any, lane: int, action: Any = None, after: Any | None = None, about: str = ""
) -> Scene:
    """Returns a lane of batched states, and of the batch that an action led to."""

    def alone(batch: Any) -> Any:  # a copy: a view would keep the whole batch
        return None if batch is None else jax.tree.map(lambda leaf: np.array(leaf[lane]), batch)

    return Scene(alone(states), None if action is None else int(action), alone(after), about)


def rendered(game: Game[Any], states: Any, lane: int) -> str:
    """Returns the position as the game renders it, or its fields if it can't."""
    try:
        return str(game.render(one(states, lane)))
    except Exception as error:  # reported by the law of notation
        fields = jax.tree_util.tree_leaves_with_path(take(states, lane))
        listed = [f"{jax.tree_util.keystr(path)} = {leaf.tolist()}" for path, leaf in fields]
        return "\n".join([f"(render failed: {described(error)})", *listed])


def action_name(game: Game[Any], states: Any, lane: int, action: int) -> str:
    """Returns the action in the game's notation, with its number."""
    try:
        return f"{game.action_to_string(one(states, lane), action)} (number {action})"
    except Exception:  # an illegal action need not have a name
        return f"number {action}"
