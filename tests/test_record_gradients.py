"""Gradients of predictions in all that a model and its records tell, against extrapolated differences."""

import dataclasses
from itertools import pairwise

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pkpd.dosing import Records
from pkpd.model import Drug, wire
from pkpd.observed import bind_records
from pkpd.pk import Bolus, FirstOrder, LymphTransit, OneCompartment, ThreeCompartment, TwoCompartment
from pkpd.population import CovariateEffect

TIMES = (0.7, 2.3, 5.1, 11.9, 26.2)
WEIGHT = (70.0, 64.0, 81.0, 77.0, 58.0)
NOISE = 1e-9  # of extrapolated differences of numbers up to 200 over steps of about 1e-4
NUMBERS = ("time", "amt", "rate", "dur", "ii")


def model(disposition, absorption, iv_lag=0.3):
    iv = Bolus(bioav=0.9, tlag=iv_lag, rate=23.0, duration=1.7)
    effects = {
        CovariateEffect("x.cl", "wt", "power", 70.0): 0.75,
        CovariateEffect("x.iv.tlag", "wt", "exponential", 70.0): 0.01,
    }
    parts = {"x.po": absorption, "x.iv": iv, "x": disposition}
    return wire(parts, {}, drugs=[Drug("x", ("po", "iv"))], effects=effects)


ABSORBED = FirstOrder(ka=1.1, bioav=0.7, tlag=0.4)
ONE = OneCompartment(cl=2.0, v=10.0)
TWO = TwoCompartment(cl=2.0, vc=10.0, q=1.5, vp=20.0)
THREE = ThreeCompartment(cl=2.0, vc=10.0, q=1.5, vp=20.0, q2=0.8, vp2=16.0)
MODELS = {
    "one compartment": model(ONE, ABSORBED),
    "equal rates": model(OneCompartment(cl=2.0, v=2.0), FirstOrder(ka=1.0, tlag=0.4)),
    "two compartments": model(TWO, ABSORBED),
    "three compartments": model(THREE, ABSORBED),
    "lymph, equal rates": model(OneCompartment(cl=2.0, v=2.0), LymphTransit(ka=1.0, ktr=1.0, tlag=0.2)),
    "no lag": model(TWO, FirstOrder(ka=1.1), 0.0),
}
CASES = {
    "bolus": [{"amt": 100, "cmt": "central"}],
    "absorbed": [{"amt": 100, "cmt": "depot"}],
    "peripheral": [{"amt": 100, "cmt": "central"}, {"time": 1.1, "amt": 30, "cmt": "peripheral1"}],
    "infusion by rate": [{"amt": 100, "cmt": "central", "rate": 40}],
    "infusion by duration": [{"amt": 100, "cmt": "central", "dur": 3.3}],
    "zero order": [{"amt": 100, "cmt": "depot", "dur": 3.3}],
    "modelled rate": [{"amt": 100, "cmt": "iv", "rate": -1}],
    "modelled duration": [{"amt": 100, "cmt": "iv", "rate": -2}],
    "repeated": [{"amt": 100, "cmt": "depot", "ii": 4.4, "addl": 3}],
    "steady state": [{"amt": 100, "cmt": "depot", "ii": 8, "ss": 1}],
    "steady state, long lag": [{"amt": 100, "cmt": "central", "ii": 0.25, "ss": 1}],
    "steady state infusion": [{"amt": 100, "cmt": "central", "rate": 40, "ii": 8, "ss": 1}],
    "steady state, long infusion": [{"amt": 100, "cmt": "central", "dur": 7.0, "ii": 3, "ss": 1, "addl": 2}],
    "steady state, modelled duration": [{"amt": 100, "cmt": "iv", "rate": -2, "ii": 8, "ss": 1}],
    "constant infusion": [{"amt": 0, "cmt": "central", "rate": 4, "ss": 1}],
    "steady state added": [
        {"amt": 50, "cmt": "depot"},
        {"time": 1.3, "amt": 100, "cmt": "central", "ii": 12, "ss": 2},
    ],
    "reset": [{"amt": 50, "cmt": "depot", "ii": 1.5, "addl": 4}, {"time": 3.4, "evid": 3}],
    "reset and dose": [
        {"amt": 50, "cmt": "central", "dur": 9},
        {"time": 3.4, "amt": 70, "cmt": "depot", "evid": 4},
    ],
}


def records(cases):
    """Each case an individual, doses among observations in order of time."""
    told = []
    for name, doses in cases.items():
        rows = [{"time": 0.0, "evid": 1, **dose} for dose in doses] + [{"time": t, "evid": 0} for t in TIMES]
        rows.sort(key=lambda row: row["time"])
        told += [
            {**row, "id": name, "wt": w} for row, w in zip(rows, np.resize(WEIGHT, len(rows)), strict=True)
        ]
    return Records.of(told)


def jacobians(model, told, empty=False):
    """Of all observations in all parameters and numbers of records, by JAX and by extrapolated differences.

    Numbers that say what a record is, for instance that it has no rate, stay as they are. With `empty` all
    amounts are 0.
    """
    trial = bind_records(model, told)
    if empty:
        trial = eqx.tree_at(lambda t: t.told.amt, trial, jnp.zeros(len(told)))
    dosing = np.flatnonzero(np.isin(told.evid, (1, 4)))
    numbers = [(n, int(k)) for n in NUMBERS for k in dosing if told[n][k] > 0.0 or n == "time"]
    paths = [p for p in model.declared if np.isfinite(np.asarray(model.get(p)))]
    x0 = jnp.array([*(model.get(p) for p in paths), *(getattr(trial.told, n)[k] for n, k in numbers)])
    row = np.flatnonzero(told.evid == 0)

    def observed(x):
        changed = model.replace({p: x[i] for i, p in enumerate(paths)})
        values = {n: getattr(trial.told, n) for n in NUMBERS}
        for i, (n, k) in enumerate(numbers, len(paths)):
            values[n] = values[n].at[k].set(x[i])
        moved = dataclasses.replace(trial, told=dataclasses.replace(trial.told, **values))
        return moved.outputs(changed, ["x.central"])["x.central"][row]

    names = paths + [f"{n} of {told.id[k]}" for n, k in numbers]
    return names, np.asarray(jax.jit(lambda x: by_pulls(observed, x))(x0)), differences(observed, x0)


def by_pulls(function, x):
    """The Jacobian row by row, in reverse mode."""
    value, pull = jax.vjp(function, x)
    return jax.lax.map(lambda side: pull(side)[0], jnp.eye(len(value)))


def differences(function, x0):
    """The Jacobian by extrapolated differences: central ones, and from 0 upwards ones."""
    edge = x0 == 0.0
    step = jnp.where(edge, 1e-3, 1e-3 * jnp.maximum(jnp.abs(x0), 0.1))
    along = jax.jit(lambda x: jax.lax.map(function, x))

    def quotients(share):
        above, below = (x0 + side * share * jnp.diag(step) for side in (1.0, -1.0))
        below = jnp.where(edge[:, None], x0, below)
        return np.asarray((along(above) - along(below)).T / (share * step * jnp.where(edge, 1.0, 2.0)))

    found = [quotients(share) for share in (1.0, 0.5, 0.25)]
    return np.where(edge, extrapolated(found, (2.0, 4.0)), extrapolated(found, (4.0, 16.0)))


def extrapolated(found, factors):
    """Richardson's limit of quotients with halved steps; `factors` are those of the errors that vanish."""
    for factor in factors:
        found = [(factor * fine - coarse) / (factor - 1.0) for coarse, fine in pairwise(found)]
    return found[0]


def misses(names, found, expected, cases):
    """Cells that are further than 1e-6 of the largest number of their column from the differences."""
    apart = np.abs(found - expected).reshape(len(cases), len(TIMES), -1).max(1)
    size = np.abs(expected).reshape(len(cases), len(TIMES), -1).max(1)
    return {
        (case, number): apart[i, j] / size[i, j]
        for i, case in enumerate(cases)
        for j, number in enumerate(names)
        if not apart[i, j] <= 1e-6 * size[i, j] + NOISE
    }


def cases_of(model):
    return {k: v for k, v in CASES.items() if k != "peripheral" or "x.peripheral1_amount" in model.states}


FEW = ("bolus", "absorbed", "peripheral", "infusion by rate", "modelled duration", "repeated", "steady state")
WHOLE = ("one compartment", "equal rates")  # in every run; of the rest a few cases


@pytest.mark.parametrize(
    ("name", "few"),
    [
        *((name, name not in WHOLE) for name in MODELS if name != "three compartments"),
        *(pytest.param(name, False, marks=pytest.mark.slow) for name in MODELS if name not in WHOLE),
    ],
)
def test_gradients(name, few):
    cases = cases_of(MODELS[name])
    cases = {k: v for k, v in cases.items() if k in FEW} if few else cases
    names, found, expected = jacobians(MODELS[name], records(cases))
    assert not misses(names, found, expected, cases)
    unfelt = {"x.po.duration"} | ({"x.iv.e_wt_tlag"} if few or name == "no lag" else set())
    unfelt |= {"x.iv.rate"} if few else set()
    assert {number for j, number in enumerate(names) if (np.abs(expected[:, j]) <= NOISE).all()} == unfelt


def test_gradients_where_nothing_is_given():
    cases = cases_of(MODELS["equal rates"])
    names, found, expected = jacobians(MODELS["equal rates"], records(cases), empty=True)
    assert not misses(names, found, expected, cases)
    amounts = [name.startswith("amt") for name in names]
    assert (np.abs(found[:, amounts]) > 0.0).any(0).all()


def test_a_tie_has_the_slope_of_its_order():
    """A dose at the time of an observation below it counts as given before, and above it as given after."""
    dose = {"time": 2.3, "amt": 40.0, "cmt": "central", "evid": 1}
    first = {"time": 0.0, "amt": 100.0, "cmt": "depot", "evid": 1}
    look = {"time": 2.3, "evid": 0}
    tied, apart = (
        [jacobians(MODELS["one compartment"], Records.of(given(rows)))[1] for rows in pairs]
        for pairs in (
            ((first, dose, look), (first, look, dose)),
            ((first, dose, look | {"time": 2.3 + 1e-9}), (first, look, dose | {"time": 2.3 + 1e-9})),
        )
    )
    for found, expected in zip(tied, apart, strict=True):
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-9)


def given(rows):
    return [{**row, "id": "tie", "wt": 70.0} for row in rows]
