"""Questions about games as text: read from files of a person's, written for one, kept in a run."""

import itertools
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

import games
from games import consent, registry
from games.game import Game
from scripts.web.ops.game_argument import beside, game_of, state_of, variations_of
from scripts.web.ops.permission import ConsentError, require
from scripts.web.ops.question import Args, Op, Tell, text
from selfplay import positions
from selfplay.files.game_lines import ENDINGS, GameRecord, fields_of, parse, read_fields, to_line
from selfplay.records import game_record, pgn, sgf, sgf_draft
from selfplay.records.game_record import CHUNK, MAX_BYTES, MAX_GAMES, MAX_SPEC
from selfplay.records.sgf_draft import Draft, read_drafts
from training.storage import played
from training.storage.run_folder import RunFolder

MOST = 1000  # games of one file
FAIR = ((1.0, -1.0), (0.0, 0.0), (-1.0, 1.0))  # results where the rules do not decide
UNFINISHED = "the game is not finished"
MAX_NAME = 200  # characters of a player's name
WALKED = 1000  # moves of games that are replayed one by one
MAX_RESULT = 40  # characters of a result in a file's own words
NO_GAME = Draft("", [], None, ["", ""], "", "", 0, [], "", [])


def parse_games(args: Args, tell: Tell) -> dict[str, Any]:
    """Returns the games of a text: SGF, PGN or our JSON lines; what cannot be used is said of each.

    A game that would run code of somebody's own is not looked at; its `consent` says which.
    """
    content = text(args, "text")
    if len(content) > MAX_BYTES:
        raise ValueError(f"the file is larger than {MAX_BYTES >> 20} MiB")
    name = str(args.get("name", ""))
    begins = content.lstrip("\ufeff \t\r\n")[:7]
    found: Iterator[Draft]
    if name.lower().endswith(".sgf") or begins.startswith("("):
        found, is_ours = read_drafts(content), False
    elif name.lower().endswith(".pgn") or begins == "[Event ":
        found, is_ours = _chess(content), False
    else:
        found, is_ours = _lines(content), True
    records: list[dict[str, Any]] = []
    for draft in itertools.islice(found, MOST + 1):
        tell.check()
        records.append(draft._asdict())
    more = len(records) > MOST
    del records[MOST:]
    _check(records, is_ours, tell)
    for one in records:
        one["finished"] = one["returns"] is not None
        one["game"] = registry.canonical(one["game"])  # pages compare it
    return {"records": records, "more": more}


def _lines(content: str) -> Iterator[Draft]:
    for number, line in enumerate(content.split("\n"), start=1):
        if line.strip():
            fields, is_open = read_fields(line), False
            if isinstance(fields, dict) and (is_open := fields.get("returns", 0) is None):
                fields["returns"] = [0, 0]
            draft = _draft(fields, f"line {number}")
            yield draft._replace(returns=None) if is_open else draft


def _chess(content: str) -> Iterator[Draft]:
    """Yields games of PGN, each without its variations; one that is damaged has no moves."""
    for place, fields in pgn.read_games(content.lstrip("\ufeff")):
        yield _draft(fields, place)


def _draft(fields: dict[str, Any] | str, place: str) -> Draft:
    """Returns the game of a record's fields; an empty one with the place of what is wrong."""
    record = fields if isinstance(fields, str) else parse(fields)
    if isinstance(record, str):
        return NO_GAME._replace(notes=[], problem=f"{place}: {record}")
    return Draft(
        game=record.game,
        moves=list(record.moves),
        returns=list(record.returns),
        players=list(record.players),
        result=_said(record.extra.get("result")),
        ended_by=record.ended_by,
        setup=0,
        notes=[],
        problem="",
        variations=[],
    )


def _check(records: list[dict[str, Any]], is_ours: bool, tell: Tell) -> None:
    """Says of each game what its rules say against it, and cuts it before a move they forbid.

    Args:
      is_ours: they are our records, whose results must be those of the rules.
    """
    by_game: dict[str, list[dict[str, Any]]] = {}
    for one in records:
        if one["game"]:
            by_game.setdefault(one["game"], []).append(one)
    for number, (spec, some) in enumerate(by_game.items()):
        try:
            if number >= MAX_GAMES or len(spec) > MAX_SPEC:
                raise ValueError(f"not looked at: only {MAX_GAMES} kinds of games of a file are")
            if registry.names_a_module(spec):
                require(consent.module(spec), f"the game {spec!r}")
            game = games.load(spec)
        except ValueError as error:
            told = {"problem": str(error)}
            if isinstance(error, ConsentError):
                told["consent"] = str(error.code)
            for one in some:
                one |= told
            continue
        for first in range(0, len(some), CHUNK):
            tell.note(f"replaying games of {spec}")
            part = some[first : first + CHUNK]
            for one, end in zip(part, _ends(game, [one["moves"] for one in part]), strict=True):
                _compare(game, one, end, is_ours and one["returns"] is not None)


def _ends(game: Game[Any], moves: list[list[int]]) -> list[game_record.End]:
    """Returns where games lead: few ones by the step that the board needs too, many at once."""
    if sum(map(len, moves)) > WALKED:
        return list(game_record.ends(game, moves))
    return [game_record.end_of(game, line) for line in moves]


def _named(game: Game[Any], action: int) -> str:
    """Returns what an action that the rules do not allow is called, as in the opening."""
    if not 0 <= action < game.num_actions:
        return f"action {action}"
    return game.action_to_string(positions.opening_position(game), action)


def _compare(game: Game[Any], one: dict[str, Any], end: game_record.End, is_record: bool) -> None:
    """Notes what the rules say of a game; of a record also whether its result is theirs."""
    one["over"] = end.over
    if end.over and one["returns"] is None and end.plies == len(one["moves"]):
        one["returns"] = list(end.returns)
    if not is_record and one["returns"] is not None and not one["ended_by"]:
        by_rules = end.over and list(end.returns) == one["returns"]
        one["ended_by"] = "" if by_rules else sgf.AGREEMENT
    if end.plies < len(one["moves"]):
        number, action = end.plies + 1, one["moves"][end.plies]
        what = "comes after the end of the game" if end.over else "is illegal here"
        one["problem"] = one["problem"] or f"move {number}, {_named(game, action)}, {what}"
        rest = sgf_draft.kept(one["variations"], len(one["moves"]), end.plies)
        if len(rest) < len(one["variations"]):
            one["notes"].append("the variations after that move are left out")
        one["moves"], one["variations"] = one["moves"][: end.plies], rest
    elif is_record:
        extra = {"ended_by": one["ended_by"]} if one["ended_by"] else {}
        first, second = one["returns"]
        record = GameRecord(one["game"], tuple(one["moves"]), (first, second), ("", ""), extra)
        one["problem"] = game_record.objection_at(record, end)


def write_game(args: Args, tell: Tell) -> dict[str, Any]:
    """Returns a game as the text of a file, `form` jsonl, sgf or pgn, and a name for it.

    One that is not finished has no result: as SGF and PGN none is written; as JSON line its
    `returns` are null, so that no command takes it for a finished game, and only this page reads it
    back. Of a game that a file said a result of, `result` is that text; as SGF and JSON line it is
    written as it was. As SGF `variations` are written too, behind the main line, which `moves` is.
    """
    form = text(args, "form")
    record, finished = _record(args)
    if form not in ("jsonl", "sgf", "pgn"):
        raise ValueError(f"'form' must be jsonl, sgf or pgn, got {form[:40]!r}")
    lead = None
    if form == "sgf" and finished and not record.ended_by:
        lead = game_record.end_of(games.load(record.game), record.moves).lead
    fields = fields_of(record) | ({} if finished else {"returns": None})
    result = _said(args.get("result"))
    if form == "sgf":
        variations = _variations(args, tell)
        written = sgf.write_game(fields, lead, result, variations)
    elif form == "pgn":
        written = pgn.write_game(fields)
    else:
        written = to_line(fields | ({"result": result} if result else {}))
    stem = re.sub(r"[^A-Za-z0-9]+", "-", record.game).strip("-")[:60]
    return {"text": written, "name": f"{stem}-{len(record.moves)}-moves.{form}"}


def _variations(args: Args, tell: Tell) -> list[sgf.Move]:
    """Returns the variations of a question, which are legal beside its moves."""
    _, game = game_of(args)
    moves, states = state_of(game, args)
    variations = variations_of(args, len(moves))
    walked = beside(game, states, variations, tell)
    for (parent, action), (_, after) in zip(variations, walked, strict=True):
        if after is None:
            raise ValueError(f"in 'variations' action {action} is illegal in position {parent}")
    return variations


def _said(result: object) -> str:
    """Returns a result in a file's own words; empty for what is none."""
    return result.strip()[:MAX_RESULT] if isinstance(result, str) else ""


def keep(args: Args, tell: Tell) -> dict[str, Any]:
    """Adds a finished game to those played with a run, in its games/played.jsonl."""
    record, finished = _record(args)
    if not finished:
        raise ValueError(f"{UNFINISHED}: it is not kept with the run; save it as a file")
    tell.check()
    return {"file": str(played.keep(RunFolder(text(args, "run")), record))}


def _record(args: Args) -> tuple[GameRecord, bool]:
    """Returns the game of a question, and whether it is finished; its moves are legal.

    Raises:
      ValueError: it is none, or its result cannot be.
    """
    spec, game = game_of(args)
    moves, states = state_of(game, args)
    ended_by, over = args.get("ended_by") or "", bool(states[-1].terminated)
    if not ended_by:
        first, second = np.asarray(game.returns(states[-1])).tolist()
        return GameRecord(spec, tuple(moves), (first, second), _players(args), {}), over
    if ended_by not in ENDINGS:
        known = ", ".join(ENDINGS)
        raise ValueError(f"'ended_by' must be one of {known}, got {str(ended_by)[:40]!r}")
    given = args.get("returns")
    returns = next((fair for fair in FAIR if given == list(fair)), None)
    if returns is None:
        raise ValueError(f"{str(given)[:40]} is no result of a game that ended by {ended_by}")
    return GameRecord(spec, tuple(moves), returns, _players(args), {"ended_by": ended_by}), True


def _players(args: Args) -> tuple[str, str]:
    given = args.get("players")
    names = given if isinstance(given, list) else []
    if len(names) != 2 or any(type(name) is not str or len(name) > MAX_NAME for name in names):
        raise ValueError(f"'players' must be two names, got {str(given)[:80]}")
    return names[0], names[1]


OPS: dict[str, Op] = {
    "parse": Op(parse_games, "quick"),
    "write": Op(write_game, "quick"),
    "keep": Op(keep, "quick"),
}
