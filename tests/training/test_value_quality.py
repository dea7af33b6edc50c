"""Values beside outcomes and the truth, and what is said to limit a run, by plain counting."""

import json
import math
import random
import statistics

import jax.numpy as jnp
import numpy as np
import pytest

import games
from mcts import Evaluation, SearchConfig
from selfplay import example
from selfplay.files import npz
from selfplay.perfect import mistakes
from selfplay.players import policy_player, search_player
from training import replay
from training.evaluation import solved_quality, value_quality
from training.evaluation.solved_quality import SolvedQuality
from training.evaluation.value_quality import agreement, ply_groups
from training.report import values

OWN, MOST = 1, 32


def random_examples(count=40, bias=0.0, seed=0):
    """Returns examples of `count` games of 3 to 8 plies, whose values lie `bias` too high."""
    draw, examples = random.Random(seed), []
    for number in range(count):
        result, calm = draw.choice([-1, 0, 1]), draw.uniform(0.2, 0.9)
        for ply in range(draw.randint(3, 8)):
            outcome = result * (-1) ** ply
            examples.append((number, ply, outcome, calm * outcome + draw.gauss(bias, 0.1)))
    game, ply, outcome, value = map(np.array, zip(*examples, strict=True))
    return game, ply, outcome.astype(float), value


def test_an_agreement_is_what_plain_python_counts():
    game, _, outcome, value = random_examples()
    gaps = [v - o for v, o in zip(value, outcome, strict=True)]
    squares = [gap * gap for gap in gaps]
    of = agreement(value, outcome, game)
    assert (of.examples, of.groups) == (len(gaps), 40)
    assert of.bias == pytest.approx(statistics.fmean(gaps))
    assert of.squared_error == pytest.approx(statistics.fmean(squares))
    assert of.variance == pytest.approx(statistics.pvariance(outcome.tolist()))
    assert of.correlation == pytest.approx(statistics.correlation(value.tolist(), outcome.tolist()))
    for column, error in ((gaps, of.bias_error), (squares, of.squared_error_error)):
        mean = statistics.fmean(column)
        sums = [
            sum(x - mean for x, g in zip(column, game, strict=True) if g == number)
            for number in range(40)
        ]
        assert error == pytest.approx(math.sqrt(sum(x * x for x in sums)) / len(column))


def test_the_error_of_a_correlation_is_about_that_of_leaving_out_a_game_each():
    game, _, outcome, value = random_examples(200)
    of = agreement(value, outcome, game)
    left_out = [
        float(np.corrcoef(value[game != number], outcome[game != number])[0, 1])
        for number in range(200)
    ]
    jackknife = math.sqrt(199 * statistics.pvariance(left_out))
    assert of.correlation_error == pytest.approx(jackknife, rel=0.1)


def test_a_planted_bias_is_seen_and_a_game_s_examples_are_one_observation():
    game, _, outcome, value = random_examples(400, bias=-0.1)
    of = agreement(value, outcome, game)
    assert abs(of.bias + 0.1) < 3 * of.bias_error < 0.05
    often = [np.repeat(column, 9) for column in (value, outcome, game)]
    assert agreement(*often).bias_error == pytest.approx(of.bias_error)
    sound = agreement(*(random_examples(400)[i] for i in (3, 2, 0)))
    assert abs(sound.bias) < 3 * sound.bias_error


def test_values_that_do_not_vary_have_no_correlation():
    of = agreement(np.zeros(4), np.array([1.0, -1, 1, -1]), np.arange(4))
    assert (of.correlation, of.correlation_error, of.bias) == (0, 0, 0)


@pytest.mark.parametrize("plies", [[0], [3, 3, 9], list(range(42)), [0] * 50 + [40, 41]])
def test_groups_of_plies_hold_every_example_once(plies):
    groups = ply_groups(np.array(plies))
    assert len(groups) <= 8
    held = [sum(low <= ply <= high for ply in plies) for low, high in groups]
    assert min(held) > 0
    assert sum(held) == len(plies)


def sample(game, ply, outcome, value):
    """Examples of a game with two moves, whose network sees half of what its search sees."""
    count = len(ply)
    return example.make(
        np.zeros((count, 1, 1, 1), bool),
        legal_action_mask=np.ones((count, 2), bool),
        policy_target=np.full((count, 2), [0.25, 0.75]),
        q=np.stack([np.full(count, -1.0), value], axis=1),
        outcome=outcome,
        root_value=value,
        raw_value=value / 2,
        ply=ply,
        game_id=game,
    )


def test_each_value_of_examples_is_beside_their_outcomes():
    game, ply, outcome, value = random_examples()
    quality = value_quality.of_examples(example.flat(sample(game, ply, outcome, value)))
    for name, column in (("raw", value / 2), ("root", value)):
        measured = quality.values[name]
        assert measured.overall.bias == pytest.approx((column - outcome).mean(), abs=1e-3)
        assert sum(part.agreement.examples for part in measured.by_ply) == len(ply)
        assert sum(of.examples for of in measured.by_value) == len(ply)


def test_the_newest_examples_are_read_whatever_else_lies_there(tmp_path):
    examples = sample(*random_examples())
    count = len(examples.ply)
    assert value_quality.read(tmp_path, "mine") is None
    replay.write_chunk(tmp_path, 0, [example.take(examples, slice(0, 50))], "mine")
    replay.write_chunk(tmp_path, 50, [example.take(examples, slice(50, None))], "mine")
    newest = replay.newest(tmp_path, value_quality.COLUMNS, count - 20, "mine")
    for name, column in newest.items():
        np.testing.assert_array_equal(column, example.flat(examples)[name][20:])
    whole = npz.read(replay.chunks(tmp_path)[1][2])
    tail = npz.read_tail(replay.chunks(tmp_path)[1][2], ["q", "absent"], 3)
    assert set(tail) == {"q"}
    np.testing.assert_array_equal(tail["q"], whole["q"][-3:])
    replay.write_chunk(tmp_path, count, [examples], "another")
    (tmp_path / f"{2 * count:012d}-{2 * count + 9:012d}.npz").write_bytes(b"PK damaged")
    read = value_quality.read(tmp_path, "mine")
    assert read == value_quality.of_examples(example.flat(examples))


def test_a_report_draws_each_value_of_each_run():
    quality = value_quality.of_examples(example.flat(sample(*random_examples())))
    drawn = values.plots({"a": quality, "b": quality})
    assert [plot.name for plot in drawn] == ["calibration", "bias", "squared_error", "correlation"]
    for plot in drawn:
        labels = [series.label for series in plot.series if series.label != "calibrated"]
        assert labels == [f"{run} {name}" for run in "ab" for name in ("raw", "root")]
    assert [len(example) for example in values.cells(quality)] == [len(values.HEAD)] * 2
    assert values.plots({}) == []


# ---- solved positions ---------------------------------------------------------------------------

TIC_TAC_TOE = games.load("tic_tac_toe")
POWERS = 3 ** np.arange(9)


def look_up(tables, observation):
    """An `Evaluate` of tic_tac_toe whose variables hold the answer to every position."""
    cells = observation.reshape(-1, 9, 2).astype(jnp.int32)
    key = (cells[..., 0] + 2 * cells[..., 1]) @ POWERS
    logits, value = tables
    return Evaluation(logits[key], value[key])


@pytest.fixture(scope="module")
def solved():
    return mistakes.load_positions("tic_tac_toe")


def tables(solved, logits, value):
    """Returns the variables of `look_up`: what is given for each solved position."""
    board, seat = np.asarray(solved.states.board), np.asarray(solved.states.to_play)[:, None]
    key = (np.where(board == seat, 1, np.where(board == -1, 0, 2)) * POWERS).sum(axis=1)
    all_logits, all_values = np.zeros((3**9, 9), np.float32), np.zeros(3**9, np.float32)
    all_logits[key], all_values[key] = logits, value
    return all_logits, all_values


def measured(solved, logits, value, own=OWN):
    variables = tables(solved["all"], logits, value)

    def player(simulations):
        if simulations == 0:
            return policy_player("raw", TIC_TAC_TOE, look_up, variables)
        config = SearchConfig(simulations=simulations)
        return search_player("search", TIC_TAC_TOE, look_up, variables, config)

    chosen = solved_quality.first_of(solved, 256)
    return solved_quality.measure(player, own, chosen, (0, OWN, MOST))


def test_each_part_that_is_spoilt_is_named_as_the_limit(solved):
    outcomes = solved["all"].outcomes
    truth = outcomes.max(axis=1)
    right = (outcomes == truth[:, None]).astype(np.float32)
    wrong_values = np.random.default_rng(0).choice([-0.9, 0.9], len(truth))
    for logits, value, own, named in (
        (0 * right, truth, OWN, "search"),
        (0 * right, truth, MOST, "policy"),  # it has yet to learn what the search knows
        (-500 * right, truth, OWN, "policy"),  # no search could change its mind
        (2 * right, wrong_values, MOST, "value"),
    ):
        limit = solved_quality.limit(measured(solved, logits, value, own))
        assert limit.parts == (named,), limit
        assert limit.sentence.startswith(f"limited by: {named}. "), limit


def test_values_and_policies_on_solved_positions_are_what_plain_python_counts(solved):
    outcomes = solved["all"].outcomes
    quality = measured(solved, np.zeros(outcomes.shape), outcomes.max(axis=1))
    chosen = solved_quality.first_of(solved, 256)
    shares, errors = [], []
    for line in chosen.outcomes.tolist():
        legal = [outcome for outcome in line if outcome >= -1]
        shares.append(sum(outcome < max(legal) for outcome in legal) / len(legal))
        errors.append(legal[0] < max(legal))  # all moves alike: the first one is played
    assert len(set(np.asarray(chosen.plies).tolist())) > 5
    assert quality.positions == 256
    assert quality.mass[0] == pytest.approx(statistics.fmean(shares), abs=1e-5)
    assert quality.mistakes[0] == pytest.approx(statistics.fmean(errors))
    raw = quality.values["raw"]
    assert (raw.squared_error, raw.bias) == pytest.approx((0, 0), abs=1e-6)
    assert raw.correlation == pytest.approx(1)
    assert json.loads(json.dumps(solved_quality.as_json(quality)))["simulations"] == OWN


def counted(raw, own, misvalued, overruled, count=1000):
    """What `limit` reads, from numbers of positions that are wrong."""

    def first(errors, after=0):
        return (np.arange(count) >= after) & (np.arange(count) < after + errors)

    wrong = {0: first(raw), 32: first(own), 128: first(misvalued + overruled)}
    return SolvedQuality(32, None, wrong, {}, {}, first(misvalued), first(overruled, misvalued))


@pytest.mark.parametrize(
    ("counts", "parts", "said"),
    [
        ((142, 69, 60, 9), ("value",), "in 6.9% and one of 128 in 6.9%, of which 6.0% where"),
        ((142, 69, 9, 60), ("policy",), "0.9% where the search's values prefer the wrong move"),
        ((142, 69, 10, 3), ("search",), "limited by: search. On 1,000 solved positions"),
        ((142, 30, 20, 9), ("policy",), "has yet to learn what its search knows"),
        ((142, 69, 35, 4), ("value", "search"), "cannot be told apart yet"),
        ((142, 60, 0, 0), ("search",), "one of 128 in 0.0%"),
        ((9, 9, 9, 0), (), "limited by: nothing that these positions show"),
        ((9, 60, 60, 0), ("value",), "alone errs in 0.9%"),  # a search that hurts
    ],
)
def test_the_largest_share_of_the_mistakes_names_the_limit(counts, parts, said):
    limit = solved_quality.limit(counted(*counts))
    assert limit.parts == parts
    assert said in limit.sentence


def test_the_searches_compared_reach_four_times_the_run_s_own():
    assert solved_quality.budgets(32) == (0, 8, 32, 128)
    assert solved_quality.budgets(16) == (0, 8, 16, 32, 128)
    assert solved_quality.budgets(100) == (0, 8, 32, 100, 128, 400)
