"""A check of exploration: how much does root noise change what a run searches and plays?"""

import functools
from typing import Any

import jax
import numpy as np

from mcts import SearchConfig, SearchResult, Variables, search
from selfplay import positions
from training.doctor.evidence import Evidence
from training.doctor.findings import Case, Result, first, too_early
from training.network import Network

FEW_POSITIONS = 30  # below, shares are too uncertain to judge
SAME_RESULT = 0.004  # how far weights and values of two like searches may be apart
# Of the searches that move the network's policy, those that noise must change: a run of Hex that
# was sure of most moves, where noise matters least, had 7% of 62%.
LEAST_CHANGED = 1 / 32
LEAST_MOVED = 0.05  # of the searches; below, the run is at its fixed point
SEARCHED = 128


def exploration(evidence: Evidence) -> Result:
    """Searches positions of the run's own games with its root noise and without.

    Healthy runs of tic_tac_toe: noise changed 34% to 36%, one of Hex 7% (`LEAST_CHANGED`). Once the
    network has learned all that search can tell it, nothing differs.
    """
    config, games = evidence.config, evidence.config.self_play
    if config.amplify != "search":
        return too_early(f"{config.amplify} decides, not the run's search: its noise is not known")
    off = {
        "gumbel": config.search.gumbel_scale == 0,
        "puct": config.search.dirichlet_fraction == 0,
    }[config.search.policy]
    measured: dict[str, Any] = {"noise_off_in_config": off} | _searched(evidence)
    known = "changed" in measured
    said, weak = "too few positions of finished games to search from", False
    if known:
        said = f"noise changed {measured['changed']:.0%} of {measured['searched']} searches"
        moves = measured["moved"] >= LEAST_MOVED
        weak = moves and measured["changed"] < LEAST_CHANGED * measured["moved"]
        said += "" if moves else ", and search changes nothing any more"
    what = "is switched off in the config" if off else said.removeprefix("noise ")
    drawn = games.temperature_plies > 0 or games.random_opening_plies > 0
    more = "" if drawn else ", no move is drawn and no opening is random"
    sentence = f"self-play explores without root noise: it {what}{more}."
    found = first(Case(off or weak, "no-exploration", sentence))
    return Result(said, measured, found, "" if known or found else said)


def _searched(evidence: Evidence) -> dict[str, float]:
    """The share of searches that noise changes, and that move the network's policy."""
    replayed = evidence.replayed
    choice = evidence.examples.legal_action_mask[replayed.examples].sum(axis=1) > 1
    chosen = np.flatnonzero(choice)[-SEARCHED:]
    if len(chosen) < FEW_POSITIONS:
        return {}
    # One shape, one compilation.
    states = positions.take(replayed.states, np.resize(chosen, SEARCHED))
    config, folded = evidence.config.search, evidence.newest_folded
    plain, noisy = (
        jax.device_get(_search(evidence.game, evidence.network, one, folded, states))
        for one in (config.without_noise(), config)
    )
    legal, count = states.legal_action_mask, len(chosen)
    by_noise = np.maximum(
        abs(plain.action_weights - noisy.action_weights), np.where(legal, abs(plain.q - noisy.q), 0)
    )
    by_search = abs(plain.action_weights - plain.prior)
    return {
        "searched": count,
        "changed": _share_apart(by_noise[:count]),
        "moved": _share_apart(by_search[:count]),
    }


def _share_apart(gaps: np.ndarray) -> float:
    return float((gaps.max(axis=1) > SAME_RESULT).mean())


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _search(
    game: Any, network: Network, config: SearchConfig, folded: Variables, states: Any
) -> SearchResult:
    return search(game, network.evaluate, folded, states, jax.random.key(0), config)
