"""Questions about positions: a board to click, names of moves."""

from typing import Any

import numpy as np

from games.drawing.picture import draw
from scripts.web.ops.game_argument import beside, game_of, state_of, variations_of
from scripts.web.ops.question import Args, Op, Tell
from scripts.web.ops.sides import sides


def position(args: Args, tell: Tell) -> dict[str, Any]:
    """Returns the board after `moves`, and what can be played there."""
    spec, game = game_of(args)
    moves, states = state_of(game, args)
    state, before = states[-1], states[-2] if moves else None
    drawing = draw(game, state, moves[-1] if moves else None, before)
    over = bool(state.terminated)
    return {
        "game": spec,
        "svg": drawing.svg,
        "spots": drawing.spots,
        "moves": [
            {
                "action": move.action,
                "name": move.name,
                "label": move.label or move.name,
                "spots": list(move.spots),
            }
            for move in drawing.moves
        ],
        "seats": sides(game),
        "ply": len(moves),
        "to_play": int(state.to_play),
        "over": over,
        "returns": np.asarray(game.returns(state)).tolist() if over else None,
        "last": moves[-1] if moves else None,
        "text": game.render(state),
    }


def names(args: Args, tell: Tell) -> dict[str, Any]:
    """Returns the notation and the seat of each of `moves`, and of each move of `variations`.

    One that is illegal is None, with all after it; `notes` says how many such there are.
    """
    _, game = game_of(args)
    moves, states = state_of(game, args)
    variations = variations_of(args, len(moves))
    told: list[dict[str, Any] | None] = []
    illegal = 0
    walked = beside(game, states, variations, tell)
    for (_, action), (before, after) in zip(variations, walked, strict=True):
        if before is None or after is None:
            illegal += before is not None
            told.append(None)
        else:
            name = game.action_to_string(before, action)
            told.append({"name": name, "seat": int(before.to_play)})
    cut = "variation is cut before a move" if illegal == 1 else "variations are cut before moves"
    return {
        "names": [game.action_to_string(*pair) for pair in zip(states, moves, strict=False)],
        "seats": [int(state.to_play) for state in states],
        "variations": told,
        "notes": [f"{illegal:,} {cut} that the rules forbid"] if illegal else [],
    }


OPS = {"position": Op(position, "quick"), "names": Op(names, "quick")}
