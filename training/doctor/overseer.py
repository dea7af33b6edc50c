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
from training.doctor.evidence import Evidence
from training.doctor.findings import Case, Result, all_of, first
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
    file, as many pairs that are not alike.
    """
    name = evidence.config.amplify
    kind = name.partition(":")[0]
    measured: dict[str, Any] = {}
    unknown, weaker, averaged = "", _matches(evidence, measured), [_decided(evidence, measured)]
    if kind not in (*OURS, *ASKED):
        try:
            amplifier = load_amplifier(evidence.config, evidence.game, noise=False)
        except ValueError as error:  # a function that is no longer there
            unknown = str(error)
        else:
            weaker += _compared(evidence, amplifier, measured)
            averaged.append(_unheard(evidence, amplifier, measured))
    said = [case.sentence for case in weaker]
    if not said and kind not in OURS:
        unknown = unknown or "no match of Amplify(A) against A yet"
    prefix = (
        f"Amplify(A), {name}, which teaches A, is weaker than what it teaches, or than A's own "
        "search: "
    )
    cases = [case._replace(sentence=f"{prefix}{case.sentence}.") for case in weaker]
    return Result("; ".join([name, *said]), measured, first(*cases) + all_of(*averaged), unknown)


def _matches(evidence: Evidence, measured: dict[str, Any]) -> list[Case]:
    """The last match of Amplify(A) against A."""
    for line in reversed(evidence.evaluations):
        if match := line.fixed_point and line.fixed_point.strongest:
            known = dataclasses.asdict(match).items()
            measured["match"] = {name: x for name, x in known if x is not None}
            told = f"at step {line.step} {match.in_words(evidence.config.amplify)}"
            # What is drawn from A's policy is weaker than its best moves, by design.
            weaker = evidence.config.amplify != "policy" and match.is_weaker
            return [Case(weaker, "overseer-weaker", told)]
    return []


def _compared(evidence: Evidence, amplifier: Amplifier, measured: dict[str, Any]) -> list[Case]:
    """Mistakes in solved positions, with the weights of step 0 and the newest ones."""
    cases = []
    for rates in _mistakes(evidence, amplifier):
        measured.setdefault("mistakes", []).append(rates._asdict())
        told = (
            f"step {rates.step}: {rates.amplified:.1%} mistakes with Amplify(A), {rates.alone:.1%} "
            f"with A alone, {rates.search:.1%} with A's search"
        )
        best = min(rates.alone, rates.search)
        bound = max(0.05, 3 * float(np.sqrt((best + 1e-4) / SOLVED)))
        cases.append(Case(rates.amplified - best > bound, "overseer-weaker", told))
    return cases


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
    for weights in filter(None, (evidence.initial, evidence.newest)):
        variables = playable(evidence.network, weights.average)
        alone, search = (
            rate(make_player("A", game, network, variables, config, count))
            for count in (0, config.simulations)
        )
        amplified = rate(amplifier.as_player(game, variables))
        rates.append(_Rates(weights.step, amplified, alone, search))
    return rates


def _unheard(evidence: Evidence, amplifier: Amplifier, measured: dict[str, Any]) -> Case:
    """An overseer whose decisions are averaged over the images of a position."""
    symmetries = evidence.game.symmetries()
    if len(symmetries) == 1 or not (evidence.config.learner.augment and amplifier.on_device):
        return Case(False, "overseer-averaged", "")
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
    return Case(
        min(share, changed) >= MOST_OTHERWISE,
        "overseer-averaged",
        f"the overseer decides otherwise in {share:.0%} of the mirrored or turned positions, and "
        "the network, which is taught through all symmetries, follows it in "
        f"{1 - changed:.0%} only.",
    )


def _decided(evidence: Evidence, measured: dict[str, Any]) -> Case:
    """Decisions, in a file, that differ where positions are images of one another."""
    pairs, otherwise = evidence.decided.pairs, evidence.decided.otherwise
    if pairs:
        measured |= {"pairs_of_images": pairs, "decided_otherwise": otherwise}
    many = pairs >= FEW_PAIRS and otherwise >= MOST_OTHERWISE * pairs
    return Case(
        many and evidence.config.learner.augment,
        "overseer-averaged",
        f"of {pairs} pairs of decided positions that are mirrored or turned images of one another, "
        f"{otherwise} are decided otherwise, and the network is taught each decision through all "
        "symmetries: it learns the average.",
    )
