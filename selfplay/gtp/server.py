"""A GTP engine: answers a front end with a player's moves and analyses, and resigns when lost."""

import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from games.game import Game
from games.go import Go
from selfplay import positions
from selfplay.analysis import candidates, considered, winrate
from selfplay.engines import clock
from selfplay.engines.server import MAX_LINE, Refused, Server
from selfplay.engines.thinking import Thinker
from selfplay.gtp import protocol, set_up
from selfplay.gtp.game import GtpGame, Line
from selfplay.players import Player
from selfplay.records import sgf_dialects

Answer: TypeAlias = str | Iterator[str]  # or lines as they come, until the next command
Handler: TypeAlias = Callable[[list[str]], Answer]

CANDIDATES = 8  # moves that an analysis shows
LINE_SIMULATIONS = 8  # of the searches that find the line of each
DEFAULT_INTERVAL = 1.0  # seconds between two lines of an analysis


class GtpServer(Server):
    """The engine's side of one connection.

    Args:
      resign_below: the winrate below which it resigns; 0 for never.
    """

    def __init__(
        self,
        game: Game[Any],
        make: Callable[[Game[Any], int], Player],
        simulations: int,
        resign_below: float = 0.0,
        seed: int = 0,
        wait: Callable[[float], bool] = lambda seconds: True,
    ) -> None:
        super().__init__(make, simulations, seed, wait)
        self.game = GtpGame(game)
        self.clocks = [clock.start(math.inf)] * 2
        self._resign_below = resign_below
        self.thinker = self._new_thinker(game)
        self.thinker.warm_up(self.game.state, (self.thinker.rungs[0], self.thinker.rungs[-1]))
        self.commands = self._commands()

    def answer(self, line: bytes) -> Iterator[str]:
        """Yields the answer to a line of input, whatever it holds, as it comes."""
        if len(line) > MAX_LINE:
            yield protocol.response("", "line too long", success=False)
            return
        request = protocol.read_request(line)
        if request is None:
            return
        try:
            if request.name not in self.commands:
                raise Refused("unknown command")
            answer = self.commands[request.name](request.arguments)
        except Refused as refusal:
            yield protocol.response(request.id, str(refusal), success=False)
        except Exception as error:  # of a game or a player: the front end must live on
            yield protocol.response(request.id, f"internal error: {error!r}", success=False)
        else:
            if isinstance(answer, str):
                yield protocol.response(request.id, answer)
            else:
                yield f"={request.id}\n"
                yield from _unbroken(answer)
                yield "\n"

    def _commands(self) -> dict[str, Handler]:
        """Returns the commands of this game, by name."""
        everywhere: dict[str, Handler] = {
            "protocol_version": lambda words: "2",
            "name": lambda words: "selfplay",
            "version": lambda words: set_up.version(),
            "known_command": self._known_command,
            "list_commands": lambda words: "\n".join(sorted(self.commands)),
            "quit": self._quit,
            "boardsize": self._boardsize,
            "clear_board": self._clear_board,
            "play": self._play,
            "genmove": self._genmove,
            "reg_genmove": self._reg_genmove,
            "undo": self._undo,
            "showboard": lambda words: "\n" + self.game.game.render(self.game.state),
            "final_score": lambda words: self.game.final_score(),
            "time_settings": self._time_settings,
            "kgs-time_settings": self._kgs_time_settings,
            "time_left": self._time_left,
            "stop": lambda words: "",  # its line alone has ended an analysis
            "lz-analyze": lambda words: self._analyze(words, _lz_number),
            "kata-analyze": lambda words: self._analyze(words, _kata_number),
            "lz-genmove_analyze": lambda words: self._genmove_analyze(words, _lz_number),
            "kata-genmove_analyze": lambda words: self._genmove_analyze(words, _kata_number),
        }
        go: dict[str, Handler] = {
            "komi": self._komi,
            "fixed_handicap": lambda words: set_up.fixed_handicap(self.game, words),
            "place_free_handicap": lambda words: set_up.free_handicap(self.game, words),
            "set_free_handicap": lambda words: set_up.set_handicap(self.game, words),
            "final_status_list": lambda words: set_up.status_list(self.game, words),
        }
        if sgf_dialects.knows(self.game.game):
            everywhere["loadsgf"] = self._load_sgf
        return everywhere | (go if isinstance(self.game.game, Go) else {})

    def _known_command(self, words: list[str]) -> str:
        return "true" if words and words[0] in self.commands else "false"

    def _quit(self, words: list[str]) -> str:
        self.closed = True
        return ""

    def _boardsize(self, words: list[str]) -> str:
        game, thinker = self._of_size(set_up.whole(words, 0))
        game.clear()
        self._take(game, thinker)
        return ""

    def _of_size(self, size: int) -> tuple[GtpGame, Thinker]:
        """Returns the game under way, or a new one on another board, and who thinks about it."""
        if size == max(self.game.game.observation_shape[:2]):
            return self.game, self.thinker
        if not isinstance(self.game.game, Go):
            raise Refused("unacceptable size")
        try:
            resized = dataclasses.replace(self.game.game, size=size)
            return GtpGame(resized), self._new_thinker(resized)
        except ValueError:
            raise Refused("unacceptable size") from None

    def _take(self, game: GtpGame, thinker: Thinker) -> None:
        is_new = thinker is not self.thinker
        self.game, self.thinker = game, thinker
        if is_new:
            self._warm_up()

    def _load_sgf(self, words: list[str]) -> str:
        plays = set_up.read_sgf(words)
        if type(plays.game) is not type(self.game.game):
            raise Refused("cannot load file: it holds another game")
        game, thinker = self._of_size(max(plays.game.observation_shape[:2]))
        if plays.game.observation_shape != game.game.observation_shape:
            raise Refused("unacceptable size")
        set_up.set_plays(game, plays)
        self._take(game, thinker)
        return ""

    def _clear_board(self, words: list[str]) -> str:
        self.game.clear()
        return ""

    def _komi(self, words: list[str]) -> str:
        self.game.set_komi(set_up.number(words, 0))
        return ""

    def _play(self, words: list[str]) -> str:
        if len(words) < 2:
            raise Refused("syntax error")
        self.game.play(_seat(words), " ".join(words[1:]))
        return ""

    def _undo(self, words: list[str]) -> str:
        self.game.undo()
        return ""

    def _genmove(self, words: list[str]) -> str:
        began = time.monotonic()
        seat = _seat(words)
        to_come = (math.prod(self.game.game.observation_shape[:2]) - len(self.game.moves)) // 2
        seconds = clock.budget(self.clocks[seat], to_come)
        rung = self.thinker.rungs[-1] if seconds == math.inf else self.thinker.rung_within(seconds)
        if not self._may_move(seat):
            return "pass"
        with self.game.turn_of(seat):
            result = self.thinker.think(self.game.state, self.game.moves, rung)
            name = self._name(int(result.action))
        if winrate(float(result.value)) < self._resign_below:
            name = "resign"
        else:
            self.game.play(seat, int(result.action))
        self.clocks[seat] = clock.after_move(self.clocks[seat], time.monotonic() - began)
        return name

    def _reg_genmove(self, words: list[str]) -> str:
        seat = _seat(words)
        if not self._may_move(seat):
            return "pass"
        with self.game.turn_of(seat):
            state, rung = self.game.state, self.thinker.rungs[-1]
            return self._name(int(self.thinker.think(state, self.game.moves, rung).action))

    def _may_move(self, seat: int) -> bool:
        """Returns False where Go ended at its last ply: the protocol wants a move even then."""
        if not isinstance(self.game.game, Go):
            return True  # or it is refused
        try:
            with self.game.turn_of(seat):
                return True
        except Refused:
            return False

    def _name(self, action: int) -> str:
        return self.game.game.action_to_string(self.game.state, action)

    def _time_settings(self, words: list[str]) -> str:
        main, period = (set_up.number(words, i) for i in (0, 1))
        stones = set_up.whole(words, 2)
        if period and not stones:
            return self._set_clocks(math.inf)
        return self._set_clocks(main, period, max(stones, 1))

    def _kgs_time_settings(self, words: list[str]) -> str:
        kind = words[0].lower() if words else ""
        times = [set_up.number(words, i) for i in range(1, len(words))]
        if kind == "none":
            return self._set_clocks(math.inf)
        if kind == "absolute" and len(times) == 1:
            return self._set_clocks(times[0])
        if kind == "byoyomi" and len(times) == 3:
            return self._set_clocks(times[0], times[1])  # never into the next of its periods
        if kind == "canadian" and len(times) == 3:
            return self._set_clocks(times[0], times[1], int(times[2]))
        raise Refused("syntax error")

    def _set_clocks(self, main: float, period: float = 0.0, stones: int = 1) -> str:
        try:
            self.clocks = [clock.start(main, period, stones)] * 2
        except ValueError:
            raise Refused("syntax error") from None
        self._warm_up()
        return ""

    def _time_left(self, words: list[str]) -> str:
        seat, left, stones = _seat(words), set_up.number(words, 1), set_up.whole(words, 2)
        self.clocks[seat] = clock.corrected(self.clocks[seat], left, stones)
        return ""

    def _warm_up(self) -> None:
        """Compiles all that a clock may ask for, before it runs."""
        limited = any(side.left < math.inf for side in self.clocks)
        rungs = self.thinker.rungs
        self.thinker.warm_up(self.game.line.states[0], rungs if limited else (rungs[0], rungs[-1]))

    def _analyze(self, words: list[str], as_number: Callable[[float], str]) -> Iterator[str]:
        wanted = set_up.read_analysis(words, self.game.seat, DEFAULT_INTERVAL)
        before = self.game.line
        self.game.give_turn(wanted.seat)
        return self._stream(wanted, as_number, before)

    def _stream(
        self, wanted: set_up.Wanted, as_number: Callable[[float], str], before: Line
    ) -> Iterator[str]:
        """Yields a line for each number of simulations, then waits for the next command."""
        searches = [rung for rung in self.thinker.rungs if rung] or [0]
        try:
            for rung in searches:
                yield self._info(rung, wanted.most, as_number)
                if self._wait(wanted.interval):
                    return
            while not self._wait(wanted.interval):
                pass
        finally:
            self.game.line = before

    def _genmove_analyze(
        self, words: list[str], as_number: Callable[[float], str]
    ) -> Iterator[str]:
        wanted = set_up.read_analysis(words, self.game.seat, DEFAULT_INTERVAL)
        with self.game.turn_of(wanted.seat):
            line = self._info(self.thinker.rungs[-1], wanted.most, as_number)
        return iter([line, f"play {self._genmove(['bw'[wanted.seat]])}\n"])

    def _info(self, rung: int, most: int, as_number: Callable[[float], str]) -> str:
        """Returns what a search thinks of the best moves, on one line."""
        game, state = self.game.game, self.game.state
        result = self.thinker.think(state, self.game.moves, rung)
        shown = considered(candidates(game, state, result)[:CANDIDATES])[:most]
        filled = (shown + [shown[0]] * CANDIDATES)[:CANDIDATES]  # always as many: it compiles once
        player = self.thinker.player(min(rung, LINE_SIMULATIONS))
        lines = self._lines(player, state, [one.action for one in filled])
        parts = []
        for order, one in enumerate(shown):
            number = as_number(winrate(one.q))
            line = " ".join(positions.notation(game, state, lines[order]))
            parts.append(
                f"info move {one.name} visits {one.visits} winrate {number} "
                f"prior {as_number(one.prior)} lcb {number} order {order} pv {line}"
            )
        return " ".join(parts) + "\n"


def _unbroken(lines: Iterator[str]) -> Iterator[str]:
    try:
        yield from lines
    except Exception as error:  # as in `answer`; the answer has begun, so a line must do
        yield f"internal error: {error!r}\n"


def _lz_number(share: float) -> str:
    return str(round(10_000 * share))


def _kata_number(share: float) -> str:
    return f"{share:.6f}"


def _seat(words: list[str]) -> int:
    seat = protocol.read_colour(words[0]) if words else None
    if seat is None:
        raise Refused("syntax error")
    return seat
