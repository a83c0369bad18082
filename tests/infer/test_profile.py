"""Profiles of densities whose profiles are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pkpd.infer.profile import BOX, DROP, ENOUGH, Curve, Top, likeliest, profile


def profiled(density, mode, curvature, place):
    """The profiles, and the maximum of the likelihood."""
    return profile(density, mode, curvature, place, likeliest(density, mode, curvature))


def normal(precision, centre):
    """A likelihood that is normal, with a standard normal prior."""
    precision, centre = jnp.asarray(precision), jnp.asarray(centre)

    def density(x):
        gap = x - centre
        return -0.5 * gap @ precision @ gap - 0.5 * x @ x

    curvature = np.asarray(precision) + np.eye(len(centre))
    mode = np.linalg.solve(curvature, np.asarray(precision) @ np.asarray(centre))
    return jax.value_and_grad(density), mode, curvature


PRECISION = np.array([[9.0, 6.0, 0.0], [6.0, 8.0, 1.0], [0.0, 1.0, 0.5]])


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_normal_posterior_has_parabolas(place):
    density, mode, curvature = normal(PRECISION, [0.3, -0.2, 0.1])
    found = profiled(density, mode, curvature, place)
    assert found.posterior.found.all()
    variance = np.linalg.inv(curvature)[place, place]
    expected = -0.5 * (found.posterior.places - mode[place]) ** 2 / variance
    assert found.posterior.drop == pytest.approx(expected, abs=1e-4)
    low, high = found.posterior.interval()
    assert (low, high) == pytest.approx(
        (mode[place] - np.sqrt(2 * DROP * variance), mode[place] + np.sqrt(2 * DROP * variance)), abs=1e-3
    )


def test_the_likelihood_alone():
    density, mode, curvature = normal(PRECISION, [0.3, -0.2, 0.1])
    found = profiled(density, mode, curvature, 0).likelihood
    assert found.found.all()
    variance = np.linalg.inv(PRECISION)[0, 0]
    expected = -0.5 * (found.places - 0.3) ** 2 / variance
    assert found.drop == pytest.approx(expected, abs=ENOUGH)
    assert found.drop.max() == 0.0
    assert found.places[np.argmax(found.drop)] == pytest.approx(0.3, abs=0.05)  # the maximum is a place


def test_a_parameter_that_the_data_do_not_know_is_flat_and_unbounded():
    density, mode, curvature = normal(np.diag([25.0, 0.0]), [0.5, 0.0])
    found = profiled(density, mode, curvature, 1)
    assert found.likelihood.drop == pytest.approx(np.zeros(len(found.likelihood.drop)), abs=1e-6)
    assert found.likelihood.interval() == (None, None)
    assert found.posterior.interval()[0] == pytest.approx(-np.sqrt(2 * DROP), abs=0.01)
    assert np.abs(found.posterior.places).max() <= BOX


def test_a_product_leaves_the_likelihood_flat_within_the_box():
    def density(x):
        return -50.0 * (x[0] + x[1] - 0.4) ** 2 - 0.5 * x @ x

    gradient = jax.value_and_grad(density)
    curvature = -np.asarray(jax.hessian(density)(jnp.zeros(2)))
    mode = np.linalg.solve(curvature, [40.0, 40.0])
    found = profiled(gradient, mode, curvature, 0)
    inside = np.abs(0.4 - found.likelihood.places) < 3.5  # there the other parameter is within its box
    assert inside.sum() > 5
    assert found.likelihood.drop[inside] == pytest.approx(np.zeros(inside.sum()), abs=ENOUGH)
    assert found.posterior.drop.min() < -2.0


@pytest.mark.parametrize("centre", [1.5, -3.0])
def test_a_likelihood_is_followed_to_where_it_has_fallen(centre):
    """As informative as the prior, and elsewhere: its ends are further than the posterior reaches."""
    density, mode, curvature = normal(np.diag([1.0, 4.0]), [centre, 0.0])
    found = profiled(density, mode, curvature, 0).likelihood
    ends = np.array([centre - np.sqrt(2 * DROP), centre + np.sqrt(2 * DROP)])
    expected = [None if abs(end) > BOX else pytest.approx(end, abs=0.05) for end in ends]
    assert list(found.interval()) == expected
    assert found.places[np.argmax(found.drop)] == pytest.approx(centre, abs=0.7)


def test_a_climb_in_a_side_valley_is_begun_again():
    """Two ridges, the higher of which lies where the prior is low: from there the other is out of reach."""

    def density(x):
        far = 0.5 - 8.0 * (x[1] - 3.0) ** 2 - 2.0 * (x[0] - 1.0) ** 2
        near = -8.0 * x[1] ** 2 - 2.0 * (x[0] + 1.0) ** 2
        return jnp.logaddexp(far, near) - 0.5 * x @ x

    mode = np.array([-0.8, 0.0])
    curvature = -np.asarray(jax.hessian(density)(jnp.asarray(mode)))
    top = Top(np.array([1.0, BOX * np.arctanh(3.0 / BOX)]), 0.5, True)
    found = profile(jax.value_and_grad(density), mode, curvature, 0, top)
    a = found.likelihood.places
    expected = np.maximum(-2.0 * (a - 1.0) ** 2, -0.5 - 2.0 * (a + 1.0) ** 2)
    assert (a < -0.5).sum() >= 3
    assert (a > 0.5).sum() >= 3
    assert found.likelihood.drop == pytest.approx(expected - expected.max(), abs=ENOUGH)


def test_one_parameter():
    density, mode, curvature = normal([[3.0]], [1.0])
    found = profiled(density, mode, curvature, 0)
    assert found.posterior.found.all()
    assert found.likelihood.drop == pytest.approx(-1.5 * (found.likelihood.places - 1.0) ** 2, abs=1e-4)


def test_climbs_of_a_flat_likelihood_ask_little():
    """Of ten parameters in one product the data know the product only."""
    asked = []

    def density(x):
        return -50.0 * (x.sum() - 0.4) ** 2 - 0.5 * x @ x

    def counted(x):
        asked.append(x)
        return jax.value_and_grad(density)(x)

    curvature = -np.asarray(jax.hessian(density)(jnp.zeros(10)))
    mode = np.linalg.solve(curvature, np.full(10, 40.0))
    top = likeliest(counted, mode, curvature)
    asked.clear()
    found = profile(counted, mode, curvature, 3, top).likelihood
    assert found.interval() == (None, None)
    assert len(asked) <= 5 * (len(found.places) + 7)


def test_an_interval_ends_where_the_curve_falls_enough():
    places = np.linspace(-3.0, 3.0, 7)
    curve = Curve(places, -0.5 * places**2, np.ones(7, bool))
    assert curve.interval() == pytest.approx((-np.sqrt(2 * DROP), np.sqrt(2 * DROP)), abs=0.02)
    assert Curve(places, -0.1 * places**2, np.ones(7, bool)).interval() == (None, None)
