"""A UCI engine: answers a front end with a player's moves and what it thinks of a position."""

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

import games
from games.game import Game
from mcts import SearchResult
from selfplay import positions
from selfplay.analysis import outcomes
from selfplay.engines.server import LINE_PLIES, MAX_LINE, Refused, Server
from selfplay.engines.thinking import Thinker
from selfplay.players import Player
from selfplay.uci.go import Limit, read_go, whole
from selfplay.uci.moves import VARIANTS, move_name
from selfplay.uci.position import Position

MAX_SIMULATIONS = 100_000
SURE = 0.999  # a value is shown as at most that sure
IGNORED = ("debug", "register", "stop", "ponderhit")  # outside a search


class UciServer(Server):
    """The engine's side of one connection.

    Args:
      variants: what it can play, by UCI's names; the first until it is told another one.
      take: returns the next line of input; None at its end.
      tells_draws: whether its player can say how likely a draw is.
    """

    def __init__(
        self,
        variants: Sequence[str],
        make: Callable[[Game[Any], int], Player],
        simulations: int,
        seed: int = 0,
        wait: Callable[[float], bool] = lambda seconds: True,
        take: Callable[[], bytes | None] = lambda: None,
        tells_draws: bool = False,
    ) -> None:
        super().__init__(make, simulations, seed, wait)
        self._variants, self._variant = tuple(variants), variants[0]
        self._take = take
        self._tells_draws, self._shows_wdl = tells_draws, False
        self._position: Position | None = None  # what takes long begins with `isready`
        self._thinker: Thinker | None = None
        self._commands: dict[str, Callable[[list[str]], Iterator[str]]] = {
            "uci": self._greet,
            "isready": self._be_ready,
            "setoption": self._set_option,
            "ucinewgame": self._new_game,
            "position": self._show,
            "go": self._go,
            "quit": self._quit,
        }

    def answer(self, line: bytes) -> Iterator[str]:
        """Yields the answer to a line of input, whatever it holds, as it comes."""
        if len(line) > MAX_LINE:
            yield _remark("line too long")
            return
        words = line.decode("utf-8", errors="replace").split()
        if not words or words[0] in IGNORED:
            return
        if words[0] not in self._commands:
            yield _remark(f"unknown command {words[0][:40]!r}")
            return
        try:
            yield from self._commands[words[0]](words[1:])
        except Refused as refusal:
            yield _remark(str(refusal))
        except Exception as error:  # of a game or a player: the front end must live on
            yield _remark(f"internal error: {error!r}")
            if words[0] == "go":
                yield "bestmove (none)\n"

    def _greet(self, words: list[str]) -> Iterator[str]:
        variants = "".join(f" var {variant}" for variant in self._variants)
        wdl = "option name UCI_ShowWDL type check default false\n" if self._tells_draws else ""
        yield (
            "id name selfplay\nid author the authors of selfplay\n"
            f"option name Simulations type spin default {self._simulations} min 0 "
            f"max {MAX_SIMULATIONS}\n"
            f"option name UCI_Variant type combo default {self._variant}{variants}\n"
            f"{wdl}"
            "uciok\n"
        )

    def _be_ready(self, words: list[str]) -> Iterator[str]:
        self._ready()
        yield "readyok\n"

    def _set_option(self, words: list[str]) -> Iterator[str]:
        text = " ".join(words).removeprefix("name ")
        name, _, value = (part.strip() for part in text.partition(" value "))
        if name.lower() == "simulations":
            number = whole(value)
            if number is None or not 0 <= number <= MAX_SIMULATIONS:
                raise Refused(
                    f"Simulations must be from 0 to {MAX_SIMULATIONS}, got {value[:40]!r}"
                )
            self._simulations, self._thinker = number, None
        elif name.lower() == "uci_variant":
            if value not in self._variants:
                raise Refused(f"UCI_Variant must be one of {', '.join(self._variants)}")
            if value != self._variant:
                self._variant, self._position, self._thinker = value, None, None
        elif name.lower() == "uci_showwdl" and self._tells_draws:
            if value not in ("true", "false"):
                raise Refused(f"UCI_ShowWDL must be true or false, got {value[:40]!r}")
            # Whatever it takes is compiled before a clock runs.
            self._shows_wdl, self._thinker = value == "true", None
        else:
            known = "Simulations and UCI_Variant" + " and UCI_ShowWDL" * self._tells_draws
            raise Refused(f"no option {name[:40]!r}: there are {known}")
        yield from ()

    def _new_game(self, words: list[str]) -> Iterator[str]:
        self._at().clear()
        yield from ()

    def _show(self, words: list[str]) -> Iterator[str]:
        self._at().show(words)
        yield from ()

    def _quit(self, words: list[str]) -> Iterator[str]:
        self.closed = True
        yield from ()

    def _at(self) -> Position:
        if self._position is None:
            self._position = Position(games.load(VARIANTS[self._variant]))
        return self._position

    def _ready(self) -> Thinker:
        """Returns who thinks, with all compiled that a clock may ask for, before it runs."""
        if self._thinker is None:
            thinker, opening = self._new_thinker(self._at().game), Position(self._at().game)
            thinker.warm_up(opening.state, thinker.rungs)
            self._search(thinker, opening, thinker.rungs[0])  # for the line that it shows
            self._thinker = thinker
        return self._thinker

    def _go(self, words: list[str]) -> Iterator[str]:
        at = self._at()
        if at.refused or at.state.terminated:
            yield _remark(at.refused or "by our rules the game is over")
            yield "bestmove (none)\n"
            return
        thinker = self._ready()
        to_come = (math.prod(at.game.observation_shape[:2]) - len(at.moves)) // 2
        limit = read_go(words, int(at.state.to_play), to_come)
        if limit.endless:
            yield from self._until_told(thinker, at)
            return
        in_haste = limit.seconds < math.inf  # the line would take time that nobody has measured
        plies = 1 if in_haste else LINE_PLIES
        result, text = self._search(thinker, at, _rung(thinker, limit), plies)
        yield text
        yield self._best(at, result)

    def _until_told(self, thinker: Thinker, at: Position) -> Iterator[str]:
        """Searches more and more; whatever comes ends it, but for `isready`."""
        rungs = iter([rung for rung in thinker.rungs if rung] or [0])
        result, next_line = None, b""
        while True:
            if result is None or not self._wait(0.0):
                if (rung := next(rungs, None)) is not None:
                    result, text = self._search(thinker, at, rung)
                    yield text
                    continue
                if not self._wait(1.0):
                    continue
            line = self._take()
            self.closed = line is None
            if line is not None and line.split() == [b"isready"]:
                yield "readyok\n"
                continue
            next_line = line or b""
            break
        yield self._best(at, result)
        yield from self.answer(next_line)

    def _search(
        self, thinker: Thinker, at: Position, rung: int, plies: int = LINE_PLIES
    ) -> tuple[SearchResult, str]:
        """Returns what a search finds, and that as a line."""
        began = time.monotonic()
        result = thinker.think(at.state, at.moves, rung)
        seconds, action = max(time.monotonic() - began, 0.001), int(result.action)
        nodes = max(rung, 1)
        parts = [
            f"info depth {thinker.rungs.index(rung) + 1} nodes {nodes}",
            f"time {round(1000 * seconds)} nps {round(nodes / seconds)}",
            f"score cp {centipawns(float(result.value))}",
        ]
        if self._shows_wdl:
            told = outcomes(thinker.player(rung), at.state, float(result.value))
            parts += ["wdl {} {} {}".format(*permille(told))] if told else []
        if action >= 0:
            parts.append(f"pv {self._line(thinker, at, action, plies)}")
        return result, " ".join(parts) + "\n"

    def _line(self, thinker: Thinker, at: Position, action: int, plies: int) -> str:
        """Returns a move and how play is expected to go on, by the quickest of our searches."""
        player, state, names = thinker.player(thinker.rungs[0]), at.state, []
        line = self._lines(player, state, [action], plies)[0]
        for move in line:
            names.append(move_name(at.game, state, move))
            state = positions.step(at.game, state, np.int32(move))
        return " ".join(names)

    def _best(self, at: Position, result: SearchResult | None) -> str:
        action = -1 if result is None else int(result.action)
        if action < 0:
            return _remark("the player gives up") + "bestmove (none)\n"
        return f"bestmove {move_name(at.game, at.state, action)}\n"


def centipawns(value: float) -> int:
    """Returns a value in [-1, 1] as the Elo by which so many points per game are won.

    Neither we nor pgx count in pawns: this is the scale on which a sure win has no end.
    """
    value = min(max(value, -SURE), SURE)
    return round(400 * math.log10((1 + value) / (1 - value)))


def permille(probabilities: Sequence[float]) -> list[int]:
    """Returns probabilities of win, draw and loss as whole numbers that sum to 1000."""
    win, draw, _ = probabilities
    ends = 0, round(1000 * win), round(1000 * (win + draw)), 1000
    return [end - start for start, end in itertools.pairwise(ends)]


def _rung(thinker: Thinker, limit: Limit) -> int:
    """Returns the most simulations within a limit, of those that are compiled."""
    most = thinker.rungs[-1]
    if limit.seconds < math.inf:
        most = thinker.rung_within(limit.seconds)
    return max((rung for rung in thinker.rungs if rung <= min(most, limit.nodes)), default=most)


def _remark(text: str) -> str:
    """Returns a line for people; whatever it quotes, it stays one."""
    return f"info string {' '.join(text.split())}\n"
