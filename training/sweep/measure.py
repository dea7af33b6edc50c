"""What is measured of a finished run: mistakes against perfect play, the score of a match."""

import functools
import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

import games
from games.game import Game
from selfplay import positions
from selfplay.arena import play_match
from selfplay.arena.openings import default_plies
from selfplay.perfect import mistakes
from selfplay.perfect.solver import SolvedSet
from selfplay.player_spec import parse_player
from training.players import load_player
from training.sweep.plan import Measuring

EARLY = 4  # plies; the first moves are few positions, and most games pass through them
MATCH_SEED = 0  # of the openings, the same ones for all runs


class Measured(NamedTuple):
    """What a run reached."""

    measures: dict[str, float]  # fractions, by what they are called
    details: dict[str, Any]  # by ply and set, and of the match, as JSON takes it


def measure(
    path: str | os.PathLike[str],
    spec: str,
    measuring: Measuring,
    activity: Callable[[str], None] = lambda text: None,
) -> Measured:
    """Returns what the newest weights of a run reach, the same way for every run.

    Args:
      path: the run's folder.
      spec: the game.
      activity: called with what begins and takes a while.

    Raises:
      ValueError: the positions cannot be read, or there is no such player.
    """
    game = games.load(spec)
    measures: dict[str, float] = {}
    details: dict[str, Any] = {}
    sets = solved_sets(spec, measuring)
    if sets:
        activity("measuring mistakes")
        raw = load_player(path, 0)
        searching = {budget: load_player(path, budget) for budget in measuring.simulations}
        details["perfect"] = {
            name: mistakes.measure(raw, searching, solved) for name, solved in sets.items()
        }
        for name, rates in details["perfect"].items():
            measures |= _named(name, rates)
    if measuring.against:
        activity(f"playing {measuring.against}")
        details["match"] = match = _match(path, game, measuring)
        measures[f"score against {measuring.against}"] = match["score"]
    return Measured(measures, details)


def solved_sets(spec: str, measuring: Measuring) -> Mapping[str, SolvedSet]:
    """Returns the positions on which mistakes are counted; none where perfect play is not known.

    The last set has all positions of the first plies, whatever the others hold of them.
    """
    file = measuring.positions_file
    if not (file or mistakes.has_oracle(spec)):
        return {}
    return _sets(spec, file, str(measuring.identity()["positions_file"]), measuring.positions)


@functools.lru_cache(maxsize=2)
def _sets(spec: str, file: str, content: str, count: int) -> dict[str, SolvedSet]:
    del content  # tells another file of this name
    whole = mistakes.load_positions(spec, file or None)
    sets = {name: mistakes.first(solved, count) for name, solved in whole.items()}
    early = _early(list(whole.values()))
    return sets | ({f"plies 0-{EARLY}": early} if early is not None else {})


def _early(sets: list[SolvedSet]) -> SolvedSet | None:
    rows = [np.flatnonzero(solved.plies <= EARLY) for solved in sets]
    if not sum(map(len, rows)):
        return None
    pairs = list(zip(sets, rows, strict=True))
    return SolvedSet(
        positions.concatenate([positions.take(solved.states, chosen) for solved, chosen in pairs]),
        np.concatenate([solved.outcomes[chosen] for solved, chosen in pairs]),
        np.concatenate([solved.plies[chosen] for solved, chosen in pairs]),
    )


def _named(name: str, rates: Mapping[str, Any]) -> dict[str, float]:
    by_budget = {"raw": rates["raw"], **rates["budgets"]}
    return {f"mistakes, {name}, {budget}": rate for budget, rate in by_budget.items()}


def _match(path: str | os.PathLike[str], game: Game[Any], measuring: Measuring) -> dict[str, Any]:
    budget = measuring.simulations[0]
    player = load_player(path, budget)
    opponent = parse_player(measuring.against, game, budget, load_player)
    plies = default_plies(game)
    result = play_match(player, opponent, game, measuring.games, MATCH_SEED, plies)
    return {
        "players": list(result.players),
        "simulations": budget,
        "games": result.games,
        "wins": result.wins,
        "draws": result.draws,
        "losses": result.losses,
        "score": result.score,
        "interval": list(result.interval),
        "distinct_games": result.distinct_games,
        "opening_plies": plies,
        "faults": [dict(reasons) for reasons in result.faults],
    }
