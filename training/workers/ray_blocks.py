"""Blocks of matches as tasks on Ray: each worker has players of its own, alike ours."""

import os
from collections.abc import Callable
from typing import NamedTuple

import jax

import games
from selfplay import devices
from selfplay.arena import match, openings
from selfplay.arena.blocks import Elsewhere, Order
from selfplay.arena.folder import weights_sha256
from selfplay.arena.result import PlayedGame
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
            parse_player(name, game, self.simulations, load_player) for name in self.players
        )
        for player, wanted in zip((first, second), self.weights, strict=True):
            if weights_sha256(player) != wanted:
                raise ValueError(f"{player.name} has other weights on {os.uname().nodename}")
        opened = openings.repeat(game, self.order.moves, len(self.order.moves))

        def play(block: int) -> list[PlayedGame]:
            return match.play_block(first, second, game, opened, self.order, block)

        return play


def players_of(team: Team, game: str, simulations: int, notice: Callable[[str], None]) -> Elsewhere:
    """Returns what finds workers for matches of a game; the first match starts them.

    Args:
      notice: called with what a person should know.
    """

    def find(first: Player, second: Player, order: Order) -> Crew:
        platform, size = jax.local_devices()[0].platform, devices.mesh().size
        if platform != "cpu":
            raise ValueError(
                f"--workers plays on CPUs, and jax runs on {size} x {platform} here, which share "
                "each block already: leave it out, or set JAX_PLATFORMS=cpu"
            )
        team.begin(size)
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
