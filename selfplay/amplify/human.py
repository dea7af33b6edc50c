"""The human as amplifier: an overseer decides in every position, with A's search as assistant.

A person at the terminal, or a program in their place (`selfplay.oversight.program`), has a session
(`selfplay.oversight.session`) with the positions that self-play comes to. What they decide is what
A learns; where they skip, it is A's search. Positions that came up by the same moves are asked
about once.
"""

import pathlib
import sys
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from games.game import Game, State
from mcts import Evaluate, SearchConfig, SearchResult, Variables
from selfplay import positions
from selfplay.analysis import Analysis
from selfplay.files import durable
from selfplay.oversight import decisions, terminal
from selfplay.oversight.decisions import Decision
from selfplay.oversight.program import Program, oversee
from selfplay.oversight.session import OverseerSession
from selfplay.players import Act, search_player

SECONDS = 60.0  # for each answer of a program


class Overseer(NamedTuple):
    """Who decides."""

    name: str
    work: Callable[[OverseerSession], None]  # deals with all positions of a session
    path: str  # the file that decisions are kept in; empty: they are not
    known: dict[tuple[int, ...], Decision]  # from it, by position: not asked about again


def program(command: str) -> Overseer:
    """Returns a program as overseer; it is started when it is first asked.

    Its decisions are not kept: the next A thinks otherwise, and so may the program.

    Raises:
      ValueError: there is no such program; when it is asked, it failed, or its answer is bad.
    """
    running = Program(command, SECONDS)
    running.check()

    def refuse(text: str) -> None:
        raise ValueError(f"overseer {command!r}: {text}")

    def work(session: OverseerSession) -> None:
        oversee(session, running, refuse)

    weakref.finalize(work, running.close)  # also at the interpreter's exit
    return Overseer(f"program {command}", work, "", {})


def person(path: str, game_spec: str, game: Game[Any]) -> Overseer:
    """Returns a person at the terminal, whose decisions in `path` hold for good.

    Raises:
      ValueError: there is no terminal.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise ValueError(
            "amplify 'human' asks a person, and there is no terminal; human:PROGRAM asks a program"
        )

    def work(session: OverseerSession) -> None:
        with durable.lock(pathlib.Path(path).parent / "lock"):
            terminal.converse(session, _ask, _write)
        if session.waiting:
            raise KeyboardInterrupt  # they quit: what they decided is kept

    known = {}
    if path:
        durable.make_folder(pathlib.Path(path).parent)
        if pathlib.Path(path).exists():
            stored = decisions.scan(path, game_spec, game).decisions
            known = {decision.moves: decision for decision in stored}
    return Overseer("human", work, path, known)


def human_act(
    overseer: Overseer,
    game: Game[Any],
    game_spec: str,
    evaluate: Evaluate,
    config: SearchConfig,
) -> Act:
    """Returns the act of an amplifier outside the device that asks `overseer`."""
    about = {"by": overseer.name, "player": "A", "simulations": config.simulations}

    def act(
        variables: Variables, states: State, key: jax.Array, history: np.ndarray
    ) -> SearchResult:
        assistant = search_player("A", game, evaluate, variables, config)
        result = jax.device_get(assistant(states, key))
        moves = positions.move_lists(np.asarray(history))
        analyses = {
            row: Analysis(SearchResult(*(field[env] for field in result)), ())
            for env, row in enumerate(moves)
        }
        waiting = [row for row in analyses if row not in overseer.known]
        session = OverseerSession(
            assistant, game_spec, overseer.path, about, waiting, analyses=analyses
        )
        if waiting:
            overseer.work(session)
        decided = {done.moves: done.decision for done in session.done if done.decision}
        if overseer.path:
            overseer.known.update(decided)
        return _decided(result, moves, overseer.known | decided)

    return act


def _decided(
    result: SearchResult, moves: list[tuple[int, ...]], known: dict[tuple[int, ...], Decision]
) -> SearchResult:
    """Returns what A's search says, with the decisions in place of its own."""
    chosen = [np.array(field) for field in (result.action, result.action_weights, result.value)]
    action, weights, value = chosen
    for env, row in enumerate(moves):
        if row in known:
            decision = known[row]
            action[env], value[env] = decision.action, decision.value
            weights[env] = 0.0
            weights[env, list(decision.weights)] = list(decision.weights.values())
    named = {"action": action, "action_weights": weights, "value": value}
    return result._replace(**named)  # type: ignore[arg-type]


def _ask(prompt: str) -> str | None:
    print(prompt, end="", file=sys.stderr, flush=True)  # stdout belongs to --json
    try:
        return input()
    except (EOFError, KeyboardInterrupt):
        return None


def _write(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
