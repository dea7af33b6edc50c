"""The doctor on real runs: it names what a user did wrong, and finds nothing in healthy runs."""

import dataclasses
import hashlib
import json
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import training
from mcts import SearchConfig, mask_illegal
from scripts import cli
from scripts.doctor import _text
from selfplay import example
from selfplay.config import SelfPlayConfig
from selfplay.perfect import mistakes
from tests.planted.faults import FAULTS
from training import losses, presets
from training.config import RunConfig
from training.doctor import (
    CHECKS,
    Diagnosis,
    diagnose,
    evidence,
    exploration,
    lessons,
    overseer,
    refit,
    searching,
    values,
    weights,
)
from training.doctor import games as games_module
from training.doctor.evidence import gather
from training.doctor.examples import replay, rules
from training.doctor.findings import FAULTS as KNOWN
from training.doctor.findings import Finding, Result
from training.evaluation.train_run import train_folder
from training.metrics import GateLine
from training.report import verdict
from training.settings import (
    EvaluationConfig,
    LearnerConfig,
    NetworkConfig,
    OverseerConfig,
    ReplayConfig,
)
from training.storage.run_folder import RunFolder

TIC_TAC_TOE = RunConfig(
    game="tic_tac_toe",
    iterations=24,
    network=NetworkConfig(blocks=1, channels=8, value_hidden=8),
    search=SearchConfig(simulations=8),
    self_play=SelfPlayConfig(
        batch=32, plies_per_call=8, random_opening_plies=4, temperature_plies=4
    ),
    replay=ReplayConfig(capacity=20_000, min_examples=400, samples_per_example=8.0),
    learner=LearnerConfig(batch=64, warmup_steps=20, root_value_weight=0.5),
    evaluation=EvaluationConfig(every=12, simulations=8, positions=500),
)
CONNECT_FOUR = dataclasses.replace(
    TIC_TAC_TOE,
    game="connect_four",
    iterations=40,
    self_play=SelfPlayConfig(batch=32, plies_per_call=16, random_opening_plies=8),
    search=SearchConfig(simulations=16),
    replay=ReplayConfig(capacity=50_000, min_examples=1_000, samples_per_example=6.0),
    learner=LearnerConfig(batch=128, warmup_steps=20, root_value_weight=0.5),
)
# What `make test` has time for: about 450 training steps.
SHORT = dataclasses.replace(
    TIC_TAC_TOE,
    iterations=14,
    evaluation=dataclasses.replace(
        TIC_TAC_TOE.evaluation, every=7, games=2, gap_positions=0, strength_games=0
    ),
)
NO_LIMIT = 3600.0  # seconds: what the doctor finds must not hang on how busy the machine is
GAMES = {"tic_tac_toe": TIC_TAC_TOE, "connect_four": CONNECT_FOUR}


def run(path, config, fault=None):
    """Trains in a new folder, with the fault if any."""
    folder = RunFolder(path)
    folder.create(fault.config(config) if fault else config)
    with folder.lock():
        train_folder(folder, folder.read_config(), lambda line: None, lambda: False)
    return folder


def told(diagnosis):
    return "\n".join(
        [f"{r.check}: {r.verdict}: {r.summary}" for r in diagnosis.results]
        + [f"{f.fault}: {f.sentence}" for f in diagnosis.findings]
    )


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    return run(tmp_path_factory.mktemp("doctor") / "healthy", SHORT)


def everything_in(path):
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return {str(f): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def test_a_healthy_run_has_no_finding_and_is_read_while_its_lock_is_held(healthy, capsys):
    before = everything_in(healthy.path)
    with healthy.lock():  # as if it were still training
        locked = everything_in(healthy.path)
        assert cli.run(["doctor", str(healthy.path), "--json", "--seconds", str(NO_LIMIT)]) == 0
        after = everything_in(healthy.path)
        assert after.pop(str(healthy.report / "doctor.json"))
        assert after == locked
    assert before.keys() == locked.keys()
    result = json.loads(capsys.readouterr().out)
    assert verdict.read(healthy)["step"] == result["step"]
    assert result["findings"] == [], result
    assert result["healthy"]
    assert len(result["checks"]) == CHECKS
    verdicts = {check["check"]: check["verdict"] for check in result["checks"]}
    assert set(verdicts.values()) <= {"healthy", "too early"}, verdicts
    for name in ("rules", "replay", "games", "weights", "value", "search"):
        assert verdicts[name] == "healthy", verdicts


def without_training(tree, start, name):
    """Returns weights in which the layers of this name are as they were at the start."""
    return jax.tree_util.tree_map_with_path(
        lambda path, now, first: first if name in jax.tree_util.keystr(path) else now, tree, start
    )


def with_params(weights, params):
    """Returns the weights with others, which their averages have followed."""
    trained, average = (held._replace(params=params) for held in (weights.trained, weights.average))
    return weights._replace(trained=trained, average=average)


def changed(found, **changes):
    return dataclasses.replace(found, **changes)


def planted(found):
    """Yields what a run's evidence would be with a fault in training, and the fault's name."""
    start, now, examples = found.initial, found.newest, found.examples
    shrunk = jax.tree.map(lambda leaf: leaf * 0.3, now.trained.params)
    yield (
        weights.weights,
        changed(found, newest=with_params(now, shrunk)),
        "weight-decay-too-high",
    )
    for head, named in (("policy", "policy-untrained"), ("value", "value-untrained")):
        still = without_training(now.trained.params, start.average.params, head)
        # Weight decay goes on without a gradient.
        still = jax.tree.map(lambda leaf: leaf * np.float32(0.9999), still)
        yield weights.weights, changed(found, newest=with_params(now, still)), named
    # As if the network had learned the other sign of what the examples say.
    turned = examples._replace(outcome=-examples.outcome, root_value=-examples.root_value)
    yield values.value, changed(found, examples=turned), "value-sign"
    turned = examples._replace(root_value=-examples.root_value)
    yield values.value, changed(found, examples=turned), "value-sign"
    for off in (-0.4, 0.4):
        shifted = examples._replace(root_value=examples.root_value + np.float32(off))
        yield values.value, changed(found, examples=shifted), "value-biased"
    shifted = examples._replace(raw_value=examples.raw_value - np.float32(0.4))
    yield values.value, changed(found, examples=shifted), "value-biased"
    risen = [
        dataclasses.replace(line, policy_loss=1.0 * i) for i, line in enumerate(found.iterations, 1)
    ]
    yield games_module.learning, changed(found, iterations=risen), "learning-rate-too-high"
    small = [dataclasses.replace(line, window=9) for line in found.iterations]
    yield replay, changed(found, iterations=small), "tiny-replay"
    # As if the game's rules had changed since the run began.
    for column in ("outcome", "observation", "legal_action_mask"):
        other = {column: np.roll(getattr(examples, column), 1, axis=0)}
        yield rules, changed(found, examples=examples._replace(**other)), "wrong-examples"


def test_faults_in_training_are_told_apart_by_what_they_leave(healthy):
    for check, found, named in planted(gather(healthy)):
        faults = [finding.fault for finding in check(found).findings]
        # Units may die of weights that shrink.
        also = ["dead-units"] if named == "weight-decay-too-high" else []
        assert faults in ([named], [named, *also]), (check.__name__, named, faults)


@pytest.mark.parametrize(("moved", "named"), [(0.0, []), (0.6, ["no-exploration"])])
def test_noise_that_changes_nothing_is_a_fault_unless_search_moves_nothing(
    moved, named, healthy, monkeypatch
):
    measured = {"searched": 128, "changed": 0.0, "moved": moved}
    monkeypatch.setattr(exploration, "_searched", lambda found: measured)
    found = gather(healthy)
    assert [f.fault for f in exploration.exploration(found).findings] == named


def test_noise_is_measured_on_the_run_s_own_positions(healthy):
    found = gather(healthy)
    measured = exploration.exploration(found).measured
    assert measured["changed"] > 0.1, measured
    quiet = dataclasses.replace(found.config.search, gumbel_scale=1e-6)
    quiet = changed(found, config=dataclasses.replace(found.config, search=quiet))
    assert [f.fault for f in exploration.exploration(quiet).findings] == ["no-exploration"]


def test_a_run_of_which_no_game_can_be_played_again_is_too_early_for_the_rules(healthy):
    known = gather(healthy)
    nothing = jax.tree.map(lambda leaf: leaf[:0], known.replayed)
    assert rules(changed(known, replayed=nothing)).verdict == "too early"


def test_few_games_that_are_played_again_and_again_say_nothing_of_a_value_s_bias(healthy):
    found = gather(healthy)
    off = found.examples._replace(root_value=found.examples.root_value + np.float32(0.4))
    assert [f.fault for f in values.value(changed(found, examples=off)).findings] == [
        "value-biased"
    ]
    newest = np.unique(off.game_id)[-3:]  # the oldest are not judged: they were hardly taught
    few = example.take(off, np.isin(off.game_id, newest))
    names = np.arange(500).repeat(len(few.ply))
    again = example.take(few, np.tile(np.arange(len(few.ply)), 500))
    again = again._replace(
        game_id=again.game_id + 1_000_000 * names, root_value=again.outcome + np.float32(0.4)
    )
    assert values.biases(changed(found, examples=again)) == {}


def test_advice_on_a_learning_rate_names_the_preset_s_and_the_one_that_was_tried():
    config = presets.preset("quick", "connect_four")
    fast = dataclasses.replace(config.learner, learning_rate=16.0)
    run = types.SimpleNamespace(
        config=dataclasses.replace(config, learner=fast),
        newest=types.SimpleNamespace(step=100),
        usual=config,
    )
    assert evidence.Evidence.usual.fget(run) == config
    grown = weights._moves(run, 1.0, 99.0, 1.0)[0]
    usual = f"{config.learner.learning_rate:g} with {config.learner.optimizer}"
    assert grown.holds
    assert f"(16) is too high; the run's preset has {usual}" in grown.sentence
    own, plain = (refit.ByHeart(150, left, left, 0.0) for left in (0.9, 0.1))
    found = refit.cannot_overfit(run, own, plain)
    assert found.fault == "learning-rate-too-high"
    tried = f"{refit.DEFAULT.optimizer} and {refit.DEFAULT.learning_rate:g} it can"
    assert tried in found.sentence


def test_a_report_without_findings_says_what_could_not_be_judged():
    judged = Result("", {}, check="rules")
    early = Result("", {}, unjudged="training has hardly begun", check="value")
    wholly, partly = (Diagnosis(9, results) for results in ((judged,), (judged, early)))
    assert _text("runs/x", wholly).splitlines()[-1] == "no finding"
    assert "1 of 2 checks could not be judged" in _text("runs/x", partly).splitlines()[-2]
    assert [d.as_json()["healthy"] for d in (wholly, partly)] == [True, None]


def test_examples_are_as_old_as_the_weights_that_the_gate_let_through(healthy):
    found = gather(healthy)
    old = found.examples._replace(weights_step=np.zeros_like(found.examples.weights_step))
    gate = GateLine(
        iteration=1,
        step=9,
        seconds=1.0,
        actor_step=0,
        games=40,
        simulations=4,
        opening_plies=2,
        score=0.5,
        interval=(0.4, 0.6),
        promoted=False,
    )
    gated = dataclasses.replace(found.config, gate=0.55)
    for config, promoted, named in (
        (found.config, False, ["stale-weights"]),
        (gated, False, []),
        (gated, True, ["stale-weights"]),
    ):
        gates = [dataclasses.replace(gate, promoted=promoted, score=0.6 if promoted else 0.5)]
        result = replay(changed(found, examples=old, config=config, gates=gates))
        assert [finding.fault for finding in result.findings] == named, (config.gate, promoted)


def test_causes_come_before_their_consequences():
    named = ("policy-untrained", "wrong-examples")
    results = tuple(Result("", {}, (Finding(fault, ""),)) for fault in named)
    found = Diagnosis(9, results).findings
    assert [finding.fault for finding in found] == ["wrong-examples", "policy-untrained"]


def test_a_policy_that_decisions_teach_is_not_judged_by_the_examples_of_games(healthy):
    found = gather(healthy)
    run, fresh = (lessons.Explained(policy, 0.3, 0.5) for policy in (-0.01, 0.42))
    taught = dataclasses.replace(found.config, overseer=OverseerConfig(decisions="absent.jsonl"))
    for config, is_judged in ((found.config, True), (taught, False)):
        findings = lessons._unlearned(changed(found, config=config), run, fresh)
        assert [finding.fault for finding in findings] == ["unlearned"] * is_judged


def test_a_value_that_foresees_next_to_nothing_is_too_early_to_judge(healthy):
    found = gather(healthy)
    chance = np.random.default_rng(0).choice([-1.0, 1.0], len(found.examples.outcome))
    result = values.value(
        changed(found, examples=found.examples._replace(outcome=np.float32(chance)))
    )
    assert result.verdict == "too early", result
    assert "too little to judge" in result.unjudged


def test_decisions_that_differ_in_images_of_a_position_are_named(healthy, tmp_path):
    found = gather(healthy)
    image = found.game.symmetries()[1]
    written = {}
    for moves in list(found.recorded.values())[-20:]:
        for line in (moves, image.on_action(np.array(moves)).tolist()):
            for ply in range(1, 6):
                legal = sorted(set(range(9)) - set(line[:ply]))
                written[tuple(line[:ply])] = legal[0]
    lines = [
        {"game": "tic_tac_toe", "moves": list(moves), "weights": {str(action): 1}, "value": 0}
        for moves, action in written.items()
    ]
    file = tmp_path / "decisions.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    for augment, named in ((True, ["overseer-averaged"]), (False, [])):
        settings = OverseerConfig(decisions=str(file), augment=augment)
        config = dataclasses.replace(found.config, overseer=settings)
        result = overseer.overseer(changed(found, config=config))
        assert [finding.fault for finding in result.findings] == named, result.measured


def test_a_target_on_an_illegal_action_is_a_large_loss_and_no_infinite_one():
    shape = (64, 9)
    logits = mask_illegal(jnp.zeros(shape), jnp.arange(9) < 1)  # one legal action
    target = jnp.full(shape, 1 / 9)
    loss = np.asarray(losses.cross_entropy(logits, target))
    assert np.isfinite(loss.sum())
    assert loss.min() > 1_000
    slope = jax.grad(lambda x: losses.cross_entropy(x, target).sum())(logits)
    assert np.isfinite(slope).all()


@pytest.mark.slow
def test_a_flipped_sign_in_the_value_target_is_named_with_what_to_change(tmp_path, capsys):
    folder = run(tmp_path / "climbed", SHORT, FAULTS["value_climbed"])
    assert cli.run(["doctor", str(folder.path), "--seconds", str(NO_LIMIT)]) == 0
    said = capsys.readouterr().out
    first = said.partition("the likeliest cause:\n")[2]
    assert first.startswith("  value-sign: "), said
    assert "points the wrong way" in " ".join(first.split())
    assert "healthy:" in first
    assert "change:" in first


@pytest.mark.parametrize("augment", [pytest.param(True, marks=pytest.mark.slow), False])
def test_an_overseer_worse_than_a_is_named_and_so_is_one_that_symmetries_average(augment, tmp_path):
    config = dataclasses.replace(
        SHORT,
        amplify="tests.planted.lowest_overseer:lowest",
        learner=dataclasses.replace(SHORT.learner, augment=augment),
        evaluation=dataclasses.replace(SHORT.evaluation, gap_positions=32, strength_games=16),
    )
    folder = run(tmp_path / "run", config)
    found = gather(folder)
    result = overseer.overseer(found)
    named = {finding.fault for finding in result.findings}
    assert named == {"overseer-weaker"} | ({"overseer-averaged"} if augment else set())
    assert "with A's search" in result.summary
    assert "Elo" in result.summary
    assert exploration.exploration(found).unjudged
    states = mistakes.first(mistakes.load_positions("tic_tac_toe")["all"], 500).states
    player = training.load_player(folder.path, simulations=0)
    follows = player(states, jax.random.key(0)).action == states.legal_action_mask.argmax(axis=1)
    assert (np.mean(follows) > 0.9) == (not augment), np.mean(follows)


def test_a_run_that_has_just_begun_is_too_early_to_judge_and_has_no_finding(tiny_run):
    diagnosis = diagnose(RunFolder(tiny_run), seconds=0.1)
    verdicts = {result.check: result.verdict for result in diagnosis.results}
    assert not diagnosis.findings, told(diagnosis)
    assert {verdicts[name] for name in ("weights", "value", "lessons")} == {"too early"}, verdicts
    assert all(r.unjudged for r in diagnosis.results if r.verdict == "too early")


def test_a_folder_without_a_save_is_refused_with_a_sentence(tmp_path, tiny_config):
    RunFolder(tmp_path / "new").create(tiny_config)
    with pytest.raises(ValueError, match="no checkpoint yet"):
        diagnose(RunFolder(tmp_path / "new"))


def test_every_planted_fault_has_a_name_that_the_doctor_knows():
    assert {fault.named for fault in FAULTS.values()} <= set(KNOWN)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("game", GAMES)
def test_healthy_runs_have_no_finding(game, seed, tmp_path):
    folder = run(tmp_path / "run", dataclasses.replace(GAMES[game], seed=seed))
    diagnosis = diagnose(folder, NO_LIMIT)
    assert not diagnosis.findings, told(diagnosis)


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("game", GAMES)
def test_every_planted_fault_is_named_first(game, fault, tmp_path):
    folder = run(tmp_path / "run", dataclasses.replace(GAMES[game], seed=4), FAULTS[fault])
    diagnosis = diagnose(folder, NO_LIMIT)
    assert diagnosis.findings, told(diagnosis)
    assert diagnosis.findings[0].fault == FAULTS[fault].named, told(diagnosis)


def test_an_action_counts_as_valued_where_no_other_has_its_value_or_it_ends_the_game():
    q = np.array([[0.5, 0.25, 0.25, 0.25], [1, 1, 0.25, 0.25], [0.5, -0.5, 0.25, 0]], np.float16)
    mask = np.array([[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 0]], bool)
    examples = example.make(np.zeros((3, 1, 1, 1)), legal_action_mask=mask, q=q)
    assert searching.actions_valued(examples) == pytest.approx((1 + 2 + 3) / 3)
