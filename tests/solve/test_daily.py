"""The tabulated day against the fixed grid, which is measured against the adaptive reference."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pkpd.catalogue import load_model
from pkpd.checks import InputError
from pkpd.infer.problem import Problem
from pkpd.simulation import bind, individualise, sample_patients, simulate
from pkpd.solve import Daily, Multirate

TIMES = (7.0, 14.0, 28.0, 35.0, 56.0, 112.0)
# Relative, of the size or of a tenth of a unit; the mean over patients is what a fit sees.
WORST = {
    "aldesleukin.pool.level": 1e-3,
    "effector.level": 1e-3,
    "memory.value": 1e-3,
    "tumour.log_ratio": 4e-3,
}
MEAN = 5e-4
REGIMENS = {
    "daily": "aldesleukin 3 MIU sc q24h x28 + melatonin 40 mg po q24h x28",
    "strong and often": "aldesleukin 9 MIU sc q12h x28 + melatonin 40 mg po q24h x14",
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
    exact = jax.jit(lambda m: Multirate(per_day=40.0).states(m, events, TIMES, 8))(own)
    share = 4.0 if name == "strong and often" else 1.0
    for state, bound in WORST.items():
        error = (fast[state] - exact[state]) / np.maximum(np.abs(exact[state]), 0.1)
        assert np.max(np.abs(error)) < share * bound, state
        assert np.max(np.abs(error.mean(axis=1))) < share * MEAN, state


def test_groups_repeat_the_kinetics(model):
    patients = sample_patients(model, 12, 5, groups=3)
    cl, growth = (np.asarray(patients.eta[p]).reshape(3, 4) for p in ("aldesleukin.cl", "tumour.kg"))
    assert np.ptp(cl, axis=0) == pytest.approx(0.0)
    assert len(np.unique(growth)) == 12
    events, times = bind(model, REGIMENS["daily"]), (7.0, 14.25, 28.0, 56.5)
    names = ("aldesleukin.cl", "effector.kout", "tumour.kg", "tumour.kkill")

    def states(x, groups):
        changed = model.replace({n: model.get(n) * jnp.exp(x[i]) for i, n in enumerate(names)})
        own = individualise(changed, patients)
        found = Daily(per_day=6.0, groups=groups).states(own, events, times, 12)
        return found["tumour.log_ratio"].sum(), found

    runs = [jax.jit(jax.value_and_grad(lambda x, n=n: states(x, n), has_aux=True)) for n in (3, 1)]
    (((_, once), slope), ((_, each), exact)) = (run(jnp.zeros(len(names))) for run in runs)
    for state, values in each.items():
        assert once[state] == pytest.approx(np.asarray(values), rel=1e-12), state
    assert slope == pytest.approx(np.asarray(exact), rel=1e-9)


def test_patients_in_other_groups_are_refused(model):
    with pytest.raises(InputError, match="must come in a multiple of 3 groups"):
        simulate(model, "none", [1.0], sample_patients(model, 12, 1), solver=Daily(groups=3))
    problem = Problem(model, (), sample_patients(model, 12, 1, groups=3), Daily(groups=3))
    with pytest.raises(InputError, match="must come in a multiple of 2 groups"):
        dataclasses.replace(problem, solver=Daily(groups=2))


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


@pytest.mark.parametrize("hours", [24, 23])
def test_an_infusion_that_leaves_its_day_is_refused(model, hours):
    events = bind(model, f"aldesleukin 3 MIU sc over {hours} h q24h x3")
    with pytest.raises(InputError, match="an infusion lasts beyond its day"):
        Daily().states(model, events, (5.0,), 1)


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

    with pytest.raises(InputError, match="must not be Daily for traced doses or gradients in the schedule"):
        jax.grad(last)(events.amount)
