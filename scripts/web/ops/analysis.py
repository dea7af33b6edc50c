"""Questions that search: what a player thinks of a position or of a game, and its next move."""

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from games.game import Game, State
from mcts import SearchResult
from scripts.web.ops.game_argument import game_of, state_of
from scripts.web.ops.player_argument import note_compilation, player_of, simulations_of
from scripts.web.ops.question import Args, Op, Tell, decimal, number, text
from selfplay import positions
from selfplay.analysis import candidates, expected, outcomes, think, varied_move
from selfplay.perfect.in_time import outcomes_along
from selfplay.players import FORFEIT, Player
from selfplay.review import Reviewed
from selfplay.review import review as look_back

# Smaller searches on the way to a larger one. There are few, for each is compiled; one that is not
# much faster than what follows would only delay it.
STAGES = (64, 256, 1024, 4096, 16_384)
MUCH = 3
LINES = 4  # candidates whose expected line is searched
LINE_SIMULATIONS = 256  # of each of its moves, at most
LINE_PLIES = 8
MAX_LINE_PLIES = 64
SEED = 0  # what a player draws lots by, if it does: the same question has the same answer


def analyse(args: Args, tell: Tell) -> dict[str, Any]:
    """Returns what a player thinks of the position after `moves`.

    Parts are the same with fewer simulations, or fewer lines: the last is the result.
    """
    _, game = game_of(args)
    moves, states = state_of(game, args)
    plies = number(args, "plies", LINE_PLIES, 1, MAX_LINE_PLIES)
    view = View(game, states[-1], moves)
    searches = text(args, "player").startswith("uniform")
    *before, last = stages(simulations_of(args), least=1 if searches else 0)
    for simulations in before:
        player = player_of(args, game, simulations=simulations)
        tell.part(_answer(player, simulations, view, tell))
    player = player_of(args, game, simulations=last)
    result = _answer(player, last, view, tell)
    tell.part(result)
    short = min(last, LINE_SIMULATIONS)
    lines_player = player_of(args, game, simulations=short)
    note_compilation(lines_player, short, tell)
    liked = [one for one in result["candidates"][:LINES] if one["weight"] or one["visits"]]
    for candidate in liked:
        for action in _line(lines_player, view, candidate["action"], plies, tell):
            candidate["line"].append(action)
        candidate["names"] = positions.notation(game, view.state, candidate["line"])
        tell.part(result)
    return result


def stages(simulations: int, least: int = 0) -> list[int]:
    """Returns the numbers of simulations by which a search deepens, the wanted one last.

    Args:
      least: of the first one; 0 is a network's word without search.
    """
    smaller = [stage for stage in (0, *STAGES) if least <= stage * MUCH <= simulations]
    return [stage for stage in smaller if stage < simulations] + [simulations]


class View:
    """A position as the answers of players are told about it."""

    def __init__(self, game: Game[Any], state: State, moves: Sequence[int]) -> None:
        self.game, self.state, self.moves = game, state, moves

    def of(self, result: SearchResult, simulations: int) -> dict[str, Any]:
        """Returns a player's result as JSON has it."""
        best = int(result.action)
        return {
            "value": rounded(result.value),
            "raw_value": rounded(result.raw_value),
            "simulations": simulations,
            "to_play": int(self.state.to_play),
            "best": best if best >= 0 else None,
            "candidates": [
                {
                    "action": one.action,
                    "name": one.name,
                    "prior": rounded(one.prior),
                    "visits": one.visits,
                    "q": rounded(one.q) if one.is_known else None,
                    "weight": rounded(one.weight),
                    "line": [one.action],
                    "names": [one.name],
                }
                for one in candidates(self.game, self.state, result)
            ],
        }


def rounded(value: Any) -> float | None:
    """Returns a number as JSON has it; None for what is none, as a broken network says."""
    known = round(float(value), 5)
    return known + 0.0 if np.isfinite(known) else None  # 0.0 for -0.0


def _answer(player: Player, simulations: int, view: View, tell: Tell) -> dict[str, Any]:
    """Returns what a player thinks as JSON has it; `wdl` if its network tells draws."""
    result = _think(player, simulations, view, tell)
    told = outcomes(player, view.state, float(result.value))
    return view.of(result, simulations) | ({"wdl": list(map(rounded, told))} if told else {})


def _think(player: Player, simulations: int, view: View, tell: Tell) -> SearchResult:
    tell.check()
    note_compilation(player, simulations, tell)
    return think(player, view.state, jax.random.key(SEED), view.moves)


def _line(player: Player, view: View, first: int, plies: int, tell: Tell) -> Iterator[int]:
    """Yields the moves that a player expects after a first one."""
    after = positions.step(view.game, view.state, np.int32(first))
    moves = [*view.moves, first]
    for action in expected(player, after, jax.random.key(SEED), moves, plies - 1):
        tell.check()
        yield action


def move(args: Args, tell: Tell) -> dict[str, Any]:
    """Returns the move that a player makes after `moves`, and what it thinks of the position.

    With a `temperature`, early moves are drawn by lot among nearly equal ones, from `seed`.
    """
    _, game = game_of(args)
    moves, states = state_of(game, args)
    temperature = decimal(args, "temperature", 0.0, 0.0, 100.0)
    seed = number(args, "seed", 0, 0, 2**31 - 1)
    view = View(game, states[-1], moves)
    player = player_of(args, game)
    known = len(player.faults)
    result = _think(player, simulations_of(args), view, tell)
    rng = np.random.default_rng([seed, len(moves)])
    action = varied_move(result, view.state.legal_action_mask, len(moves), temperature, rng)
    fault = "".join(player.faults[known:]) if action == FORFEIT else ""
    return view.of(result, simulations_of(args)) | {
        "action": action if action >= 0 else None,
        "name": game.action_to_string(view.state, action) if action >= 0 else None,
        "forfeits": fault,
    }


def review(args: Args, tell: Tell) -> dict[str, Any]:
    """Returns what each move of a game was worth, and which were mistakes.

    Each position is a part, as soon as it is known; the last one has no move.
    """
    _, game = game_of(args)
    moves, states = state_of(game, args)
    player = player_of(args, game)
    tell.note("looking for perfect play in its last positions")
    outcomes = outcomes_along(game, states)
    note_compilation(player, simulations_of(args), tell)
    plies = []
    for one in look_back(player, game, states, moves, outcomes, jax.random.key(SEED)):
        plies.append(_reviewed(game, states[one.ply], one))
        tell.part(plies[-1])
        tell.give_way()
    return {
        "plies": plies,
        "mistakes": [one["ply"] for one in plies if one["mistake"]],
        "simulations": simulations_of(args),
    }


def _reviewed(game: Game[Any], state: State, one: Reviewed) -> dict[str, Any]:
    """Returns a position of a reviewed game as JSON has it."""

    def name(action: int | None) -> str | None:
        return None if action is None else game.action_to_string(state, action)

    exact = one.exact
    return one._asdict() | {
        "value": rounded(one.value),
        "best_name": name(one.best),
        "played_name": name(one.played),
        "regret": None if one.regret is None else rounded(one.regret),
        "exact": exact and {**exact._asdict(), "kept": exact.played == exact.best},
    }


OPS: dict[str, Op] = {
    "analyse": Op(analyse, "search"),
    "move": Op(move, "search"),
    "review": Op(review, "long"),
}
