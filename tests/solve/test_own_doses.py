"""Patients with amounts of their own are each what they are alone, whatever the solver."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pkpd.catalogue import load_model
from pkpd.dosing.events import Events
from pkpd.simulation import bind
from pkpd.solve import ODE, ClosedForm, Multirate

TIMES = (0.2, 1.0, 1.5, 4.0)
REGIMEN = "melatonin 40 mg po q24h x2 + melatonin 5 mg iv over 2 h q24h x2"
GIVEN = jnp.array([[True, True, False], [True, False, True], [True, True, True], [False, True, True]])
SHARE = jnp.array([[1.0, 0.5, 0.0], [2.0, 0.0, 1.0], [1.0, 3.0, 0.2], [0.0, 1.0, 1.0]])


@pytest.fixture(scope="module")
def model():
    return load_model("melatonin")


def own(events):
    return dataclasses.replace(events, amount=events.amount[:, None] * SHARE, given=GIVEN)


@pytest.mark.parametrize("solver", [ClosedForm(), ODE(rtol=1e-9, atol=1e-12), Multirate(chunk=2)], ids=repr)
def test_each_patient_as_alone(model, solver):
    events = bind(model, REGIMEN)
    times = [t * model.units.day for t in TIMES]
    run = jax.jit(lambda e, n: solver.states(model, e, times, n), static_argnums=1)
    crowd = run(own(events), 3)
    for i in range(3):
        alone = run(dataclasses.replace(events, amount=events.amount * SHARE[:, i]), 1)
        for state, path in alone.items():
            assert crowd[state][:, i] == pytest.approx(np.asarray(path[:, 0]), rel=1e-7, abs=1e-9), state


def test_gradient_in_amounts_of_their_own(model):
    events = own(bind(model, REGIMEN))
    times = [t * model.units.day for t in TIMES]

    @jax.jit
    def total(amount):
        states = Multirate(chunk=2).states(model, dataclasses.replace(events, amount=amount), times, 3)
        return sum(jnp.sum(path * jnp.arange(1.0, 4.0)) for path in states.values())

    slope = jax.grad(total)(events.amount)
    for place in ((0, 0), (1, 1), (2, 2), (3, 1)):
        step = jnp.zeros_like(events.amount).at[place].set(1e-3 * float(events.amount.max()))
        rise = (total(events.amount + step) - total(events.amount - step)) / (2.0 * step[place])
        assert float(slope[place]) == pytest.approx(float(rise), rel=1e-6)


def test_padding_and_taking_keep_what_is_given(model):
    events = own(bind(model, REGIMEN))
    longer = events.pad(6)
    assert isinstance(longer, Events)
    assert longer.amount.shape == (6, 3)
    assert longer.given is not None
    assert not np.asarray(longer.given)[4:].any()
    taken = events.take([2, 0], [0.0, 1.0])
    assert taken.given is not None
    assert np.array_equal(np.asarray(taken.given), np.asarray(GIVEN)[[2, 0]])
