"""The gap between A and Amplify(A), when it is flat, and a run that stops by itself."""

import dataclasses
import math
import shutil
from types import SimpleNamespace

import jax
import numpy as np
import pytest

import games
import training
from mcts import SearchResult
from selfplay import positions
from selfplay.amplify import gap
from selfplay.players import Player, random_player
from tests.support.runs import everything
from training.evaluation import fixed_point
from training.evaluation.fixed_point import Point, stage
from training.evaluation.train_run import train_folder
from training.metrics import FixedPoint, Gap, Match
from training.presets import preset
from training.storage.run_folder import RunFolder

SEED = np.random.SeedSequence(7)


@pytest.fixture(scope="module")
def tic_tac_toe():
    return games.load("tic_tac_toe")


@pytest.fixture(scope="module")
def own(tic_tac_toe):
    act = random_player(tic_tac_toe).act
    return gap.reach(tic_tac_toe, act, (), SEED, count=100, only_own=True)


def test_positions_are_reached_by_their_histories_and_are_unfinished_and_distinct(tic_tac_toe, own):
    replayed = positions.replay(tic_tac_toe, positions.move_lists(own.history))
    examples = positions.fingerprints(replayed.states)
    assert (examples == positions.fingerprints(own.states)).all()
    assert not own.states.terminated.any()
    assert (own.ply == (own.history >= 0).sum(axis=1)).all()
    assert len(set(examples.tolist())) == 100


def test_both_seats_are_reached_and_the_side_that_is_not_measured_is_left_out(tic_tac_toe):
    """A plays its lowest legal move, so a game's moves of its seat show which seat that was."""

    def lowest(variables, states, key):
        legal = states.legal_action_mask
        move = legal.argmax(axis=1).astype(np.int32)
        return SimpleNamespace(action=move, action_weights=legal)

    found = gap.reach(tic_tac_toe, lowest, (), SEED, count=60, only_own=True)
    assert {0, 1} <= set((found.ply % 2).tolist()), "a seat is missing"
    for moves in positions.move_lists(found.history):
        seat = len(moves) % 2  # to move, so A's
        for ply in range(seat, len(moves), 2):
            assert moves[ply] == min(set(range(9)) - set(moves[:ply])), moves


def test_the_gap_is_what_plain_python_computes(own, tic_tac_toe):
    rng = np.random.default_rng(3)
    legal = np.asarray(own.states.legal_action_mask)

    def policy():
        raw = rng.random(legal.shape) * legal
        return (raw / raw.sum(axis=1, keepdims=True)).astype(np.float32)

    prior, weights = policy(), policy()
    q = rng.uniform(-1, 1, legal.shape).astype(np.float32)
    value, raw_value = rng.uniform(-1, 1, (2, len(legal))).astype(np.float32)
    action = weights.argmax(axis=1).astype(np.int32)
    answer = SearchResult(action, weights, np.zeros_like(action), value, q, prior, raw_value)
    player = Player("fixed", tic_tac_toe, lambda *_: answer, on_device=False)
    moved, _ = gap.measure(player, own, jax.random.key(0))
    found = gap.summary(moved, own.ply)

    kls, worse, changed = [], [], 0
    for example in range(len(legal)):
        moves = np.flatnonzero(legal[example])
        kls.append(
            sum(
                w * math.log(w / prior[example, a]) for a in moves if (w := weights[example, a]) > 0
            )
        )
        own_move = max(moves, key=lambda a: prior[example, a])
        changed += own_move != action[example]
        worse.append(max(float(q[example, action[example]]) - float(q[example, own_move]), 0.0))
    assert found["kl"] == pytest.approx(np.mean(kls), rel=1e-4)
    assert found["changed"] == changed / len(legal)
    assert found["regret"] == pytest.approx(np.mean(worse), rel=1e-4)
    assert found["blunders"] == np.mean([w > 0.5 for w in worse])
    assert found["value"] == pytest.approx(np.abs(value - raw_value).mean(), rel=1e-4)
    assert sum(part["positions"] for part in found["by_ply"]) == len(legal)
    parts = [part["kl"] * part["positions"] for part in found["by_ply"]]
    assert sum(parts) == pytest.approx(sum(kls), rel=1e-4)


WINS = [(0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6)]


def _opinion(moves):
    """What Amplify(A) thinks of an unfinished position, for the seat to play: any number."""
    return math.sin(sum((ply + 1) * (move + 1) for ply, move in enumerate(moves))) / 2


def _after(moves, move):
    """How good a move is for its mover in tic-tac-toe, by the rules and by opinion."""
    line = [*moves, move]
    mine = set(line[(len(line) - 1) % 2 :: 2])
    if any(mine.issuperset(win) for win in WINS):
        return 1.0
    return 0.0 if len(line) == 9 else -_opinion(line)


def test_what_a_move_loses_is_told_by_asking_about_both_moves(own, tic_tac_toe):
    """A plays its lowest legal move, Amplify(A) the highest, and values no action: q is all 0."""
    asked = []

    def act(states, key, history):
        assert not np.asarray(states.terminated).any(), "asked about a game that is over"
        legal, lines = np.asarray(states.legal_action_mask), positions.move_lists(history)
        asked.append(lines)
        own_move = np.eye(9)[legal.argmax(axis=1)].astype(np.float32)
        other = (8 - legal[:, ::-1].argmax(axis=1)).astype(np.int32)
        value = np.array([_opinion(line) for line in lines], np.float32)
        weights = np.eye(9)[other].astype(np.float32)
        return SearchResult(
            other, weights, legal.astype(np.int32), value, 0 * weights, own_move, value
        )

    player = Player("fixed", tic_tac_toe, lambda _, *given: act(*given), on_device=False)
    moved, _ = gap.measure(player, own, jax.random.key(0))
    wanted = []
    for line in positions.move_lists(own.history):
        free = sorted(set(range(9)) - set(line))
        wanted.append(_after(line, free[-1]) - _after(line, free[0]))
    np.testing.assert_allclose(moved.regret, wanted, atol=1e-6)
    assert moved.changed.any()
    assert (moved.regret < 0).any()
    assert any(abs(regret) >= 1 for regret in wanted), "no game ends at once: not the whole rule"
    assert moved.asked == sum(map(len, asked)), "the cost is what was asked"


def test_a_network_plays_both_seats_of_its_own_games(tic_tac_toe):
    """Its moves are drawn from its policy: the lowest and the highest legal one, none between."""

    def at_an_end(variables, states, key):
        legal = states.legal_action_mask
        low, high = legal.argmax(axis=1), 8 - legal[:, ::-1].argmax(axis=1)
        weights = jax.nn.one_hot(low, 9) + jax.nn.one_hot(high, 9)
        return SimpleNamespace(action=low.astype(np.int32), action_weights=weights)

    reached = gap.reach(tic_tac_toe, at_an_end, (), SEED, count=30, seats=2)
    assert {0, 1} <= set((reached.ply % 2).tolist())
    for moves in positions.move_lists(reached.history):
        for ply, move in enumerate(moves):
            free = set(range(9)) - set(moves[:ply])
            assert move in (min(free), max(free)), moves


def test_noise_is_flat_and_a_fall_a_rise_and_a_hump_are_not():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(2000, fixed_point.WINDOW))
    assert np.mean([fixed_point.is_flat(example) for example in 1 + 0.1 * noise]) > 0.9
    way = np.linspace(0, 1, fixed_point.WINDOW)
    for name, curve in (("fall", -way), ("rise", way), ("hump", 2 * np.sin(np.pi * way))):
        flat = np.mean([fixed_point.is_flat(example) for example in curve + 0.1 * noise])
        assert flat < 0.05, f"{name}: {flat:.0%} of the series are taken for flat"


def _flat_line(count, start=1, blunders=0.0):
    return [
        Point(start + i, 0.1 + 0.01 * (i % 2), 0.2 - 0.01 * (i % 2), blunders, 0.1)
        for i in range(count)
    ]


def test_a_plateau_ends_a_run_only_at_the_lowest_rate():
    assert stage(_flat_line(8), lowered=0) == "moving"
    assert stage(_flat_line(9), lowered=0) == "flat"
    assert stage(_flat_line(9), lowered=100) == "moving", "the rate has not fallen yet"
    assert stage(_flat_line(9, start=100), lowered=100) == "settled"
    falling = [Point(100 + i, 1.0 - 0.1 * i, 0.2, 0.0, 0.1) for i in range(9)]
    assert stage(falling, lowered=100) == "moving"


def test_evaluations_of_an_untrained_network_or_within_a_moment_of_training_are_no_plateau():
    assert stage(_flat_line(1, start=0) * 30, lowered=0) == "moving", "it has not trained"
    assert stage(_flat_line(1, start=7) * 30, lowered=0) == "moving", "it trains no more"
    assert stage(_flat_line(32), lowered=0, spacing=4.0) == "moving"
    assert stage(_flat_line(33), lowered=0, spacing=4.0) == "flat"
    assert stage(_flat_line(32, start=100), lowered=100, spacing=4.0) == "moving"
    assert stage(_flat_line(33, start=100), lowered=100, spacing=4.0) == "settled"


def test_evaluations_in_the_warm_up_are_no_plateau_however_flat_the_gap_was():
    assert stage(_flat_line(20), lowered=0, warmup=13) == "moving"
    assert stage(_flat_line(21), lowered=0, warmup=13) == "flat"


def _stops_after(series):
    """The number of gaps after which a series is flat; one more than its length if it never is."""
    lengths = range(fixed_point.WINDOW, len(series) + 1)
    ends = (n for n in lengths if fixed_point.is_flat(series[n - fixed_point.WINDOW : n]))
    return next(ends, len(series) + 1)


def test_neither_noise_with_a_memory_nor_a_fall_without_an_end_keeps_a_run_going_for_ever():
    rng = np.random.default_rng(0)
    for memory in (0.0, 0.5, 0.9, 0.99):
        for _ in range(20):
            noise = [0.0]
            for step in rng.normal(size=200):
                noise.append(memory * noise[-1] + 0.01 * step)
            assert _stops_after(0.1 + np.array(noise)) < 100, memory
    steps = np.arange(1, 201)
    for power in (0.25, 0.5, 1.0):
        assert _stops_after(0.1 * steps**-power) < 100, power
        assert _stops_after(0.1 * steps**-power) > 12, power


def test_a_network_that_is_its_own_amplifier_has_no_fixed_point_to_reach(tiny_config):
    config = dataclasses.replace(tiny_config, until_fixed_point=True, amplify="policy")
    problems = dataclasses.replace(
        config, evaluation=dataclasses.replace(config.evaluation, gap_positions=16)
    ).problems()
    assert [p for p in problems if "amplify 'policy' is the network itself" in p] == problems


def test_blunders_keep_a_run_going_for_two_windows_and_then_it_is_stuck():
    assert stage(_flat_line(9, start=100, blunders=0.01), lowered=100) == "moving"
    assert stage(_flat_line(17, start=100, blunders=0.01), lowered=100) == "moving"
    assert stage(_flat_line(18, start=100, blunders=0.01), lowered=100) == "stuck"


def test_a_fall_in_games_against_itself_alone_is_no_plateau():
    line = [point._replace(own=1.0 - 0.1 * i) for i, point in enumerate(_flat_line(9, start=100))]
    assert stage(line, lowered=100) == "moving"
    assert stage([point._replace(own=0.1) for point in line], lowered=100) == "settled"


def test_a_blunder_in_games_against_itself_counts_as_any_other():
    own = Gap(kl=0.1, blunders=0.02, changed=0.1, regret=0.1)
    clean = dataclasses.replace(own, blunders=0.0)
    measured = FixedPoint(own=own, fresh=clean, probe=clean)
    assert "2.0% of the network's own moves are blunders" in fixed_point.verdict(measured, 32)
    assert "cannot hold" in fixed_point.verdict(measured, 32)
    assert "search adds nothing more" in fixed_point.verdict(
        dataclasses.replace(measured, own=clean), 32
    )


def _verdict(blunders, low, high=0.9, changed=0.1, regret=0.1, amplify="search"):
    match = Match(score=0.5, interval=(low, high), elo=1.0, elo_interval=(-9.0, 9.0))
    gap = Gap(kl=0.1, blunders=blunders, changed=changed, regret=regret)
    measured = FixedPoint(own=gap, fresh=gap, probe=gap, strength={"8": match, "32": match})
    return fixed_point.verdict(measured, 32, amplify)


def test_the_verdict_says_which_of_the_two_it_was():
    assert "search adds nothing more; more than 32 simulations may" in _verdict(0.0, 0.48)
    assert "cannot hold" in _verdict(0.0, 0.51)
    assert "cannot hold" in _verdict(0.1, 0.48)


def test_the_verdict_on_an_overseer_tells_when_it_is_weaker_or_not_followed():
    assert "weaker than the network and teaches it nothing" in _verdict(0.0, 0.1, 0.49)
    assert "over the bare network, weaker than that alone)" in _verdict(0.0, 0.1, 0.49)
    assert _verdict(0.0, 0.48, amplify="my:own").startswith(
        "fixed point: Amplify(A), my:own, adds nothing more (gap"
    )
    # One that values no move sees no blunders.
    unseen = _verdict(0.0, 0.48, changed=0.5, regret=0.0, amplify="my:own")
    assert "cannot hold what Amplify(A), my:own, finds" in unseen
    assert "50.0% of the network's own moves are changed" in unseen
    assert "--learner.no-augment" in unseen


@pytest.fixture(scope="module")
def short(tiny_config):
    """A run that measures itself at each iteration."""
    evaluation = dataclasses.replace(
        tiny_config.evaluation,
        every=1,
        simulations=2,
        gap_positions=16,
        strength_games=2,
        strength_every=2,
    )
    return dataclasses.replace(
        tiny_config,
        evaluation=evaluation,
        replay=dataclasses.replace(tiny_config.replay, capacity=100),  # renewed within a window
        learner=dataclasses.replace(tiny_config.learner, warmup_steps=1),  # in which nothing counts
        until_fixed_point=True,
        iterations=12,
    )


def _train(path, config, stop_after=10**9):
    folder = RunFolder(path)
    if not folder.exists():
        folder.create(config)
    seen = []

    def watch(line):
        seen.append(line["kind"])

    with folder.lock():
        return train_folder(folder, config, watch, lambda: seen.count("evaluation") >= stop_after)


@pytest.mark.slow
def test_a_run_stops_at_its_fixed_point_and_a_resumed_one_at_the_same(short, tmp_path, monkeypatch):
    monkeypatch.setattr(fixed_point, "WINDOW", 3)
    monkeypatch.setattr(fixed_point, "SPREAD", 1e9)  # all is flat: settled after two windows
    assert _train(tmp_path / "whole", short)
    lines = RunFolder(tmp_path / "whole").read_metrics()
    measured = [line["fixed_point"] for line in lines if line["kind"] == "evaluation"]
    assert len(measured) < 12, "the limit of iterations ended it"
    assert "fixed point" in measured[-1]["verdict"]
    assert [found["stage"] for found in measured].count("flat") == 1
    assert all("strength" in found for found in measured[1::2])
    assert measured[3]["distilled"]["amplified_step"] == lines_at(lines, 2)["step"]
    assert set(measured[-1]["strength"]) == {"2", "4"}

    assert not _train(tmp_path / "halved", short, stop_after=4)
    assert _train(tmp_path / "halved", short)
    whole, halved = everything(tmp_path / "whole"), everything(tmp_path / "halved")
    for expected, found in zip(whole[2], halved[2], strict=True):
        assert expected == found
    assert whole[1] == halved[1]
    assert whole[3] == halved[3]
    assert whole[0].keys() == halved[0].keys()
    for name, array in whole[0].items():
        np.testing.assert_array_equal(array, halved[0][name], err_msg=name)
    assert _train(tmp_path / "halved", short), "a run at its fixed point has nothing left to do"
    shutil.rmtree(tmp_path / "halved")


def lines_at(lines, evaluation):
    """The line of the evaluation with this number, from 1."""
    return [line for line in lines if line["kind"] == "evaluation"][evaluation - 1]


def loses_somewhere(player, game, seat):
    """Plays the player's best move against every reply; returns a lost game's moves, or None."""
    frontier = {(): positions.opening_position(game)}
    while frontier:
        moves, states = (
            list(frontier),
            positions.concatenate(
                [jax.tree.map(lambda leaf: np.asarray(leaf)[None], s) for s in frontier.values()]
            ),
        )
        action = np.asarray(player(states, jax.random.key(0)).action)
        following = {}
        for example, line in enumerate(moves):
            state = positions.take(states, example)
            own = int(state.to_play) == seat
            for move in [action[example]] if own else np.flatnonzero(state.legal_action_mask):
                after = jax.tree.map(np.asarray, positions.step(game, state, np.int32(move)))
                if not after.terminated:
                    following[(*line, int(move))] = after
                elif float(game.returns(after)[seat]) < 0:
                    return (*line, int(move))
        frontier = following
    return None


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_tic_tac_toe_stops_by_itself_at_a_network_that_never_loses(tmp_path, seed, tic_tac_toe):
    config = dataclasses.replace(
        preset("quick", "tic_tac_toe"), minutes=0.0, until_fixed_point=True, seed=seed
    )
    assert _train(tmp_path / "run", config)
    verdict = RunFolder(tmp_path / "run").read_metrics()[-1]["fixed_point"]["verdict"]
    assert "search adds nothing more" in verdict
    raw = training.load_player(tmp_path / "run", simulations=0)
    for seat in (0, 1):
        lost = loses_somewhere(raw, tic_tac_toe, seat)
        assert lost is None, f"in seat {seat} the network loses {lost}"
