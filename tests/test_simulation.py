"""From text to outcomes: binding, errors that point into the text, gradients against differences."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pkpd.catalogue import load_model
from pkpd.checks import InputError
from pkpd.endpoints import log_table
from pkpd.individuals import individualise, sample_patients
from pkpd.response.joint import Endpoint
from pkpd.simulation import bind, courses, simulate
from pkpd.solve import ClosedForm, Multirate

SHORT = "aldesleukin 3 MIU sc q24h x5 + melatonin 40 mg po q24h x5 from 2 h"


@pytest.fixture(scope="module")
def model():
    return load_model("neuroimmunotherapy")


def test_binding_converts_units(model):
    events = bind(model, "aldesleukin 3 MIU sc + melatonin 40 mg po from 6 h")
    assert events.amount == pytest.approx(
        [3e6 * 1.1e-3 / 18e6 / 15300 * 1e12, 0.040 / 232.28 * 1e12], rel=1e-5
    )
    assert events.time == pytest.approx([0.0, 0.25])
    assert events.route == (("aldesleukin", "sc"), ("melatonin", "po"))


def test_doses_per_area_and_weight(model):
    reference = model.references
    doses = bind(model, "aldesleukin 1 MIU/m2 sc + aldesleukin 1 MIU sc from 1 d").amount
    assert doses[0] / doses[1] == pytest.approx(reference["bsa"])
    doses = bind(model, "melatonin 1 mg/kg po + melatonin 1 mg po from 1 d", {"wt": 61.0}).amount
    assert doses[0] / doses[1] == pytest.approx(61.0)


def test_every_fault_points_into_the_text(model):
    with pytest.raises(InputError) as caught:
        bind(model, "aldesleukn 3 MIU sc + melatonin 40 furlong po + melatonin 3 mg sc")
    text = str(caught.value)
    assert len(caught.value.faults) == 3
    assert 'Did you mean "aldesleukin"?' in text
    assert "must be amount" in text
    assert "must be a route of melatonin" in text
    for fault, word in zip(caught.value.faults, ("aldesleukn", "furlong", "sc"), strict=True):
        line, caret = fault.hint.splitlines()[-2:]
        assert line[caret.index("^") : caret.rindex("^") + 1] == word


def test_same_seed_same_patients(model):
    one, two = sample_patients(model, 32, 4), sample_patients(model, 32, 4)
    other = sample_patients(model, 32, 5)
    assert all(np.array_equal(one.eta[k], two.eta[k]) for k in one.eta)
    assert not np.array_equal(one.eta["tumour.kg"], other.eta["tumour.kg"])
    assert all(abs(float(v.mean())) < 0.1 for v in sample_patients(model, 256, 1).eta.values())


def test_labelled_result(model):
    result = simulate(model, SHORT, [0.0, 1.0, 2.0], outputs=["aldesleukin.central"], outcomes=False)
    assert not result.outcomes
    found = result.to_xarray()
    assert found["aldesleukin.central"].dims == ("times", "patients")
    assert found["aldesleukin.central"].attrs["units"] == "pmol/L"
    assert found["times"].attrs["units"] == "day"


def test_no_drug_no_effect(model):
    found = simulate(model, "none", [0.0, 50.0], alive=[365.0])
    assert found.outputs["effector.excess"] == pytest.approx(0.0, abs=1e-12)
    assert found.outcomes["regression"] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("solver", [ClosedForm(), Multirate(per_day=8.0)])
def test_doses_of_nothing_change_nothing(solver):
    """Padded to one shape for many regimens, a course stays what it is, in value and in gradient."""
    model = load_model("melatonin")
    events = bind(model, "melatonin 40 mg po q24h x2 + melatonin 4 mg iv over 2 h from 30 h")
    output, times = "melatonin.central", np.array([20.0, 31.0, 40.0]) * (model.units.day / 24)

    def course(doses):
        return simulate(model, doses, times, outputs=[output], solver=solver).outputs[output][:, 0]

    def total(amount, doses):
        return course(eqx.tree_at(lambda e: e.amount, doses, amount)).sum()

    padded = events.pad(6)
    assert len(padded) == 6
    assert course(padded) == pytest.approx(np.asarray(course(events)), rel=1e-9)
    slope, wide = (jax.grad(total)(doses.amount, doses) for doses in (events, padded))
    assert wide[:3] == pytest.approx(np.asarray(slope), rel=1e-9)
    with pytest.raises(InputError, match="must be at least 3"):
        events.pad(2)


@pytest.fixture(scope="module")
def outcomes(model):
    """All outcomes as one compiled function of parameters and schedule, at a schedule with shifted doses."""
    patients = sample_patients(model, 8, 2)
    events = bind(model, SHORT)
    names = (
        "aldesleukin.cl",
        "aldesleukin.sc.tlag",
        "aldesleukin.pool.base",
        "melatonin.po.bioav",
        "stimulus.ec50",
        "potentiation.pmax",
        "effector.kout",
        "tumour.kkill",
        "tumour.kkill.iiv",
        "survival.shape",
        "ps_improved.b_effect",
        "regression.sigma",
        "regression.detection",
        "tumour.size0",
    )
    endpoints = (Endpoint("regression"), Endpoint("alive", 365.0), Endpoint("ps_improved"))
    kinds = tuple(Endpoint("regression", kinds=(kind,)) for kind in ("cr", "pr", "sd", "pd"))
    strong = model.replace({"tumour.kkill": 0.02})

    def run(x, amount, time):
        values = {name: strong.get(name) * jnp.exp(x[i]) for i, name in enumerate(names)}
        own = individualise(strong.replace(values), patients)
        doses = eqx.tree_at(lambda e: (e.amount, e.time), events, (amount, time))
        course = courses(own, doses, 8, 0.0, [365.0], Multirate())
        cells = jnp.exp(log_table(own, course, endpoints))
        each = [jnp.exp(log_table(own, course, [kind]))[1] for kind in kinds]
        return jnp.stack([cells[1].sum(), cells[:, 1].sum(), cells[:, :, 1].sum(), *each])

    point = (jnp.zeros(len(names)), events.amount, events.time + 0.02)
    return jax.jit(run), jax.jit(jax.jacrev(run, argnums=(0, 1, 2))), point


@pytest.mark.parametrize("which", [0, 1, 2], ids=["parameters", "amounts", "times"])
def test_outcome_gradients(outcomes, which):
    run, jacobian, point = outcomes
    exact = np.asarray(jacobian(*point)[which])
    scale = {0: 1.0, 1: np.asarray(point[1]), 2: 1.0}[which]
    step = 1e-4
    for i in range(len(point[which])):
        move = np.zeros(len(point[which]))
        move[i] = step * (scale[i] if which == 1 else 1.0)
        up, down = (
            run(*(p + sign * move if k == which else p for k, p in enumerate(point))) for sign in (1.0, -1.0)
        )
        slope = np.asarray(up - down) / (2 * move[i])
        size = np.abs(exact).max(axis=1) + 1e-12
        assert np.max(np.abs(slope - exact[:, i]) / size) < 1e-4
    assert np.abs(exact).max() > 0
