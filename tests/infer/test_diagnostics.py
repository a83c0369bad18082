"""Diagnostics on samples whose properties are known; priors against scipy."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from pkpd.infer.diagnostics import (
    Draws,
    directions,
    in_words,
    only_together,
    pareto_k,
    smoothed,
    summary,
    where_divergent,
)
from pkpd.infer.mode import Mode
from pkpd.infer.prior import Prior, beta1_below


def draws(points):
    shape = points.shape[:2]
    flat = np.zeros(shape)
    energy = np.random.default_rng(0).standard_normal(shape)
    return Draws(points, flat, flat > 1, flat, energy)


def test_effective_sample_size_of_a_correlated_chain():
    rng, rho = np.random.default_rng(1), 0.6
    chain = np.zeros((4, 5000, 1))
    for t in range(1, 5000):
        chain[:, t] = rho * chain[:, t - 1] + np.sqrt(1 - rho**2) * rng.standard_normal((4, 1))
    found = summary(draws(chain), ["a"])
    assert found["ess_bulk_min"] == pytest.approx(20_000 * (1 - rho) / (1 + rho), rel=0.15)
    assert found["rhat_max"] < 1.01


def test_chains_that_disagree_are_seen():
    rng = np.random.default_rng(2)
    apart = rng.standard_normal((4, 500, 1)) + np.arange(4)[:, None, None]
    wider = rng.standard_normal((4, 500, 1)) * np.array([1, 1, 1, 3])[:, None, None]
    assert summary(draws(apart), ["a"])["rhat_max"] > 1.2
    assert summary(draws(wider), ["a"])["rhat_max"] > 1.05  # same centre: only the folded ranks tell


def test_where_divergent_iterations_are():
    points = np.random.default_rng(5).standard_normal((4, 500, 2))
    sample = draws(points)
    assert where_divergent(sample, ["a", "b"]) == ""
    small = sample._replace(diverging=points[..., 1] < -2.0)
    assert where_divergent(small, ["a", "b"]) == "where b is small"
    some = sample._replace(diverging=np.arange(500) % 100 == np.zeros((4, 1)))
    assert where_divergent(some, ["a", "b"]) == "anywhere"


@pytest.mark.parametrize("shape", [0.2, 0.5, 0.9])
def test_pareto_k_of_pareto_weights(shape):
    weights = stats.genpareto.rvs(shape, size=40_000, random_state=5)
    assert pareto_k(np.log(weights)) == pytest.approx(shape, abs=0.12)


def test_equal_weights_have_no_tail():
    assert pareto_k(np.zeros(100)) == 0.0
    assert smoothed(np.zeros(100)) == pytest.approx(np.full(100, 0.01))


def test_smoothed_weights_mean_what_the_weights_mean():
    """From N(0, 1) to N(0, 0.8^2), and to a wider one, whose weights have a heavy tail."""
    x = np.random.default_rng(3).standard_normal(20_000)
    narrow = smoothed(stats.norm.logpdf(x, 0.1, 0.8) - stats.norm.logpdf(x))
    assert narrow.sum() == pytest.approx(1.0)
    assert narrow @ x == pytest.approx(0.1, abs=0.02)
    logs = stats.norm.logpdf(x, 0.0, 1.3) - stats.norm.logpdf(x)
    wide, raw = smoothed(logs), np.exp(logs) / np.exp(logs).sum()
    assert wide.max() < 1.01 * raw.max()
    assert abs(wide @ x**2 - 1.69) < 0.15
    assert np.all(np.argsort(wide)[:-200] == np.argsort(raw)[:-200])


def test_what_is_known_only_together():
    """A likelihood of a b^2 alone, with log SDs of 1 and 0.5: the power is that of the parameters."""
    priors = [("a", Prior("lognormal", 1.0, 1.0)), ("b", Prior("lognormal", 1.0, 0.5))]
    normal = np.array([1.0, 2.0 * 0.5])
    mode = Mode(np.zeros(2), 0.0, 0.0, np.eye(2) + 20.0 * np.outer(normal, normal))
    loose = {"a": 0.4, "b": 0.4}
    (line,) = only_together(mode, priors, loose)
    assert sorted(line.replace("only ", "").split(" is ")[0].split(" x ")) in (["a", "b^2.0"], ["a^0.5", "b"])
    assert only_together(mode, priors, {"a": 0.9, "b": 0.4}) == []
    mixed = [priors[0], ("b", Prior("normal", 0.0, 1.0))]
    (line,) = only_together(mode, mixed, loose)
    assert "only a combination of" in line


def test_directions_and_words():
    hessian = np.diag([1.0, 5.0, 1.5])
    mode = Mode(np.zeros(3), 0.0, 0.0, hessian)
    assert directions(mode, ["a", "b", "c"]) == ["1.00 b (the data say 4.0 times what the prior says)"]
    assert in_words({"a": 0.9, "b": 0.3, "c": 0.0}) == [
        "the data inform: a (0.90)",
        "the data partly inform: b (0.30)",
        "the prior decides: c (0.00)",
    ]


@pytest.mark.parametrize(
    ("prior", "law"),
    [
        (Prior("lognormal", 3.0, 0.4), stats.lognorm(0.4, scale=3.0)),
        (Prior("normal", -1.5, 1.5), stats.norm(-1.5, 1.5)),
        (beta1_below(0.02), stats.beta(1, np.log(0.05) / np.log(0.98))),
    ],
)
def test_priors_are_the_named_laws(prior, law):
    shares = np.array([0.001, 0.025, 0.5, 0.9, 0.999])
    x = stats.norm.ppf(shares)
    assert prior.natural(jnp.asarray(x)) == pytest.approx(law.ppf(shares), rel=1e-9)
    assert prior.interval() == pytest.approx(law.ppf([0.025, 0.975]), rel=1e-9)
    assert prior.sd() == pytest.approx(law.std(), rel=1e-3)


def test_logit_normal():
    prior = Prior("logitnormal", 0.3, 0.8)
    expected = 1 / (1 + np.exp(-(np.log(3 / 7) + 0.8 * 1.2)))
    assert prior.natural(jnp.asarray(1.2)) == pytest.approx(expected, rel=1e-12)


def test_a_range_is_the_central_95_per_cent():
    assert Prior("lognormal", 6.0, np.log(3.0) / 1.959963984540054).interval() == pytest.approx((2.0, 18.0))
