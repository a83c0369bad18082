"""Linear kinetics against textbook formulas, the adaptive reference and finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pkpd.catalogue import load_model
from pkpd.checks import InputError
from pkpd.individuals import individualise, sample_patients
from pkpd.model import Drug, Model, wire
from pkpd.pk import Bolus, FirstOrder, OneCompartment
from pkpd.simulation import bind, simulate
from pkpd.solve import ODE, ClosedForm
from pkpd.units import Substance, UnitSystem

TIMES = np.array([0.5, 3.0, 7.9, 8.0, 20.0, 36.0])
STATE = "testol.central_amount"


def one_compartment(ka: float, tlag: float = 0.0) -> Model:
    parts = {
        "testol.po": FirstOrder(ka=ka, bioav=0.4, tlag=tlag),
        "testol.iv": Bolus(),
        "testol": OneCompartment(cl=6.0, v=20.0),
    }
    units = UnitSystem(time="h", amount="mg", volume="L")
    return wire(parts, {}, drugs=[Drug("testol", ("po", "iv"), Substance())], units=units, name="testol")


def solved(model: Model, regimen: str) -> np.ndarray:
    return np.asarray(ClosedForm().states(model, bind(model, regimen), TIMES.tolist(), 1)[STATE])[:, 0]


@pytest.mark.parametrize("ka", [1.1, 0.3], ids=["bateman", "equal rates"])
def test_oral_doses_follow_the_bateman_function(ka):
    """A = F D ka (exp(-k t) - exp(-ka t)) / (ka - k), and F D k t exp(-k t) in the limit."""
    k, tlag = 0.3, 0.25

    def bateman(t):
        t = np.maximum(t, 0.0)
        if ka == k:
            return 0.4 * 100 * k * t * np.exp(-k * t)
        return 0.4 * 100 * ka / (ka - k) * (np.exp(-k * t) - np.exp(-ka * t))

    expected = sum(bateman(TIMES - tlag - 8.0 * i) for i in range(3))
    assert solved(one_compartment(ka, tlag), "testol 100 mg po q8h x3") == pytest.approx(expected, rel=1e-12)


def test_infusion_rises_and_falls():
    expected = np.where(
        TIMES <= 4.0,
        25.0 / 0.3 * (1 - np.exp(-0.3 * TIMES)),
        25.0 / 0.3 * (1 - np.exp(-1.2)) * np.exp(-0.3 * (TIMES - 4.0)),
    )
    assert solved(one_compartment(1.0), "testol 100 mg iv over 4 h") == pytest.approx(expected, rel=1e-12)


def test_patients_of_the_shipped_drug_follow_the_reference():
    model = load_model("melatonin")
    own = individualise(model, sample_patients(model, 4, 1))
    events = bind(model, "melatonin 40 mg po q24h x2 + melatonin 5 mg iv over 2 h from 30 h")
    exact = ClosedForm().states(own, events, TIMES.tolist(), 4)
    found = ODE(rtol=1e-10, atol=1e-10).states(own, events, TIMES.tolist(), 4)
    for state in model.states:
        assert np.asarray(found[state]) == pytest.approx(np.asarray(exact[state]), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("ka", [1.1, 0.3], ids=["different rates", "equal rates"])
def test_gradients_in_parameters_and_schedule(ka):
    model = one_compartment(ka)
    events = bind(model, "testol 100 mg po q8h x2 + testol 30 mg iv over 2 h from 5 h")
    paths = ("testol.po.ka", "testol.po.bioav", "testol.po.tlag", "testol.cl", "testol.v")
    sizes = (len(paths), 3, 3, 3)

    def total(flat):
        own, time, amount, duration = jnp.split(flat, np.cumsum(sizes)[:-1])
        changed = model.replace(
            {
                p: model.get(p) * (1 + v) + 0.1 * (p == "testol.po.tlag")
                for p, v in zip(paths, own, strict=True)
            }
        )
        doses = type(events)(
            events.time + time,
            events.amount + amount,
            events.duration + duration,
            events.route,
            events.lasting,
            events.nominal,
            events.end,
        )
        return ClosedForm().states(changed, doses, (3.0, 6.0, 20.0), 1)[STATE].sum()

    total = jax.jit(total)
    slope = np.asarray(jax.grad(total)(jnp.zeros(sum(sizes))))
    for i in range(sum(sizes)):
        shift = jnp.asarray(np.eye(sum(sizes))[i] * 1e-5)
        difference = float(total(shift) - total(-shift)) / 2e-5
        assert slope[i] == pytest.approx(difference, rel=1e-6, abs=1e-6), i
    assert np.count_nonzero(slope) >= len(slope) - 3  # a bolus has no duration


def test_nonlinear_models_are_refused():
    model = load_model("aldesleukin")
    with pytest.raises(InputError, match=r"must not be ClosedForm: aldesleukin\.central_amount"):
        simulate(model, "aldesleukin 3 MIU sc", [1.0], solver=ClosedForm())
