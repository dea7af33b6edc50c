"""A session at a terminal, by a person or by a file of what a person would type."""

import json
import pathlib
from collections.abc import Callable

import numpy as np

from selfplay import positions
from selfplay.analysis import analysis_text
from selfplay.oversight import decisions
from selfplay.oversight.session import Line, OverseerSession, answer_of

HELP = (
    "candidates (A's opinion of the moves), look MOVE MOVE ..., MOVE ... (A searches behind these "
    "lines), play MOVE, weights MOVE=0.7 MOVE=0.3 (either may end with value=0.5, what the "
    "position is worth to the seat to play), skip, undo, help, quit"
)

Read = Callable[[str], str | None]
Write = Callable[[str], None]


def converse(session: OverseerSession, read: Read, write: Write) -> None:
    """Lets a person work until they quit, or nothing is left to decide."""
    write(f"Type {HELP}.")
    while session.waiting:
        write(f"\n{_shown(session)}")
        before = len(session.done)
        while len(session.done) == before:
            text = read("decide: ")
            if text is None or text.strip().lower() in ("quit", "exit", "q"):
                return
            try:
                if command(session, text, write):
                    break
            except ValueError as error:
                write(f"{error}; commands: {HELP}")


def follow_script(session: OverseerSession, path: str, write: Write) -> None:
    """Does what a file says, a command a line; `#` begins a comment.

    Raises:
      ValueError: a line cannot be done; says which. What was decided before it is kept. After a
        wrong line, the next ones would be about other positions than they were written for.
    """
    for number, line in enumerate(pathlib.Path(path).read_text().splitlines(), start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if text.lower() in ("quit", "exit", "q"):
            return
        try:
            if not session.waiting and text[0] != "{" and text.lower() != "undo":
                raise ValueError("no position is left to decide")
            command(session, text, write)
        except ValueError as error:
            made = session.summary()["decided"]
            kept = f"; {made} decided before it, kept in {session.path}" if made else ""
            raise ValueError(f"{path}, line {number}: {error}{kept}") from None


def command(session: OverseerSession, text: str, write: Write) -> bool:
    """Does one command; returns whether the position in hand is another one now.

    Raises:
      ValueError: it is none, or a move or number in it is wrong.
    """
    if text.strip().startswith("{"):
        return _decide_named(session, text)
    word, _, rest = text.strip().partition(" ")
    match word.lower():
        case "help" | "h" | "?":
            write(HELP)
            return False
        case "candidates" | "c":
            session.note("candidates")
            write(analysis_text(session.game, session.state, session.candidates()))
            return False
        case "look" | "l":
            write(
                _compared(session, session.look([_line(session, part) for part in rest.split(",")]))
            )
            return False
        case "play" | "p" | "weights" | "w":
            weights, value = _decision(session, word.lower()[0], rest)
            session.decide(weights, value)
        case "skip" | "s":
            session.skip()
        case "undo" | "u":
            if not session.undo():
                raise ValueError("there is nothing to take back")
        case _:
            raise ValueError(f"unknown command {word!r}")
    return True


def _decide_named(session: OverseerSession, text: str) -> bool:
    """A decision as a JSON line, which names its position."""
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from None
    moves = decisions.moves_of(fields.get("moves"))
    session.decide_elsewhere(moves, *answer_of(fields))
    return True


def _line(session: OverseerSession, text: str) -> tuple[int, ...]:
    """Returns the actions of moves in the game's notation, from the position in hand."""
    state, actions = session.state, []
    for word in text.split():
        if bool(state.terminated):
            raise ValueError(f"the game is over before {word!r}")
        actions.append(int(session.game.string_to_action(state, word)))
        state = positions.step(session.game, state, np.int32(actions[-1]))
    if not actions:
        raise ValueError("look needs moves")
    return tuple(actions)


def _decision(
    session: OverseerSession, kind: str, text: str
) -> tuple[dict[int, float], float | None]:
    words = text.split()
    value = None
    if words and words[-1].startswith("value="):
        value = decisions.value_of(_number(words.pop().removeprefix("value=")))
    if kind == "p":
        return {int(session.game.string_to_action(session.state, " ".join(words))): 1.0}, value
    given: dict[str, float] = {}
    for word in words:
        move, equals, share = word.rpartition("=")
        if not equals:
            raise ValueError(f"weights are MOVE=SHARE, got {word!r}")
        given[str(int(session.game.string_to_action(session.state, move)))] = _number(share)
    return decisions.weights_of(given), value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"a number was expected, got {text!r}") from None


def _shown(session: OverseerSession) -> str:
    number = len(session.done) + 1
    seat = int(session.state.to_play)
    moves = f"{len(session.moves)} {'move' if len(session.moves) == 1 else 'moves'}"
    head = f"position {number}, {len(session.waiting) - 1} more; after {moves}, "
    return f"{head}seat {seat} to play\n{session.game.render(session.state)}"


def _compared(session: OverseerSession, lines: list[Line]) -> str:
    """Returns what copies of A say, a line each, side by side."""
    rows = [f"value for seat {int(session.state.to_play)} after each line, and what A expects next"]
    for line in lines:
        words = positions.notation(session.game, session.state, line.moves + line.expects)
        moves, expects = words[: len(line.moves)], words[len(line.moves) :]
        behind = "the game is over" if line.over else " ".join(expects)
        rows.append(f"  {line.value:+.2f}  {' '.join(moves):12}  {behind}")
    return "\n".join(rows)
