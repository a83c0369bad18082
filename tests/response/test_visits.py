"""The response rule against a direct simulation of measured sizes, visit by visit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from pkpd.response import Course, WHOResponse

VISITS = (28.0, 56.0, 84.0, 112.0)


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
    course = Course(jnp.asarray(visits), {"log_ratio": jnp.asarray(sizes)[:, None]}, jnp.asarray(28.0))
    missed, exact = np.exp(np.asarray(outcome.log_recorded(course))[:, :, 0])
    assert missed + exact == pytest.approx(1.0, abs=1e-12)
    assert exact == pytest.approx(simulated(sizes, 0.08, visits, confirmation), abs=0.004)


def test_certain_cases():
    outcome = WHOResponse(sigma=0.05, visits=VISITS, confirmation=28.0)
    sizes = jnp.asarray([[-2.0, 3.0], [-2.0, 6.0], [-2.0, 9.0], [-2.0, 12.0]])
    missed, found = outcome.log_recorded(Course(jnp.asarray(VISITS), {"log_ratio": sizes}, jnp.asarray(28.0)))
    assert found[0, 0] == -jnp.inf  # one visit confirms nothing
    assert np.exp(found[1:, 0]) == pytest.approx(1.0, abs=1e-12)
    assert np.all(found[:, 1] < -500)
    assert np.all(np.isfinite(missed))
    assert np.all(missed[1:, 0] < -400)


def test_gradient_is_finite_far_from_a_response():
    outcome = WHOResponse(sigma=0.05, visits=VISITS, confirmation=28.0)

    def last(shift):
        sizes = shift + jnp.linspace(0.5, 4.0, 4)[:, None]
        course = Course(jnp.asarray(VISITS), {"log_ratio": sizes}, jnp.asarray(28.0))
        return outcome.log_recorded(course)[1, -1, 0]

    slope = jax.grad(last)(0.0)
    assert np.isfinite(slope)
    assert slope == pytest.approx(float(last(1e-5) - last(-1e-5)) / 2e-5, rel=1e-6)
    assert slope < 0
