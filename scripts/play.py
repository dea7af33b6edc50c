"""`selfplay play`."""

import dataclasses
import functools
import pathlib
import secrets
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

import games
import training
from games.game import State
from mcts import SearchResult
from scripts.flags.play import Args, names_a_game
from scripts.terminal import board
from scripts.terminal.console import ask, print_json, printable, say
from selfplay import positions, shipped
from selfplay.analysis import Analysis, analyse, analysis_text, by_move, varied_move
from selfplay.arena.result import BY_RESIGNATION
from selfplay.files.game_lines import GameRecord
from selfplay.player_spec import parse_player
from selfplay.players import FORFEIT, RESIGN, Player
from selfplay.records.game_record import append_records, check_path
from training.players import find_game
from training.storage.run_folder import RunFolder

RUNS = pathlib.Path("runs")  # where `train` makes runs
SHOWN_RUNS = 8
PERSON = "person"  # in records
HELP = """a move, in the notation of the board (such as {example})
hint             what it thinks of this position
undo             take back your last move
analysis on      before each of its moves, say what it thinks; analysis off
resign           give up the game
quit             leave"""


class Session:
    """A game under way: its positions so far, newest last, and the moves between them."""

    def __init__(self, player: Player, seed: int, temperature: float = 0.0) -> None:
        self.player, self.game, self.temperature = player, player.game, temperature
        self.states: list[State] = [positions.opening_position(player.game)]
        self.moves: list[int] = []
        self.resigned: int | None = None  # the seat that gave up
        self.fault = ""  # of an engine that could not go on
        self.key = jax.random.key(seed)
        self.rng = np.random.default_rng(seed)

    @property
    def state(self) -> State:
        return self.states[-1]

    @property
    def over(self) -> bool:
        return bool(self.state.terminated) or self.resigned is not None

    @property
    def returns(self) -> tuple[float, float]:
        """By seat; zeros before the end."""
        if self.resigned is not None:
            return (-1.0, 1.0) if self.resigned == 0 else (1.0, -1.0)
        first, second = np.asarray(self.game.returns(self.state)).tolist()
        return first, second

    def play(self, action: int) -> None:
        """Plays a legal action."""
        self.states.append(positions.step(self.game, self.state, np.int32(action)))
        self.moves.append(action)

    def undo(self, seat: int) -> bool:
        """Takes back the last move of `seat` and all after it; False if it has made none."""
        if self.resigned == seat:
            self.resigned = None
            return True
        own = [ply for ply in range(len(self.moves)) if int(self.states[ply].to_play) == seat]
        if not own:
            return False
        self.resigned, self.fault = None, ""
        del self.states[own[-1] + 1 :], self.moves[own[-1] :]
        return True

    def analyse(self, variation_plies: int) -> Analysis:
        """Returns the player's analysis of this position."""
        key = jax.random.fold_in(self.key, len(self.moves))
        return analyse(self.player, self.state, key, self.moves, variation_plies)

    def choose(self, result: SearchResult) -> int:
        """Returns the player's move: in the first plies one of its nearly equal ones, by lot."""
        legal = self.state.legal_action_mask
        return varied_move(result, legal, len(self.moves), self.temperature, self.rng)

    def record(self, spec: str, seat: int) -> GameRecord:
        """Returns the finished game, in which the person had this seat."""
        names = [self.player.name] * 2
        names[seat] = PERSON
        extra = {} if self.resigned is None else {"ended_by": BY_RESIGNATION}
        if self.fault:
            extra = {"ended_by": "forfeit", "fault": self.fault}
        return GameRecord(spec, tuple(self.moves), self.returns, (names[0], names[1]), extra)


def run(args: Args) -> int:
    """Runs the command; returns its exit code."""
    if names_a_game(args.player):
        args = _against_shipped(args)
    elif not args.player:
        args = dataclasses.replace(args, player=_newest_run(args.game))
    spec = find_game((args.player,), args.game)
    if args.records:
        check_path(args.records, spec)
    game = games.load(spec)
    # A person's moves are searched anew, so nothing is kept of the last tree.
    load = functools.partial(training.load_player, search={"leaves": args.leaves, "reuse_nodes": 0})
    player = parse_player(args.player, game, args.simulations, load)
    if player.game != game:
        raise ValueError(f"{args.player} does not play {spec}: leave out --game")
    seed = args.seed
    if seed is None:
        seed = 0 if args.json else secrets.randbits(31)
    session = Session(player, seed, args.temperature)
    for number, text in enumerate(args.moves.replace(",", " ").split(), start=1):
        try:
            session.play(session.game.string_to_action(session.state, text))
        except ValueError as error:
            raise ValueError(f"--moves: move {number}: {error}") from None
    if args.json:
        print_json({"game": spec, **analysis_json(session)})
        return 0
    try:
        converse(session, args.seat, ask, print, board.has_colours())
    finally:
        _keep(session, args, spec)
    return 0


def _against_shipped(args: Args) -> Args:
    """Returns the flags with the player that comes with the package for the game they name.

    Raises:
      ValueError: there is none; says for which games there are some.
    """
    game, found = args.player, shipped.of_game(args.player)
    known = [str(shipped.recipe(name)["game"]) for name in found]
    # Without options, a player of another size will do.
    if not found or (":" in game and games.load(known[0]) != games.load(game)):
        others = f", but for {', '.join(known)}" if known else ""
        raise ValueError(
            f"no trained player comes with selfplay for {game}{others}: train one (selfplay train "
            f"--game {game}), or play uniform --game {game}"
        )
    player = shipped.PREFIX + found[0]
    say(f"playing {known[0]} against {player}, which comes with selfplay (docs/players.md)")
    return dataclasses.replace(args, player=player)


def _newest_run(game: str) -> str:
    """Returns the run in `RUNS` that was saved last, of a game if one is named; says which.

    Raises:
      ValueError: there is none; says how to get one.
    """
    saved = {}
    for path in RUNS.iterdir() if RUNS.is_dir() else ():
        folder = RunFolder(path)
        if not (folder.config_file.is_file() and training.checkpoint_steps(path)):
            continue
        if not game or folder.read_config().game == game:
            saved[str(path)] = (path / "checkpoints").stat().st_mtime
    if not saved:
        of_game = f" of {game}" if game else ""
        raise ValueError(
            f"there is no run{of_game} in {RUNS}/ to play against: `selfplay train --game "
            f"{game or 'tic_tac_toe'} --preset quick` makes one; `selfplay play "
            f"{game or 'connect_four'}` plays against a trained player that comes with selfplay"
        )
    newest, *others = sorted(saved, key=lambda path: -saved[path])
    also = f"; others: {', '.join(others[:SHOWN_RUNS])}" if others else ""
    say(f"playing against {newest}, the newest run{also}")
    return newest


def _keep(session: Session, args: Args, spec: str) -> None:
    if not args.records:
        return
    if not session.over:
        say(f"the game was not finished: nothing was added to {args.records}")
        return
    append_records(args.records, [session.record(spec, args.seat)])
    say(f"the game was added to {args.records}")


def converse(
    session: Session,
    seat: int,
    read: Callable[[str], str | None],
    write: Callable[[str], None],
    colours: bool = False,
) -> None:
    """Plays until the person quits; `read` returns None at the end of input."""
    Talk(session, seat, read, write, colours).run()


class Talk:
    """A person and a player at one board, in the terminal."""

    def __init__(
        self,
        session: Session,
        seat: int,
        read: Callable[[str], str | None],
        write: Callable[[str], None],
        colours: bool,
    ) -> None:
        self.session, self.seat, self.colours = session, seat, colours
        self.read, self.write = read, write
        self.names = board.piece_names(session.game)
        self.tells = False  # whether it says what it thinks before each move

    def run(self) -> None:
        """Plays until the person quits."""
        session = self.session
        order = ("first", "second")[self.seat]
        self.write(f"You are {self._who(self.seat)}, {order} to move. Type a move, or help.")
        while True:
            self.write("\n" + self._picture())
            if not session.over and int(session.state.to_play) != self.seat:
                self._answer()
                continue
            if session.over:
                self.write(self._result())
            if not self._turn():
                return

    def _who(self, seat: int) -> str:
        return f"{self.names[seat]} (seat {seat})" if self.names else f"seat {seat}"

    def _picture(self) -> str:
        game, states = self.session.game, self.session.states
        before = game.render(states[-2]) if len(states) > 1 else None
        return board.show(game.render(states[-1]), before, self.names, self.colours)

    def _answer(self) -> None:
        """Lets the player move."""
        session, name = self.session, printable(self.session.player.name)
        known = len(session.player.faults)
        analysis = session.analyse(variation_plies=1)
        action = session.choose(analysis.result)
        if action in (RESIGN, FORFEIT):
            session.resigned = 1 - self.seat
            session.fault = "".join(session.player.faults[known:]) if action == FORFEIT else ""
            self.write(f"{name} {printable(session.fault) or 'resigns'}")
            return
        if self.tells:
            self._tell(analysis)
        move = session.game.action_to_string(session.state, action)
        self.write(f"{name}, {self._who(1 - self.seat)}, plays {move}")
        session.play(action)

    def _tell(self, analysis: Analysis) -> None:
        result = analysis.result
        if not result.visit_counts.any() and not float(result.raw_value):
            self.write(f"{printable(self.session.player.name)} does not say what it thinks")
        else:
            self.write(analysis_text(self.session.game, self.session.state, analysis))

    def _turn(self) -> bool:
        """Reads until the person has moved or taken back a move; False if they quit."""
        session = self.session
        while True:
            text = self.read("undo or quit: " if session.over else "your move: ")
            if text is None:
                return False
            if not text.strip():
                continue
            complaint = "the game is over"
            if not session.over:
                try:
                    session.play(session.game.string_to_action(session.state, text))
                    return True
                except ValueError as error:
                    complaint = f"{error}; or help"
            if (done := self._obey(" ".join(text.lower().split()), complaint)) is not None:
                return done

    def _obey(self, word: str, complaint: str) -> bool | None:
        """Does what a word says that is no move; None if it is still the person's turn."""
        session = self.session
        match word:
            case "quit" | "exit" | "q":
                return False
            case "undo" | "u":
                if session.undo(self.seat):
                    return True
                self.write("there is no move of yours to take back")
            case "resign" if not session.over:
                session.resigned = self.seat
                return True
            case "hint" | "h" if not session.over:
                self._tell(session.analyse(variation_plies=4))
            case "help" | "?":
                self.write(self._help())
            case "analysis on" | "analysis off" | "analysis":
                self.tells = not self.tells if word == "analysis" else word.endswith("on")
                self.write(f"analysis is {'on' if self.tells else 'off'}")
            case _:
                self.write(complaint)
        return None

    def _help(self) -> str:
        game = self.session.game
        state = self.session.states[0] if self.session.over else self.session.state
        legal = np.flatnonzero(np.asarray(state.legal_action_mask))
        return HELP.format(example=game.action_to_string(state, int(legal[0])))

    def _result(self) -> str:
        own, resigned = self.session.returns[self.seat], self.session.resigned
        if own == 0:
            return "A draw."
        how = "" if resigned is None else ": you resigned" if own < 0 else ": it gave up"
        return ("You win" if own > 0 else "You lose") + how + "."


def analysis_json(session: Session) -> dict[str, Any]:
    """A position's analysis for `--json`; numbers by move, in the game's notation."""
    game, state = session.game, session.state
    about: dict[str, Any] = {
        "moves": positions.notation(game, session.states[0], session.moves),
        "to_play": int(state.to_play),
        "terminated": session.over,
    }
    if session.over:
        about |= {"returns": list(session.returns), "value": session.returns[about["to_play"]]}
        return about | {"move": None, "policy": {}, "principal_variation": []}
    analysis = session.analyse(variation_plies=8)
    line = positions.notation(game, state, analysis.principal_variation)
    told = {"wdl": analysis.outcomes} if analysis.outcomes else {}
    return about | by_move(game, state, analysis.result) | told | {"principal_variation": line}
