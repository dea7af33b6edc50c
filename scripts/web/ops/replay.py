"""Questions about a run's replay: examples by how much they surprise its network, or one whole."""

from typing import Any, NamedTuple

import numpy as np

from games.game import Game, Symmetry, as_board
from mcts import Variables
from scripts.web.ops.game_argument import game_of
from scripts.web.ops.player_argument import player_of
from scripts.web.ops.question import Args, Op, Tell, number, text
from selfplay import example, positions
from selfplay.example import Kind, Sample
from training.config import RunConfig
from training.evaluation import example_positions, surprise
from training.evaluation.example_positions import Found
from training.evaluation.surprise import Said
from training.network import Network
from training.players import network_of
from training.storage.run_folder import RunFolder

ORDERS = ("policy", "value", "newest", "random")
SAMPLED, MOST_SAMPLED = 4_096, 50_000  # newest examples that are looked through
MOST_BYTES = 256 << 20  # of these examples, for games with large observations
MOST_LISTED = 200
MOST_EXAMPLE = 1 << 53  # what a number of JavaScript holds
SEED = 0


class Opened(NamedTuple):
    """A run, as questions about its examples need it."""

    folder: RunFolder
    config: RunConfig
    spec: str
    game: Game[Any]
    network: Network
    folded: Variables  # of its newest checkpoint
    player: str  # that checkpoint's name


def examples(args: Args, tell: Tell) -> dict[str, Any]:
    """Returns examples of a run, those first that surprise its newest network most.

    Args:
      args: `run`, `order` (one of `ORDERS`), `count`, and `sample`, how many of the newest examples
        to look through.
    """
    order = args.get("order", "policy")
    if order not in ORDERS:
        raise ValueError(f"'order' must be one of {', '.join(ORDERS)}, got {order!r}")
    count = number(args, "count", 24, 1, MOST_LISTED)
    sample = number(args, "sample", SAMPLED, 1, MOST_SAMPLED)
    run = _open(args, tell)
    example_bytes = sum(form.bytes() for form in example.forms(run.game).values())
    sample = min(sample, max(1, MOST_BYTES // example_bytes))
    tell.note(f"reading the newest {sample:,} examples")
    numbers, held = surprise.newest_examples(run.folder, run.game, sample)
    tell.note(f"asking the network about {len(numbers):,} examples (its first batch compiles)")
    said = _judge(run, held)
    chosen = _ordered(order, numbers, said)[:count]
    return {
        "player": run.player,
        "sampled": len(numbers),
        "first": int(numbers[0]),
        "last": int(numbers[-1]),
        "mean": {
            "divergence": float(said.divergence.mean()),
            "value_error": float(np.abs(said.value_error).mean()),
        },
        "examples": [
            {
                "id": int(numbers[i]),
                "ply": int(held.ply[i]),
                "weights_step": int(held.weights_step[i]),
                "outcome": float(held.outcome[i]),
                "root_value": float(held.root_value[i]),
                **_now(said, i),
            }
            for i in chosen
        ],
    }


def one_example(args: Args, tell: Tell) -> dict[str, Any]:
    """An example whole, or its image under a symmetry, and the newest network's answer to it.

    Args:
      args: `run`, `id` (its number, counted from the run's first example) and `symmetry` (0 is as
        it was stored).
    """
    wanted = number(args, "id", 0, 0, MOST_EXAMPLE)
    run = _open(args, tell)
    symmetries = run.game.symmetries()
    chosen = number(args, "symmetry", 0, 0, len(symmetries) - 1)
    targets = tuple(example.parse_targets(run.config.targets))
    stored = surprise.examples_at(run.folder, run.game, wanted, 1, targets)
    tell.note("looking for the position that the example shows")
    found = example_positions.find(run.folder, run.game, wanted, stored)
    images = [surprise.image(stored, symmetry) for symmetry in symmetries]
    shown = images[chosen]
    said = _judge(run, shown)
    seen = np.asarray(shown.observation[0]).reshape(as_board(run.game.observation_shape))
    moves = _moves_of_image(run.game, found, symmetries[chosen], shown)
    return {
        "game": run.spec,
        "id": wanted,
        "symmetry": chosen,
        "player": run.player,
        "position": None if found is None else found.how,
        "moves": moves,
        "planes": np.moveaxis(seen, -1, 0).astype(float).tolist(),
        "plane_names": _plane_names(run.game),
        "actions": _actions(run.game, shown, said.policy[0], moves),
        "columns": _scalars(shown),
        "value_target": float(
            surprise.value_target(shown, run.config.learner.root_value_weight)[0]
        ),
        "root_value_weight": run.config.learner.root_value_weight,
        "targets": _targets(shown, seen.shape[:2]),
        "now": _now(said, 0) | {"entropy": float(surprise.entropy(said.policy)[0])},
        "images": [
            {"same": np.array_equal(image.observation, stored.observation)} for image in images
        ],
    }


def _open(args: Args, tell: Tell) -> Opened:
    """Returns a run with its newest checkpoint. Raises as `player_of` does."""
    folder = RunFolder(text(args, "run"))
    config = folder.read_config()
    spec, game = game_of({"game": config.game})
    tell.note("loading the newest checkpoint")
    player = player_of({"player": str(folder.path), "simulations": 0}, game)
    network = network_of(config, game)
    return Opened(folder, config, spec, game, network, player.variables, player.name)


def _judge(run: Opened, held: Sample) -> Said:
    weight = run.config.learner.root_value_weight
    return surprise.judge(run.network, run.folded, held, weight)


def _ordered(order: str, numbers: np.ndarray, said: Said) -> list[int]:
    """Returns the places of examples in an order."""
    if order == "random":
        places: list[int] = np.random.default_rng().permutation(len(numbers)).tolist()
        return places
    keys = {"policy": said.divergence, "value": np.abs(said.value_error), "newest": numbers}
    return np.argsort(-keys[order], kind="stable").tolist()


def _now(said: Said, i: int) -> dict[str, float]:
    """Returns what the network says of one of the examples that were judged."""
    return {
        "value": float(said.value[i]),
        "divergence": float(said.divergence[i]),
        "value_error": float(said.value_error[i]),
    }


def _scalars(shown: Sample) -> dict[str, float | int]:
    """Returns the columns that hold one number of an example, by name."""
    kinds = (Kind.SCALAR, Kind.ACTION)
    names = [name for name, column in example.COLUMNS.items() if column.kind in kinds]
    return {name: getattr(shown, name)[0].item() for name in names}


def _targets(shown: Sample, board: tuple[int, ...]) -> list[dict[str, Any]]:
    """The further targets of an example: a number, [H][W] or [A]; none where they are derived.

    A weight of 0 says that the example has no such target.
    """
    told = []
    for name, weight in shown.target_weights.items():
        kind, value = example.TARGETS[name].column.kind, None
        if name in shown.targets:
            one = np.asarray(shown.targets[name][0], float)
            value = (one.reshape(board) if kind is Kind.PER_CELL else one).tolist()
        told.append({"name": name, "weight": float(weight[0]), "kind": kind.value, "value": value})
    return told


def _actions(
    game: Game[Any], shown: Sample, policy: np.ndarray, moves: list[int] | None
) -> list[dict[str, Any]]:
    """Returns the legal actions of an example, those that it wants most first.

    Names are the position's where it is known. Else they are what the opening position calls these
    actions, and those that it does not allow have none.
    """
    lists: list[list[int]] = [moves or []]
    state = positions.take(positions.replay(game, lists).states, 0)
    nameable = np.asarray(state.legal_action_mask)
    target = shown.policy_target[0].astype(float)
    legal = np.flatnonzero(shown.legal_action_mask[0]).tolist()
    return [
        {
            "action": action,
            "name": game.action_to_string(state, action) if nameable[action] else None,
            "target": float(target[action]),
            "policy": float(policy[action]),
            "q": float(shown.q[0, action]),
            "played": action == int(shown.action[0]),
        }
        for action in sorted(legal, key=lambda action: -target[action])
    ]


def _moves_of_image(
    game: Game[Any], found: Found | None, symmetry: Symmetry, shown: Sample
) -> list[int] | None:
    """Returns moves to what an image shows; None where the example's are not known, or do not turn.

    They do not where a symmetry turns the opening position into another one.
    """
    if found is None:
        return None
    moves: list[int] = np.asarray(symmetry.on_action(np.array(found.moves, int))).tolist()
    return moves if example_positions.shows(game, moves, example_positions.seen_in(shown)) else None


def _plane_names(game: Game[Any]) -> list[str]:
    """Returns what a game calls its planes, if it does; the law names the first one.

    A game names them by an attribute `plane_names`, a text for each.
    """
    planes = as_board(game.observation_shape)[2]
    given = getattr(game, "plane_names", ())
    if isinstance(given, list | tuple) and len(given) == planes:
        return [str(name) for name in given]
    first = "the mover's pieces" if len(game.observation_shape) > 2 else ""
    return [first, *[""] * (planes - 1)]


OPS = {"examples": Op(examples, "search"), "example": Op(one_example, "search")}
