"""Divergence and entropy of policies, against sums in plain Python."""

import math

import numpy as np
import pytest

from selfplay.information import cross_entropy, jensen_shannon, kl_divergence

POLICIES = np.array([[0.5, 0.25, 0.25, 0.0], [1.0, 0.0, 0.0, 0.0], [0.1, 0.2, 0.3, 0.4]])
REFERENCES = np.array([[0.25, 0.25, 0.25, 0.25], [0.5, 0.5, 0.0, 0.0], [0.1, 0.2, 0.3, 0.4]])


def test_divergence_and_entropy_are_the_sums_of_their_definitions():
    for policy, reference, divergence, cross in zip(
        POLICIES,
        REFERENCES,
        kl_divergence(POLICIES, REFERENCES),
        cross_entropy(POLICIES, REFERENCES),
        strict=True,
    ):
        pairs = [(p, q) for p, q in zip(policy, reference, strict=True) if p > 0]
        assert divergence == pytest.approx(sum(p * math.log(p / q) for p, q in pairs), abs=1e-12)
        assert cross == pytest.approx(-sum(p * math.log(q) for p, q in pairs))


def test_an_action_that_the_reference_never_plays_costs_what_the_floor_says():
    sure, other = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    assert kl_divergence(sure, other)[0] == pytest.approx(-math.log(1e-30))
    assert kl_divergence(sure, other, 1e-3)[0] == pytest.approx(-math.log(1e-3))


def test_two_policies_are_as_far_apart_either_way_and_never_further_than_ln_2():
    apart = jensen_shannon(POLICIES, REFERENCES)
    np.testing.assert_allclose(apart, jensen_shannon(REFERENCES, POLICIES))
    for one, other, distance in zip(POLICIES, REFERENCES, apart, strict=True):
        middle = [(p + q) / 2 for p, q in zip(one, other, strict=True)]
        to_one = sum(p * math.log(p / m) for p, m in zip(one, middle, strict=True) if p > 0)
        to_other = sum(q * math.log(q / m) for q, m in zip(other, middle, strict=True) if q > 0)
        assert distance == pytest.approx((to_one + to_other) / 2, abs=1e-12)
    sure, other = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    assert jensen_shannon(sure, other)[0] == pytest.approx(math.log(2))
    assert jensen_shannon(sure, sure)[0] == 0
