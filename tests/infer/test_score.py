"""Scores of predictions: what they are, and what they are beside."""

import numpy as np
import pytest
from scipy.stats import betabinom, binom

from pkpd.infer.score import Baseline, log_mean, predictive, quantile, summary_of


def test_a_certain_probability_predicts_a_binomial_count():
    masses = predictive(np.full(10, 0.3), 20)
    assert masses == pytest.approx(binom.pmf(np.arange(21), 20, 0.3))
    assert [quantile(masses, level) for level in (0.025, 0.5, 0.975)] == [
        binom.ppf(level, 20, 0.3) for level in (0.025, 0.5, 0.975)
    ]


def test_a_beta_probability_predicts_a_beta_binomial_count():
    chances = np.random.default_rng(1).beta(2.0, 6.0, 40_000)
    assert predictive(chances, 15) == pytest.approx(betabinom.pmf(np.arange(16), 15, 2.0, 6.0), abs=2e-3)


def test_a_baseline_without_arms_knows_nothing_and_favours_no_count():
    masses = Baseline({}).predictive("regression", "none", 10)
    assert masses.sum() == pytest.approx(1.0)
    assert masses == pytest.approx(masses[::-1], rel=1e-9)


def test_a_baseline_learns_from_its_class_alone():
    arms = {("regression", "a"): [(2, 40, 1.0), (3, 50, 1.0), (2, 45, 1.0)]}
    known = Baseline(arms).predictive("regression", "a", 100)
    assert known @ np.arange(101) / 100 == pytest.approx(0.06, abs=0.03)
    other = Baseline(arms).predictive("regression", "b", 100)
    assert other @ np.arange(101) / 100 == pytest.approx(0.5, abs=0.01)


def test_a_weight_of_zero_is_no_arm():
    arms = {("alive", "a"): [(2, 40, 0.0)]}
    assert Baseline(arms).predictive("alive", "a", 10) == pytest.approx(
        Baseline({}).predictive("alive", "a", 10)
    )


def row(study, events, n, score, simple, span):
    low, high = span
    return {
        "study": study,
        "events": events,
        "n": n,
        "log_score": score,
        "baseline_log_score": simple,
        "lo50": low,
        "hi50": high,
        "lo95": 0.0,
        "hi95": 1.0,
    }


def test_the_summary_pairs_scores_and_counts_what_is_covered():
    rows = [
        row("one", 5, 10, -1.0, -2.0, (0.4, 0.6)),
        row("one", 1, 10, -2.0, -2.0, (0.4, 0.6)),
        row("two", 6, 10, -1.5, -3.0, (0.5, 0.9)),
        {"study": "two", "log_score": None},
    ]
    found = summary_of(rows)
    assert found["rows"] == 3
    assert found["log_score"] == pytest.approx(-1.5)
    assert found["difference"] == pytest.approx((1.0 + 0.0 + 1.5) / 3)
    assert found["covered50"] == pytest.approx(2 / 3)
    assert found["width50"] == pytest.approx((0.2 + 0.2 + 0.4) / 3)
    low, high = found["difference_ci95"]
    assert (low, high) == pytest.approx((0.5, 1.5))
    assert summary_of(rows[:2])["difference_ci95"] is None
    assert summary_of(rows[3:]) == {"rows": 0}


def test_log_mean_of_tiny_numbers():
    assert log_mean(np.array([-2000.0, -2000.0 + np.log(3.0)])) == pytest.approx(-2000.0 + np.log(2.0))
