"""Leaving a study out: what is left, its score against quadrature, and what a comparison may say."""

import numpy as np
import pytest
from scipy.stats import binom, halfnorm, norm

from pkpd.checks import InputError
from pkpd.infer.leave_out import Left, compare, score_left_out, studies_of, without
from tests.infer.test_levels import SPREAD, alive, made


def test_a_study_takes_its_deviations_with_it():
    left = without(made(), "two")
    assert [arm.study for arm in left.arms] == ["one"]
    assert left.names == ("survival.scale", "survival.scale.study_sd", "survival.scale[one]")
    assert studies_of(made()) == ("one", "two")
    assert studies_of(made(weights=(1.0, 0.0))) == ("one",)


def test_the_score_is_the_integral_over_a_new_deviation():
    problem = made()
    at = np.array([0.1, norm.ppf(0.8), -0.5])
    sd = halfnorm.ppf(0.8, scale=SPREAD)
    z = np.linspace(-7, 7, 4001)
    chance = binom.pmf(25, 50, alive(0.004 * np.exp(0.7 * 0.1 + sd * z)))
    expected = np.log(np.trapezoid(chance * norm.pdf(z), z))
    found = score_left_out(problem, "two", np.tile(at, (600, 1)), seed=3)
    assert found.log_score == pytest.approx(expected, abs=4 * found.error)
    assert 0.0 < found.error < 0.2


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


def test_variants_of_other_data_are_not_compared():
    with pytest.raises(InputError, match='not compared, but is "study 1"'):
        compare(("a", "b"), lefts(-2.0, -3.0), lefts(-2.0))
