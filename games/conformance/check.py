"""All checks of a game, one after another: `selfplay game check`."""

from collections.abc import Callable
from typing import Any

import numpy as np

from games.conformance.alike import Alike
from games.conformance.drawn import check_board
from games.conformance.final import LastBoards
from games.conformance.moves import Invariant, MoveLaws, Sample
from games.conformance.overflow import check_overflow
from games.conformance.pieces import Pieces
from games.conformance.playouts import (
    Batch,
    Rules,
    batched,
    choose,
    fill,
    join,
    lanes_for,
    play,
    take,
)
from games.conformance.portrait import Effects, Portrait
from games.conformance.positions import (
    check_early_end,
    check_end,
    check_illegal,
    check_notation,
    check_past,
    check_transpositions,
    ends_anyway,
)
from games.conformance.purity import check_import, check_purity
from games.conformance.seats import Alternation, SeatSwapLanes, SeatViews, check_results
from games.conformance.symmetry import Images, well_formed
from games.form import check_construction, check_form
from games.game import Game, Symmetry
from games.laws import Findings, Report

# Positions on which methods are also called without jit, which is slow.
PLAIN_LIVE, PLAIN_FINAL = 3, 2


def check(
    game: Game[Any],
    *,
    games: int = 256,
    seed: int = 0,
    fresh_process: bool = True,
    watch: Callable[[str], None] = lambda doing: None,
) -> Report:
    """Tries a game against every law, over many random games. It never raises because of the game.

    Args:
      games: random games to play; about as many again are played to try something on.
      fresh_process: also import the module in a process without devices, which takes a second.
      watch: called with what is tried next, at least once a ply. Only a `BaseException` that is no
        `Exception` ends the check from there.

    Returns:
      What was seen; `report.violations` is empty for a game that conforms. What the rules alone
      can tell (who *should* win) is not checked, only what no game may do.
    """
    findings = Findings(watch=watch)
    sound = check_construction(findings, game)
    if fresh_process:
        check_import(findings, game)
    if sound and check_form(findings, game):
        with findings.trying("form", doing="a check of this game"):
            _check_play(findings, game, games, np.random.default_rng([seed, games]))
    return findings.report()


def _check_play(findings: Findings, game: Game[Any], games: int, rng: np.random.Generator) -> None:
    symmetries: tuple[Symmetry, ...] = ()
    with findings.trying("symmetry", doing="symmetries()"):
        symmetries = well_formed(findings, game)
    lanes = lanes_for(games, len(symmetries))
    rules = batched(game)
    findings.watch("the rules, compiled")
    course, sample = MoveLaws(findings, game, lanes), Sample(lanes, rng)
    twins, alternation = SeatSwapLanes(findings, game, lanes, symmetries), Alternation(lanes)
    images = Images(findings, game, lanes, symmetries)
    portrait, effects = Portrait(findings, game, lanes), Effects(findings, game, lanes)
    alike, invariant = Alike(findings, game, rules, lanes, rng), Invariant(findings, game, lanes)
    last_boards = LastBoards(findings, game, lanes, twins, images)

    seeds = rng.integers(0, 2**32, lanes.count, dtype=np.uint32)
    openings = take(rules.init(seeds), lanes.source())
    openings = rules.look(images.place(rules.look(twins.place(openings.state))))
    findings.tried.update(("turns", "mask", "returns", "observation"))
    for begun in (course, twins, images, alike, invariant, last_boards):
        begun.start(openings)
    if openings.terminated[: lanes.real].all():
        return  # `course` has said so, and there is no move to try anything else on
    findings.tried.update(("end", "seats", "length"))
    moved_by = [symmetry.inverse().action for symmetry in symmetries]
    for ply in play(rules, lanes, openings, moved_by, twins.actions, game.max_plies, rng):
        findings.watch(f"{games} random games, ply {ply.number}")
        for watcher in (
            course, sample, twins, alternation, images, portrait, effects, alike, invariant,
            last_boards,
        ):  # fmt: skip
            watcher.watch(ply)
    findings.portrait += portrait.lines()
    early = check_early_end(rules, sample.lasts(early=True), lanes.count)
    course.conclude(early, portrait.removed)
    moves = _moves(rules, sample, lanes.count, rng)
    with findings.trying("seats", doing="step with another count"):
        reads_echo = course.echo.holds and course.echo.is_read(rules, moves)
        twins.conclude(course.decided, course.echo.holds, reads_echo)
    last_boards.conclude(course.echo.holds)
    longest, latest = sample.latest()
    portrait.conclude(longest if ends_anyway(rules, latest, lanes.count, rng) else 0)
    effects.conclude()
    with findings.trying("alike", doing="games played again"):
        alike.seek()
        alike.conclude()
    _check_sample(findings, game, rules, sample, moves, alternation, lanes.count, rng)


def _check_sample(
    findings: Findings,
    game: Game[Any],
    rules: Rules,
    sample: Sample,
    moves: list[tuple[Batch, np.ndarray, Batch]],
    alternation: Alternation,
    count: int,
    rng: np.random.Generator,
) -> None:
    positions, finals = sample.positions(), sample.finals()
    some = fill(positions[-1], count)
    with findings.trying("purity", doing="the methods called one by one"):
        check_purity(findings, game, rules, _a_few(positions[-1], finals), count)
    with findings.trying("observation", doing="observe"):
        views = SeatViews(findings, game, rules, rng)
        if all(views.watch(fill(batch, count)) for batch in positions):
            views.conclude(alternation)
    with findings.trying("mask", doing="observe with another seat to play"):
        pieces = Pieces(findings, game, rules, rng)
        pieces.watch(rules.init(rng.integers(0, 2**32, count, dtype=np.uint32)), opening=True)
        for batch in positions:
            pieces.watch(fill(batch, count), opening=False)
        pieces.conclude()
    with findings.trying("seats", doing="returns"):
        check_results(findings, game, rules, finals, count)
    with findings.trying("overflow", doing="the methods with wider integers"):
        check_overflow(findings, game, moves)
    with findings.trying("mask", doing="step"):
        check_transpositions(findings, game, rules, positions, count, rng)
    with findings.trying("end", doing="step at the end"):
        check_end(findings, game, rules, finals, count)
    with findings.trying("illegal actions", doing="step with illegal actions"):
        check_illegal(findings, game, rules, some, rng)
    with findings.trying("past", doing="forget or recall"):
        check_past(findings, game, rules, some, rng)
    with findings.trying("notation", doing="render, action_to_string or string_to_action"):
        check_notation(findings, game, positions[-1], finals)
    with findings.trying("board", doing="place or pieces"):
        check_board(findings, game, moves)


def _moves(
    rules: Rules, sample: Sample, count: int, rng: np.random.Generator
) -> list[tuple[Batch, np.ndarray, Batch]]:
    """Returns moves from the sampled positions, and those that ended games."""
    some = [fill(batch, count) for batch in sample.positions()]
    tried = [(before, choose(before.mask, rng)) for before in some]
    tried += [fill(last, count) for last in sample.lasts()]
    return [(before, action, rules.step(before.state, action)) for before, action in tried]


def _a_few(live: Batch, finals: list[Batch]) -> Batch:
    """Returns some live positions, and some final ones: only there do returns say anything."""
    few = take(live, np.linspace(0, len(live.terminated) - 1, PLAIN_LIVE).astype(int))
    if not finals:
        return few
    ended = join(*finals)
    decided_first = np.argsort(ended.returns[:, 0] == 0, kind="stable")
    return join(few, take(ended, decided_first[:PLAIN_FINAL]))
