"""Players from checkpoints: the network of a run, with its search or without."""

import dataclasses
import functools
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

import games
from games.game import Game
from mcts import SearchConfig
from selfplay import devices, shipped
from selfplay.amplify import slot
from selfplay.amplify.slot import Amplifier
from selfplay.example import Kind, parse_targets
from selfplay.player_spec import parse_player, run_of
from selfplay.players import Player, policy_player, search_player
from training import network, targets
from training.config import RunConfig
from training.network import Network, Weights
from training.settings import NetworkConfig
from training.storage.checkpoint import CheckpointStore
from training.storage.leaves import under, unflatten
from training.storage.manifest import DamagedError
from training.storage.run_folder import RunFolder

# Checkpoints whose weights are kept after loading: those of a run's ladder, which play in each of
# its evaluations.
LOADED = 10


class Trained(NamedTuple):
    """The network of a player, as it plays."""

    name: str  # R@STEP
    config: RunConfig
    game: Game[Any]
    network: Network
    folded: Any
    step: int  # of its training


def load_player(
    path: str | os.PathLike[str],
    simulations: int = 32,
    checkpoint: int | None = None,
    temperature: float = 0.0,
    search: Mapping[str, Any] | None = None,
    game: Game[Any] | None = None,
) -> Player:
    """Returns the player that a run has trained, as `player(states, key) -> SearchResult`.

    It adds no noise and plays the best action, ties to the lowest.

    Args:
      path: the run's folder.
      simulations: of its search; 0 for the network's raw policy.
      checkpoint: the training step to load, one of `checkpoint_steps(path)`; None for the newest.
      temperature: above 0, moves are drawn from `action_weights ** (1 / temperature)`.
      search: fields of `SearchConfig` that are to differ from the run's own.
      game: what to play: the run's own game on a board of another size, where its network fits
        boards of any size. A player whose network does not plays its own.

    Raises:
      ValueError: no run there, no such checkpoint, or settings that cannot work.
      CheckpointError: the checkpoint is damaged.

    Example:
      >>> player = training.load_player(folder, simulations=8)
      >>> key = jax.random.key(0)
      >>> states = jax.vmap(player.game.init)(jax.random.split(key, 2))
      >>> result = player(states, key)
      >>> result.action_weights.shape, result.value.shape
      ((2, 9), (2,))
    """
    if simulations < 0:
        raise ValueError(f"simulations must be at least 0, got {simulations}")
    if not temperature >= 0:
        raise ValueError(f"temperature must be at least 0, got {temperature}")
    # Read the network once; settings of the search may differ from the run's.
    trained = load_trained(path, checkpoint, game)
    settings = dataclasses.replace(trained.config.search, **(search or {}))
    if problems := settings.problems():
        raise ValueError(f"{trained.name}: {'; '.join(problems)}")
    return make_player(
        *(trained.name, trained.game, trained.network, trained.folded),
        *(settings, simulations, temperature),
    )


def load_trained(
    path: str | os.PathLike[str], checkpoint: int | None = None, game: Game[Any] | None = None
) -> Trained:
    """Returns the network of a run at one of its checkpoints, by default the newest.

    For `game`, if that is the run's own on a board of another size and the network fits it.

    Raises:
      ValueError: no run there, or no such checkpoint.
      CheckpointError: the checkpoint is damaged.
    """
    folder = RunFolder(path)
    config = folder.read_config()
    own = games.load(config.game)
    game = game if game is not None and _fits(config, own, game) else own
    step = _find_step(folder, checkpoint)
    network = network_of(config, game)
    # Cached by path and stamp: many players of one checkpoint share its weights.
    folded = _load_folded(network, os.path.abspath(folder.path), step, _stamp(folder, step))
    return Trained(f"{shipped.name_of(path)}@{step}", config, game, network, folded, step)


def _fits(config: RunConfig, own: Game[Any], game: Game[Any]) -> bool:
    """Whether a run's network also plays `game`: boards of another size, with the same weights."""
    specs = map(games.registry.spec_of, (own, game))
    if len(set(map(games.registry.without_size, specs))) > 1:
        return False
    try:
        shapes = [_shapes(network_of(config, one)) for one in (own, game)]
    except ValueError:
        return False
    return shapes[0] == shapes[1]


def _shapes(network: Network) -> Any:
    """The names and shapes of what plays of a network's weights."""
    folded = jax.eval_shape(network.fold, jax.eval_shape(network.init, jax.random.key(0)))
    leaves = jax.tree_util.tree_leaves_with_path(folded)
    return [(path, leaf.shape, leaf.dtype) for path, leaf in leaves]


def make_player(
    name: str,
    game: Game[Any],
    network: Network,
    variables: Any,
    search: SearchConfig,
    simulations: int,
    temperature: float = 0.0,
) -> Player:
    """Returns a player with folded `variables`: a search, or the raw policy at 0 simulations."""
    if simulations == 0:
        player = policy_player(name, game, network.evaluate, variables, temperature)
    else:
        settings = dataclasses.replace(search, simulations=simulations)
        player = search_player(name, game, network.evaluate, variables, settings, temperature)
    tells = network.config.value == "wdl"
    return dataclasses.replace(player, outcomes=network.outcome_probabilities if tells else None)


def load_amplifier(
    config: RunConfig, game: Game[Any], noise: bool = True, decisions: str = ""
) -> Amplifier:
    """The amplifier of a run's network, without the search's noise if so wanted.

    Args:
      decisions: the file that a person's decisions are kept in, if one will be asked.

    Raises:
      ValueError: there is no such amplifier; says what is.
    """
    search = config.search if noise else config.search.without_noise()

    # An amplifier may be a player by name, such as another run.
    def find_player(spec: str) -> Player:
        player = parse_player(spec, game, search.simulations, load_player)
        if player.game != game:
            plays = games.registry.spec_of(player.game)
            raise ValueError(f"amplify {config.amplify!r}: it plays {plays}, not {config.game}")
        return player

    evaluate = network_of(config, game).evaluate
    return slot.load(config.amplify, game, evaluate, search, find_player, decisions, config.game)


def checkpoint_steps(path: str | os.PathLike[str]) -> list[int]:
    """Returns the training steps of the run's checkpoints, oldest first.

    Example:
      >>> training.checkpoint_steps(folder)[0]
      0
    """
    return CheckpointStore(RunFolder(path).path).steps()


def load_weights(folder: RunFolder, step: int, network: Network) -> Weights:
    """Returns the averaged weights of a checkpoint, checked to fit `network`.

    Of the heads of targets (docs/targets.md) it has those that both have.
    """
    store = CheckpointStore(folder.path)
    try:
        saved = store.load(step, with_replay=False)
    except DamagedError as error:
        raise DamagedError(f"{error}; {_way_out(folder, store.steps(), step)}") from None
    finally:
        store.close()
    # Shapes alone, without allocating: what the file must fit.
    template = jax.eval_shape(network.init, jax.random.key(0))
    averages = [under(f"state/average_{part}", saved.train_state) for part in Weights._fields]
    pairs = map(_common_heads, template, averages)
    weights = Weights(*(unflatten(wanted, leaves) for wanted, leaves in pairs))
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(weights)):
        fault = f"{store.folder / str(step)}: its weights hold NaN or infinity"
        raise DamagedError(f"{fault}; {_way_out(folder, store.steps(), step)}")
    return weights


def _way_out(folder: RunFolder, steps: Sequence[int], damaged: int) -> str:
    """Advice about a damaged checkpoint."""
    name = shipped.name_of(folder.path)
    if shipped.is_name(name):
        return f"{name} comes with selfplay: install it again"
    if others := ", ".join(str(step) for step in steps if step != damaged):
        return f"{folder.path}@STEP names another of {others}"
    return "the run has no other"


def playable(network: Network, weights: Weights) -> Any:
    """Returns weights as everything that plays runs them: folded, a copy on every device."""
    return devices.replicate(network.fold(weights))


def _common_heads(template: Any, leaves: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Returns both without the heads of targets that only one of them has."""
    if not isinstance(template, dict):  # the weights of a network of a user's own
        return template, leaves
    # Auxiliary heads may differ between the run and the network that is wanted.
    of_targets = [name for name in leaves if name.startswith("targets/")]
    saved = {name.split("/")[1] for name in of_targets}
    heads = {name: head for name, head in template.get("targets", {}).items() if name in saved}
    rest = {name: part for name, part in template.items() if name != "targets"}
    other = {name for name in of_targets if name.split("/")[1] not in heads}
    kept = {name: leaf for name, leaf in leaves.items() if name not in other}
    return rest | ({"targets": heads} if heads else {}), kept


@functools.lru_cache(maxsize=LOADED)
def _load_folded(network: Network, path: str, step: int, stamp: tuple[int, ...]) -> Any:
    """Returns a checkpoint's weights as players run them; `stamp` tells another one of its name."""
    del stamp
    return playable(network, load_weights(RunFolder(path), step, network))


def _stamp(folder: RunFolder, step: int) -> tuple[int, ...]:
    """The stamp of a checkpoint, which changes when it is written again."""
    try:
        status = (folder.path / "checkpoints" / str(step) / "manifest.json").stat()
    except FileNotFoundError:
        return ()  # it is damaged: loading says how
    return status.st_ino, status.st_mtime_ns, status.st_size


def network_of(config: RunConfig, game: Game[Any]) -> Network:
    """Returns the network of a run; one object for equal ones, so that it compiles once."""
    heads = targets.heads(parse_targets(config.targets))
    sizes = getattr(game, "sizes", 0)
    edges = np.asarray(getattr(game, "adjacency", ()), bool).tobytes()
    shape = game.observation_shape
    return _network(config.network, shape, game.num_actions, heads, sizes, edges)


@functools.cache
def _network(
    config: NetworkConfig,
    observation_shape: tuple[int, ...],
    actions: int,
    heads: tuple[tuple[str, Kind], ...],
    sizes: int,
    edges: bytes,
) -> Network:
    return network.make(config, observation_shape, actions, heads, sizes, edges)


def _find_step(folder: RunFolder, wanted: int | None) -> int:
    steps = checkpoint_steps(folder.path)
    if not steps:
        raise ValueError(f"{folder.path} has no checkpoint yet: let `selfplay train` save one")
    if wanted is None:
        return steps[-1]
    if wanted not in steps:
        raise ValueError(
            f"{folder.path} has no checkpoint of step {wanted}; it has {', '.join(map(str, steps))}"
        )
    return wanted


def find_game(players: Sequence[str], given: str) -> str:
    """Returns the spec of the game to play: the one given, or that of the first run folder."""
    if given:
        return given
    for spec in players:
        run = run_of(spec)
        if run:
            return RunFolder(run[0]).read_config().game
    for spec in players:
        parse_player(spec, None, 1, load_player)  # its message says what is missing
    raise ValueError("no player is a run folder: say which game with --game")
