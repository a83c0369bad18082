"""Leaving a study out: what is left, its score against quadrature, and what a comparison may say."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import binom, halfnorm, norm

from pkpd.checks import InputError
from pkpd.infer.leave_out import (
    Left,
    compare,
    reweighted,
    score_left_out,
    studies_of,
    weigh_left_out,
    without,
)
from pkpd.infer.problem import evaluator
from tests.infer.test_levels import SPREAD, alive, made


def test_what_is_left_out_has_no_weight_and_keeps_its_deviation():
    left = without(made(), "two")
    assert [arm.weight for arm in left.arms] == [1.0, 0.0]
    assert left.names == made().names
    assert studies_of(made()) == ("one", "two")
    assert studies_of(left) == ("one",)


def test_an_evaluator_serves_other_weights():
    problem, left = made(weights=(0.5, 1.0)), without(made(weights=(0.5, 1.0)), "two")
    x = jnp.array([0.1, 0.2, -0.5, 0.7])
    expected = evaluator(left)(left.patients, x)
    found = reweighted(left, evaluator(problem))(left.patients, x)
    assert found.log_likelihood == pytest.approx(float(expected.log_likelihood), rel=1e-12)
    assert found.by_arm[1] < 0.0


def test_the_score_is_the_integral_over_a_new_deviation():
    problem, sd = made(), halfnorm.ppf(0.8, scale=SPREAD)
    z = np.linspace(-7, 7, 4001)
    chance = binom.pmf(25, 50, alive(0.004 * np.exp(0.7 * 0.1 + sd * z)))
    expected = np.log(np.trapezoid(chance * norm.pdf(z), z))
    draws = np.tile(np.array([0.1, float(norm.ppf(0.8)), -0.5, 0.0]), (600, 1))
    draws[:, 3] = np.random.default_rng(3).standard_normal(600)
    found = score_left_out(problem, evaluator(problem), "two", draws.reshape(4, 150, 4))
    assert found.log_score == pytest.approx(expected, abs=4 * found.error)
    assert 0.0 < found.error < 0.2


def test_weights_leave_out_what_sampling_leaves_out():
    """A study of so few patients that the posteriors with and without it are alike, by quadrature."""
    problem = made(levels=(), weights=(1.0, 0.5))
    z = np.linspace(-5, 5, 20001)
    likely = [binom.logpmf(count, 50, alive(0.004 * np.exp(0.7 * z))) for count in (12, 15)]
    alone = norm.pdf(z) * np.exp(likely[0])
    expected = np.log(np.sum(alone * np.exp(likely[1])) / alone.sum())
    whole = norm.pdf(z) * np.exp(likely[0] + 0.5 * likely[1])
    draws = np.random.default_rng(5).choice(z, 4000, p=whole / whole.sum())
    by_arm = np.stack([np.interp(draws, z, each) for each in likely], axis=1)
    found = weigh_left_out(problem, "two", by_arm)
    assert found.pareto_k < 0.7
    assert 500 < found.size < 4000
    assert found.left.log_score == pytest.approx(expected, abs=4 * found.left.error)
    assert 0.0 < found.left.error < 0.1


def lefts(*scores):
    return {f"study {i}": Left(score, 0.01) for i, score in enumerate(scores)}


def test_a_small_difference_is_no_preference():
    found = compare(("a", "b"), lefts(-2.0, -3.0, -1.0), lefts(-2.5, -2.4, -1.2))
    assert "no preference" in found.words
    assert found.difference == pytest.approx(0.1)
    assert found.error == pytest.approx(np.sqrt(3) * np.std([0.5, -0.6, 0.2], ddof=1))


def test_a_large_difference_names_the_better_one():
    found = compare(("a", "b"), lefts(-2.0, -3.0, -1.0), lefts(-4.0, -5.1, -3.2))
    assert found.words.startswith("a predicts studies that it has not seen better: +6.3")


def test_two_standard_errors_over_few_studies_are_no_preference():
    """Over four studies 3.3 are as rare as two over many."""
    gaps = np.array([1.0, 0.5, 0.1, 0.4])
    found = compare(("a", "b"), lefts(*gaps), lefts(0.0, 0.0, 0.0, 0.0))
    assert 2.0 < found.difference / found.error < 3.3
    assert "no preference" in found.words
    found = compare(("a", "b"), lefts(*(gaps + 0.3)), lefts(0.0, 0.0, 0.0, 0.0))
    assert found.difference / found.error > 3.4
    assert found.words.startswith("a predicts")


def test_equal_variants_and_a_single_study_are_no_preference():
    for scores in ((-1.0, -2.0), (-1.0,)):
        assert "no preference" in compare(("a", "b"), lefts(*scores), lefts(*scores)).words
    assert "no preference" in compare(("a", "b"), lefts(-1.0), lefts(-9.0)).words


def test_variants_of_other_data_are_not_compared():
    with pytest.raises(InputError, match='not compared, but is "study 1"'):
        compare(("a", "b"), lefts(-2.0, -3.0), lefts(-2.0))
