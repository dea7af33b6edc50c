"""Samples from plies: nothing lost, nothing truncated, every outcome for the right seat."""

import numpy as np
import pytest

from selfplay import example, recorder
from selfplay.recorder import Recorder
from selfplay.self_play import Trajectory

ACTIONS, PLANES = 3, (2, 2, 1)


class Table:
    """Lanes of made-up games, kept in plain Python beside the trajectories made from them."""

    def __init__(self, lanes, seed):
        self.rng = np.random.default_rng(seed)
        self.lanes = lanes
        self.numbers = [0] * lanes
        self.open = [[] for _ in range(lanes)]  # per lane: (mark, to_play) of each ply so far
        self.lengths = [self.new_length() for _ in range(lanes)]
        self.finished = {}  # game_id -> (plies, returns, marks, seats)
        self.mark = 0

    def new_length(self):
        return int(self.rng.integers(1, 9))

    def call(self, plies):
        steps = [[self.ply(lane) for lane in range(self.lanes)] for _ in range(plies)]
        columns = {
            name: np.array([[example[name] for example in step] for step in steps])
            for name in steps[0][0]
        }
        shape = (plies, self.lanes)
        return Trajectory(
            observation=np.zeros((*shape, *PLANES), bool),
            legal_action_mask=np.ones((*shape, ACTIONS), bool),
            action_weights=np.full((*shape, ACTIONS), 1 / 3, np.float16),
            q=np.zeros((*shape, ACTIONS), np.float16),
            raw_value=np.zeros(shape, np.float32),
            kl=np.zeros(shape, np.float32),
            entropy=np.zeros(shape, np.float32),
            opening=np.full((*shape, 2), -1, np.int16),
            **columns,
        )

    def ply(self, lane):
        self.mark += 1
        to_play = int(self.rng.integers(2))  # any order of turns, double moves too
        game = self.open[lane]
        game.append((self.mark, to_play))
        ends = len(game) == self.lengths[lane]
        result = float(self.rng.integers(-1, 2)) if ends else 0.0
        example = {
            "action": np.int16(self.mark % ACTIONS),
            "to_play": np.int8(to_play),
            "root_value": np.float32(self.mark),  # carries the mark
            "ply": np.int32(len(game) - 1),
            "game_number": np.int32(self.numbers[lane]),
            "terminated": ends,
            "returns": np.array([result, -result], np.float32),
        }
        if ends:
            game_id = self.numbers[lane] * self.lanes + lane
            self.finished[game_id] = (game, result)
            self.open[lane], self.lengths[lane] = [], self.new_length()
            self.numbers[lane] += 1
        return example


def test_every_ply_of_every_finished_game_becomes_one_sample_with_its_movers_result():
    for seed in range(5):
        table, recorder, seen = Table(lanes=4, seed=seed), Recorder(), {}
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
    table = Table(lanes=3, seed=1)
    calls = [table.call(4) for _ in range(5)]
    one, two = Recorder(), Recorder()
    for number, call in enumerate(calls):
        left, left_games = one.add(call, number)
        right, right_games = two.add(call, number)
        assert left_games == right_games
        left, right = example.flat(left), example.flat(right)
        for name in example.COLUMNS:
            np.testing.assert_array_equal(left[name], right[name], err_msg=name)
        two = Recorder({name: column.copy() for name, column in two.pending.items()})


def test_a_call_in_which_no_game_ends_gives_nothing_and_keeps_all():
    table = Table(lanes=2, seed=0)
    table.lengths = [8, 8]
    recorder = Recorder()
    sample, games = recorder.add(table.call(3), 0)
    assert len(sample.ply) == 0
    assert games == []
    assert len(recorder.pending["ply"]) == 6


def test_the_random_opening_is_part_of_the_game_but_no_sample():
    table = Table(lanes=1, seed=0)
    table.lengths = [3]
    call = table.call(3)
    opening = np.full((3, 1, 4), -1, np.int16)
    opening[:, :, :2] = (2, 1)
    sample, (game,) = Recorder().add(call._replace(opening=opening), 0)
    assert len(sample.ply) == 3
    assert game.moves == [2, 1, *call.action[:, 0].tolist()]


def test_games_of_every_length_have_the_same_chance_to_be_sampled():
    """Half of the games are short: of the sample they must be half too, in lanes of all kinds."""
    rng = np.random.default_rng(1)
    lanes, plies, watched, played, kept = 16, 10, 2, [], []
    left, number = np.zeros(lanes, int), np.full(lanes, -1)
    lengths = [0] * lanes
    for call in range(1500):
        finished = []
        for lane in range(lanes):
            left[lane] -= plies
            while left[lane] <= 0:
                if number[lane] >= 0:
                    game_id = int(number[lane]) * lanes + lane
                    finished.append(recorder.FinishedGame(game_id, [0] * lengths[lane], (0.0, 0.0)))
                number[lane] += 1
                lengths[lane] = 4 if rng.random() < 0.5 else 60
                left[lane] += lengths[lane]
        played += finished
        kept += recorder.draw_games(finished, lanes, watched, np.random.default_rng([7, call]))
    mean = np.mean([len(game.moves) for game in played])
    sampled = np.array([len(game.moves) for game in kept])
    assert abs(sampled.mean() - mean) < 4 * sampled.std() / len(sampled) ** 0.5, sampled.mean()
    assert len(kept) == pytest.approx(len(played) * watched / lanes, rel=0.1)
    by_lane = np.bincount([game.game_id % lanes for game in kept], minlength=lanes)
    assert by_lane.min() > 0.5 * by_lane.max(), by_lane


def test_about_one_game_a_call_is_sampled_whatever_the_game():
    assert recorder.lanes_to_watch(max_plies=42, lanes=128, plies_per_call=16) == 2
    assert recorder.lanes_to_watch(max_plies=9, lanes=128, plies_per_call=16) == 1
    assert recorder.lanes_to_watch(max_plies=10_000, lanes=128, plies_per_call=16) == 16
    assert recorder.lanes_to_watch(max_plies=10_000, lanes=4, plies_per_call=2) == 4
