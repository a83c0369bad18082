"""Doses that enter by several ways, or over a time that the route knows, in regimens and in records."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pkpd.checks import InputError
from pkpd.dosing import Records
from pkpd.model import Drug, wire
from pkpd.observed import simulate_records
from pkpd.pk import Bolus, FirstOrder, MichaelisMenten, OneCompartment, ParallelAbsorption, ZeroOrder
from pkpd.population import Patients
from pkpd.simulation import simulate
from pkpd.solve import ODE, ClosedForm, Multirate

TIMES = [0.05, 0.2, 0.45, 0.9, 1.3, 2.2]
PARALLEL = ParallelAbsorption(ka=9.0, fraction=0.3, duration=0.3, delay=0.1, tlag=0.05, bioav=0.8)


def drug(route, saturable=False, **variability):
    parts = {"drug.po": route, "drug.iv": Bolus(), "drug": OneCompartment(cl=4.0, v=2.0)}
    wires = {}
    if saturable:
        parts["mm"] = MichaelisMenten(vmax=3.0, km=0.4)
        wires = {"mm": {"c": "drug.central"}, "drug": {"clearance": "mm.clearance"}}
    spread = {path.replace("__", "."): sd for path, sd in variability.items()}
    return wire(parts, wires, drugs=[Drug("drug", ("po", "iv"))], variability=spread)


def central(model, regimen, solver, patients=None):
    found = simulate(model, regimen, times=TIMES, patients=patients, solver=solver, outcomes=False)
    return np.asarray(found.outputs["drug.central"])


def test_two_ways_are_two_doses():
    """A first-order dose of its share, and an infusion of the rest."""
    found = central(drug(PARALLEL), "drug 10 pmol po q24h x2", ClosedForm())
    apart = drug(FirstOrder(ka=9.0, tlag=0.05))
    infusions = "drug 5.6 pmol iv over 7.2 h from 3.6 h + drug 5.6 pmol iv over 7.2 h from 27.6 h"
    expected = central(apart, f"drug 2.4 pmol po q24h x2 + {infusions}", ClosedForm())
    assert found == pytest.approx(expected, rel=1e-10)


def test_records_say_the_same():
    rows = [{"id": "a", "time": t, "evid": 0} for t in TIMES]
    dose = {"id": "a", "time": 0.0, "evid": 1, "amt": 10.0, "cmt": "drug.po", "ii": 1.0, "addl": 1}
    found = simulate_records(drug(PARALLEL), Records.of([dose, *rows])).outputs["drug.central"]
    expected = central(drug(PARALLEL), "drug 10 pmol po q24h x2", ClosedForm())[:, 0]
    assert np.asarray(found) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("route", [ZeroOrder(duration=0.3, tlag=0.05), PARALLEL], ids=["zero", "parallel"])
def test_durations_that_differ_between_patients_in_every_solver(route):
    model = drug(route, saturable=True, drug__po__duration=0.4, drug__po__tlag=0.5)
    eta = {"drug.po.duration": jnp.array([-1.0, 0.2, 1.8]), "drug.po.tlag": jnp.array([0.5, -1.0, 1.0])}
    patients, regimen = Patients(eta, 3), "drug 10 pmol po q24h x2"
    expected = central(model, regimen, ODE(), patients)
    assert central(model, regimen, Multirate(), patients) == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_an_infusion_keeps_its_duration():
    found = central(drug(ZeroOrder(duration=0.3)), "drug 10 pmol po over 2 h", ClosedForm())
    expected = central(drug(ZeroOrder(duration=0.3)), "drug 10 pmol iv over 2 h", ClosedForm())
    assert found == pytest.approx(expected, rel=1e-12)


def test_gradient_in_the_duration():
    def last(duration):
        model = drug(PARALLEL).replace({"drug.po.duration": duration})
        return simulate(model, "drug 10 pmol po", times=[0.25], outcomes=False).outputs["drug.central"][0, 0]

    step = 1e-5
    slope = (last(0.3 + step) - last(0.3 - step)) / (2 * step)
    assert jax.grad(last)(jnp.asarray(0.3)) == pytest.approx(float(slope), rel=1e-6)


def test_a_steady_state_of_several_ways_needs_a_linear_model():
    dose = {"id": "a", "time": 0.0, "evid": 1, "amt": 10.0, "cmt": "drug.po", "ii": 1.0, "ss": 1}
    told = Records.of([dose, {"id": "a", "time": 0.5, "evid": 0}])
    with pytest.raises(InputError, match=r"must be 0: doses of drug\.po enter by several ways, and drug"):
        simulate_records(drug(PARALLEL, saturable=True), told)
