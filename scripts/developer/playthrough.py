"""Games played move by move as text, for people to read and for tests to replay.

For developers: `python -m scripts.developer.playthrough connect_four` (no name: every game that
has none yet) writes `tests/playthroughs/connect_four.txt`. Read it against the rules before you
commit it.
"""

import pathlib
import random
import sys
import textwrap
import zlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import games
from games import registry

FOLDER = pathlib.Path(__file__).parents[2] / "tests" / "playthroughs"
IN_FULL = 3  # plies, from the first, whose observation is written plane by plane; the last too
DRAWN = 40  # plies, from the first, whose board is drawn; then every tenth and the last


def main() -> None:
    """Writes the play-throughs of the games named on the command line."""
    for name in sys.argv[1:] or [n for n in registry.BUILT_IN if not path_of(n).exists()]:
        path_of(name).parent.mkdir(parents=True, exist_ok=True)
        path_of(name).write_text(transcript(name, random_moves(name)))
        print(path_of(name))


def path_of(name: str) -> pathlib.Path:
    """Returns the file of a game's play-through."""
    return FOLDER / f"{name}.txt"


def random_moves(name: str) -> list[int]:
    """Returns the actions of one random game, always the same one."""
    game, rng = games.load(name), random.Random(name)
    init, step = jax.jit(game.init), jax.jit(game.step)
    state, moves = init(jax.random.key(0)), []
    while not bool(state.terminated):
        legal = np.flatnonzero(np.asarray(state.legal_action_mask)).tolist()
        moves.append(legal[rng.randrange(len(legal))])
        state = step(state, jnp.int32(moves[-1]))
    return moves


def recorded_moves(text: str) -> list[int]:
    """Returns the actions that a transcript says were played."""
    block = text.partition("actions:")[2].partition("\n\n")[0]
    return [int(word) for word in block.split()]


def transcript(name: str, moves: list[int]) -> str:
    """Returns the game of `name` in which `moves` are played, position by position."""
    game = games.load(name)
    look = jax.jit(lambda state: (game.observe(state), game.returns(state)))
    step = jax.jit(game.step)
    state = jax.jit(game.init)(jax.random.key(0))
    listed = textwrap.fill(" ".join(map(str, moves)), 96, subsequent_indent="  ")
    lines = [f"game: {name}", f"actions: {listed}"]
    for ply, action in enumerate([*moves, None]):
        observation, returns = look(state)
        last = action is None
        lines += ["", f"ply {ply}, seat {int(state.to_play)} to play"]
        lines += ["the end"] if last else []
        if ply < DRAWN or ply % 10 == 0 or last:
            lines += game.render(state).splitlines()
        lines.append(_legal(game, state))
        lines += _planes(np.asarray(observation), full=ply < IN_FULL or last)
        lines.append(f"returns: {' '.join(f'{value:g}' for value in np.asarray(returns))}")
        if action is not None:
            lines.append(f"move: {game.action_to_string(state, action)} (action {action})")
            state = step(state, jnp.int32(action))
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _legal(game: games.Game[Any], state: Any) -> str:
    legal = np.flatnonzero(np.asarray(state.legal_action_mask)).tolist()
    names = " ".join(game.action_to_string(state, action) for action in legal)
    return textwrap.fill(f"legal ({len(legal)}): {names}", 100, subsequent_indent="  ")


def _planes(observation: np.ndarray, full: bool) -> list[str]:
    sums = [f"{total:g}" for total in observation.sum(axis=(0, 1), dtype=np.float64).round(3)]
    exact = (
        ""
        if observation.dtype.kind == "f"
        else f", checksum {zlib.crc32(observation.tobytes()):08x}"
    )
    lines = textwrap.wrap(f"planes sum to {' '.join(sums)}{exact}", 100, subsequent_indent="  ")
    for plane in range(observation.shape[2] if full else 0):
        rows = observation[:, :, plane]
        lines.append(f"plane {plane}:")
        if rows.dtype == bool:
            lines += ["  " + "".join(".#"[int(cell)] for cell in row) for row in rows]
        else:
            lines += ["  " + " ".join(f"{cell:g}" for cell in row) for row in rows.round(4)]
    return lines


if __name__ == "__main__":
    main()
