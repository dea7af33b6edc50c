"""The analysis engine: each position one answer, the same in any company, and no line ends it."""

import dataclasses
import functools
import json
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from games.breakthrough import Breakthrough
from mcts import SearchConfig, SearchResult
from selfplay import players, positions
from selfplay.analyse import Engine, engine, fields, waiting
from selfplay.analyse.lines import Line
from selfplay.analyse.moves import MoveReader, Row
from selfplay.analyse.query import Query, QueryReader
from tests.support.positions import evaluate, random_weights

GAME = games.load("tic_tac_toe")
BATCH = 4


def stub(simulations, game=GAME):
    """A player without jax: the last legal move."""

    def act(variables, states, key, history):
        legal = np.asarray(states.legal_action_mask)
        action = legal.shape[1] - 1 - legal[:, ::-1].argmax(axis=1)
        one = np.eye(legal.shape[1], dtype=np.float32)[action]
        value = np.full(len(legal), 0.25)
        return SearchResult(
            action, one, (one * simulations).astype(int), value, one, one, 2 * value
        )

    return players.Player("stub", game, act, on_device=False)


def uniform(simulations):
    return players.uniform_player(GAME, SearchConfig(simulations=simulations))


def network_player(simulations):
    config = SearchConfig(simulations=simulations)
    return players.search_player("net", GAME, evaluate, random_weights(GAME), config)


def random_line(game, plies, rng):
    state, line = positions.opening_position(game), []
    for _ in range(plies):
        line.append(int(rng.choice(np.flatnonzero(state.legal_action_mask))))
        state = positions.step(game, state, np.int32(line[-1]))
    return line


def asked(lines, make=stub, game=GAME, visits=9):
    """Returns the responses to lines that have all come before the first search."""
    answers = []
    about = {"query_version": {"version": "0"}}
    server = Engine(game, make, QueryReader(game, visits, 50), BATCH, answers.append, about)
    for line in lines:
        server.read(line if isinstance(line, bytes) else json.dumps(line).encode())
    server.close()
    server.run()
    return answers


def query(name, moves=(), **fields):
    """A query about a game whose moves alternate, from actions or the game's own names."""
    names = [GAME.action_to_string(None, m) if isinstance(m, int) else m for m in moves]
    pairs = [["BW"[i % 2], name] for i, name in enumerate(names)]
    return {"id": str(name), "moves": pairs, **fields}


@pytest.mark.parametrize("make", [uniform, pytest.param(network_player, marks=pytest.mark.slow)])
def test_an_answer_is_the_same_alone_and_among_others_in_any_order(make):
    rng = np.random.default_rng(0)
    lines = [random_line(GAME, 3, rng) for _ in range(30)]
    queries = [query(i, line) for i, line in enumerate(lines)]
    together = {answer["id"]: answer for answer in asked(queries, make)}
    shuffled = {a["id"]: a for a in asked([queries[i] for i in rng.permutation(30)], make)}
    assert shuffled == together
    for one in queries[7:9]:
        assert asked([one], make) == [together[one["id"]]]


def test_an_answer_is_what_the_player_says_of_the_position():
    [answer] = asked([query("a", ["b2", "a3", "C1"], includePolicy=True)])
    assert (answer["id"], answer["turnNumber"], answer["isDuringSearch"]) == ("a", 3, False)
    numbers = {"prior": 1.0, "winrate": 1.0, "lcb": 1.0, "utility": 1.0, "utilityLcb": 1.0}
    about = {"move": "b1", "visits": 8, "order": 0, "pv": ["b1"], "actionWeight": 1.0}
    assert answer["moveInfos"] == [numbers | about]
    root = {"currentPlayer": "W", "visits": 9, "winrate": 0.625, "utility": 0.25}
    assert answer["rootInfo"] == root | {"rawWinrate": 0.75}
    # Rows from the top: a3, b2 and c1 are taken.
    assert answer["policy"] == [-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 1.0, -1.0]
    view = {"reportAnalysisWinratesAs": "BLACK", "maxVisits": 4}
    [answer] = asked([query("a", ["b2"], overrideSettings=view)])
    assert answer["rootInfo"]["visits"] == answer["moveInfos"][0]["visits"] + 1 == 4
    assert (answer["rootInfo"]["winrate"], answer["moveInfos"][0]["utility"]) == (0.375, -1.0)


def test_each_move_of_a_principal_variation_is_the_best_one_of_its_own_analysis():
    [answer] = asked([query("a", ["b2", "a1"], analysisPVLen=8)], uniform)
    line = answer["moveInfos"][0]["pv"]
    assert [info["pv"] for info in answer["moveInfos"][1:]] == [
        [info["move"]] for info in answer["moveInfos"][1:]
    ]
    along = [query(n, ["b2", "a1", *line[:n]]) for n in range(len(line) + 1)]
    known = {a["id"]: a["moveInfos"] for a in asked(along, uniform)}
    assert [known[str(n)][0]["move"] for n in range(len(line))] == line
    assert known[str(len(line))] == []  # nine cells: it ends before eight further plies


def test_the_higher_priority_comes_first_and_turns_have_an_answer_each():
    lines = [query(n, priority=n // 4) for n in range(12)]
    lines.append(query("many", ["a1", "b2", "c3"], analyzeTurns=[3, 0, 2, 3], priority=5))
    answers = asked(lines)
    turns = [(a["id"], a["turnNumber"]) for a in answers[:3]]
    assert turns == [("many", 3), ("many", 0), ("many", 2)]
    assert [int(a["id"]) // 4 for a in answers[3:]] == [2] * 4 + [1] * 4 + [0] * 4


def test_terminated_positions_say_so_once_and_have_no_other_answer():
    lines = [query(n, ["a1"], analyzeTurns=[0, 1]) for n in range(3)]
    stop = {"id": "x", "action": "terminate", "terminateId": "1"}
    lines += [stop, query("1"), stop | {"terminateId": "nobody"}]
    lines += [stop | {"terminateId": "2", "turnNumbers": [1]}]
    answers = asked(lines)
    empty = [(a["id"], a["turnNumber"]) for a in answers if a.get("noResults")]
    assert empty == [("1", 0), ("1", 1), ("2", 1)]
    assert [a for a in answers if a["id"] == "x"] == [lines[3], *lines[5:]]
    rest = sorted((a["id"], a["turnNumber"]) for a in answers if "moveInfos" in a)
    assert rest == [("0", 0), ("0", 1), ("1", 0), ("2", 0)]
    everything = {"id": "z", "action": "terminate_all"}
    assert [a["id"] for a in asked([*lines[:3], everything])] == [*"001122z"]


def test_a_position_terminated_while_it_is_searched_has_what_was_found():
    def make(simulations):
        def act(*given):
            server.read(b'{"id": "x", "action": "terminate", "terminateId": "a"}')
            return stub(simulations).act(*given)

        return players.Player("stub", GAME, act, on_device=False)

    answers = []
    server = Engine(GAME, make, QueryReader(GAME, 9, 50), BATCH, answers.append, {})
    server.read(json.dumps(query("a", analysisPVLen=5)).encode())
    server.close()
    server.run()
    assert [answer["id"] for answer in answers] == ["x", "a"]
    assert answers[1]["moveInfos"][0]["pv"] == ["c1"]


def test_actions_are_echoed_with_what_they_ask_for():
    lines = [
        {"id": "a", "action": "query_version", "more": 1},
        {"id": "b", "action": "clear_cache"},
    ]
    assert asked(lines) == [lines[0] | {"version": "0"}, lines[1]]


MALFORMED = [  # of tic-tac-toe: the line, and field and beginning of the error
    (b'{"id": "a"', None, "request: not JSON: "),
    (b"\xff\xfe", None, "request: not JSON: "),
    (b"[]", None, "Request line was valid json but was not an object, ignoring: []"),
    (b"[" * 50_000, None, "request: not JSON that we read: nested too deeply"),
    (b"x" * (fields.MAX_LINE + 1), None, "Request line is longer than 65536 bytes"),
    (b'{"id": 1' + b"0" * 5_000 + b"}", None, "request: a whole number has more than 4,300"),
    (b'{"moves": []}', None, 'Request must have a string "id" field'),
    (b'{"id": ["a"]}', None, 'Request must have a string "id" field'),
    (b'{"id": "a", "action": "stop"}', None, "'action' field must be 'query_version' or "),
    (b'{"id": "a", "action": "terminate"}', "terminateId", "Requests for a terminate action must"),
    (b'{"id": "a", "action": "terminate_all", "turnNumbers": 1}', "turnNumbers", "If provided, "),
    (b'{"id": "a"}', "moves", "Must specify an array of [player,location] pairs"),
    (b'{"id": "a", "moves": "a1"}', "moves", "Must be an array of pairs of the form: "),
    (b'{"id": "a", "moves": ["a1"]}', "moves", "Must be an array of pairs of the form: "),
    (b'{"id": "a", "moves": [["b", NaN]]}', "moves", "Must be an array of pairs of the form: "),
    (b'{"id": "a", "moves": [["x", "a1"]]}', "moves", "Could not parse player: x"),
    (b'{"id": "a", "moves": [["b", "d1"]]}', "moves", "Could not parse board location: d1"),
    (b'{"id": "a", "moves": [["w", "a1"]]}', "moves", "Illegal move 0: a1"),
    (b'{"id": "a", "moves": [["b", "a1"], ["w", "a1"]]}', "moves", "Illegal move 1: a1"),
    (b'{"id": "a", "moves": [], "analyzeTurns": [1]}', "analyzeTurns", "Invalid turn number: 1"),
    (b'{"id": "a", "moves": [], "analyzeTurns": [0.5]}', "analyzeTurns", "Must specify an array "),
    (b'{"id": "a", "moves": [], "maxVisits": 51}', "maxVisits", "Must be an integer from 1 to 50"),
    (b'{"id": "a", "moves": [], "maxVisits": 1e400}', "maxVisits", "Must be an integer from 1 to"),
    (b'{"id": "a", "moves": [], "priority": 1.5}', "priority", "Must be an integer from -4611"),
    (b'{"id": "a", "moves": [], "boardXSize": 9}', "boardXSize", "Must provide 3, as it is on the"),
    (b'{"id": "a", "moves": [], "includePolicy": 1}', "includePolicy", "Must be a boolean"),
    (b'{"id": "a", "moves": [], "includeOwnership": true}', "includeOwnership", "Players here pre"),
    (b'{"id": "a", "moves": [], "overrideSettings": 1}', "overrideSettings", "Must be an object"),
    (b'{"id": "a", "moves": [], "allowMoves": [{}]}', "allowMoves", "A search here looks at all"),
    (b'{"id": "a", "moves": [], "initialPlayer": "w"}', "initialPlayer", "Only games of Go may b"),
    (b'{"id": "a", "moves": [], "initialStones": [["b", "a1"]]}', "initialStones", "Only games of"),
]


def test_each_malformed_line_has_one_error_that_says_what_and_where():
    for line, field, said in MALFORMED:
        [error, other] = asked([line, b"", query("good")])
        assert error.pop("error").startswith(said), (line, error)
        known = {"field": field, "id": "a"} if field else {}
        if not field and line.startswith(b'{"id": "a", "action"'):
            known = {"id": "a"}
        assert error == known, line
        assert other["id"] == "good"
    # A move that is illegal anywhere costs a query all its turns, and has one error.
    bad = query("bad", ["a1", "b2", "a1", *["c3"] * 6], analyzeTurns=list(range(9)))
    [error, other] = asked([bad, query("good")])
    assert (error["error"], other["id"]) == ("Illegal move 2: a1", "good")


def test_what_is_ignored_has_a_warning_and_the_query_an_answer():
    ignored = {"rules": "chinese", "komi": 7.5, "reportDuringSearchEvery": 0.5, "rootNoise": 1}
    *warnings, answer = asked([query("a", overrideSettings={"maxTime": 1, "x": 2}, **ignored)])
    found = {warning.pop("field"): warning for warning in warnings}
    assert set(found) == {*ignored, "overrideSettings"}
    assert all(list(warning) == ["warning", "id"] for warning in found.values())
    assert found["overrideSettings"]["warning"] == "Unknown config params: maxTime,x"
    assert answer["moveInfos"]


def test_a_finished_game_has_its_result_for_the_seat_to_play_and_no_moves():
    [answer] = asked([query("a", [0, 1, 3, 4, 6])])
    assert answer["moveInfos"] == []
    about = {"currentPlayer": "W", "visits": 0, "winrate": 0.0, "utility": -1.0}
    assert answer["rootInfo"] == about


GO = games.load("go:size=5,komi=0.5")


def go_actions(moves, turn, **more):
    """Returns the actions by which a query of Go reaches a turn, by our rules."""
    line = json.dumps({"id": "a", "moves": moves, "analyzeTurns": [turn], **more})
    line, ply = QueryReader(GO, 9, 50).read(line.encode()).turns[turn]
    return list(line.actions[:ply])


def test_stones_and_moves_out_of_turn_become_a_game_of_go_by_our_rules():
    stones = {"initialStones": [["B", "A5"], ["B", "(1,1)"]]}
    assert go_actions([], 0, **stones) == [0, 25, 6]  # handicap: white plays
    assert go_actions([], 0) == []
    assert go_actions([], 0, **stones, initialPlayer="b") == [0, 25, 6, 25]
    moves = [["b", "a5"], ["w", "pass"], ["w", "e1"]]  # the pass is taken back
    assert [go_actions(moves, turn) for turn in range(4)] == [[], [0], [0, 25], [0, 24]]
    make = functools.partial(stub, game=GO)
    crowded = [["B", "a4"], ["B", "b5"], ["W", "a5"]]
    [error] = asked([{"id": "a", "moves": [], "initialStones": crowded}], make, GO)
    assert error == {"error": "Illegal stones", "field": "initialStones", "id": "a"}
    for rules, said in (("japanese", True), ("chinese-ogs", False), ({"suicide": False}, False)):
        *warnings, _ = asked([{"id": "a", "moves": [], "rules": rules, "komi": 0.5}], make, GO)
        assert [warning["field"] for warning in warnings] == ["rules"] * said
    [warning, _] = asked([{"id": "a", "moves": [], "komi": 6.5}], make, GO)
    assert warning["warning"] == "Komi 6.5 not supported, using 0.5 instead"
    [error] = asked([{"id": "a", "moves": [], "komi": 6.3}], make, GO)
    assert error["error"] == "Must be a integer or half-integer from -150.0 to 150.0"
    [error] = asked([{"id": "a", "moves": [], "rules": "mine"}], make, GO)
    assert error["error"] == "Could not parse rules: mine"


def test_a_search_that_fails_costs_its_own_batch_only():
    def make(simulations):
        if simulations == 0:
            raise ValueError("no raw policy")
        player = stub(simulations)

        def fail(*given):
            raise RuntimeError("the device is full")

        return player if simulations == 8 else players.Player("x", GAME, fail, on_device=False)

    told = {
        a["id"]: a.get("error") for a in asked([query(n, maxVisits=n) for n in (10, 1, 9)], make)
    }
    assert told == {"10": "the device is full", "1": "no raw policy", "9": None}


def test_only_so_many_numbers_of_visits_are_compiled(monkeypatch):
    monkeypatch.setattr(engine, "MAX_PROGRAMS", 2)
    answers = asked([query(n, maxVisits=n) for n in (1, 2, 3)])
    told = {answer["id"]: answer.get("field") for answer in answers}
    assert told == {"1": None, "2": None, "3": "maxVisits"}


def test_who_reads_waits_while_too_much_waits(monkeypatch):
    monkeypatch.setattr(waiting, "MAX_POSITIONS", 2)

    def named(name):
        return Query(name, [], {0: (Line((), (), ()), 0)}, 9, 0, 1, False, -1, [])

    queue = waiting.Waiting()
    for name in "ab":
        queue.put(named(name), 10)
    third = threading.Thread(target=queue.put, args=(named("c"), 10))
    third.start()
    third.join(0.05)
    assert third.is_alive()
    [first] = queue.take(1)
    queue.finish(first)
    third.join()
    assert [task.query.id for task in queue.take(5)] == ["b", "c"]


def test_moves_as_text_lead_where_they_lead_one_by_one():
    game = Breakthrough(rows=5, cols=4)  # which names its moves by the position
    rng, opening = np.random.default_rng(2), positions.opening_position(game)
    lists = [random_line(game, 4, rng) for _ in range(3)]
    named = [positions.notation(game, opening, line) for line in lists]
    texts = [[name.upper() for name in named[0]], [*lists[1][:2], *named[1][2:]]]
    texts.append([*named[2][:3], "zz"])
    rows = [Row(tuple(row), (0, 1, 0, 1), 3) for row in texts]
    reached = MoveReader(game, BATCH).reach(rows)
    assert reached.actions[:3] == [row[:3] for row in lists]
    assert reached.illegal == [None, None, 3, None]
    wanted = positions.replay(game, [*reached.actions[:3], []], longest=game.max_plies).states
    for got, leaf in zip(jax.tree.leaves(reached.states), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_array_equal(got, leaf)


def test_win_draw_and_loss_are_told_of_networks_that_have_them_as_whoever_asks_sees_them():
    def make(simulations):
        draws = jnp.array([[0.3, 0.4, 0.3]])
        player = stub(simulations)
        return dataclasses.replace(
            player, outcomes=lambda variables, seen: jnp.repeat(draws, len(seen), 0)
        )

    view = {"reportAnalysisWinratesAs": "BLACK"}
    queries = [query("own", ["b2"]), query("black", ["b2"], overrideSettings=view)]
    told = {answer["id"]: answer["rootInfo"]["wdl"] for answer in asked(queries, make)}
    assert told["own"] == pytest.approx([0.425, 0.4, 0.175])  # value 0.25 for white
    assert told["black"] == told["own"][::-1]
