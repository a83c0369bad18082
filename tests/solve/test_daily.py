"""The tabulated day against the fixed grid, which is measured against the adaptive reference."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pkpd.catalogue import load_model
from pkpd.checks import InputError
from pkpd.simulation import bind, individualise, sample_patients
from pkpd.solve import Daily, FixedGrid

TIMES = (7.0, 14.0, 28.0, 35.0, 56.0, 112.0)
# What was measured, rounded up; the interpolation over three levels of the pool limits it (aim: 1e-3).
BOUNDS = {
    "aldesleukin.pool.level": 1e-2,
    "effector.level": 5e-3,
    "memory.value": 5e-3,
    "tumour.log_ratio": 2e-2,
}
REGIMENS = {
    "daily": "aldesleukin 3 MIU sc q24h x28 + melatonin 40 mg po q24h x28",
    "six of seven at clock times": "aldesleukin 3 MIU sc q24h for 14 d on days 1-6 of 7 at 08:00"
    " + melatonin 40 mg po q24h x14 at 20:00",
    "nothing": "none",
}


@pytest.fixture(scope="module")
def model():
    return load_model("neuroimmunotherapy")


@pytest.mark.parametrize("name", REGIMENS)
def test_slow_states(model, name):
    patients = sample_patients(model, 8, 3)
    own, events = individualise(model, patients), bind(model, REGIMENS[name])
    fast = jax.jit(lambda m: Daily().states(m, events, TIMES, 8))(own)
    exact = jax.jit(lambda m: FixedGrid(per_day=40.0).states(m, events, TIMES, 8))(own)
    for state, bound in BOUNDS.items():
        size = np.maximum(np.abs(exact[state]), 0.1)
        assert np.max(np.abs(fast[state] - exact[state]) / size) < bound, state


def test_gradient(model):
    patients, events = sample_patients(model, 4, 3), bind(model, REGIMENS["daily"])
    names = (
        "aldesleukin.cl",
        "aldesleukin.pool.base",
        "aldesleukin.drive.gain",
        "melatonin.po.bioav",
        "effector.kout",
    )

    def last(x):
        changed = model.replace({n: model.get(n) * jnp.exp(x[i]) for i, n in enumerate(names)})
        return Daily().states(individualise(changed, patients), events, (40.0,), 4)["memory.value"].mean()

    slope = np.asarray(jax.jit(jax.grad(last))(jnp.zeros(len(names))))
    value = jax.jit(last)
    for i in range(len(names)):
        shift = jnp.asarray(np.eye(len(names))[i] * 1e-4)
        assert slope[i] == pytest.approx(float(value(shift) - value(-shift)) / 2e-4, rel=1e-5)


def test_gradients_in_the_schedule_are_refused(model):
    events = bind(model, "aldesleukin 3 MIU sc")

    def last(amount):
        doses = jax.tree.map(lambda v: v, events)
        doses = type(events)(doses.time, amount, doses.duration, doses.route, doses.lasting, doses.nominal)
        return (
            Daily()
            .states(individualise(model, sample_patients(model, 2)), doses, (10.0,), 2)["effector.level"]
            .sum()
        )

    with pytest.raises(InputError, match="must not be Daily for gradients in the schedule"):
        jax.grad(last)(events.amount)
