"""A line of KataGo's analysis protocol: a query or an action. B is seat 0, W seat 1 in every game.

Source: lightvector, KataGo, docs/Analysis_Engine.md.
"""

import json
from typing import Any, NamedTuple

from games.game import Game, as_board
from games.go import Go
from games.registry import spec_of
from selfplay.analyse.fields import QUOTED, Fields, QueryError, integers, quoted, read_object
from selfplay.analyse.lines import Line, lines_of, names_of
from selfplay.files import json_lines

MAX_PRIORITY = 1 << 62
MAX_PLIES = 1000  # of a principal variation
ACTIONS = ("query_version", "clear_cache", "terminate", "terminate_all", "query_models")
VIEWS = {"BLACK": 0, "WHITE": 1, "SIDETOMOVE": -1}  # `reportAnalysisWinratesAs`
# What KataGo calls rules like ours: area scoring, positional superko, no suicide.
RULES = ("chinese-ogs", "chinese-kgs")
OTHER_RULES = (
    *("tromp-taylor", "chinese", "japanese", "korean", "stone-scoring", "aga", "bga"),
    *("new-zealand", "aga-button"),
)
OUR_RULES = {"ko": "POSITIONAL", "scoring": "AREA", "suicide": False, "tax": "NONE"}
TURNS = "Must specify an array of integers indicating turns to analyze"
TERMINATED_TURNS = "If provided, must be an array of integers indicating turns to terminate"
REFUSED = {
    **dict.fromkeys(
        ("includeOwnership", "includeOwnershipStdev"), "Players here predict no ownership"
    ),
    **dict.fromkeys(
        ("includeMovesOwnership", "includeMovesOwnershipStdev"), "Players here predict no ownership"
    ),
    **dict.fromkeys(("allowMoves", "avoidMoves"), "A search here looks at all legal moves"),
}
REPORTS = ("reportDuringSearchEvery", "firstReportDuringSearchAfter")


class Query(NamedTuple):
    """Positions of one game, to be analysed."""

    id: str
    moves: list[tuple[int, str]]  # seats and what they played, as it was written
    turns: dict[int, tuple[Line, int]]  # a line through each position, and its ply there
    visits: int  # of the root: one more than simulations
    priority: int  # the higher, the sooner
    plies: int  # of the principal variation of the best move
    with_policy: bool
    view: int  # whose winrates are reported; -1: the player's to move
    warnings: list[dict[str, str]]


class Action(NamedTuple):
    """Something to do at once."""

    name: str  # one of `ACTIONS`
    fields: dict[str, Any]  # as they came: the response has them too
    target: str | None  # the id of the queries to terminate; None for all
    turns: tuple[int, ...] | None  # of these; None for all


class QueryReader:
    """Reads the lines that ask about one game.

    Args:
      visits: of a position where a query does not say.
      most_visits: that a query may ask for.
    """

    def __init__(self, game: Game[Any], visits: int, most_visits: int) -> None:
        self.game, self.visits, self.most_visits = game, visits, most_visits
        self._names = names_of(game)

    def read(self, line: bytes) -> Query | Action:
        """Returns what a line asks for.

        Raises:
          QueryError: with field and id, as far as these are known.
        """
        fields = read_object(line)
        own_id = fields.get("id")
        if not isinstance(own_id, str):
            raise QueryError('Request must have a string "id" field')
        try:
            return _action(fields) if "action" in fields else self._query(Fields(fields))
        except QueryError as error:
            error.id = own_id
            raise

    def _query(self, fields: Fields) -> Query:
        fields.take("id")
        self._check_board(fields)
        if "moves" not in fields:
            raise QueryError("Must specify an array of [player,location] pairs", "moves")
        moves = fields.moves("moves")
        turns = integers(fields.take("analyzeTurns"), "analyzeTurns", TURNS)
        for turn in turns or ():
            if not 0 <= turn <= len(moves):
                raise QueryError(f"Invalid turn number: {turn}", "analyzeTurns")
        wanted = (len(moves),) if turns is None else turns
        lines = lines_of(self.game, self._names, fields, moves, wanted)
        _check_rules(self.game, fields)
        _check_extras(fields)
        query = Query(
            id=fields.id,
            moves=moves,
            turns=lines,
            visits=fields.whole("maxVisits", 1, self.most_visits, self.visits),
            priority=fields.whole("priority", -MAX_PRIORITY, MAX_PRIORITY, 0),
            plies=fields.whole("analysisPVLen", 1, MAX_PLIES, 1),
            with_policy=fields.flag("includePolicy"),
            view=_view(fields),
            warnings=fields.warnings,
        )
        fields.warn_of_the_rest()
        return query

    def _check_board(self, fields: Fields) -> None:
        height, width, _ = as_board(self.game.observation_shape)
        for name, size in (("boardXSize", width), ("boardYSize", height)):
            message = f"Must provide {size}, as it is on the board of {spec_of(self.game)}"
            fields.whole(name, size, size, size, message)


def _action(fields: dict[str, Any]) -> Action:
    name, target = fields["action"], fields.get("terminateId")
    if name not in ACTIONS:
        raise QueryError(f"'action' field must be {' or '.join(map(repr, ACTIONS))}")
    if name == "terminate" and not isinstance(target, str):
        raise QueryError(
            'Requests for a terminate action must have a string "terminateId" field', "terminateId"
        )
    given = fields.get("turnNumbers") if name.startswith("terminate") else None
    turns = integers(given, "turnNumbers", TERMINATED_TURNS)
    return Action(name, fields, target if name == "terminate" else None, turns)


def _check_rules(game: Game[Any], fields: Fields) -> None:
    """Warns of rules and komi that are not those that the player knows."""
    rules, komi = fields.take("rules"), fields.take("komi")
    if not isinstance(game, Go):
        for name, value in (("rules", rules), ("komi", komi)):
            if value is not None:
                fields.warn(name, f"{spec_of(game)} has rules of its own: this is ignored")
        return
    if rules is not None and not _are_ours(rules):
        supported = f"{RULES[0]} {json.dumps(OUR_RULES)}"
        fields.warn("rules", f"Rules {quoted(rules)} not supported, using {supported} instead")
    if komi is None:
        return
    if not (json_lines.is_number(komi) and abs(komi) <= 150 and float(2 * komi).is_integer()):
        raise QueryError("Must be a integer or half-integer from -150.0 to 150.0", "komi")
    if komi != game.komi:
        fields.warn("komi", f"Komi {komi:g} not supported, using {game.komi:g} instead")


def _are_ours(rules: Any) -> bool:
    """Whether rules, by name or one by one, are those of our Go."""
    if isinstance(rules, dict):
        return all(rules.get(name, value) == value for name, value in OUR_RULES.items())
    if not isinstance(rules, str):
        raise QueryError(
            'Must specify rules string, such as "chinese" or "tromp-taylor", or a JSON object with '
            "detailed rules parameters.",
            "rules",
        )
    if rules.lower() not in (*RULES, *OTHER_RULES):
        raise QueryError(f"Could not parse rules: {rules[:QUOTED]}", "rules")
    return rules.lower() in RULES


def _check_extras(fields: Fields) -> None:
    """Refuses what changes an answer and is not there; warns of what only adds to it."""
    for name, why in REFUSED.items():
        value = fields.flag(name) if name.startswith("include") else fields.take(name)
        if value:
            raise QueryError(why, name)
    for name in REPORTS:
        if (seconds := fields.take(name)) is not None:
            if not (json_lines.is_number(seconds) and 0.001 <= seconds <= 1e6):
                raise QueryError("Must be number of seconds from 0.001 to 1000000.0", name)
            fields.warn(name, "There are no reports during search here, only the final one")


def _view(fields: Fields) -> int:
    view = fields.take("reportAnalysisWinratesAs")
    if view is not None and view not in VIEWS:
        said = f"reportAnalysisWinratesAs must be one of {', '.join(VIEWS)}"
        raise QueryError(f"Could not set settings: {said}", "overrideSettings")
    return VIEWS[view or "SIDETOMOVE"]
