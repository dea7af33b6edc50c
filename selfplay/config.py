"""The settings of self-play."""

import dataclasses

from mcts.setting import problems, setting


@dataclasses.dataclass(frozen=True)
class SelfPlayConfig:
    """How games are played against oneself. AlphaGo Zero: Silver et al. 2017, Methods."""

    batch: int = setting(128, at_least=1)
    """B, games played at once, over all devices."""
    plies_per_call: int = setting(16, at_least=1)
    """T, plies of each game between two visits of the host."""
    temperature: float = setting(1.0, above=0)
    """t: in the first plies moves are drawn by the search's weights to the power 1/t. AlphaGo Zero:
    1."""
    temperature_plies: int = setting(8, at_least=0)
    """Plies in which the move is drawn at `temperature`; after them the search's own choice is
    played. AlphaGo Zero: 30, on Go 19x19."""
    random_opening_plies: int = setting(0, at_least=0)
    """Each game starts with 0 to this many uniformly random plies, which are not learned from:
    variety beyond what the network would open with. AlphaGo Zero: 0."""

    def problems(self) -> list[str]:
        """The faults of these settings, a sentence each."""
        return problems(self, "self_play")
