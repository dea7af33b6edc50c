"""What a run measures of itself while it trains."""

from typing import Any

from games.game import Game
from selfplay.arena import play_match
from selfplay.perfect import mistakes as perfect
from selfplay.players import random_player
from training.config import RunConfig
from training.network import Network
from training.players import make_player


def evaluate_run(
    config: RunConfig, game: Game[Any], network: Network, variables: Any, seed: int
) -> dict[str, Any]:
    """Measures folded weights: mistakes against perfect play, else a match against random.

    Returns:
      Entries for metrics.jsonl. `loss` is what the best checkpoint has least of: the search's mean
      mistake rate, or 1 - its score.
    """
    settings = config.evaluation

    def player(simulations: int) -> Any:
        return make_player("run", game, network, variables, config.search, simulations)

    if perfect.has_oracle(config.game):
        sets = perfect.load_positions(config.game)
        rates = {
            name: perfect.measure(
                player(0),
                {settings.simulations: player(settings.simulations)},
                perfect.first(chosen, settings.positions),
            )
            for name, chosen in sets.items()
        }
        searched = [rate["search"] for rate in rates.values()]
        return {"perfect": rates, "loss": sum(searched) / len(searched)}
    result = play_match(
        player(settings.simulations), random_player(game), game, settings.games, seed
    )
    against = {"games": result.games, "score": result.score, "interval": list(result.interval)}
    return {"random": against, "loss": 1 - result.score}
