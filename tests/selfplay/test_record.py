"""Samples from plies: nothing lost, nothing truncated, every outcome for the right seat."""

import numpy as np
import pytest

from selfplay import example, recorder
from selfplay.recorder import Recorder
from selfplay.self_play import Trajectory

ACTIONS, PLANES = 3, (2, 2, 1)


class Table:
    """Environments of made-up games, in plain Python beside the trajectories made from them."""

    def __init__(self, envs, seed):
        self.rng = np.random.default_rng(seed)
        self.envs = envs
        self.numbers = [0] * envs
        self.open = [[] for _ in range(envs)]  # per environment: (mark, to_play) of each ply so far
        self.lengths = [self.new_length() for _ in range(envs)]
        self.finished = {}  # game_id -> (plies, returns, marks, seats)
        self.mark = 0

    def new_length(self):
        return int(self.rng.integers(1, 9))

    def call(self, plies):
        steps = [[self.ply(env) for env in range(self.envs)] for _ in range(plies)]
        columns = {
            name: np.array([[example[name] for example in step] for step in steps])
            for name in steps[0][0]
        }
        shape = (plies, self.envs)
        return Trajectory(
            observation=example.Bits(np.zeros((*shape, 1), np.uint8), PLANES),
            legal_action_mask=example.Bits(np.full((*shape, 1), 0b11100000, np.uint8), (ACTIONS,)),
            sound=np.ones(shape, bool),
            action_weights=np.full((*shape, ACTIONS), 1 / 3, np.float16),
            q=np.zeros((*shape, ACTIONS), np.float16),
            raw_value=np.zeros(shape, np.float32),
            kl=np.zeros(shape, np.float32),
            entropy=np.zeros(shape, np.float32),
            opening=np.full((*shape, 2), -1, np.int16),
            **columns,
        )

    def ply(self, env):
        self.mark += 1
        to_play = int(self.rng.integers(2))  # any order of turns, double moves too
        game = self.open[env]
        game.append((self.mark, to_play))
        ends = len(game) == self.lengths[env]
        result = float(self.rng.integers(-1, 2)) if ends else 0.0
        example = {
            "action": np.int16(self.mark % ACTIONS),
            "to_play": np.int8(to_play),
            "root_value": np.float32(self.mark),  # carries the mark
            "ply": np.int32(len(game) - 1),
            "game_number": np.int32(self.numbers[env]),
            "terminated": ends,
            "returns": np.array([result, -result], np.float32),
        }
        if ends:
            game_id = self.numbers[env] * self.envs + env
            self.finished[game_id] = (game, result)
            self.open[env], self.lengths[env] = [], self.new_length()
            self.numbers[env] += 1
        return example


def test_every_ply_of_every_finished_game_becomes_one_sample_with_its_movers_result():
    for seed in range(5):
        table, recorder, seen = Table(envs=4, seed=seed), Recorder(), {}
        for call, plies in enumerate((3, 1, 7, 2, 5)):
            sample, games = recorder.add(table.call(plies), weights_step=call)
            assert (np.diff(sample.game_id) >= 0).all()
            for game_id, mark, outcome in zip(
                sample.game_id.tolist(),
                sample.root_value.tolist(),
                sample.outcome.tolist(),
                strict=True,
            ):
                seen.setdefault(game_id, []).append((int(mark), outcome))
            assert {game.game_id for game in games} == set(sample.game_id.tolist())
        expected = {
            game_id: [(mark, result if seat == 0 else -result) for mark, seat in plies]
            for game_id, (plies, result) in table.finished.items()
        }
        assert seen == expected, seed
        held = sorted(recorder.pending["root_value"].astype(int).tolist())
        assert held == sorted(mark for game in table.open for mark, _ in game), seed


def test_a_recorder_rebuilt_from_its_pending_examples_goes_on_alike():
    table = Table(envs=3, seed=1)
    calls = [table.call(4) for _ in range(5)]
    one, two = Recorder(), Recorder()
    for number, call in enumerate(calls):
        left, left_games = one.add(call, number)
        right, right_games = two.add(call, number)
        assert list(left_games) == list(right_games)
        left, right = example.flat(left), example.flat(right)
        for name in example.COLUMNS:
            np.testing.assert_array_equal(left[name], right[name], err_msg=name)
        two = Recorder({n: column.copy() for n, column in (two.pending or {}).items()})


def test_a_call_in_which_no_game_ends_gives_nothing_and_keeps_all():
    table = Table(envs=2, seed=0)
    table.lengths = [8, 8]
    recorder = Recorder()
    sample, games = recorder.add(table.call(3), 0)
    assert len(sample.ply) == 0
    assert len(games) == 0
    assert len(recorder.pending["ply"]) == 6


def test_the_random_opening_is_part_of_the_game_but_no_sample():
    table = Table(envs=1, seed=0)
    table.lengths = [3]
    call = table.call(3)
    opening = np.full((3, 1, 4), -1, np.int16)
    opening[:, :, :2] = (2, 1)
    sample, (game,) = Recorder().add(call._replace(opening=opening), 0)
    assert len(sample.ply) == 3
    assert game.moves == [2, 1, *call.action[:, 0].tolist()]


def test_games_of_every_length_have_the_same_chance_to_be_sampled():
    """Half of the games are short: of the sample half too, in environments of all kinds."""
    rng = np.random.default_rng(1)
    envs, plies, watched, played, kept = 16, 10, 2, [], []
    left, number = np.zeros(envs, int), np.full(envs, -1)
    lengths = [0] * envs
    for call in range(1500):
        ids, moves = [], []
        for env in range(envs):
            left[env] -= plies
            while left[env] <= 0:
                if number[env] >= 0:
                    ids += [int(number[env]) * envs + env] * lengths[env]
                    moves.append(lengths[env])
                number[env] += 1
                lengths[env] = 4 if rng.random() < 0.5 else 60
                left[env] += lengths[env]
        none = np.zeros(len(ids), np.int8)
        legal = none[:, None] == 0
        sample = example.make(none, legal_action_mask=legal, game_id=np.array(ids, int))
        no_opening = np.zeros((len(moves), 0), np.int16)
        finished = recorder.FinishedGames(sample, none, no_opening, np.array(moves, int))
        played += finished
        kept += recorder.draw_games(finished, envs, watched, np.random.default_rng([7, call]))
    mean = np.mean([len(game.moves) for game in played])
    sampled = np.array([len(game.moves) for game in kept])
    assert abs(sampled.mean() - mean) < 4 * sampled.std() / len(sampled) ** 0.5, sampled.mean()
    assert len(kept) == pytest.approx(len(played) * watched / envs, rel=0.1)
    by_env = np.bincount([game.game_id % envs for game in kept], minlength=envs)
    assert by_env.min() > 0.5 * by_env.max(), by_env


def test_about_one_game_a_call_is_sampled_whatever_the_game():
    assert recorder.envs_to_watch(max_plies=42, envs=128, plies_per_call=16) == 2
    assert recorder.envs_to_watch(max_plies=9, envs=128, plies_per_call=16) == 1
    assert recorder.envs_to_watch(max_plies=10_000, envs=128, plies_per_call=16) == 16
    assert recorder.envs_to_watch(max_plies=10_000, envs=4, plies_per_call=2) == 4
