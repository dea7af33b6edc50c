"""Games in the browser: what they are, random games, planes, and checks with pictures."""

import re
import textwrap

import jax
import numpy as np
import pytest

import games
from games import consent
from games.conformance import LAWS, check
from scripts.web.ops import permission
from selfplay import positions
from tests.planted.mutants import MUTANTS
from tests.support.asking import Listener, ask, refused

SHAPES = {"svg", "g", "rect", "circle", "line", "path", "polygon", "text", "title"}
HOSTILE = "<script>alert('x')</script>"
PLUG_IN = """
    import dataclasses
    from games.tic_tac_toe import TicTacToe as Base

    @dataclasses.dataclass(frozen=True)
    class Bad(Base):
        '''{about}'''
    {body}
"""


@pytest.fixture
def plug_in(tmp_path, request):
    """Returns a function that writes a game of somebody's own, a module each; it may run."""
    number = iter(range(100))

    def write(body, about="A game.", allowed=True):
        name = f"own_{request.node.name[:20].replace('[', '_')}_{next(number)}"
        indented = textwrap.indent(textwrap.dedent(body), "    ")
        text = textwrap.dedent(PLUG_IN).format(about=about, body=indented)
        (tmp_path / f"{name}.py").write_text(text)
        if allowed:
            permission.permit(f"{name}:Bad", str(tmp_path))
        return f"{name}:Bad"

    yield write
    permission.PERMITTED.clear()
    consent.reset()


def elements(svg):
    return set(re.findall(r"<([a-zA-Z]+)", svg))


def state_in_batch(state):
    return jax.tree.map(lambda leaf: np.asarray(leaf)[None], state)


@pytest.mark.usefixtures("compile_in_haste")
@pytest.mark.parametrize(
    "name",
    ["returns of 2 and -2", "an end that does not absorb", "a wrong symmetry of the board"],
)
def test_a_violations_states_are_what_its_text_shows_and_step_leads_from_one_to_the_other(name):
    game = MUTANTS[name].game()
    report = check(game, games=32, fresh_process=False)
    shown = [violation for violation in report.violations if violation.position]
    assert shown
    for violation in shown:
        texts = []
        for scene in violation.scenes:
            texts += [game.render(s) for s in (scene.state, scene.after) if s is not None]
            if scene.after is not None:
                again = positions.step(game, scene.state, np.int32(scene.action))
                for x, y in zip(jax.tree.leaves(again), jax.tree.leaves(scene.after), strict=True):
                    np.testing.assert_array_equal(x, y, violation.expected)
                assert f"number {scene.action})" in violation.action
        assert any(text in violation.position for text in texts), violation


@pytest.mark.usefixtures("compile_in_haste")
def test_a_check_shows_what_broke_a_law_before_and_after_and_names_every_law():
    permission.permit("tests.planted.wrong_rules:Sowing", "")
    found = ask("check", game="tests.planted.wrong_rules:Sowing:bug=lost", games=32)
    permission.PERMITTED.clear()
    consent.reset()
    assert [law["law"] for law in found["laws"]] == list(LAWS)
    broken = {law["law"] for law in found["laws"] if law["verdict"] == "broken"}
    assert broken == {violation["law"] for violation in found["violations"]} != set()
    scenes = [scene for violation in found["violations"] for scene in violation["scenes"]]
    assert any(scene["after"] for scene in scenes)
    for scene in scenes:
        for picture in filter(None, (scene["before"], scene["after"])):
            assert elements(picture["svg"]) <= SHAPES
        assert scene["after"]["svg"] != scene["before"]["svg"]


@pytest.mark.usefixtures("compile_in_haste")
def test_a_check_says_how_far_it_is_and_ends_when_the_page_has_gone(monkeypatch):
    monkeypatch.setattr("scripts.web.ops.question.OFTEN_S", 0.0)
    whole = Listener()
    assert whole.ask("check", game="tic_tac_toe", games=8)["violations"] == []
    assert {"note"} == {key for line in whole.lines for key in line}
    gone = Listener(until="ply 2")  # in the midst of what catches all that a game may raise
    assert gone.ask("check", game="tic_tac_toe", games=8) is None
    assert gone.lines[-1]["note"].endswith("ply 2")
    assert len(gone.lines) < len(whole.lines) / 2


@pytest.mark.usefixtures("compile_in_haste")
@pytest.mark.parametrize(
    "body",
    [
        "def render(self, state): raise RuntimeError('no picture')",
        "def render(self, state): return 7",
        "def action_to_string(self, state, action): return 1 / 0",
        *(
            pytest.param(body, marks=pytest.mark.slow)
            for body in (
                "def observe(self, state): return state.board.reshape(3, 3, 1) / 0.0",
                "def step(self, state, action): return state if action == 0 else state",
                "num_actions = 'many'",
                "__hash__ = None",
            )
        ),
    ],
)
def test_whatever_a_game_breaks_its_page_and_its_check_are_answered(body, plug_in):
    spec = plug_in(body)
    told = ask("rules", game=spec)
    assert {"actions", "module", "file"} <= {fact["name"] for fact in told["facts"]}
    found = ask("check", game=spec, games=4)
    assert found["violations"], body
    for op in ("random_game", "planes", "position"):
        try:
            ask(op, game=spec, moves=[])
        except Exception:  # then it is said whose fault it is, and not that it is ours
            answer = refused(op, game=spec, moves=[])
            assert "fault of selfplay" not in answer["error"]


def test_errors_of_a_game_of_somebodys_own_name_its_line_and_ours_are_not_called_theirs(plug_in):
    spec = plug_in("def observe(self, state): raise KeyError('mine')")
    answer = refused("planes", game=spec, moves=[])
    assert re.search(r"no part of selfplay failed: KeyError: 'mine' \(at .*own_.*\.py:\d+\)",
                     answer["error"])  # fmt: skip
    facts = {fact["name"]: fact for fact in ask("rules", game=spec)["facts"]}
    assert facts["observation"]["failed"]
    assert not facts["actions"]["failed"]


def test_a_game_of_somebodys_own_is_not_imported_before_it_is_allowed(plug_in):
    spec = plug_in("import sys; sys.stop_at_import = 1", allowed=False)
    for op in ("rules", "check", "random_game", "planes"):
        assert refused(op, game=spec, moves=[])["consent"] == spec


def test_a_position_that_cannot_be_rendered_is_shown_by_its_fields(plug_in):
    body = """
    board = None  # it declares none
    def returns(self, state): return super().returns(state) + 0.25
    def render(self, state): return {}[0]
    """
    found = ask("check", game=plug_in(body), games=8)
    (first, *_) = [v for v in found["violations"] if v["law"] == "returns"]
    shown = first["scenes"][0]["before"]
    assert shown["svg"] is None
    assert "render failed: KeyError" in shown["text"]
    assert ".board = [" in shown["text"]


def test_names_of_a_hostile_game_stay_text(plug_in):
    spec = plug_in(f"def render(self, state): return {HOSTILE!r}", about="<b>bold</b>")
    assert "<b>bold</b>" in ask("rules", game=spec)["documentation"][-1]  # JSON: the page's text
    found = ask("check", game=spec, games=4)
    for violation in found["violations"]:
        for scene in violation["scenes"]:
            assert "<script" not in scene["before"]["svg"]
            assert elements(scene["before"]["svg"]) <= SHAPES
    assert "<script" not in ask("position", game=spec, moves=[])["svg"]
    assert HOSTILE in refused("rules", game=HOSTILE)["error"]


def test_the_page_of_each_of_our_games_has_its_facts_and_nothing_that_failed():
    for name in games.names():
        told = ask("rules", game=name)
        game = games.load(name)
        facts = {fact["name"]: fact["text"] for fact in told["facts"]}
        assert not any(fact["failed"] for fact in told["facts"]), name
        assert facts["actions"].replace(",", "") == str(game.num_actions)
        assert facts["symmetries"].startswith(f"{len(game.symmetries())},")
        has = {row["name"] for row in told["optional"] if row["has"]}
        assert ("Territorial" in has) == hasattr(game, "final_planes")
        assert told["documentation"]
    options = ask("rules", game="go:size=5")["options"]
    assert {"name": "size", "value": "5", "default": "9"} in options


@pytest.mark.parametrize("spec", ["connect_four", "dots_and_boxes:rows=2,cols=2", "othello:size=4"])
def test_a_random_game_is_legal_to_its_end_and_drawn_by_its_seed(spec):
    game = games.load(spec)
    played = ask("random_game", game=spec, seed=1)
    replayed = positions.replay(game, [played["moves"]])
    assert replayed.legal_plies[0] == len(played["moves"])
    assert bool(replayed.states.terminated[0])
    assert played["odd"] == ""
    assert ask("random_game", game=spec, seed=1) == played
    assert any(ask("random_game", game=spec, seed=seed) != played for seed in range(2, 6))


def test_a_random_game_that_cannot_go_on_says_so(plug_in):
    body = """
    def step(self, state, action):
        after = super().step(state, action)
        return after._replace(legal_action_mask=after.legal_action_mask & False)
    """
    assert "no action is legal" in ask("random_game", game=plug_in(body))["odd"]
    endless = plug_in("def step(self, state, action): return state")
    assert ask("random_game", game=endless)["odd"] == "the game is not over after 9 plies"


def test_planes_are_the_movers_view_and_their_images_those_of_the_symmetry():
    game, moves = games.load("tic_tac_toe"), [4, 0, 1]
    here = positions.take(positions.replay(game, [moves]).states, 0)
    seen = np.asarray(game.observe(here)).astype(float)
    shown = ask("planes", game="tic_tac_toe", moves=moves)
    np.testing.assert_array_equal(np.moveaxis(shown["planes"], 0, -1), seen)
    assert (shown["to_play"], shown["symmetries"], shown["dtype"]) == (1, 8, "bool")
    turned = [
        ask("planes", game="tic_tac_toe", moves=moves, symmetry=k)["planes"] for k in range(8)
    ]
    plane = np.asarray(shown["planes"])[1]
    eight = {np.rot90(p, k).tobytes() for p in (plane, plane.T) for k in range(4)}
    assert {np.asarray(image)[1].tobytes() for image in turned} == eight
    assert "from 0 to 7" in refused("planes", game="tic_tac_toe", moves=[], symmetry=8)["error"]
    assert "action 4, is illegal" in refused("planes", game="tic_tac_toe", moves=[4, 4])["error"]


def test_numbers_that_are_none_are_counted_and_shown_as_0(plug_in):
    body = """
    observation_shape = (3, 3, 1)
    def observe(self, state):
        return state.board.reshape(3, 3, 1) / 0.0
    """
    shown = ask("planes", game=plug_in(body), moves=[])
    assert (shown["planes"], shown["none"]) == ([[[0.0] * 3] * 3], [9])


@pytest.mark.usefixtures("compile_in_haste")
def test_a_note_shows_the_moves_that_it_is_about_on_the_board(plug_in):
    body = """
    num_actions: int = 11  # two of them off the board, legal once a game
    max_plies = 10
    board = place = None
    unobserved = "whether a turn was skipped"

    def symmetries(self):
        return (super().symmetries()[0]._replace(action=tuple(range(11))),)

    def wide(self, state):
        import jax.numpy as jnp
        off = ~state.terminated & ((state.board >= 0).sum() % 2 == state.to_play)
        mask = jnp.concatenate([state.legal_action_mask[:9], jnp.broadcast_to(off, (2,))])
        return state._replace(legal_action_mask=mask)

    def init(self, key):
        return self.wide(super().init(key))

    def step(self, state, action):
        narrow = state._replace(legal_action_mask=state.legal_action_mask[:9])
        return self.wide(super().step(narrow, action))
    """
    found = ask("check", game=plug_in(body), games=32)
    (note,) = [note for note in found["notes"] if "changed nothing but the turn" in note["text"]]
    assert note["text"].endswith("b0 (number 10):")
    assert {scene["action"] for scene in note["scenes"]} == {9, 10}
    for scene in note["scenes"]:
        assert "3 . . ." in note["position"]
        assert elements(scene["before"]["svg"]) <= SHAPES
        assert scene["after"] is not None
