"""The response rule against a direct simulation of measured sizes, visit by visit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from pkpd.response import Course, WHOResponse
from pkpd.response.quadrature import filled

VISITS = (28.0, 56.0, 84.0, 112.0)


def course_of(visits, **paths):
    """A course that is known at visits."""
    edges = np.asarray(visits)
    return Course(edges, {port: filled(edges, path) for port, path in paths.items()}, jnp.asarray(28.0))


def simulated(sizes, sigma, visits, confirmation, seed=1, n=200_000):
    """Share of patients confirmed by each visit; sizes are latent log ratios at the visits."""
    rng = np.random.default_rng(seed)
    baseline = sigma * rng.standard_normal(n)
    free, last_below, done = np.ones(n, bool), np.zeros(n, bool), np.zeros(n, bool)
    nadir, found = 0.0, []
    for k, size in enumerate(sizes):
        below = size + sigma * rng.standard_normal(n) - baseline <= np.log(np.sqrt(0.5))
        apart = k > 0 and visits[k] - visits[k - 1] >= confirmation
        done |= free & below & last_below & apart
        progressed = rng.random(n) > norm.cdf((np.log(np.sqrt(1.25)) - (size - nadir)) / (sigma * np.sqrt(2)))
        free &= below | ~progressed
        last_below = below
        nadir = min(nadir, size)
        found.append(done.mean())
    return np.array(found)


@pytest.mark.parametrize(
    "sizes",
    [
        (-0.3, -0.35, -0.4, -0.45),
        (-0.36, -0.30, -0.40, -0.38),
        (0.1, -0.1, -0.4, -0.5),
        (-0.5, -0.2, -0.05, 0.3),
    ],
)
@pytest.mark.parametrize(("visits", "confirmation"), [(VISITS, 28.0), ((28.0, 49.0, 70.0, 98.0), 28.0)])
def test_recursion_is_the_rule(sizes, visits, confirmation):
    outcome = WHOResponse(sigma=0.08, visits=visits, confirmation=confirmation)
    course = course_of(visits, log_ratio=jnp.asarray(sizes)[:, None])
    missed, exact = np.exp(np.asarray(outcome.log_recorded(course))[:, :, 0])
    assert missed + exact == pytest.approx(1.0, abs=1e-12)
    assert exact == pytest.approx(simulated(sizes, 0.08, visits, confirmation), abs=0.004)


def simulated_kinds(sizes, diameters, sigma, visits, confirmation, detection, seed=2, n=200_000):
    """Share of patients by best response [kinds, visits], told from measured sizes one by one."""
    rng = np.random.default_rng(seed)
    baseline = sigma * rng.standard_normal(n)
    ended, responded, complete = np.zeros(n, bool), np.zeros(n, bool), np.zeros(n, bool)
    progressive, last_below, last_gone = np.zeros(n, bool), np.zeros(n, bool), np.zeros(n, bool)
    nadir, found = 0.0, []
    for k, size in enumerate(sizes):
        error = sigma * rng.standard_normal(n)
        below = size + error - baseline <= np.log(np.sqrt(0.5))
        gone = below & (np.log(diameters[k]) + error <= np.log(detection))
        apart = k > 0 and visits[k] - visits[k - 1] >= confirmation
        responded |= ~ended & below & last_below & apart
        complete |= ~ended & gone & last_gone & apart
        progressed = rng.random(n) > norm.cdf((np.log(np.sqrt(1.25)) - (size - nadir)) / (sigma * np.sqrt(2)))
        new = ~ended & ~below & progressed
        if not any(t >= confirmation for t in visits[:k]):
            progressive |= new
        ended |= new
        last_below, last_gone, nadir = below, gone, min(nadir, size)
        partial = responded & ~complete
        stable = ~responded & ~progressive
        found.append([v.mean() for v in (complete, partial, stable, progressive & ~responded)])
    return np.array(found).T


@pytest.mark.parametrize(
    "sizes",
    [
        (-0.3, -0.9, -0.97, -0.9),
        (-0.8, -0.95, -0.5, -0.3),
        (0.12, -0.4, -0.9, -1.2),
        (0.1, 0.13, 0.2, 0.3),
        (-0.95, -0.4, -0.9, -0.96),
    ],
)
@pytest.mark.parametrize(
    ("visits", "confirmation"),
    [(VISITS, 28.0), ((28.0, 49.0, 70.0, 98.0), 28.0), ((14.0, 42.0, 70.0, 84.0), 28.0)],
)
def test_kinds_are_the_rule(sizes, visits, confirmation):
    outcome = WHOResponse(sigma=0.08, detection=8.0, visits=visits, confirmation=confirmation)
    diameters = 20.0 * np.exp(np.array(sizes))
    course = course_of(visits, log_ratio=jnp.asarray(sizes)[:, None], size=jnp.asarray(diameters)[:, None])
    none, *kinds = np.exp(np.asarray(outcome.log_kinds(course))[:, :, 0])
    assert none == pytest.approx(0.0, abs=1e-15)
    assert sum(kinds) == pytest.approx(1.0, abs=1e-12)
    response = np.exp(np.asarray(outcome.log_recorded(course))[1, :, 0])
    assert kinds[0] + kinds[1] == pytest.approx(response, rel=1e-12, abs=1e-300)
    counted = simulated_kinds(sizes, diameters, 0.08, visits, confirmation, 8.0)
    assert np.array(kinds) == pytest.approx(counted, abs=0.004)


def test_without_a_limit_no_response_is_complete():
    outcome = WHOResponse(sigma=0.05, visits=VISITS, confirmation=28.0)

    def last(shift, kind):
        size = jnp.exp(shift) * jnp.ones((4, 1))
        course = course_of(VISITS, log_ratio=shift + jnp.full((4, 1), -0.4), size=size)
        return outcome.log_kinds(course)[kind, -1, 0]

    assert last(0.0, 1) == -jnp.inf
    for kind in (2, 3, 4):
        slope = jax.grad(last)(0.0, kind)
        assert slope == pytest.approx(float(last(1e-6, kind) - last(-1e-6, kind)) / 2e-6, rel=1e-5)


@pytest.mark.parametrize("name", ["sigma", "shrinkage", "growth", "detection"])
def test_gradient_of_the_kinds(name):
    values = {"sigma": 0.08, "shrinkage": 0.7, "growth": 1.12, "detection": 8.0}
    sizes = jnp.asarray([[-0.2, -1.0], [-0.9, -1.2], [-0.95, -1.1], [-0.8, -0.2]])
    course = course_of(VISITS, log_ratio=sizes, size=20.0 * jnp.exp(sizes))

    def chances(x):
        outcome = WHOResponse(**values | {name: x}, visits=VISITS, confirmation=28.0)
        return jnp.exp(outcome.log_kinds(course)[1:, -1])

    x, step = values[name], 1e-6
    found = jax.jacfwd(chances)(x)
    assert found == pytest.approx(np.asarray(chances(x + step) - chances(x - step)) / (2 * step), abs=1e-7)
    weights = jnp.arange(8.0).reshape(4, 2)
    assert jax.grad(lambda v: jnp.sum(weights * chances(v)))(x) == pytest.approx(
        float(jnp.sum(weights * found))
    )


def test_certain_cases():
    outcome = WHOResponse(sigma=0.05, visits=VISITS, confirmation=28.0)
    sizes = jnp.asarray([[-2.0, 3.0], [-2.0, 6.0], [-2.0, 9.0], [-2.0, 12.0]])
    missed, found = outcome.log_recorded(course_of(VISITS, log_ratio=sizes))
    assert found[0, 0] == -jnp.inf  # one visit confirms nothing
    assert np.exp(found[1:, 0]) == pytest.approx(1.0, abs=1e-12)
    assert np.all(found[:, 1] < -500)
    assert np.all(np.isfinite(missed))
    assert np.all(missed[1:, 0] < -400)


def test_forward_mode_is_finite_where_a_response_is_impossible():
    outcome = WHOResponse(sigma=0.08, visits=VISITS, confirmation=28.0)

    def chances(shift):
        sizes = shift + jnp.linspace(0.5, 4.0, 4)[:, None]
        return jnp.exp(outcome.log_recorded(course_of(VISITS, log_ratio=sizes)))

    assert jax.jacfwd(chances)(0.0) == pytest.approx(np.asarray(jax.jacrev(chances)(0.0)), abs=1e-12)


def test_gradient_is_finite_far_from_a_response():
    outcome = WHOResponse(sigma=0.05, visits=VISITS, confirmation=28.0)

    def last(shift):
        sizes = shift + jnp.linspace(0.5, 4.0, 4)[:, None]
        course = course_of(VISITS, log_ratio=sizes)
        return outcome.log_recorded(course)[1, -1, 0]

    slope = jax.grad(last)(0.0)
    assert np.isfinite(slope)
    assert slope == pytest.approx(float(last(1e-5) - last(-1e-5)) / 2e-5, rel=1e-6)
    assert slope < 0
