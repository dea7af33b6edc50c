"""Imitation: it learns an expert that plain Python plays, on games it can trust, split by game."""

import dataclasses
import json

import jax
import numpy as np
import pytest

import games
import training
from scripts import cli, train_imitate
from selfplay.files.game_lines import GameRecord
from selfplay.records.game_record import write_records
from tests.support.runs import run_once
from training import learner
from training.imitation import inverse_rl
from training.imitation.config import ImitationConfig
from training.imitation.examples import examples_of, split
from training.imitation.fit import fit
from training.players import network_of
from training.storage.run_folder import RunFolder

GAME = games.load("tic_tac_toe")
LINES = [[0, 1, 2], [3, 4, 5], [6, 7, 8], [0, 3, 6], [1, 4, 7], [2, 5, 8], [0, 4, 8], [2, 4, 6]]


def games_of_the_lowest_cell(count, seed=0):
    """Games of a player that takes the lowest free cell, after two random moves."""
    rng, records = np.random.default_rng(seed), []
    for _ in range(count):
        board, moves, winner = [-1] * 9, [], None
        while winner is None and -1 in board:
            free = [cell for cell in range(9) if board[cell] < 0]
            cell = int(rng.choice(free)) if len(moves) < 2 else free[0]
            seat = len(moves) % 2
            board[cell] = seat
            moves.append(cell)
            if any(all(board[c] == seat for c in line) for line in LINES):
                winner = seat
        returns = {None: (0.0, 0.0), 0: (1.0, -1.0), 1: (-1.0, 1.0)}[winner]
        records.append(GameRecord("tic_tac_toe", tuple(moves), returns, ("lowest", "lowest")))
    return records


def command(path, config, folder, **imitation):
    settings = ImitationConfig(**{"augment": False, "epochs": 12, **imitation})
    return train_imitate.run(
        train_imitate.Args(
            config, run_dir=str(folder), imitate=(str(path),), imitation=settings, json=True
        )
    )


@pytest.mark.slow
def test_a_clone_knows_its_experts_moves_in_games_it_has_not_seen_and_training_goes_on(
    tiny_config, tmp_path, capsys
):
    path = tmp_path / "lowest.jsonl"
    write_records(path, games_of_the_lowest_cell(300))
    with path.open("a") as file:
        file.write('{"game": "tic_tac_toe", "moves": [4, 4], "returns": [0, 0], ')
        file.write('"players": ["a", "b"]}\nno record\n')
    network = dataclasses.replace(tiny_config.network, channels=16)
    rate = dataclasses.replace(tiny_config.learner, learning_rate=1e-2, warmup_steps=5)
    config = dataclasses.replace(tiny_config, network=network, learner=rate, iterations=1)
    assert command(path, config, tmp_path / "run") == 0
    printed = capsys.readouterr()
    assert f"skipped: {path}, line 301: move 2, action 4, is illegal" in printed.err
    assert f"skipped: {path}, line 302: not JSON" in printed.err
    result = json.loads(printed.out)
    assert (result["games"], result["skipped"]) == (300, 2)
    # Two of about eight moves a game are random: who knows the expert gets 0.77 and 0.89.
    assert result["top1"] > 0.7, result
    assert result["top5"] > 0.78, result

    player = training.load_player(tmp_path / "run", simulations=0)
    states = jax.vmap(GAME.init)(jax.random.split(jax.random.key(0), 1))
    for action in (4, 8, 0):
        states = jax.vmap(GAME.step)(states, np.array([action]))
    assert player(states, jax.random.key(0)).action.tolist() == [1]
    assert run_once(tmp_path / "run", config)
    lines = RunFolder(tmp_path / "run").read_metrics()
    assert lines[0]["kind"] == "imitation"
    assert lines[-1]["iteration"] == 1
    with pytest.raises(ValueError, match="is there already"):
        command(path, config, tmp_path / "run")


def test_games_are_held_out_whole_and_equal_games_together():
    records = games_of_the_lowest_cell(200)
    learnt, tested = split(records, 0.25, seed=3)
    moves_learnt, moves_tested = ({r.moves for r in part} for part in (learnt, tested))
    assert not moves_learnt & moves_tested
    assert len(learnt) + len(tested) == len(records) > len(moves_learnt | moves_tested)
    assert len(moves_tested) == round(0.25 * len(moves_learnt | moves_tested))
    assert split(records, 0.25, seed=3) == (learnt, tested)
    assert split(records, 0.25, seed=4) != (learnt, tested)
    with pytest.raises(ValueError, match="at least 2 distinct games, got 1"):
        split(records[:1] * 5, 0.25, seed=3)


def test_examples_hold_what_the_mover_saw_did_and_got():
    records = games_of_the_lowest_cell(70)  # more than one chunk
    examples = examples_of(GAME, records)
    at = 0
    for number, record in enumerate(records):
        board = np.full(9, -1)
        for ply, action in enumerate(record.moves):
            seat = ply % 2
            own, other = (board == seat).reshape(3, 3), (board == 1 - seat).reshape(3, 3)
            np.testing.assert_array_equal(examples.observation[at], np.stack([own, other], -1))
            np.testing.assert_array_equal(examples.legal_action_mask[at], board == -1)
            got = (
                examples.action[at],
                examples.outcome[at],
                examples.ply[at],
                examples.game_id[at],
            )
            assert got == (action, record.returns[seat], ply, number)
            assert examples.policy_target[at].tolist() == np.eye(9)[action].tolist()
            board[action] = seat
            at += 1
    assert at == len(examples.ply)


def test_the_rate_stays_up_until_patience_ends_and_falls_from_the_best_pass(
    tiny_config, monkeypatch
):
    seen, lines = [], []

    def step(state, batch, horizon):
        """Learns nothing: the first pass stays the best one."""
        seen.append((int(state.step), float(horizon)))
        return state._replace(step=state.step + 1), {}

    monkeypatch.setattr(learner, "make_train_step", lambda *args: step)
    records = games_of_the_lowest_cell(20)
    learnt, tested = examples_of(GAME, records[:18]), examples_of(GAME, records[18:])
    config = dataclasses.replace(
        tiny_config, learner=dataclasses.replace(tiny_config.learner, warmup_steps=0)
    )
    steps = -(-len(learnt.ply) // config.learner.batch)
    network = network_of(config, GAME)
    for epochs, full, falling in ((30, 4, 1), (3, 2, 1), (1, 1, 0)):  # patience is 3
        seen.clear(), lines.clear()
        settings = ImitationConfig(epochs=epochs)
        fit(config, settings, GAME, network, learnt, tested, lines.append, lambda: False)
        assert len(seen) == (full + falling) * steps
        assert [line["epoch"] for line in lines] == list(range(1, full + falling + 1))
        rates = [float(learner.learning_rate(config.learner, *at)) for at in seen]
        assert rates[: full * steps] == pytest.approx([rates[0]] * full * steps)
        assert [at for at, _ in seen[full * steps :]] == [steps + i for i in range(falling * steps)]
        assert falling == 0 or rates[-1] < 0.5 * rates[0]


@pytest.mark.slow
def test_games_that_teach_nothing_are_said_to(tiny_config, tmp_path, capsys):
    path = tmp_path / "few.jsonl"
    write_records(path, games_of_the_lowest_cell(20))
    config = dataclasses.replace(tiny_config, iterations=1)
    assert command(path, config, tmp_path / "run", epochs=1) == 0
    said = capsys.readouterr().err
    assert "20 games are few: 1 passes over" in said
    assert "20 games taught next to nothing" in said


def test_inferred_values_prefer_what_the_expert_chose():
    rng = np.random.default_rng(1)
    records = []
    while len(records) < 80:  # this expert wants corners, whoever wins
        moves = [
            int(c) for c in (*rng.permutation([0, 2, 6, 8]), *rng.permutation([1, 3, 4, 5, 7]))
        ]
        board, played = [-1] * 9, []
        for move in moves:
            board[move] = len(played) % 2
            played.append(move)
            if any({board[c] for c in line} in ({0}, {1}) for line in LINES):
                break
        records.append(GameRecord("tic_tac_toe", tuple(played), (0.0, 0.0), ("a", "b")))
    examples = examples_of(GAME, records)
    judged = inverse_rl.infer_values(GAME, records, examples, seed=0)
    first = judged.q[judged.ply == 0].astype(float)
    assert first[:, [0, 2, 6, 8]].min() > first[:, [1, 3, 4, 5, 7]].max() + 0.1, first[0]
    legal_best = np.where(examples.legal_action_mask, judged.q, -1).max(1)
    np.testing.assert_allclose(judged.outcome, legal_best, atol=1e-3)


def test_what_cannot_be_imitated_is_refused_in_a_sentence(
    tiny_config, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    write_records("t.jsonl", games_of_the_lowest_cell(3))
    (tmp_path / "empty.jsonl").write_text("\n")
    for argv, sentence in [
        (["--imitate", "t.jsonl", "--game", "connect_four"], "a game of tic_tac_toe, not of c"),
        (["--imitate", "empty.jsonl", "--game", "hex"], "empty.jsonl holds no game"),
        (["--imitate", "empty.jsonl", "--game", "hex"], "no game of hex in empty.jsonl"),
        (["--imitate", ".", "--game", "hex"], ". is a folder"),
        (["--imitate", "nowhere.jsonl"], "nowhere.jsonl"),
        (["--imitation.epochs", "3"], "--imitate FILES, which is not given"),
        (["--imitate", "t.jsonl", "--workers", "2"], "--workers is not for it"),
        (
            ["--imitate", "t.jsonl", "--imitation.held-out", "1"],
            "held_out must be above 0 and below 1",
        ),
        (
            ["--imitate", "t.jsonl", "--imitation.loss", "action_values"],
            "records name moves, no values",
        ),
        (["--imitate", "t.jsonl", "--imitation.loss", "nothing"], "got 'nothing'"),
    ]:
        assert cli.run(["train", *argv, "--run-dir", "run"]) == 2, argv
        assert sentence in capsys.readouterr().err, argv
    assert not (tmp_path / "run").exists()
