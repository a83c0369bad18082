"""Paths at nodes and integrals over cells, exact for cubics."""

import jax.numpy as jnp
import numpy as np
import pytest
from numpy.polynomial import Polynomial

from pkpd.quadrature import nodes_of
from pkpd.response.quadrature import filled, integrals, weights_in

EDGES = np.array([0.0, 0.4, 1.0, 2.5, 6.0, 7.0])
TIMES = np.concatenate([EDGES[:1], nodes_of(EDGES).ravel()])
CUBIC = Polynomial([0.3, -1.0, 0.7, 0.05])


def column(values):
    return jnp.asarray(values)[:, None]


def test_a_cubic_is_filled_in_and_integrated_exactly():
    assert filled(EDGES, column(CUBIC(EDGES)))[:, 0] == pytest.approx(CUBIC(TIMES), abs=1e-12)
    whole = CUBIC.integ()
    assert integrals(EDGES, column(CUBIC(TIMES)))[:, 0] == pytest.approx(whole(TIMES) - whole(0.0), abs=1e-12)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_edges_make_a_polynomial_of_lower_degree(count):
    line = Polynomial([1.0, 0.5])
    edges = EDGES[:count]
    path = line(edges) if count > 1 else np.ones(1)
    times = np.concatenate([edges[:1], nodes_of(edges).ravel()])
    assert filled(edges, column(path))[:, 0] == pytest.approx(line(times) if count > 1 else np.ones(1))


@pytest.mark.parametrize("power", [0.6, 1.0, 1.23, 2.0])
def test_weights_of_a_power_of_time(power):
    """The integral of `t^k` by `t^p` is `p t^(k + p) / (k + p)`; the first cell holds the singular start."""
    weights, nodes = np.asarray(weights_in(EDGES, power)), nodes_of(EDGES)
    for k in range(4):
        exact = power / (k + power) * np.diff(EDGES ** (k + power))
        assert (weights * nodes**k).sum(1) == pytest.approx(exact, rel=1e-8)
