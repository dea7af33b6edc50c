"""All checks of a game, one after another: `selfplay game check`."""

from collections.abc import Callable
from typing import Any

import numpy as np

from games.conformance.alike import Alike
from games.conformance.cases import Trial
from games.conformance.drawn import check_board
from games.conformance.final import LastBoards
from games.conformance.moves import LastMoves, MoveLaws, Sample
from games.conformance.overflow import check_overflow
from games.conformance.pieces import Effects, Pieces
from games.conformance.playouts import Batch, batched, choose, envs_for, fill, join, play, take
from games.conformance.portrait import Portrait
from games.conformance.positions import (
    check_early_end,
    check_end,
    check_illegal,
    check_notation,
    check_past,
    cut_after,
)
from games.conformance.purity import check_import, check_purity
from games.conformance.seats import Twins, check_views, seen_by_both
from games.conformance.symmetry import Images, well_formed
from games.form import check_construction, check_form
from games.game import Game, Symmetry
from games.laws import Findings, Report

Move = tuple[Batch, np.ndarray, Batch]  # positions, an action in each, and what it led to

# Positions on which methods are also called without jit, which is slow.
PLAIN_LIVE, PLAIN_FINAL = 3, 2
QUICK_GAMES = 32
QUICK = (
    f"a quick check: {QUICK_GAMES} games at most, none of them played again, no call without jit, "
    "no process of its own; the whole check sees more"
)


def check(
    game: Game[Any],
    *,
    games: int = 256,
    seed: int = 0,
    fresh_process: bool = True,
    quick: bool = False,
    watch: Callable[[str], None] = lambda doing: None,
) -> Report:
    """Tries a game against every law, over many random games. It never raises because of the game.

    Args:
      games: random games to play; about as many again are played to try something on.
      fresh_process: also import the module in a process without devices, which takes a second.
      quick: leave out what takes long, as `QUICK` says.
      watch: called with what is tried next, at least once a ply. Only a `BaseException` that is no
        `Exception` ends the check from there.

    Returns:
      What was seen; `report.violations` is empty for a game that conforms. What the rules alone
      can tell (who *should* win) is not checked, only what no game may do.
    """
    findings = Findings(watch=watch)
    if quick:
        games, fresh_process = min(games, QUICK_GAMES), False
        findings.note(QUICK)
    sound = check_construction(findings, game)
    if fresh_process:
        check_import(findings, game)
    if sound and check_form(findings, game):
        with findings.trying("form", doing="a check of this game"):
            rng = np.random.default_rng([seed, games])
            _check_play(findings, game, games, rng, quick)
    return findings.report()


def _check_play(
    findings: Findings, game: Game[Any], games: int, rng: np.random.Generator, quick: bool
) -> None:
    symmetries: tuple[Symmetry, ...] = ()
    with findings.trying("symmetry", doing="symmetries()"):
        symmetries = well_formed(findings, game)
    envs, rules = envs_for(games, len(symmetries)), batched(game)
    trial = Trial(findings, game, rules, envs, rng)
    findings.watch("the rules, compiled")
    course, sample, portrait, effects = (
        MoveLaws(trial),
        Sample(trial),
        Portrait(trial),
        Effects(trial),
    )
    twins, images = Twins(trial, symmetries), Images(trial, symmetries)
    alike, last_boards = Alike(trial), LastBoards(trial, twins, images)

    seeds = rng.integers(0, 2**32, envs.count, dtype=np.uint32)
    openings = take(rules.init(seeds), envs.source())
    openings = rules.look(images.place(rules.look(twins.place(openings.state))))
    findings.tried.update(("turns", "mask", "returns", "observation"))
    for begun in (course, twins, images, alike, last_boards):
        begun.start(openings)
    if openings.terminated[: envs.real].all():
        return  # `course` has said so, and there is no move to try anything else on
    findings.tried.update(("end", "seats", "length"))
    moved_by = [symmetry.inverse().action for symmetry in symmetries]
    for ply in play(rules, envs, openings, moved_by, twins.actions, game.max_plies, rng):
        findings.watch(f"{games} random games, ply {ply.number}")
        for watcher in (
            course, sample, twins, images, portrait, effects, alike, last_boards,
        ):  # fmt: skip
            watcher.watch(ply)
    findings.portrait += portrait.lines()
    last = sample.last()
    course.conclude(check_early_end(trial, last) if last else ("", 0.0), portrait.removed)
    moves = _moves(trial, sample.positions, last)
    echoes = bool(course.echo.fields)
    twins.conclude(course.decided, echoes)
    last_boards.conclude(echoes)
    portrait.conclude(cut_after(trial, last) if last else 0)
    effects.conclude()
    with findings.trying("alike", doing="games played again"):
        if not quick:
            alike.seek()
        alike.conclude()
    _check_sample(trial, sample.positions, last, moves, quick)


def _check_sample(
    trial: Trial, positions: list[Batch], last: LastMoves | None, moves: list[Move], quick: bool
) -> None:
    finals = last and last.after
    count, trying = trial.envs.count, trial.findings.trying
    some = fill(positions[-1], count)
    with trying("purity", doing="the methods called one by one"):
        check_purity(trial, _a_few(positions[-1], finals), plain=not quick)
    with trying("observation", doing="observe with another seat to play"):
        seeds = trial.rng.integers(0, 2**32, count, dtype=np.uint32)
        opening = seen_by_both(trial, trial.rules.init(seeds))
        seen = [seen_by_both(trial, fill(batch, count)) for batch in positions]
        if opening is not None:
            later = join(*seen)
            check_views(trial, later)
            Pieces(trial, opening, later).check()
    with trying("overflow", doing="the methods with wider integers"):
        check_overflow(trial, moves)
    with trying("end", doing="step at the end"):
        if finals is None:
            trial.findings.note("end: no game ended, so that no final position was tried")
        else:
            check_end(trial, finals)
    with trying("illegal actions", doing="step with illegal actions"):
        check_illegal(trial, some)
    with trying("past", doing="forget or recall"):
        check_past(trial, some)
    with trying("notation", doing="render, action_to_string or string_to_action"):
        check_notation(trial, positions[-1], finals)
    with trying("board", doing="place or pieces"):
        check_board(trial, moves)


def _moves(trial: Trial, positions: list[Batch], last: LastMoves | None) -> list[Move]:
    """Returns moves from the sampled positions, and those that ended games."""
    count = trial.envs.count
    some = [fill(batch, count) for batch in positions]
    tried = [(before, choose(before.mask, trial.rng)) for before in some]
    if last:
        chosen = fill(trial.rng.permutation(len(last.plies)), count)
        tried.append(take((last.before, last.action), chosen))
    return [(before, action, trial.rules.step(before.state, action)) for before, action in tried]


def _a_few(live: Batch, finals: Batch | None) -> Batch:
    """Returns some live positions, and some final ones: only there do returns say anything."""
    few = take(live, np.linspace(0, len(live.terminated) - 1, PLAIN_LIVE).astype(int))
    if finals is None:
        return few
    decided_first = np.argsort(finals.returns[:, 0] == 0, kind="stable")
    return join(few, take(finals, decided_first[:PLAIN_FINAL]))
