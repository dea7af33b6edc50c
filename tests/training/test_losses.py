"""The losses: their values and gradients on tiny cases, against plain Python."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mcts import Evaluation, mask_illegal
from training import losses
from training.losses import LOSSES, Minibatch, reinforce_records

# One example, three actions of which the second is illegal.
LOGITS = [0.3, 5.0, -0.4]
VALUE, TARGET = 0.25, -0.5
WEIGHTS, PLAYED, Q, OUTCOME = [0.875, 0.0, 0.125], 2, [-0.25, 0.0, 0.75], 1.0
LEGAL = [True, False, True]


def batch():
    return Minibatch(
        observation=jnp.zeros((1, 1, 1, 1), bool),
        legal_action_mask=jnp.array([LEGAL]),
        policy_target=jnp.array([WEIGHTS], jnp.float16),
        action=jnp.array([PLAYED], jnp.int16),
        q=jnp.array([Q], jnp.float16),
        outcome=jnp.array([OUTCOME]),
        root_value=jnp.array([0.0]),
        weight=jnp.array([1.0]),
        symmetry=jnp.array([0]),
        policy_weight=jnp.array([1.0]),
    )


def policy(logits):
    total = math.exp(logits[0]) + math.exp(logits[2])
    return [math.exp(logits[0]) / total, 0.0, math.exp(logits[2]) / total]


def imitation(logits, value):
    p = policy(logits)
    return -(WEIGHTS[0] * math.log(p[0]) + WEIGHTS[2] * math.log(p[2]))


def cloning(logits, value):
    return -math.log(policy(logits)[PLAYED])


def action_values(logits, value):
    p = policy(logits)
    return sum(p[a] * (0.1 * math.log(p[a]) - Q[a]) for a in (0, 2))


def reinforce(logits, value):
    ratio = min(1.0, policy(LOGITS)[PLAYED] / WEIGHTS[PLAYED])  # at LOGITS: no gradient through it
    return -ratio * (OUTCOME - VALUE) * math.log(policy(logits)[PLAYED])


FORMULAS = {f.__name__: f for f in (imitation, cloning, action_values, reinforce)}


@pytest.mark.parametrize("name", LOSSES)
def test_values_and_gradients_equal_finite_differences_of_the_formula(name):
    def losses_of(logits, value):
        masked = mask_illegal(logits[None], jnp.array([LEGAL]))
        examples = LOSSES[name](Evaluation(masked, value[None]), batch(), jnp.array([TARGET]))
        return [example[0] for example in examples]

    logits, value = jnp.array(LOGITS), jnp.float32(VALUE)
    got_policy, got_value = losses_of(logits, value)
    assert float(got_policy) == pytest.approx(FORMULAS[name](LOGITS, VALUE), rel=1e-5)
    assert float(got_value) == pytest.approx((VALUE - TARGET) ** 2, rel=1e-5)

    gradient = jax.grad(lambda x: losses_of(x, value)[0])(logits)
    step = 1e-5
    for a in range(3):
        up, down = ([x + sign * step * (i == a) for i, x in enumerate(LOGITS)] for sign in (1, -1))
        slope = (FORMULAS[name](up, VALUE) - FORMULAS[name](down, VALUE)) / (2 * step)
        assert float(gradient[a]) == pytest.approx(slope, abs=1e-4), a
    by_value = [jax.grad(lambda v, i=i: losses_of(logits, v)[i])(value) for i in (0, 1)]
    assert [float(g) for g in by_value] == pytest.approx([0.0, 2 * (VALUE - TARGET)])


@pytest.mark.parametrize("outcome", [1.0, -1.0])
def test_an_experts_moves_are_learned_at_the_full_rate_where_it_did_better_than_expected(outcome):
    played = jnp.array([[0.0, 0.0, 1.0]], jnp.float16)  # as records have it: the move alone
    examples = batch()._replace(policy_target=played, outcome=jnp.array([outcome]))

    def loss(logits):
        masked = mask_illegal(logits[None], jnp.array([LEGAL]))
        return reinforce_records(Evaluation(masked, jnp.array([VALUE])), examples, jnp.zeros(1))[0][
            0
        ]

    p = policy(LOGITS)
    ratio = 1.0 if outcome > VALUE else p[PLAYED]
    wanted = [-ratio * (outcome - VALUE) * ((a == PLAYED) - p[a]) * LEGAL[a] for a in range(3)]
    np.testing.assert_allclose(jax.grad(loss)(jnp.array(LOGITS)), wanted, atol=1e-5)


def test_each_loss_moves_the_policy_to_what_its_name_says():
    ends = {"imitation": WEIGHTS, "cloning": [0, 0, 1], "reinforce": [0, 0, 1]}
    soft = [math.exp(q / 0.1) for q in Q]
    ends["action_values"] = [soft[0] / (soft[0] + soft[2]), 0, soft[2] / (soft[0] + soft[2])]
    for name, wanted in ends.items():

        def total(logits, name=name):
            masked = mask_illegal(logits[None], jnp.array([LEGAL]))
            examples = LOSSES[name](Evaluation(masked, jnp.zeros(1)), batch(), jnp.zeros(1))
            return examples[0][0]

        slope = jax.jit(jax.grad(total))
        logits = jnp.array(LOGITS)
        for _ in range(600):
            logits = logits - 1.0 * slope(logits)
        masked = mask_illegal(logits[None], jnp.array([LEGAL]))
        np.testing.assert_allclose(jax.nn.softmax(masked)[0], wanted, atol=0.02, err_msg=name)


def test_a_loss_of_ones_own_must_return_two_numbers_a_example(tmp_path, monkeypatch):
    (tmp_path / "own_loss.py").write_text(
        "def total(predicted, batch, value_target):\n    return (predicted.value.sum(), 0.0)\n"
        "def single(predicted, batch, value_target):\n    return predicted.value\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    predicted = Evaluation(jnp.zeros((1, 3)), jnp.zeros(1))
    for name, got in (("total", r"\[\(\), \(\)\]"), ("single", "Array")):
        with pytest.raises(ValueError, match=rf"two arrays of shape \(1,\).*got.*{got}"):
            losses.load(f"own_loss:{name}")(predicted, batch(), jnp.zeros(1))
    with pytest.raises(ValueError, match="has no function 'nothing'"):
        losses.load("own_loss:nothing")
