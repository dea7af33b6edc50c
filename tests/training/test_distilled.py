"""Losses of distillation: the sets are what they say, and the figures those of plain NumPy."""

import functools
import json
import shutil

import jax
import numpy as np
import pytest

import games
import training
from scripts import evaluate_overseer as command
from selfplay import positions
from selfplay.amplify import gap
from selfplay.oversight import decisions
from selfplay.self_play import NO_ACTION
from tests.support.checkpoints import read_chunk
from training import replay
from training.evaluation import distillation
from training.evaluation.distillation import SETS
from training.storage.run_folder import RunFolder

GAME = games.load("tic_tac_toe")


@pytest.fixture(scope="module")
def audited(tiny_run, tmp_path_factory):
    """A copy of the tiny run, what `evaluate --against overseer` finds in it, and where."""
    path = tmp_path_factory.mktemp("distilled") / "run"
    shutil.copytree(tiny_run, path)
    decisions.append(path / "decided.jsonl", decisions.Decision("tic_tac_toe", (), {4: 1.0}, 0.0))
    assert (
        command.run(
            command.Args(str(path), "overseer", sample=16, decisions=f"{path}/decided.jsonl")
        )
        == 0
    )
    return path, json.loads((path / "report" / "distilled.json").read_text())


def boards(histories):
    """The boards after move lists, in plain Python."""
    found = np.full((len(histories), 9), -1)
    for board, moves in zip(found, histories, strict=True):
        for ply, action in enumerate(moves):
            board[action] = ply % 2
    return found


def test_every_checkpoint_is_measured_on_every_set_that_there_is(audited):
    path, found = audited
    steps = training.checkpoint_steps(path)
    assert [row["step"] for row in found["checkpoints"]] == steps
    assert set(found["grows"]) == set(SETS)
    for row in found["checkpoints"]:
        assert {"far", "worst", "decided"} <= row.keys()
        # Nothing was trained on before the first step.
        assert ("trained" in row) == (row["step"] > 0)
        assert row["worst"]["regret"] >= row["far"]["regret"]
        assert row["strength"]["games"] == distillation.MATCH_GAMES
    assert (path / "report" / "distilled.png").stat().st_size > 1000


def test_a_table_says_when_amplification_is_weaker_or_values_nothing(audited, capsys):
    _, found = audited
    row = found["checkpoints"][-1]
    lost = row["strength"] | {"elo": -300.0, "elo_interval": [-400.0, -200.0]}
    lost["interval"] = [0.1, 0.3]
    flat = {name: row[name] | {"most_regret": 0.0, "changed": 0.5} for name in SETS if name in row}
    weaker = found | {"checkpoints": [row | flat | {"strength": lost}]}
    assert (
        "-300 Elo (-400 to -200) over the bare network, weaker than that alone"
        in command._table(weaker)
    )
    assert "weaker" not in command._table(found | {"checkpoints": [row]})
    command._advise(weaker)
    assert "values no move above another" in capsys.readouterr().err
    command._advise(found)
    assert "values no move above another" not in capsys.readouterr().err


def test_trained_positions_are_rows_of_the_replay(audited):
    path, _ = audited
    rows = [read_chunk(chunk) for _, _, chunk in replay.chunks(path / "replay")]
    observations = {row.tobytes() for part in rows for row in part.observation}
    seen = distillation.seen_positions(RunFolder(path), "tic_tac_toe")
    assert len(seen) > 10
    for position in seen:
        (board,) = boards([position.moves])
        own, other = len(position.moves) % 2, 1 - len(position.moves) % 2
        planes = np.stack([board == own, board == other], axis=1).reshape(3, 3, 2)
        assert planes.tobytes() in observations, position


def test_near_positions_are_one_legal_move_off_and_not_over():
    rng = np.random.default_rng(0)
    moves = [(), (4,), (0, 4, 8), (0, 3, 1, 4), (0, 3, 1, 4, 8, 5)[:5]]
    replayed = positions.replay(GAME, moves)
    ply = np.array([len(row) for row in moves], np.int32)
    where = gap.Positions(replayed.states, positions.pad_moves(moves), ply)
    for _ in range(20):
        near = distillation.one_ply_off(GAME, where, rng)
        histories = positions.move_lists(near.history)
        np.testing.assert_array_equal(near.states.board, boards(histories))
        assert not near.states.terminated.any()
        assert all(history[:-1] in moves for history in histories), histories
        assert [len(history) for history in histories] == near.ply.tolist()


def test_figures_are_those_of_plain_numpy(audited):
    path, found = audited
    known = distillation.Audit(RunFolder(path), 16, 0)
    step = training.checkpoint_steps(path)[-1]
    search = training.load_player(path, simulations=known.config.search.simulations)
    result = jax.device_get(search(known.far.states, jax.random.key(0)))
    regrets, changed, kl = [], [], []
    after = functools.partial(_values_after, search, known.far.states)
    masked = np.where(known.far.states.legal_action_mask, result.prior, -1)
    searched, forced = after(result.action), after(masked.argmax(axis=1))
    for i in range(16):
        legal = np.flatnonzero(known.far.states.legal_action_mask[i])
        best = max(legal, key=lambda a, i=i: (result.prior[i][a], -a))
        regrets.append(0.0 if best == result.action[i] else searched[i] - forced[i])
        changed.append(best != result.action[i])
        terms = [
            w * np.log(w / p)
            for w, p in zip(result.action_weights[i], result.prior[i], strict=True)
            if w > 0
        ]
        kl.append(sum(terms))
    row = found["checkpoints"][-1]
    assert row["step"] == step
    far = row["far"]
    for name, column in (("regret", regrets), ("changed", changed), ("kl", kl)):
        assert far[name] == pytest.approx(np.mean(column), abs=1e-5), name
        error = np.sqrt(np.mean((np.array(column, float) - np.mean(column)) ** 2) / 16)
        assert far[f"{name}_error"] == pytest.approx(error, abs=1e-5), name
    alone = training.load_player(path, simulations=0)
    opening = positions.replay(GAME, [()]).states
    action = int(alone(opening, jax.random.key(0)).action[0])
    prior = float(alone(opening, jax.random.key(0)).prior[0, 4])
    assert row["decided"]["follows"] == (action == 4)
    assert row["decided"]["kl"] == pytest.approx(-np.log(prior), abs=1e-4)


def _values_after(search, states, actions):
    """Returns what a search says of each move, from the position behind it, for who moves."""
    after = jax.device_get(jax.vmap(GAME.step)(states, np.asarray(actions, np.int32)))
    behind = jax.device_get(search(after, jax.random.key(0)))
    values = []
    for i, seat in enumerate(np.asarray(states.to_play).tolist()):
        if after.terminated[i]:
            values.append(float(GAME.returns(positions.take(after, i))[seat]))
        else:
            values.append(float(behind.value[i]) * (1 if after.to_play[i] == seat else -1))
    return values


def test_the_worst_positions_can_be_overseen(audited):
    path, _ = audited
    lines = [
        json.loads(line) for line in (path / "report" / "worst.jsonl").read_text().splitlines()
    ]
    assert lines
    for line in lines:
        assert NO_ACTION not in line["moves"]
        replayed = positions.replay(GAME, [line["moves"]])
        assert replayed.legal_plies[0] == len(line["moves"])
        assert not replayed.states.terminated[0]


def test_errors_that_grow_beyond_noise_are_told_from_noise():
    def rows(*means):
        return [{"far": {"regret": mean, "regret_error": 0.01}} for mean in means]

    assert distillation.grown(rows(0.3, 0.1, 0.2), "far") is True
    assert distillation.grown(rows(0.3, 0.1, 0.11), "far") is False
    assert distillation.grown(rows(0.1), "far") is None
    assert distillation.grown(rows(0.1, 0.2), "near") is None
