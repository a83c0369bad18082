"""Missed and late doses: laws, what a plan without the missed doses gives, slopes."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pkpd.catalogue import load_model
from pkpd.checks import InputError
from pkpd.dosing.adherence import Adherence, chances, draw_patterns
from pkpd.individuals import individualise, sample_patients
from pkpd.simulation import bind, simulate
from pkpd.solve import ODE, ClosedForm, Multirate

HABITS = Adherence(taken=0.8, after_missed=0.5, late=0.05, dropout=0.1)
PLAN = "melatonin 40 mg po q24h x5 + melatonin 5 mg iv over 2 h q24h x2"
SOLVERS = [ClosedForm(), ODE(rtol=1e-9, atol=1e-12), Multirate()]
TIMES = (0.2, 0.9, 1.5, 2.75, 4.3)
PATIENTS = 4


@pytest.fixture(scope="module")
def model():
    return load_model("melatonin")


@pytest.fixture(scope="module")
def illness():
    return load_model("tests/data/illness.toml")


def states(solver, model, events, times=TIMES, patients=1):
    """States at times in days."""
    wanted = [t * model.units.day for t in times]
    return jax.jit(lambda e: solver.states(model, e, wanted, patients))(events)


@pytest.mark.parametrize("solver", SOLVERS, ids=repr)
def test_late_by_the_same_for_all_is_the_plan_shifted(model, solver):
    events, late = bind(model, PLAN), 0.3 * model.units.day
    moved = dataclasses.replace(events, time=jnp.full((7, 2), events.time[:, None] + late), late=late)
    shifted = bind(model, "melatonin 40 mg po q24h x5 from 7.2 h + melatonin 5 mg iv over 2 h q24h x2 from 7.2 h")
    found, plan = (states(solver, model, e, patients=2) for e in (moved, shifted))
    for state, path in plan.items():
        assert found[state] == pytest.approx(np.asarray(path), rel=1e-6, abs=1e-6), state


@pytest.mark.parametrize("solver", SOLVERS, ids=repr)
def test_missed_doses_are_a_plan_without_them(model, solver):
    events = bind(model, PLAN)
    patterns = draw_patterns(events, dataclasses.replace(HABITS, late=0.0), PATIENTS, 2)
    taken = np.asarray(patterns.events().given)
    assert 0 < taken.sum() < taken.size
    crowd = states(solver, model, patterns.events(), patients=PATIENTS)
    for i in range(PATIENTS):
        alone = states(solver, model, events.take(np.flatnonzero(taken[:, i]).tolist()))
        for state, path in alone.items():
            assert crowd[state][:, i] == pytest.approx(np.asarray(path[:, 0]), rel=1e-6, abs=1e-6), state
