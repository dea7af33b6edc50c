"""Checks of the rows that a run trains on: do they obey the rules, and were they explored?"""

import functools
from typing import Any, NamedTuple

import jax
import numpy as np

from mcts import SearchConfig, SearchResult, search
from selfplay import positions
from selfplay.recorder import Sample
from training.doctor.evidence import (
    HEAD_ROWS,
    MOST_ROWS,
    Evidence,
    Replayed,
    last_part,
    row_names,
    take,
)
from training.doctor.findings import Finding, Result
from training.network import Folded, Network, Weights

# Of the actions played: a search that is very sure may play one whose weight is 0 in float16. If
# out of step, targets miss the action in most rows.
MOST_UNLIKELY = 0.25
FLIPPED = 0.95  # of a seat's decided rows, where a sign is wrong
# Of a seat's decided rows, where some signs are wrong, and rows that would be of draws otherwise.
MOST_FLIPPED, LEAST_MET = 0.7, 3.0
FEW_ROWS = 30  # below, shares of rows are too uncertain to judge
SAME_RESULT = 0.004  # how far weights and values of two like searches may be apart
# At least this share of what noise is expected to change must have changed. That is what it changes
# now, or an eighth of the searches that move the network's policy: a run of Hex that was sure of
# most moves, where noise matters least, had 5% to 9% and 62%.
LEAST_CHANGED, CHANGED_OF_MOVED = 0.25, 0.125
LEAST_MOVED = 0.05  # of the searches; below, the run is at its fixed point
SEARCHED = 128  # positions that are searched again
MOST_LOST = 0.02  # of the sampled games


def rules(evidence: Evidence) -> Result:
    """Compares rows with the rules: observation, legal actions, outcome, policy target.

    Threshold: none for what the rules fix; games are played again from their moves, and every row
    must agree. `MOST_UNLIKELY` of the actions played may have no weight, `MOST_LOST` of the sampled
    games may lack rows.
    """
    rows, replayed = take(evidence.rows, evidence.replayed.rows), evidence.replayed
    wrong = np.abs(replayed.outcome - rows.outcome) > 1e-3
    seen = (rows.observation != replayed.observation).any(axis=(1, 2, 3))
    allowed = (replayed.states.legal_action_mask != rows.legal_action_mask).any(axis=1)
    differs = seen | allowed
    off_board, unlikely = _bad_targets(evidence.rows)
    lost, sampled = _lost_games(evidence)
    findings = []
    if lost > MOST_LOST * sampled:
        findings.append(
            Finding(
                "lost-rows",
                f"{lost} of the {sampled} games in games/self_play.jsonl are not in the replay, or "
                "not with all their rows.",
                "every ply of every finished game becomes a row, draws and lost games too: follow "
                "such a game from `Recorder.add` to `ReplayBuffer.add`",
            )
        )
    if differs.any():
        findings.append(_wrong_positions(differs, seen, np.asarray(replayed.states.to_play)))
    if wrong.any():
        findings.append(_wrong_outcomes(wrong, rows, replayed))
    if off_board > 0.01 or unlikely > MOST_UNLIKELY:
        findings.append(_wrong_targets(off_board, unlikely, bool(allowed.any())))
    return Result(
        "rules",
        "Every row agrees with the rules of the game.",
        f"{len(wrong)} rows played again: {wrong.sum()} wrong outcomes, {differs.sum()} wrong "
        "positions",
        {
            "rows_replayed": len(wrong),
            "wrong_outcomes": int(wrong.sum()),
            "wrong_positions": int(differs.sum()),
            "targets_on_illegal_actions": off_board,
            "played_without_weight": unlikely,
            "sampled_games": sampled,
            "games_without_all_rows": lost,
        },
        tuple(findings),
        "" if len(wrong) else "no game's moves are known from the opening position on",
    )


def _lost_games(evidence: Evidence) -> tuple[int, int]:
    """Returns how many of the sampled games have not all their rows, and of how many.

    Games and rows are written in one order, so what lies between two games that have rows has its
    own; whatever is older than the rows, or newer than the last save, is left out.
    """
    rows = last_part(evidence.rows, MOST_ROWS - HEAD_ROWS)  # without a gap
    # A ply that is there twice is for the check `samples` to name.
    once = take(rows, np.unique(row_names(rows), return_index=True)[1])
    numbers, first, counts = np.unique(once.game_id, return_index=True, return_counts=True)
    ends = {
        int(number): (int(ply), int(count))
        for number, ply, count in zip(numbers, once.ply[first], counts, strict=True)
    }
    sampled = list(evidence.recorded)
    there = [place for place, number in enumerate(sampled) if number in ends]
    between = sampled[there[0] + 1 : there[-1] + 1] if there else []
    longest = evidence.config.self_play.random_opening_plies

    def is_whole(number: int) -> bool:
        opening, count = ends.get(number, (0, 0))
        return opening <= longest and opening + count == len(evidence.recorded[number])

    return sum(not is_whole(number) for number in between), len(between)


def _bad_targets(rows: Sample) -> tuple[float, float]:
    """Returns the shares of policy targets that are illegal, and that leave out what was played."""
    target = rows.policy_target.astype(np.float32)
    illegal = (target * ~rows.legal_action_mask).sum(axis=1) > 1e-2
    played = np.take_along_axis(target, rows.action[:, None].astype(np.intp), axis=1)[:, 0]
    return float(illegal.mean()), float((played <= 0).mean())


def _wrong_positions(differs: np.ndarray, seen: np.ndarray, seat: np.ndarray) -> Finding:
    if not seen.any():
        return Finding(
            "wrong-observations",
            f"{differs.mean():.0%} of the rows have the legal actions of another position than the "
            "one that they show, such as the next one.",
            "a row's legal_action_mask is that of the position before its move",
        )
    of_seats = [seen[seat == s].any() for s in (0, 1)]
    whose = "" if all(of_seats) else f", all of them of seat {of_seats.index(True)},"
    return Finding(
        "wrong-observations",
        f"{differs.mean():.0%} of the rows{whose} do not show the positions that the moves lead "
        "to (planes swapped between the seats, or rows out of step).",
        "compare what self-play stores with `game.observe` of the same position",
    )


def _wrong_targets(off_board: float, unlikely: float, wrong_masks: bool) -> Finding:
    if unlikely <= MOST_UNLIKELY and not wrong_masks:
        return Finding(
            "shuffled-targets",
            f"{off_board:.0%} of the policy targets put weight on illegal actions, beside what was "
            "played: they are not masked.",
            "a policy target is 0 where `legal_action_mask` is False, and sums to one without it",
        )
    return Finding(
        "shuffled-targets",
        f"{off_board:.0%} of the policy targets put weight on illegal actions, {unlikely:.0%} none "
        "on the action played: targets and positions are out of step (shuffled).",
        "follow one row from the search to the replay: target, action and legal actions must come "
        "from the same position",
    )


def _wrong_outcomes(wrong: np.ndarray, rows: Sample, replayed: Replayed) -> Finding:
    stored, right, seat = rows.outcome, replayed.outcome, np.asarray(replayed.states.to_play)
    flipped = wrong & (np.abs(right + stored) < 1e-3)
    if not stored[wrong].any():
        return Finding(
            "lost-outcomes",
            f"{wrong.mean():.0%} of the rows have an outcome of 0 but are of decided games.",
            "look at how a game's returns reach its rows (`Recorder`)",
        )
    decided = stored != 0
    by_seat = [flipped[decided & (seat == s)] for s in (0, 1)]
    shares = [float(part.mean()) for part in by_seat if len(part)]
    # A flipped sign flips all that one seat, or either, is told. Rows out of step by one flip many
    # outcomes too, where turns alternate, but not those of draws and of games' ends.
    if max(shares, default=0.0) > FLIPPED and all(not 1 - FLIPPED < x < FLIPPED for x in shares):
        return Finding(
            "value-sign",
            f"the sign is flipped in {flipped.mean():.0%} of the stored outcomes: what is lost is "
            "stored as won, so the value target is wrong for the seat to play.",
            "an outcome is for the seat that was to play at that row, not for the other one and "
            "not always for seat 0",
        )
    if not right[wrong].any():
        return Finding(
            "value-biased",
            f"{wrong.mean():.0%} of the rows have an outcome other than 0 but are of drawn games.",
            "look at `game.returns` of a draw, and at how it reaches the rows (`Recorder`)",
        )
    # Outcomes that come from other rows meet draws too, unless there are none.
    from_others = max(shares) > MOST_FLIPPED or wrong.sum() * (right == 0).mean() < LEAST_MET
    games = np.unique(rows.game_id[decided])
    by_ply = bool((flipped == (decided & (seat != rows.ply % 2))).all())
    if (wrong == flipped).all() and (by_ply or not from_others):
        whole = all(len(set(flipped[decided & (rows.game_id == g)])) == 1 for g in games)
        which = "single rows of both seats"
        which = "whole games (given up, or scored for the wrong seat)" if whole else which
        which = "rows of plies that are the other seat's if turns alternate" if by_ply else which
        return Finding(
            "value-sign",
            f"the sign is flipped in {flipped.mean():.0%} of the stored outcomes, in {which}: what "
            "is lost is stored as won.",
            "an outcome is for the seat that was to play at that row, which the ply does not tell "
            "where a turn is kept (`Recorder`, `game.returns`)",
        )
    return Finding(
        "shuffled-targets",
        f"{wrong.mean():.0%} of the stored outcomes are not the results of their games: outcomes "
        "and positions are out of step (shuffled).",
        "follow one game from its last move to the replay",
    )


_HEALTHY_NOISE = "Root noise changes the target of most positions."


def exploration(evidence: Evidence) -> Result:
    """Looks for the root noise, and for moves that are drawn, in what was played.

    Rows whose weights are still on disk are searched again, with noise and without. In healthy runs
    of tic_tac_toe 34% to 36% of the rows differed from a search without, in runs with other faults
    24% and more, in one of Hex 5%, where noise now changed 7%; in runs without noise none of 128
    (`LEAST_CHANGED`). Once the network has learned all that search can tell it, nothing differs.
    """
    config, games = evidence.config, evidence.config.self_play
    off = {
        "gumbel": config.search.gumbel_scale == 0,
        "puct": config.search.dirichlet_fraction == 0,
    }[config.search.policy]
    if evidence.config.amplify != "search":
        said = f"{evidence.config.amplify} decides, not the run's search: its noise is not known"
        return Result("exploration", _HEALTHY_NOISE, said, {}, unjudged=said)
    again = searched_again(evidence)
    measured: dict[str, Any] = {"noise_off_in_config": off} | (again._asdict() if again else {})
    said = f"noise changed {again.changed:.0%} of {again.searched} searches" if again else ""
    if again and again.moved < LEAST_MOVED:
        said += ", and search changes nothing any more"
    findings = []
    if off or (again and again.changed < LEAST_CHANGED * again.expected):
        what = "is switched off in the config" if off else said.removeprefix("noise ")
        drawn = games.temperature_plies > 0 or games.random_opening_plies > 0
        findings.append(
            Finding(
                "no-exploration",
                f"self-play explores without root noise: it {what}"
                + ("." if drawn else ", no move is drawn and no opening is random."),
                "search.gumbel_scale 1 (or search.dirichlet_fraction 0.25 with puct), "
                "self_play.temperature_plies above 0",
            )
        )
    return Result(
        "exploration",
        _HEALTHY_NOISE,
        said or "no rows are left of weights that are still on disk",
        measured,
        tuple(findings),
        "" if said or findings else "no rows are left of weights that are still on disk",
    )


class Again(NamedTuple):
    """What became of rows that were searched again with the weights that made them."""

    searched: int
    changed: float  # share of the rows that differ from a search without noise
    noisy: float  # share of searches with noise that do
    moved: float  # share of searches without noise that differ from the network's policy

    @property
    def expected(self) -> float:
        """About the share that noise must have changed. Code that has lost its noise has none."""
        return max(self.noisy, CHANGED_OF_MOVED * self.moved)


def searched_again(evidence: Evidence) -> Again | None:
    """Returns what rows whose weights are on disk give when searched again; None without any."""
    replayed = evidence.replayed
    choice = evidence.rows.legal_action_mask[replayed.rows].sum(axis=1) > 1
    labels = np.where(choice, evidence.rows.weights_step[replayed.rows], -1)
    known = _known_weights(evidence)
    step = max(known, key=lambda step: (labels == step).sum())
    chosen = np.flatnonzero(labels == step)[-SEARCHED:]
    if len(chosen) < FEW_ROWS:
        return None
    filled = np.resize(chosen, SEARCHED)  # one shape, one compilation
    folded, states = evidence.fold(known[step]), positions.take(replayed.states, filled)
    config = evidence.config.search
    plain, noisy = (
        jax.device_get(_search_again(evidence.game, evidence.network, one, folded, states))
        for one in (config.without_noise(), config)
    )
    rows = take(evidence.rows, replayed.rows[filled])

    def differ(weights: np.ndarray, q: np.ndarray) -> float:
        gaps = np.maximum(abs(plain.action_weights - weights), abs(plain.q - q))
        return _share_apart(np.where(rows.legal_action_mask, gaps, 0)[: len(chosen)])

    return Again(
        searched=len(chosen),
        changed=differ(rows.policy_target.astype(np.float32), rows.q.astype(np.float32)),
        noisy=differ(noisy.action_weights, noisy.q),
        moved=_share_apart(abs(plain.action_weights - plain.prior)[: len(chosen)]),
    )


def _share_apart(gaps: np.ndarray) -> float:
    return float((gaps.max(axis=1) > SAME_RESULT).mean())


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _search_again(
    game: Any, network: Network, config: SearchConfig, folded: Folded, states: Any
) -> SearchResult:
    return search(game, network.evaluate, folded, states, jax.random.key(0), config)


def _known_weights(evidence: Evidence) -> dict[int, Weights]:
    """Returns the weights that rows may be labelled with, by the label."""
    every = (*evidence.others, evidence.newest)
    return {weights.step: weights.average for weights in every} | {
        weights.actor_step: weights.actor for weights in every
    }
