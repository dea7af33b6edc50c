"""The analysis engine: each position one answer, the same in any company, and no line ends it."""

import json
import threading

import jax
import numpy as np
import pytest

import games
from games.breakthrough import Breakthrough
from mcts import SearchConfig, SearchResult
from selfplay import players, positions
from selfplay.analyse import Engine, engine, request, waiting
from selfplay.analyse.moves import MoveReader
from selfplay.analyse.request import Limits, Request, RequestError
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


def made(make=stub, simulations=8):
    answers = []
    limits = Limits(simulations, 50)
    return Engine(GAME, make, limits, BATCH, answers.append, {"version": "0"}), answers


def asked(lines, make=stub):
    """Returns the answers to lines that have all come before the first search."""
    server, answers = made(make)
    for line in lines:
        server.read(line if isinstance(line, bytes) else json.dumps(line).encode())
    server.close()
    server.run()
    return answers


@pytest.mark.parametrize("make", [uniform, pytest.param(network_player, marks=pytest.mark.slow)])
def test_an_answer_is_the_same_alone_and_among_others_in_any_order(make):
    rng = np.random.default_rng(0)
    lines = [random_line(GAME, 3, rng) for _ in range(30)]
    requests = [{"id": str(i), "moves": line} for i, line in enumerate(lines)]
    together = {answer["id"]: answer for answer in asked(requests, make)}
    shuffled = {a["id"]: a for a in asked([requests[i] for i in rng.permutation(30)], make)}
    assert shuffled == together
    for one in requests[7:9]:
        assert asked([one], make) == [together[one["id"]]]


def test_an_answer_is_what_the_player_says_of_the_position():
    [answer] = asked([{"id": "a", "moves": ["b2", 0, "c1"]}])
    legal = {"b3": 1, "c3": 2, "a2": 3, "c2": 5, "a1": 6, "b1": 7}  # rows from the top: a3 is 0
    assert answer["visits"] == {name: 8 * (name == "b1") for name in legal}
    assert answer["q"] == {name: float(name == "b1") for name in legal}
    assert (answer["move"], answer["value"], answer["raw_value"]) == ("b1", 0.25, 0.5)
    assert (answer["turn"], answer["to_play"], answer["over"]) == (3, 1, False)
    [answer] = asked([{"id": "a", "include": ["q"]}])
    assert "visits" not in answer
    assert len(answer["q"]) == 9


def test_each_move_of_a_principal_variation_is_the_best_one_of_its_own_analysis():
    wanted = {"include": ["principal_variation"], "id": "a"}
    [answer] = asked([wanted | {"moves": ["b2", "a1"]}], uniform)
    line = answer["principal_variation"]
    assert line[0] == answer["move"]
    along = [{"id": str(n), "moves": ["b2", "a1", *line[:n]]} for n in range(len(line) + 1)]
    known = {a["id"]: a for a in asked(along, uniform)}
    assert [known[str(n)]["move"] for n in range(len(line))] == line
    assert known[str(len(line))]["over"]  # nine cells: it ends before eight further plies


def test_the_higher_priority_comes_first_and_turns_have_an_answer_each():
    lines = [{"id": str(n), "priority": n // 4, "turns": [0]} for n in range(12)]
    lines.append({"id": "many", "moves": ["a1", "b2", "c3"], "turns": [3, 0, 2], "priority": 5})
    answers = asked(lines)
    assert [(a["id"], a["turn"]) for a in answers[:3]] == [("many", 3), ("many", 0), ("many", 2)]
    assert [int(a["id"]) // 4 for a in answers[3:]] == [2] * 4 + [1] * 4 + [0] * 4


def test_a_cancelled_position_says_so_once_and_has_no_other_answer():
    lines = [{"id": str(n), "moves": ["a1"], "turns": [0, 1]} for n in range(3)]
    lines += [{"id": "x", "action": "cancel", "target": "1"}]
    lines += [{"id": "1"}, {"id": "y", "action": "cancel", "target": "nobody"}]
    answers = asked(lines)
    cancelled = [(a["id"], a["turn"]) for a in answers if a.get("cancelled") is True]
    assert cancelled == [("1", 0), ("1", 1)]
    assert [a["cancelled"] for a in answers if a["id"] in "xy"] == [2, 0]
    rest = sorted((a["id"], a["turn"]) for a in answers if "move" in a)
    assert rest == [("0", 0), ("0", 1), ("1", 0), ("2", 0), ("2", 1)]  # the id could be used again
    answers = asked([*lines[:3], {"id": "z", "action": "cancel_all"}])
    assert [a["id"] for a in answers] == ["0", "0", "1", "1", "2", "2", "z"]


def test_a_request_cancelled_while_it_is_searched_has_no_other_answer():
    def make(simulations):
        def act(*given):
            server.read(b'{"id": "x", "action": "cancel", "target": "a"}')
            return stub(simulations).act(*given)

        return players.Player("stub", GAME, act, on_device=False)

    server, answers = made(make)
    server.read(b'{"id": "a"}')
    server.close()
    server.run()
    assert answers[0] == {"id": "a", "turn": 0, "cancelled": True}
    assert [answer["id"] for answer in answers] == ["a", "x"]


MALFORMED = [
    (b'{"id": "a"', None, "not JSON"),
    (b"\xff\xfe", None, "UTF-8"),
    (b"[]", None, "a JSON object"),
    (b"[" * 50_000, None, "nested"),
    (b"x" * (request.MAX_LINE + 1), None, "longer than 65,536"),
    (b'{"id": 1' + b"0" * 5_000 + b"}", None, "more than 4,300 digits"),
    (b'{"id":"a","id":"b"}', None, '"id" is named twice'),
    (b'{"moves": []}', "id", "got none"),
    (b'{"id": ["a"]}', "id", '["a"]'),
    (b'{"id": "a", "move": []}', "move", "did you mean moves?"),
    (b'{"id": "a", "maxVisits": 5}', "maxVisits", "did you mean simulations?"),
    (b'{"id": "a", "moves": "a1"}', "moves", "a list"),
    (b'{"id": "a", "moves": ["a1", NaN]}', "moves", "number 2 is NaN"),
    (b'{"id": "a", "moves": [true]}', "moves", "number 1 is true"),
    (b'{"id": "a", "moves": [' + b"[" * 900 + b"]" * 900 + b"]}", "moves", "number 1"),
    (b'{"id": "a", "moves": ["a1"], "turns": [2]}', "turns", "from 0 to 1"),
    (b'{"id": "a", "turns": [0, 0]}', "turns", "each once"),
    (b'{"id": "a", "simulations": 51}', "simulations", "from 0 to 50, got 51"),
    (b'{"id": "a", "simulations": 1e400}', "simulations", "Infinity"),
    (b'{"id": "a", "priority": 1.5}', "priority", "got 1.5"),
    (b'{"id": "a", "include": ["pv"]}', "include", "did you mean principal_variation?"),
    (b'{"id": "a", "action": "terminate"}', "action", "cancel"),
    (b'{"id": "a", "action": "cancel"}', "target", "got none"),
    (b'{"id": "a", "moves": ["a1", "b2", "a1"]}', "moves", "move 3: 'a1' is not legal"),
    (b'{"id": "a", "moves": [0, 99999999999999999999, "zz"]}', "moves", "move 2: action 9999"),
    (b'{"id": "a", "moves": [0, 1, 3, 4, 6, 7]}', "moves", "after the end"),
]


def test_each_malformed_line_has_one_error_that_says_what_and_where():
    for line, field, said in MALFORMED:
        [answer, other] = asked([line, b"", {"id": "good"}])
        assert answer["field"] == field, answer
        assert said in answer["error"], answer
        has_id = line.startswith(b'{"id": "a",')
        assert (answer["id"], answer.get("line")) == (("a", None) if has_id else (None, 1)), answer
        assert other["id"] == "good"
    [error, answer] = asked([{"id": "a"}, {"id": "a", "moves": ["a1"]}])
    assert (error["field"], answer["turn"]) == ("id", 0)


def test_a_finished_game_has_its_result_for_the_seat_to_play():
    [answer] = asked([{"id": "a", "moves": [0, 1, 3, 4, 6]}])
    assert (answer["over"], answer["returns"]) == (True, [1.0, -1.0])
    assert answer["value"] == answer["returns"][answer["to_play"]]


def test_a_search_that_fails_costs_its_own_batch_only():
    def make(simulations):
        if simulations == 0:
            raise ValueError("no raw policy")
        player = stub(simulations)

        def fail(*given):
            raise RuntimeError("the device is full")

        return player if simulations == 8 else players.Player("x", GAME, fail, on_device=False)

    lines = [{"id": str(n), "simulations": n} for n in (9, 0, 8)]
    told = {a["id"]: a.get("error") for a in asked(lines, make)}
    assert told == {"9": "the device is full", "0": "no raw policy", "8": None}


def test_only_so_many_numbers_of_simulations_are_compiled(monkeypatch):
    monkeypatch.setattr(engine, "MAX_PROGRAMS", 2)
    lines = [{"id": str(n), "simulations": n} for n in (1, 2, 3)]
    told = {answer["id"]: answer.get("field") for answer in asked(lines)}
    assert told == {"1": None, "2": None, "3": "simulations"}


def test_who_reads_waits_while_too_much_waits(monkeypatch):
    monkeypatch.setattr(waiting, "MAX_POSITIONS", 2)
    queue = waiting.Waiting()
    for name in "ab":
        queue.put(Request(name, (), (0,), 8, 0, ()), 10)
    third = threading.Thread(target=queue.put, args=(Request("c", (), (0,), 8, 0, ()), 10))
    third.start()
    third.join(0.05)
    assert third.is_alive()
    [first] = queue.take(1)
    assert queue.finish(first)
    third.join()
    assert [task.request.id for task in queue.take(5)] == ["b", "c"]
    with pytest.raises(RequestError, match="not answered yet"):
        queue.put(Request("b", (), (0,), 8, 0, ()), 10)


def test_moves_as_text_lead_where_they_lead_one_by_one():
    game = Breakthrough(rows=5, cols=4)  # which names its moves by the position
    rng, opening = np.random.default_rng(2), positions.opening_position(game)
    lists = [random_line(game, 4, rng) for _ in range(3)]
    named = [positions.notation(game, opening, line) for line in lists]
    reached = MoveReader(game, BATCH).reach(
        [[name.upper() for name in named[0]], [*lists[1][:2], *named[1][2:]], [*named[2][:3], "zz"]]
    )
    assert reached.actions[:3] == [*lists[:2], lists[2][:3]]
    assert reached.problems[:2] == ["", ""]
    assert reached.problems[2].startswith("move 4: no legal move 'zz'")
    wanted = positions.replay(game, [*reached.actions[:3], []], longest=game.max_plies).states
    for got, leaf in zip(jax.tree.leaves(reached.states), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_array_equal(got, leaf)
