"""Exact flows against matrix exponentials and 50-digit arithmetic, at equal and nearly equal rates too."""

from decimal import Decimal, getcontext
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import expm

from pkpd.model import Drug, wire
from pkpd.pk import FirstOrder, LymphTransit, TwoCompartment
from pkpd.solve.cascade import Cascade
from pkpd.solve.divided import divided_difference
from pkpd.solve.structure import structure

getcontext().prec = 50


def exact(rates, time):
    """Amount in the last of a chain, by Newton's table in 50 digits; rates must differ."""
    rates, time = [Decimal(repr(r)) for r in rates], Decimal(repr(time))
    column = [(-r * time).exp() for r in rates]
    for order in range(1, len(rates)):
        column = [(b - a) / (rates[i + order] - rates[i]) for i, (a, b) in enumerate(pairwise(column))]
    return float(column[0] * (-1) ** (len(rates) - 1))


@pytest.mark.parametrize(
    "rates",
    [
        (0.6, 0.22),
        (0.6, 0.6000001),
        (3.2, 1e-9),
        (0.6, 0.22, 2.5),
        (0.6, 0.60001, 0.6002),
        (0.6, 0.61, 0.6000003),
        (9.0, 0.1, 0.1001),
        (0.6, 0.22, 2.5, 1e-9),
        (0.6, 0.61, 0.22, 0.2200001),
        (0.6, 0.60001, 0.6002, 0.6003),
        (0.6, 0.22, 2.5, 0.9, 1.7, 1e-9, 0.4),
        (0.6, 0.60001, 0.6002, 0.6003, 2.5, 2.50004, 2.5006),
        (0.6, 0.60001, 0.6002, 0.6003, 0.6004, 0.6005, 0.6006, 0.6007, 0.1),
    ],
)
@pytest.mark.parametrize("time", [1e-3, 0.5, 4.0, 30.0])
def test_divided_differences(rates, time):
    found = divided_difference(tuple(jnp.asarray(r) for r in rates), jnp.asarray(time))
    assert float(found) == pytest.approx(exact(rates, time), rel=1e-9)


@pytest.mark.parametrize(
    "rates", [(0.5, 0.5), (0.5, 0.5, 0.5), (0.5, 0.5, 0.9), (0.5, 0.5, 0.9, 0.9), (0.5,) * 6 + (0.9, 0.9)]
)
def test_gradient_where_rates_coincide(rates):
    def last(rates):
        return divided_difference(tuple(rates), jnp.asarray(3.0))

    slope = np.asarray(jax.grad(last)(jnp.asarray(rates)))
    step = 1e-4
    for i in range(len(rates)):
        shift = np.eye(len(rates))[i] * step
        difference = float(last(jnp.asarray(rates) + shift) - last(jnp.asarray(rates) - shift)) / (2 * step)
        assert slope[i] == pytest.approx(difference, rel=1e-5)


@pytest.mark.parametrize("absorption", [FirstOrder(ka=1.3), LymphTransit(ka=0.6, ktr=0.22)])
@pytest.mark.parametrize("q", [0.0, 3.26])
@pytest.mark.parametrize("entry", ["x.central_amount", "x.po.depot"])
def test_flow_is_the_matrix_exponential(absorption, q, entry):
    parts = {"x.po": absorption, "x": TwoCompartment(cl=15.3, vc=6.0, q=q, vp=5.27)}
    model = wire(parts, {}, drugs=[Drug("x", ("po",))])
    cascade = Cascade(model, structure(model).cascade)
    names = list(model.states)
    assert set(cascade.names) == set(names)
    matrix = np.zeros((len(names), len(names)))
    for j, source in enumerate(names):
        unit = {s: float(s == source) for s in names}
        change = model.derivative(unit, {"time": 0.0, "x.since": 0.0})
        matrix[:, j] = [float(change[s]) for s in names]
    start = np.linspace(1.0, 2.0, len(names))
    inflow = 0.7
    wide = np.zeros((len(names) + 1, len(names) + 1))
    wide[:-1, :-1] = matrix
    wide[names.index(entry), -1] = inflow
    for time in (0.01, 1.0, 12.0):
        found = cascade.flow(
            {s: jnp.asarray(v) for s, v in zip(names, start, strict=True)},
            jnp.asarray(time),
            {entry: jnp.asarray(inflow)},
        )
        expected = (expm(wide * time) @ np.append(start, 1.0))[:-1]
        assert np.array([float(found[s]) for s in names]) == pytest.approx(expected, rel=1e-9)
