"""Questions about a game itself: what it is, a random game of it, its planes, and its check."""

import contextlib
import functools
import inspect
import re
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from games import registry
from games.conformance import LAWS, Scene, Violation
from games.conformance import check as check_game
from games.conformance.cases import rendered
from games.drawing.picture import draw
from games.drawing.text import svg_of_text
from games.game import (
    Drawn,
    Game,
    Graph,
    Invariable,
    Remembering,
    Scoring,
    State,
    Territorial,
    as_board,
)
from games.plug_in import described
from scripts.web.ops.game_argument import game_of, state_of
from scripts.web.ops.question import Args, Op, Tell, number
from selfplay import positions

LONGEST = 4096  # plies of a random game
MOST_GAMES = 4096  # of a check
OPTIONAL = (  # what a game may have beside its rules, in words, and the protocol that says so
    ("a board that is drawn", Drawn),
    ("a past that a search may forget", Remembering),
    ("who owns each cell", Territorial),
    ("a margin by which it is won", Scoring),
    ("which cells are neighbours", Graph),
    ("an invariant check", Invariable),
)


def rules(args: Args, tell: Tell) -> dict[str, Any]:
    """Returns what a game is, as facts with a name and a text; a broken one's say what failed."""
    spec, game = game_of(args)
    cls = type(game)
    facts: tuple[tuple[str, Callable[[], Any]], ...] = (
        ("actions", lambda: f"{game.num_actions:,}"),
        ("most plies of a game", lambda: f"{game.max_plies:,}"),
        ("observation", lambda: _observation(game)),
        ("symmetries", lambda: f"{len(game.symmetries())}, with the identity"),
        ("a position takes", lambda: _size(game)),
        ("misère", lambda: "yes, who makes the deciding move loses" if _misere(game) else ""),
        ("not in the observation", lambda: getattr(game, "unobserved", "")),
        ("module", lambda: f"{cls.__module__}:{cls.__qualname__}"),
        ("file", lambda: inspect.getsourcefile(cls) or ""),
    )
    told = [{"name": name, **_told(fact)} for name, fact in facts]
    return {
        "game": spec,
        "own": registry.names_a_module(spec),
        "facts": [fact for fact in told if fact["text"]],
        "options": _options(game),
        "optional": [_protocol(game, *pair) for pair in OPTIONAL],
        "documentation": _documentation(cls),
    }


def _told(fact: Callable[[], Any]) -> dict[str, Any]:
    """Returns a fact as text, or how asking for it failed."""
    try:
        return {"text": str(fact()), "failed": False}
    except Exception as error:  # whatever a game of somebody's own raises
        return {"text": described(error), "failed": True}


def _observation(game: Game[Any]) -> str:
    seen = jax.eval_shape(game.observe, jax.eval_shape(game.init, jax.random.key(0)))
    *cells, last = game.observation_shape
    if not cells:
        return f"{last} numbers of {seen.dtype}"
    each = "numbers each, of" if len(cells) == 1 else "planes of"
    return (
        f"{' x '.join(map(str, cells))}{' nodes' * (len(cells) == 1)}, {last} {each} {seen.dtype}"
    )


def _size(game: Game[Any]) -> str:
    leaves = jax.tree.leaves(jax.eval_shape(game.init, jax.random.key(0)))
    return f"{sum(leaf.size * leaf.dtype.itemsize for leaf in leaves):,} bytes"


def _misere(game: Game[Any]) -> bool:
    return bool(getattr(game, "misere", False))


def _options(game: Game[Any]) -> list[dict[str, Any]]:
    try:
        defaults = registry.options(type(game))
    except (TypeError, ValueError):  # a class whose signature cannot be read
        return []
    values = {name: getattr(game, name, default) for name, default in defaults.items()}
    return [
        {"name": name, "value": str(values[name]), "default": str(default)}
        for name, default in defaults.items()
    ]


def _protocol(game: Game[Any], words: str, protocol: Any) -> dict[str, Any]:
    about = (inspect.getdoc(protocol) or "").partition("\n\n")[0]
    has = _told(lambda: isinstance(game, protocol))
    return {
        "words": words,
        "name": protocol.__name__,
        "about": about,
        "has": has["text"] == "True",
    }


def _documentation(cls: type) -> list[str]:
    """Returns what module and class say of themselves: pages of docs are not installed with us."""
    module = inspect.getmodule(cls)
    texts = [inspect.getdoc(module) if module else "", inspect.getdoc(cls)]
    return [text for text in dict.fromkeys(texts) if text]


def random_game(args: Args, tell: Tell) -> dict[str, Any]:
    """Returns the moves of a game by random legal actions, drawn by `seed`."""
    _, game = game_of(args)
    rng = np.random.default_rng(number(args, "seed", 0, 0, 2**32 - 1))
    state, moves, odd = positions.opening_position(game), list[int](), ""
    while not bool(state.terminated):
        legal = np.flatnonzero(np.asarray(state.legal_action_mask))
        if not len(legal):
            odd = "no action is legal, and yet the game is not over"
        elif len(moves) == min(game.max_plies, LONGEST):
            odd = f"the game is not over after {len(moves)} plies"
        if odd:
            break
        moves.append(int(rng.choice(legal)))
        state = positions.step(game, state, np.int32(moves[-1]))
        tell.check()
    return {"moves": moves, "odd": odd}


def planes(args: Args, tell: Tell) -> dict[str, Any]:
    """Returns what the network sees after `moves`, plane by plane, through `symmetry`."""
    _, game = game_of(args)
    _, states = state_of(game, args)
    symmetries = game.symmetries()
    which = number(args, "symmetry", 0, 0, len(symmetries) - 1)
    shape = game.observation_shape
    seen = symmetries[which].on_observation(np.asarray(_observe(game, states[-1])), len(shape))
    by_plane = np.moveaxis(seen.reshape(as_board(shape)), -1, 0)  # C x H x W
    numbers = by_plane.astype(float).round(4)
    return {
        "to_play": int(states[-1].to_play),
        "planes": np.nan_to_num(numbers, posinf=0.0, neginf=0.0).tolist(),
        "none": (~np.isfinite(numbers)).sum(axis=(1, 2)).tolist(),  # by plane, shown as 0
        "dtype": str(by_plane.dtype),
        "symmetries": len(symmetries),
    }


@functools.partial(jax.jit, static_argnums=0)
def _observe(game: Game[Any], state: State) -> jax.Array:
    return game.observe(state)


def check(args: Args, tell: Tell) -> dict[str, Any]:
    """Returns what `selfplay game check` finds, with pictures of what broke a law."""
    spec, game = game_of(args)
    count = number(args, "games", 256, 1, MOST_GAMES)
    seed = number(args, "seed", 0, 0, 2**32 - 1)
    start = time.monotonic()
    report = check_game(game, games=count, seed=seed, watch=tell.often)
    return {
        "game": spec,
        "games": count,
        "laws": [
            {"law": law, "about": about, "verdict": report.verdict(law)}
            for law, about in LAWS.items()
        ],
        "violations": [_violation(game, violation) for violation in report.violations],
        "notes": [_note(game, note, report.shown.get(note, ())) for note in report.notes],
        "portrait": list(report.portrait),
        "seconds": time.monotonic() - start,
    }


def _violation(game: Game[Any], violation: Violation) -> dict[str, Any]:
    law, expected, found, position, action, scenes = violation
    return {
        "law": law,
        "expected": expected,
        "found": found,
        "position": position,
        "action": action,
        "scenes": [_scene(game, scene) for scene in scenes],
    }


def _note(game: Game[Any], note: str, scenes: tuple[Scene, ...]) -> dict[str, Any]:
    """Returns a note; its `text` is a sentence, behind which `position` may be, as text."""
    sentence, _, position = note.partition("\n")
    return {
        "text": re.sub(r",? at$", ":", sentence, flags=re.IGNORECASE) if position else sentence,
        "position": position,
        "scenes": [_scene(game, scene) for scene in scenes],
    }


def _scene(game: Game[Any], scene: Scene) -> dict[str, Any]:
    name = ""
    if scene.action is not None:
        with contextlib.suppress(Exception):  # an illegal action need not have a name
            name = str(game.action_to_string(scene.state, scene.action))
    after = None
    if scene.after is not None:
        after = _picture(game, scene.after, scene.action, scene.state)
    return {
        "about": scene.about,
        "action": scene.action,
        "name": name,
        "before": _picture(game, scene.state),
        "after": after,
    }


def _picture(
    game: Game[Any], state: State, last: int | None = None, before: State | None = None
) -> dict[str, Any]:
    """Returns a position as SVG, its board or its text; where a game is too broken, its fields."""
    ways: tuple[Callable[[], str], ...] = (
        lambda: draw(game, state, last, before).svg,
        lambda: svg_of_text(game.render(state), None if before is None else game.render(before)),
    )
    for way in ways:
        with contextlib.suppress(Exception):  # whatever a broken game raises
            return {"svg": way(), "text": ""}
    alone = jax.tree.map(lambda leaf: np.asarray(leaf)[None], state)
    return {"svg": None, "text": rendered(game, alone, 0)}


OPS = {
    "rules": Op(rules, "quick"),
    "random_game": Op(random_game, "search"),
    "planes": Op(planes, "quick"),
    "check": Op(check, "long"),
}
