"""Players: each rule for choosing a move, weights as arguments, and names on the command line."""

import dataclasses
import importlib
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from games import consent
from mcts import Evaluation, SearchConfig
from selfplay import player_spec, players, positions
from selfplay.arena import play_match

GAME = games.load("tic_tac_toe")
SEARCH = SearchConfig(simulations=32)
traces = []


@dataclasses.dataclass(frozen=True)
class Linear:
    """A stand-in for a network: equal objects, different bound methods."""

    size: int = 9

    def evaluate(self, variables, observation):
        traces.append(observation.shape)
        logits = jnp.broadcast_to(variables, (observation.shape[0], self.size))
        return Evaluation(logits, jnp.full(observation.shape[0], 0.25))


def batch_of(*moves):
    return positions.replay(GAME, [list(line) for line in moves]).states


def test_policy_player_plays_the_largest_legal_logit_ties_to_the_lowest():
    logits = jnp.array([0.0, 9.0, 3.0, 3.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    player = players.policy_player("p", GAME, Linear().evaluate, logits)
    result = player(batch_of([], [1], [1, 2], [1, 3]), jax.random.key(0))
    assert result.action.tolist() == [1, 2, 3, 2]
    # After 1: a softmax over what is left, by hand.
    weights = np.exp(np.array([0, -np.inf, 3, 3, 1, 1, 1, 1, 1]))
    np.testing.assert_allclose(result.action_weights[1], weights / weights.sum(), rtol=1e-5)
    np.testing.assert_allclose(result.value, 0.25)


def test_random_player_plays_every_legal_action_equally_often():
    states = batch_of(*[[4, 0, 8]] * 6000)
    result = players.random_player(GAME)(states, jax.random.key(1))
    counts = np.bincount(result.action, minlength=9)
    halves = np.split(np.asarray(result.action), 2)  # one on each device
    assert (halves[0] != halves[1]).any()
    assert counts[[4, 0, 8]].sum() == 0, counts
    assert np.abs(counts[[1, 2, 3, 5, 6, 7]] - 1000).max() < 150, counts  # 5 standard deviations


def test_a_batch_that_does_not_divide_by_the_devices_is_answered_whole():
    assert jax.device_count() > 1  # tests/conftest.py
    player = players.policy_player("p", GAME, Linear().evaluate, jnp.arange(9.0))
    result = player(batch_of([], [8], [8, 7]), jax.random.key(0))
    assert result.action.tolist() == [8, 7, 6]
    assert result.prior.shape == (3, 9)


def test_temperature_draws_from_the_weights_raised_to_its_inverse():
    logits = jnp.log(jnp.array([0.5, 0.3, 0.2, 0, 0, 0, 0, 0, 0]))
    player = players.policy_player("p", GAME, Linear().evaluate, logits, temperature=0.5)
    result = player(batch_of(*[[]] * 6000), jax.random.key(2))
    share = np.bincount(result.action, minlength=9) / 6000
    np.testing.assert_allclose(share[:3], np.array([25, 9, 4]) / 38, atol=0.03)


def test_search_player_wins_in_one_blocks_and_ignores_its_key():
    # X: a3 a2 and c1 next wins; O threatens nothing. Then O must block the top row.
    states = batch_of([0, 3, 1, 4], [0, 4, 1])
    player = players.search_player("s", GAME, Linear().evaluate, jnp.zeros(9), SEARCH)
    first, second = (player(states, jax.random.key(seed)) for seed in (0, 1))
    assert first.action.tolist() == [2, 2]
    for name, a, b in zip(first._fields, first, second, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)


def test_two_checkpoints_of_equal_networks_share_one_compilation():
    states = batch_of([], [])
    one, other = (
        players.search_player(str(best), GAME, Linear().evaluate, jnp.eye(9)[best] * 99.0, SEARCH)
        for best in (3, 7)
    )
    assert one(states, jax.random.key(0)).action.tolist() == [3, 3]
    before = len(traces)
    assert other(states, jax.random.key(0)).action.tolist() == [7, 7]  # not the same weights
    assert len(traces) == before, "the second checkpoint was traced again"


def test_batches_of_one_size_answer_alike_and_are_compiled_once():
    """More positions than that are split, fewer filled up; a match is filled up with no games."""
    logits = jnp.array([0.0, 9.0, 3.0, 3.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    player = players.policy_player("p", GAME, Linear().evaluate, logits)
    lines = [[], [1], [1, 2], [1, 3], [4], [4, 1], [0, 1, 2]]
    whole = player(batch_of(*lines), jax.random.key(0))
    match = play_match(player, player, GAME, games=8, seed=1, opening_plies=2)
    traces.clear()
    with players.answering(lambda: None, batch=5):
        for count in (1, 5, 7):
            part = player(batch_of(*lines[:count]), jax.random.key(0))
            for name, answer in part._asdict().items():
                np.testing.assert_array_equal(answer, getattr(whole, name)[:count], name)
        assert play_match(player, player, GAME, games=8, seed=1, opening_plies=2) == match
    assert len(traces) == 1


def test_finished_positions_yield_finite_results():
    finished = batch_of([0, 3, 1, 4, 2])
    for player in (
        players.random_player(GAME),
        players.policy_player("p", GAME, Linear().evaluate, jnp.zeros(9), temperature=0.5),
    ):
        result = player(finished, jax.random.key(0))
        for name, field in result._asdict().items():
            assert np.isfinite(np.asarray(field)).all(), (player.name, name)


def test_a_player_refuses_a_single_position_and_a_negative_temperature():
    with pytest.raises(ValueError, match="batch"):
        players.random_player(GAME)(GAME.init(jax.random.key(0)), jax.random.key(0))
    with pytest.raises(ValueError, match="temperature"):
        players.policy_player("p", GAME, Linear().evaluate, (), temperature=-1.0)


def load_run(path, *, simulations, checkpoint, temperature, search, game):
    return players.Player(f"{path}|{simulations}|{checkpoint}", GAME, None)


def test_parse_player_knows_its_forms(tmp_path):
    run = str(tmp_path / "run")
    (tmp_path / "run").mkdir()
    (tmp_path / "run@5").mkdir()
    names = [
        player_spec.parse_player(spec, GAME, 3, load_run).name
        for spec in (run, f"{run}@12", f"{run}@5", "random", "uniform")
    ]
    assert names == [f"{run}|3|None", f"{run}|3|12", f"{run}@5|3|None", "random", "uniform"]


def test_every_kind_of_player_has_a_factory_and_those_that_run_a_command_need_consent():
    """The table is text: what it names is looked up here, not when somebody asks for it."""
    named = [*player_spec.WORDS.values(), *player_spec.PREFIXES.values(), player_spec.PLUG_IN]
    for place in named:
        module, _, function = place.partition(":")
        assert callable(getattr(importlib.import_module(module), function)), place
    assert tuple(player_spec.PREFIXES) == consent.ENGINES


def test_parse_player_calls_a_plug_in_with_the_history_and_on_the_device_if_it_says_so(monkeypatch):
    seen = []

    def outside(states, key, history=None):
        seen.append((type(states.to_play), history))
        return players.random_player(GAME)(states, key)

    def inside(states, key):
        seen.append(type(states.to_play))
        return players.random_player(GAME)(states, key)

    inside.on_device = True
    module = types.ModuleType("my_player")
    module.outside, module.inside = outside, inside
    monkeypatch.setitem(sys.modules, "my_player", module)
    states, history = batch_of([4]), np.array([[4, -1]])
    for spec in ("my_player:outside", "my_player:inside"):
        player = player_spec.parse_player(spec, GAME, 1, load_run)
        assert player.on_device == spec.endswith("inside")
        assert player(states, jax.random.key(0), history).action.shape == (1,)
    assert seen[0][1] is history
    assert issubclass(seen[1], jax.core.Tracer), seen


def test_a_players_own_settings_reach_its_search(tmp_path):
    (tmp_path / "run").mkdir()
    given = []

    def load(path, **settings):
        given.append(settings)
        return players.Player("run", GAME, None)

    spec = f"{tmp_path / 'run'}@7:simulations=5,policy=puct,mixed_value=false,c_scale=0.5"
    player = player_spec.parse_player(f"{spec},temperature=0.1", GAME, 32, load)
    search = {"policy": "puct", "mixed_value": False, "c_scale": 0.5}
    wanted = {"simulations": 5, "checkpoint": 7, "temperature": 0.1, "search": search, "game": GAME}
    assert given == [wanted]
    assert player.name.startswith("run:simulations=5,")
    searching = player_spec.parse_player("uniform:simulations=9", GAME, 32, load)
    result = searching(batch_of([4]), jax.random.key(0))
    assert int(result.visit_counts.sum()) == 9


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ("sims=3", "'sims=3' is no setting; known, as name=value: policy, simulations"),
        ("simulations=many", "simulations must be a value of type int, got 'many'"),
        ("mixed_value=2", "mixed_value must be true or false, got '2'"),
        ("policy=best", "search.policy must be gumbel or puct, got 'best'"),
        ("temperature=-1", "temperature must be at least 0"),
        ("simulations=-1", "simulations must be at least 0"),
    ],
)
def test_settings_of_a_player_that_cannot_work_are_named(settings, wanted):
    with pytest.raises(ValueError, match=wanted):
        player_spec.parse_player(f"uniform:{settings}", GAME, 32, load_run)
    with pytest.raises(ValueError, match="only runs"):
        player_spec.parse_player("random:simulations=3", GAME, 32, load_run)


@pytest.mark.parametrize(
    ("spec", "game", "wanted"),
    [
        ("nothing_here", GAME, "no such run folder; a player is a run folder R, R@STEP, shipped"),
        ("no_module:f", GAME, "no module 'no_module'"),
        ("json:f", GAME, "no function 'f'"),
        (":f", GAME, "not a module's name"),
        ("random", None, "--game"),
        (".@x", GAME, "must be a number"),
    ],
)
def test_parse_player_says_what_is_wrong(spec, game, wanted):
    with pytest.raises(ValueError, match=wanted.replace("(", "[(]")):
        player_spec.parse_player(spec, game, 32, load_run)


def takes_too_little(states, key):
    raise AssertionError("never called")


def test_a_plug_in_with_another_signature_is_refused_before_it_plays():
    with pytest.raises(ValueError, match=r"is called with \(states, key, history\)"):
        player_spec.parse_player(f"{__name__}:takes_too_little", games.load("tic_tac_toe"), 1, None)


def answers(found, on_device):
    """Returns a plug-in that changes a random player's answer."""

    def plug_in(states, key, history=None):
        return found(players.random_player(GAME)(states, key))

    plug_in.on_device = on_device
    return plug_in


@pytest.mark.parametrize("on_device", [False, True])
@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (lambda result: None, "must return moves, .* or a SearchResult, got NoneType"),
        (lambda result: result.action[:1], "must return moves, .* of shape "),
        (lambda result: result.action * 1.0, "moves must be whole numbers, got float32"),
        # One action would be played in all games at once.
        (lambda result: result._replace(action=result.action[:1]), "action must have shape"),
        (
            lambda result: result._replace(action=result.action * 1.0),
            "action must be whole numbers, got float32",
        ),
        (lambda result: result._replace(q=result.value), "q must have shape"),
    ],
)
def test_an_answer_of_a_plug_in_that_is_none_is_named(found, wanted, on_device, monkeypatch):
    module = types.ModuleType("my_player")
    module.odd = answers(found, on_device)
    monkeypatch.setitem(sys.modules, "my_player", module)
    player = player_spec.parse_player("my_player:odd", GAME, 1, load_run)
    with pytest.raises(ValueError, match=wanted) as caught:
        player(batch_of(*[[4]] * 8), jax.random.key(0), np.full((8, 1), 4))
    assert "player 'my_player:odd'" in str(caught.value)


@pytest.mark.parametrize("on_device", [False, True])
def test_a_plug_in_may_answer_with_its_moves_alone(on_device, monkeypatch):
    module = types.ModuleType("my_player")
    module.plain = answers(lambda result: result.action, on_device)
    monkeypatch.setitem(sys.modules, "my_player", module)
    player = player_spec.parse_player("my_player:plain", GAME, 1, load_run)
    states = batch_of(*[[4]] * 8)
    found = player(states, jax.random.key(0), np.full((8, 1), 4))
    wanted = players.random_player(GAME)(states, jax.random.key(0)).action
    np.testing.assert_array_equal(found.action, wanted)
    np.testing.assert_array_equal(found.action_weights.argmax(axis=1), wanted)
    assert not found.visit_counts.any()
