"""Blocks of matches, and rounds of ladders, as tasks on Ray: workers have players alike ours."""

import functools
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

import games
from games.game import Game
from selfplay import devices
from selfplay.arena import match, openings, rounds
from selfplay.arena.blocks import Elsewhere, Order
from selfplay.arena.folder import weights_sha256
from selfplay.arena.ladder import Ladder, Round
from selfplay.arena.result import MatchResult, PlayedGame
from selfplay.player_spec import parse_player
from selfplay.players import Player
from training.players import load_player
from training.workers import identity
from training.workers.ray_team import Crew, Team


class Match(NamedTuple):
    """A match, as a worker is told of it."""

    game: str
    players: tuple[str, str]  # names of players, which a command line would take
    simulations: int
    weights: tuple[str, str]  # digests
    order: Order

    def open(self) -> Callable[[int], list[PlayedGame]]:
        """Returns what plays a block, by its number."""
        game = games.load(self.game)
        first, second = (
            _player(name, game, self.simulations, digest)
            for name, digest in zip(self.players, self.weights, strict=True)
        )
        opened = openings.repeat(game, self.order.moves, len(self.order.moves))

        def play(block: int) -> list[PlayedGame]:
            return match.play_block(first, second, game, opened, self.order, block)

        return play


class Rounds(NamedTuple):
    """The rounds of a ladder, as a worker is told of them."""

    game: str
    players: tuple[str, ...]  # names with their numbers of simulations
    weights: tuple[str, ...]  # how their digests begin
    opening_plies: int | None

    def open(self) -> Callable[[Round], MatchResult]:
        """Returns what plays a round."""
        game = games.load(self.game)

        @functools.cache
        def player(number: int) -> Player:
            return _player(self.players[number], game, 0, self.weights[number])

        def play(one: Round) -> MatchResult:
            first, second = player(one.first), player(one.second)
            return match.play_match(first, second, game, one.games, one.seed, self.opening_plies)

        return play


def players_of(team: Team, game: str, simulations: int, notice: Callable[[str], None]) -> Elsewhere:
    """Returns what finds workers for matches of a game; the first match starts them.

    Args:
      notice: called with what a person should know.
    """

    def find(first: Player, second: Player, order: Order) -> Crew:
        _begin(team)
        weights = weights_sha256(first), weights_sha256(second)
        told = Match(game, (first.name, second.name), simulations, weights, order)
        number = -(-2 * len(order.moves) // order.block)
        if number < team.number:
            notice(
                f"{2 * len(order.moves)} games in blocks of {order.block} keep only "
                f"{number} of {team.number} workers busy"
            )
        ours = identity.alike(game)
        return Crew(team, team.new_job(told), lambda block: (block,), game, ours, notice)

    return find


def rounds_of(team: Team, ladder: Ladder, notice: Callable[[str], None]) -> rounds.Elsewhere:
    """Returns what finds workers for the rounds of a ladder, and starts them.

    Args:
      notice: called with what a person should know.
    """

    def find(round_of: Callable[[int], Round]) -> Crew:
        _begin(team)
        names = tuple(player.name for player in ladder.players)
        told = Rounds(ladder.spec, names, tuple(ladder.weights), ladder.opening_plies)
        ours = identity.alike(ladder.spec)
        job = team.new_job(told)
        return Crew(team, job, lambda task: (round_of(task),), ladder.spec, ours, notice)

    return find


def _begin(team: Team) -> None:
    """Starts the workers. Raises ValueError where matches are not for them."""
    platform, size = jax.local_devices()[0].platform, devices.mesh().size
    if platform != "cpu":
        raise ValueError(
            f"--workers plays on CPUs, and jax runs on {size} x {platform} here, which share "
            "each block already: leave it out, or set JAX_PLATFORMS=cpu"
        )
    team.begin(size)


def _player(name: str, game: Game[Any], simulations: int, digest: str) -> Player:
    """Returns a player. Raises ValueError unless its weights have this digest."""
    player = parse_player(name, game, simulations, load_player)
    if not weights_sha256(player).startswith(digest):
        raise ValueError(f"{player.name} has other weights on {os.uname().nodename}")
    return player
