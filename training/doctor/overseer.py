"""A check of who teaches a run, if not its own search: is it better than A, and is it followed?"""

import dataclasses
from typing import Any, NamedTuple

import jax
import numpy as np

from selfplay import positions
from selfplay.amplify import gap
from selfplay.amplify.slot import Amplifier
from selfplay.perfect import mistakes
from selfplay.players import Player, random_player
from selfplay.recorder import Sample
from training.doctor.evidence import Evidence
from training.doctor.findings import Finding, Result
from training.metrics import Match
from training.players import load_amplifier, make_player, playable

OURS = ("search", "policy", "committee")  # A with A: no overseer with a mind of its own
# Decides outside the device: asking it here about hundreds of positions may take hours.
ASKED = ("human", "player", "engine")
SOLVED = 512  # solved positions
COMPARED = 128  # positions that are compared with their images under a symmetry
MOST_OTHERWISE = 0.25  # of these: decided otherwise by the overseer, and by A
FEW_PAIRS = 20  # of decided positions that are images of one another


class _Rates(NamedTuple):
    """Mistake rates in solved positions."""

    step: int
    amplified: float
    alone: float
    search: float  # of A's own search, by which it could be taught


def overseer(evidence: Evidence) -> Result:
    """Compares an overseer with the A that it teaches: by the run's own matches, and by mistakes.

    Thresholds: a match whose 95% interval lies below 0.5; 5% more mistakes than A or A's search
    make, and 3 standard errors. An overseer that decides otherwise in `MOST_OTHERWISE` of the
    images of positions is not followed if A's best moves are others in as many. Of decisions in a
    file, by 3 standard errors more than A itself decides otherwise there.
    """
    name = evidence.config.amplify
    kind = name.partition(":")[0]
    healthy = "Amplify(A) decides better than A alone, until A has learned what it does."
    said, findings, measured = _matches(evidence)
    unknown = ""
    if kind not in (*OURS, *ASKED):
        try:
            amplifier = load_amplifier(evidence.config, evidence.game, noise=False)
        except ValueError as error:  # a function that is no longer there
            unknown = str(error)
        else:
            for told, fault in _compared(evidence, amplifier, measured):
                said.append(told)
                findings += fault if not findings else []
            findings += _unheard(evidence, amplifier, measured)
    findings += _decided_otherwise(evidence, measured)
    summary = "; ".join([name, *said])
    if not said and kind not in OURS:
        unknown = unknown or "no match of Amplify(A) against A yet"
    return Result("overseer", healthy, summary, measured, tuple(findings), unknown)


def _matches(evidence: Evidence) -> tuple[list[str], list[Finding], dict[str, Any]]:
    """Returns what the last match of Amplify(A) against A says."""
    for line in reversed(evidence.evaluations):
        match = line.fixed_point.strongest if line.fixed_point else None
        if match:
            told = f"at step {line.step} {match.in_words(evidence.config.amplify)}"
            # What is drawn from A's policy is weaker than its best moves, by design.
            compared = evidence.config.amplify != "policy" and match.is_weaker
            weak = [_weaker(evidence, told)] if compared else []
            return [told], weak, {"match": _known(match)}
    return [], [], {}


def _known(match: Match) -> dict[str, Any]:
    return {name: x for name, x in dataclasses.asdict(match).items() if x is not None}


def _compared(
    evidence: Evidence, amplifier: Amplifier, measured: dict[str, Any]
) -> list[tuple[str, list[Finding]]]:
    """Returns what mistakes say, of the weights of step 0 and the newest ones."""
    compared = []
    for rates in _mistakes(evidence, amplifier):
        measured.setdefault("mistakes", []).append(rates._asdict())
        told = (
            f"step {rates.step}: {rates.amplified:.1%} mistakes with Amplify(A), {rates.alone:.1%} "
            f"with A alone, {rates.search:.1%} with A's search"
        )
        best = min(rates.alone, rates.search)
        bound = max(0.05, 3 * float(np.sqrt((best + 1e-4) / SOLVED)))
        compared.append((told, [_weaker(evidence, told)] if rates.amplified - best > bound else []))
    return compared


def _weaker(evidence: Evidence, told: str) -> Finding:
    return Finding(
        "overseer-weaker",
        f"Amplify(A), {evidence.config.amplify}, which teaches A, is weaker than what it teaches, "
        f"or than A's own search: {told}.",
        "nothing, if the network is to learn just that; else a better overseer, or --amplify "
        "search",
    )


def _mistakes(evidence: Evidence, amplifier: Amplifier) -> list[_Rates]:
    if not (mistakes.has_oracle(evidence.config.game) and amplifier.on_device):
        return []
    sets = mistakes.load_positions(evidence.config.game)
    solved = mistakes.first(next(iter(sets.values())), SOLVED)
    game, network, config = evidence.game, evidence.network, evidence.config.search

    def rate(player: Player) -> float:
        key = jax.random.key(0)
        return float(mistakes.mistakes(player, solved.states, solved.outcomes, key).mean())

    rates = []
    for weights in (evidence.initial, evidence.newest):
        if weights is not None:
            variables = playable(evidence.network, weights.average)
            alone, search = (
                rate(make_player("A", game, network, variables, config, count))
                for count in (0, config.simulations)
            )
            amplified = rate(amplifier.as_player(game, variables))
            rates.append(_Rates(weights.step, amplified, alone, search))
    return rates


def _unheard(evidence: Evidence, amplifier: Amplifier, measured: dict[str, Any]) -> list[Finding]:
    """Looks for an overseer whose decisions are averaged over the images of a position."""
    symmetries = evidence.game.symmetries()
    if len(symmetries) == 1 or not (evidence.config.learner.augment and amplifier.on_device):
        return []
    act, seed = random_player(evidence.game).act, np.random.SeedSequence(0)
    where = gap.reach(evidence.game, act, (), seed, COMPARED)
    player = amplifier.as_player(evidence.game, evidence.newest_folded)
    here = jax.device_get(player(where.states, jax.random.key(0)))
    changed = float((here.action != here.prior.argmax(axis=1)).mean())
    otherwise = []
    for symmetry in symmetries[1:]:
        history = np.where(where.history < 0, where.history, symmetry.on_action(where.history))
        image = positions.replay(evidence.game, positions.move_lists(history))
        there = jax.device_get(player(image.states, jax.random.key(0)))
        apart = np.abs(there.action_weights - symmetry.on_actions(here.action_weights)).sum(axis=1)
        otherwise.append(float((apart > 1).mean()))  # more than half of the weight moved
    share = float(np.mean(otherwise))
    measured |= {"decides_images_otherwise": share, "not_followed": changed}
    if min(share, changed) < MOST_OTHERWISE:
        return []
    return [
        Finding(
            "overseer-averaged",
            f"the overseer decides otherwise in {share:.0%} of the mirrored or turned positions, "
            f"and the network, which is taught through all symmetries, follows it in "
            f"{1 - changed:.0%} only.",
            "--learner.no-augment",
        )
    ]


def _decided_otherwise(evidence: Evidence, measured: dict[str, Any]) -> list[Finding]:
    """Looks for decisions, in a file, that differ where positions are images of one another."""
    settings, symmetries = evidence.config.overseer, evidence.game.symmetries()
    augment = settings.augment and evidence.config.learner.augment
    rows = evidence.decided
    if rows is None or not augment or len(symmetries) == 1:
        return []
    decided: list[bool] = []
    alone = 1.0
    for weights in filter(None, (evidence.initial, evidence.newest)):
        policy, _ = evidence.predict(evidence.fold(weights.average), rows)
        best = np.eye(policy.shape[1])[policy.argmax(axis=1)]
        decided, own = _otherwise(rows, best, symmetries)
        alone = min(alone, float(np.mean(own or 1.0)))
    share = float(np.mean(decided or 0.0))
    measured |= {"pairs_of_images": len(decided), "decided_otherwise": share, "by_itself": alone}
    certain = 3 * float(np.sqrt(0.25 / max(len(decided), 1)))
    if len(decided) < FEW_PAIRS or share < max(MOST_OTHERWISE, alone + certain):
        return []
    return [
        Finding(
            "overseer-averaged",
            f"of {len(decided)} pairs of decided positions that are mirrored or turned images of "
            f"one another, {share:.0%} are decided otherwise (by A itself {alone:.0%}), and the "
            "network is taught each decision through all symmetries: it learns the average.",
            "--overseer.no-augment, if the overseer means to decide so",
        )
    ]


def _otherwise(rows: Sample, own: np.ndarray, symmetries: Any) -> tuple[list[bool], list[bool]]:
    """Returns of pairs of images whether their decisions are no images, and likewise of `own`.

    A position that is its own image is left out: of moves that are alike, one must be chosen.
    """
    keys = [seen.tobytes() for seen in rows.observation]
    place = {key: i for i, key in enumerate(keys)}
    images = [
        [seen.tobytes() for seen in np.ascontiguousarray(s.on_observation(rows.observation))]
        for s in symmetries[1:]
    ]
    decided: list[bool] = []
    alone: list[bool] = []
    for symmetry, there in zip(symmetries[1:], images, strict=True):
        for i, key in enumerate(there):
            j = place.get(key)
            if j is None or j <= i or any(image[i] == keys[i] for image in images):
                continue
            for weights, otherwise in ((rows.policy_target, decided), (own, alone)):
                apart = np.abs(weights[j] - symmetry.on_actions(weights[i])).sum()
                otherwise.append(bool(apart > 1))
    return decided, alone
