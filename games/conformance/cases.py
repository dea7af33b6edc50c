"""A trial: the game checked, and the case of a violation, its position and its action."""

from typing import Any, NamedTuple

import jax
import numpy as np

from games.conformance.playouts import Envs, Rules, one, take
from games.game import Game
from games.laws import Findings, Scene
from games.plug_in import described


class Case(NamedTuple):
    """What `Findings.add` is given of a case."""

    position: str = ""  # as the game renders it
    action: str = ""  # in the game's notation, with its number
    scenes: tuple[Scene, ...] = ()


class Trial(NamedTuple):
    """What all checks of one game share."""

    findings: Findings
    game: Game[Any]
    rules: Rules
    envs: Envs
    rng: np.random.Generator

    def case(
        self,
        states: Any,
        env: int,
        action: Any = None,
        after: Any = None,
        about: str = "",
        led: bool = False,
    ) -> Case:
        """The case of one env: an action tried in a state; if it `led` here, the state after it."""
        at = after if led and action is not None else states
        name = "" if action is None else action_name(self.game, states, env, int(action))
        name += ", which led here" if name and led else ""
        return Case(rendered(self.game, at, env), name, (scene(states, env, action, after, about),))

    def blame(
        self,
        law: str,
        expected: str,
        found: str | np.ndarray,
        bad: np.ndarray,
        states: Any,
        actions: Any = None,
        after: Any = None,
        led: bool = False,
    ) -> bool:
        """Adds a violation with the first bad env as its case, and returns whether there is one.

        Args:
          found: what is said of it, or a value for each env.
          bad: bool[N].
        """
        if not bad.any():
            return False
        if not self.findings.has(law, expected):  # to render a case takes time
            env = int(bad.argmax())
            text = found if isinstance(found, str) else str(found[env].tolist())
            action = None if actions is None else actions[env]
            self.findings.add(law, expected, text, *self.case(states, env, action, after, led=led))
        return True

    def compiled(self, law: str, name: str, form: str, states: Any) -> Any | None:
        """The game's optional method over N states; None if it has none, or one of another form."""
        method = getattr(self.game, name, None)
        if callable(method):  # an option may have the name
            with self.findings.trying(law, doing=f"{name}(state)"):
                traced: Any = jax.eval_shape(method, one(states, 0))
                found = f"{traced.dtype}{list(traced.shape)}".replace(" ", "")
                if found == form:
                    program = jax.jit(jax.vmap(method))
                    return lambda states: np.asarray(program(states))
                self.findings.add(law, f"{name}(state) to be {form}", found)
        return None


def scene(states: Any, env: int, action: Any = None, after: Any = None, about: str = "") -> Scene:
    """Returns an env of batched states, and of the batch that an action led to."""

    def alone(batch: Any) -> Any:  # a copy: a view would keep the whole batch
        return None if batch is None else jax.tree.map(lambda leaf: np.array(leaf[env]), batch)

    return Scene(alone(states), None if action is None else int(action), alone(after), about)


def rendered(game: Game[Any], states: Any, env: int) -> str:
    """Returns the position as the game renders it, or its fields if it can't."""
    try:
        return str(game.render(one(states, env)))
    except Exception as error:  # reported by the law of notation
        fields = jax.tree_util.tree_leaves_with_path(take(states, env))
        listed = [f"{jax.tree_util.keystr(path)} = {leaf.tolist()}" for path, leaf in fields]
        return "\n".join([f"(render failed: {described(error)})", *listed])


def action_name(game: Game[Any], states: Any, env: int, action: int) -> str:
    """Returns the action in the game's notation, with its number."""
    try:
        return f"{game.action_to_string(one(states, env), action)} (number {action})"
    except Exception:  # an illegal action need not have a name
        return f"number {action}"
