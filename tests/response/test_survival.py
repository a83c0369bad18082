"""Survival and the summaries against integrals done elsewhere."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

from pkpd.quadrature import nodes_of
from pkpd.response import (
    Course,
    ExponentialSurvival,
    GompertzSurvival,
    LogLogisticSurvival,
    PerformanceStatus,
    WeibullSurvival,
)
from pkpd.response.summary import SUMMARIES, summarise

TIMES = np.unique(np.concatenate([np.arange(0.0, 43.0, 1.0), np.arange(42.0, 365.0, 3.5), [84.0, 365.0]]))


def size(t):
    return 0.004 * t - 0.35 * (1 - np.exp(-t / 30))


def excess(t):
    return np.where(
        t < 28, 3 * (1 - np.exp(-0.069 * t)), 3 * (1 - np.exp(-0.069 * 28)) * np.exp(-0.069 * (t - 28))
    )


def memory(t):
    """Integral of the excess, kmem = 0."""
    return quad(excess, 0, t, points=[28.0] if t > 28 else None, limit=200)[0]


@pytest.fixture
def course():
    times = np.concatenate([TIMES[:1], nodes_of(TIMES).ravel()])
    paths = {
        "log_ratio": jnp.asarray(size(times))[:, None],
        "excess": jnp.asarray(excess(times))[:, None],
        "memory": jnp.asarray([memory(t) for t in times])[:, None],
        "direct": jnp.zeros((len(times), 1)),
    }
    return Course(TIMES, paths, jnp.asarray(28.0))


def test_cumulative_hazard(course):
    outcome = WeibullSurvival(scale=0.0044, shape=1.23, b_size=0.9, b_effect=0.4, freeze=84.0)

    def hazard(t):
        shift = 0.9 * np.expm1(size(min(t, 84.0))) - 0.4 * memory(t) / 28
        return 1.23 * 0.0044**1.23 * t**0.23 * np.exp(shift)

    exact = quad(hazard, 0, 365.0, points=[28.0, 84.0], limit=200)[0]
    assert outcome.cumulative_hazard(course)[-1, 0] == pytest.approx(exact, rel=1e-8)


BASELINES = {
    "exponential": (ExponentialSurvival, {"scale": 0.004}, lambda t: 0.004 + 0 * t),
    "log-logistic": (
        LogLogisticSurvival,
        {"scale": 0.004, "shape": 1.7},
        lambda t: 1.7 * 0.004**1.7 * t**0.7 / (1 + (0.004 * t) ** 1.7),
    ),
    "gompertz": (GompertzSurvival, {"scale": 0.002, "growth": 0.003}, lambda t: 0.002 * np.exp(0.003 * t)),
}


@pytest.mark.parametrize("kind", BASELINES)
def test_baselines(course, kind):
    structure, numbers, baseline = BASELINES[kind]
    alone = structure(**numbers, freeze=84.0).cumulative_hazard(course)[-1, 0]
    assert alone == pytest.approx(quad(baseline, 0, 365.0, limit=200)[0], rel=1e-6)

    def hazard(t):
        return baseline(t) * np.exp(0.9 * np.expm1(size(min(t, 84.0))) - 0.4 * memory(t) / 28)

    outcome = structure(**numbers, b_size=0.9, b_effect=0.4, freeze=84.0)
    exact = quad(hazard, 0, 365.0, points=[28.0, 84.0], limit=200)[0]
    assert outcome.cumulative_hazard(course)[-1, 0] == pytest.approx(exact, rel=1e-6)


def test_half_are_alive_at_the_scale_of_the_log_logistic():
    edges = np.linspace(0.0, 250.0, 51)
    times = np.concatenate([edges[:1], nodes_of(edges).ravel()])
    none = {name: jnp.zeros((len(times), 1)) for name in ("log_ratio", "memory", "direct")}
    outcome = LogLogisticSurvival(scale=1 / 250.0, shape=1.7, freeze=84.0)
    found = outcome.cumulative_hazard(Course(edges, none, jnp.asarray(28.0)))[-1, 0]
    assert np.exp(-found) == pytest.approx(0.5, rel=1e-7)


def test_a_size_that_reaches_its_cap_within_a_cell():
    """A growing tumour, whose hazard has a kink between two times."""
    edges = np.linspace(0.0, 70.0, 21)
    times = np.concatenate([edges[:1], nodes_of(edges).ravel()])
    outcome = WeibullSurvival(scale=0.005, shape=1.2, b_size=0.8, b_effect=0.3, freeze=70.0)

    def hazard(t, rate):
        size = np.exp(min(rate * t, np.log(10.0)))
        return 1.2 * 0.005**1.2 * t**0.2 * np.exp(0.8 * (size - 1.0) - 0.3 * t / 28)

    def total(rate):
        growth = rate * jnp.asarray(times)[:, None]
        paths = {"log_ratio": growth, "memory": jnp.asarray(times)[:, None], "direct": 0.0 * growth}
        return outcome.cumulative_hazard(Course(edges, paths, jnp.asarray(28.0)))[-1, 0]

    def exact(rate):
        kink = np.log(10.0) / rate
        return sum(quad(hazard, a, b, (rate,), epsrel=1e-12)[0] for a, b in ((0.0, kink), (kink, 70.0)))

    assert total(0.045) == pytest.approx(exact(0.045), rel=1e-7)
    slope = (exact(0.045 + 1e-5) - exact(0.045 - 1e-5)) / 2e-5
    assert jax.grad(total)(0.045) == pytest.approx(slope, rel=1e-5)


def test_without_covariates_it_is_weibull(course):
    outcome = WeibullSurvival(scale=0.0044, shape=1.23, freeze=84.0)
    assert outcome.cumulative_hazard(course)[:, 0] == pytest.approx((0.0044 * TIMES) ** 1.23, rel=1e-12)


def test_summaries(course):
    found = {kind: np.asarray(summarise(kind, course))[:, 0] for kind in SUMMARIES}
    end = -1
    assert found["cumulative"][end] == pytest.approx(memory(365.0) / 28, rel=1e-6)
    assert found["memory"][end] == pytest.approx(memory(365.0) / 28, rel=1e-12)
    assert found["first 28 days"][end] == pytest.approx(memory(28.0) / 28, rel=1e-6)
    assert found["block mean"][end] == pytest.approx(memory(28.0) / 28, rel=1e-6)
    assert found["peak"][end] == pytest.approx(excess(28.0), rel=1e-12)


def test_performance_status(course):
    outcome = PerformanceStatus(b0=-1.5, b_effect=0.7, assessed=28.0)
    logit = -1.5 + 0.7 * memory(28.0) / 28
    assert np.exp(outcome.log_recorded(course))[1, 0, 0] == pytest.approx(1 / (1 + np.exp(-logit)), rel=1e-9)


@pytest.mark.parametrize("shape", [0.6, 1.0, 1.4])
def test_slopes_in_scale_and_shape_are_finite_from_the_start(course, shape):
    def hazard(scale, shape):
        return WeibullSurvival(scale=scale, shape=shape, freeze=84.0).cumulative_hazard(course)[-1, 0]

    point = (0.004, shape)
    slopes = jax.grad(hazard, (0, 1))(*point)
    total = (0.004 * 365) ** shape
    assert slopes == pytest.approx((total * shape / 0.004, total * np.log(0.004 * 365)), rel=1e-9)


def test_a_hazard_that_leaps_is_never_negative():
    """A climb from far away would end at a likelihood without bound where hazards fall steeply in a cell."""
    edges = np.arange(0.0, 85.0, 7.0)
    times = np.concatenate([edges[:1], nodes_of(edges).ravel()])
    zero = jnp.zeros((len(times), 1))
    for fall in (3.0, 30.0, 300.0):
        paths = {"memory": jnp.asarray(np.exp(-times) * fall)[:, None], "log_ratio": zero, "direct": zero}
        course = Course(edges, paths | {"excess": zero}, jnp.asarray(28.0))
        for shape in (0.008, 0.5, 3.0):
            outcome = WeibullSurvival(scale=0.01, shape=shape, b_effect=28.0, freeze=84.0)
            steps = outcome.hazard_steps(course)
            assert jnp.all(steps >= 0.0)
            slopes = jax.grad(lambda o, c=course: o.hazard_steps(c).sum())(outcome)
            assert all(np.isfinite(v) for v in jax.tree.leaves(slopes))
