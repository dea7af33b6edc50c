"""`selfplay play`."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

import games
import training
from games.game import Game, State
from scripts.flags.play import Args
from scripts.terminal.console import ask, print_json
from selfplay import positions
from selfplay.analysis import Analysis, analyse, analysis_text, ranked
from selfplay.player_spec import parse_player
from selfplay.players import Player
from training.players import find_game

HELP = "a move, or: hint (its opinion of this position), undo, quit"


class Session:
    """A game under way: its positions so far, newest last, and the moves between them."""

    def __init__(self, player: Player, seed: int) -> None:
        self.player, self.game = player, player.game
        self.states: list[State] = [positions.opening_position(player.game)]
        self.moves: list[int] = []
        self.key = jax.random.key(seed)

    @property
    def state(self) -> State:
        return self.states[-1]

    @property
    def over(self) -> bool:
        return bool(self.state.terminated)

    def play(self, action: int) -> None:
        """Plays a legal action."""
        self.states.append(positions.step(self.game, self.state, np.int32(action)))
        self.moves.append(action)

    def undo(self, seat: int) -> bool:
        """Takes back the last move of `seat` and all after it; False if it has made none."""
        own = [ply for ply in range(len(self.moves)) if int(self.states[ply].to_play) == seat]
        if not own:
            return False
        del self.states[own[-1] + 1 :], self.moves[own[-1] :]
        return True

    def analyse(self, variation_plies: int) -> Analysis:
        """Returns the player's analysis of this position."""
        key = jax.random.fold_in(self.key, len(self.moves))
        return analyse(self.player, self.state, key, self.moves, variation_plies)


def run(args: Args) -> int:
    """Runs the command; returns its exit code."""
    if args.seat not in (0, 1):
        raise ValueError(f"--seat must be 0 or 1, got {args.seat}")
    spec = find_game((args.player,), args.game)
    game = games.load(spec)
    # A person's moves are searched anew, so nothing is kept of the last tree.
    load = functools.partial(training.load_player, search={"leaves": args.leaves, "reuse_nodes": 0})
    player = parse_player(args.player, game, args.simulations, load)
    if player.game != game:
        raise ValueError(f"{args.player} was not trained on {spec}: leave out --game")
    session = Session(player, args.seed)
    for number, text in enumerate(args.moves.replace(",", " ").split(), start=1):
        try:
            session.play(session.game.string_to_action(session.state, text))
        except ValueError as error:
            raise ValueError(f"--moves: move {number}: {error}") from None
    if args.json:
        print_json({"game": spec, **analysis_json(session)})
    else:
        converse(session, args.seat, ask, print)
    return 0


def converse(
    session: Session,
    seat: int,
    read: Callable[[str], str | None],
    write: Callable[[str], None],
) -> None:
    """Plays until the person quits; `read` returns None at the end of input."""
    game = session.game
    write(f"You play seat {seat}. Type {HELP}.")
    while True:
        write("\n" + game.render(session.state))
        if not session.over and int(session.state.to_play) != seat:
            analysis = session.analyse(variation_plies=1)
            action = int(analysis.result.action)
            write(analysis_text(game, session.state, analysis))
            write(f"{session.player.name} plays {game.action_to_string(session.state, action)}")
            session.play(action)
            continue
        if session.over:
            write(_result(game, session.state, seat))
        if not _turn(session, seat, read, write):
            return


def _turn(
    session: Session,
    seat: int,
    read: Callable[[str], str | None],
    write: Callable[[str], None],
) -> bool:
    """Reads until the person has moved or taken back a move; False if they quit."""
    game = session.game
    while True:
        text = read("undo or quit: " if session.over else "your move: ")
        if text is None:
            return False
        try:
            session.play(game.string_to_action(session.state, text))
            return True
        except ValueError as error:
            complaint = str(error)
        match text.strip().lower():
            case "quit" | "exit" | "q":
                return False
            case "undo" | "u":
                if session.undo(seat):
                    return True
                write("there is no move of yours to take back")
            case "hint" | "h" if not session.over:
                write(analysis_text(game, session.state, session.analyse(variation_plies=4)))
            case _:
                write("the game is over" if session.over else f"{complaint}; or hint, undo, quit")


def analysis_json(session: Session) -> dict[str, Any]:
    """Returns what `--json` prints of a position; numbers by move, in the game's notation."""
    game, state = session.game, session.state
    about: dict[str, Any] = {
        "moves": positions.notation(game, session.states[0], session.moves),
        "to_play": int(state.to_play),
        "terminated": session.over,
    }
    if session.over:
        returns = np.asarray(game.returns(state)).tolist()
        value = returns[about["to_play"]]
        return about | {"returns": returns, "policy": {}, "value": value, "principal_variation": []}
    analysis = session.analyse(variation_plies=8)
    result = analysis.result

    def by_move(numbers: jax.Array) -> dict[str, Any]:
        return {
            game.action_to_string(state, action): numbers[action].item()
            for action in ranked(result, state.legal_action_mask)
        }

    return about | {
        "policy": by_move(result.action_weights),
        "value": float(result.value),
        "principal_variation": positions.notation(game, state, analysis.principal_variation),
        "prior": by_move(result.prior),
        "raw_value": float(result.raw_value),
        "visits": by_move(result.visit_counts),
        "q": by_move(result.q),
    }


def _result(game: Game[Any], state: State, seat: int) -> str:
    own = float(np.asarray(game.returns(state))[seat])
    return "You win." if own > 0 else "You lose." if own < 0 else "A draw."
