"""Records bound to a model: compartments, faults, individuals, covariates, nonlinear steady states."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pkpd.catalogue import load_model
from pkpd.checks import InputError
from pkpd.compartments import compartments, target
from pkpd.dosing import Records, load_records
from pkpd.model import Drug, wire
from pkpd.observed import bind_records, simulate_records
from pkpd.pd import Emax, TumourGrowth
from pkpd.pk import Bolus, FirstOrder, OneCompartment, TwoCompartment
from pkpd.population import CovariateEffect, Patients
from pkpd.simulation import simulate
from pkpd.solve import ODE, ClosedForm, Multirate

WEIGHT = CovariateEffect("x.cl", "wt", "power", 70.0)


def model(disposition=None, effects=None, **po):
    parts = {
        "x.po": FirstOrder(**{"ka": 1.1, "bioav": 0.7, **po}),
        "x.iv": Bolus(),
        "x": disposition or TwoCompartment(cl=2.0, vc=10.0, q=1.5, vp=20.0),
    }
    return wire(parts, {}, drugs=[Drug("x", ("po", "iv"))], effects=effects)


def observed(model, rows, **options):
    return simulate_records(model, Records.of(rows), **options)


def central(model, rows, **options):
    return observed(model, rows, **options).outputs["x.central"]


def faults(model, rows, **options):
    with pytest.raises(InputError) as error:
        observed(model, rows, **options)
    return [str(fault) for fault in error.value.faults]


def dose(**told):
    return {"time": 0.0, "amt": 100.0, "cmt": "central", "evid": 1, **told}


def look(*times, **told):
    return [{"time": t, "evid": 0, **told} for t in times]


def test_compartments_by_number_and_name():
    assert compartments(model()) == ("x.po.depot", "x.central_amount", "x.peripheral1_amount")
    for told in ("", "0", "1", "depot", "po.depot", "x.po.depot", "po", "x.po"):
        assert target(model(), told) == "x.po", told
    for told in ("2", "central", "x.central", "central_amount", "iv"):
        assert target(model(), told) == "x.iv", told
    for told in ("3", "peripheral1", "x.peripheral1"):
        assert target(model(), told) == "x.peripheral1_amount", told


def test_every_record_that_does_not_fit_is_told():
    rows = [
        dose(cmt="gut"),
        dose(time=1.0, cmt=4),
        dose(time=2.0, cmt="iv", rate=-1),
        dose(time=3.0, rate=-2),
    ]
    assert faults(model(effects={WEIGHT: 0.75}), rows) == [
        "record 2, cmt: must be a compartment from 1 to 3, but is 4. "
        "Compartments: 1 x.po.depot, 2 x.central, 3 x.peripheral1.",
        'record 1, cmt: must be a compartment of the model, but is "gut". Known: x.central, '
        "x.central_amount, x.iv, x.peripheral1, x.peripheral1_amount, x.po, x.po.depot.",
        "record 3, rate: must not be -1, because x.iv states no rate. Give the route a rate.",
        "record 4, rate: must not be -2, because x.iv states no duration. Give the route a duration.",
        "records: must have the column wt, a covariate of the model.",
    ]
    several = load_model("neuroimmunotherapy")
    assert "must name a compartment, because the model has several drugs" in faults(several, [dose(cmt=0)])[0]


def test_other_wrong_arguments():
    rows = [dose(wt=70.0), *look(1.0, wt=0.0)]
    weighed = model(effects={WEIGHT: 0.75})
    assert faults(weighed, rows) == ["record 2, wt: must be above 0, because it acts by a power on x.cl."]
    assert 'must be one of: nocb, locf, linear, but is "back"' in faults(model(), [dose()], carry="back")[0]
    assert (
        "must be 1, as many as there are individuals"
        in faults(model(), [dose()], patients=Patients({}, 3))[0]
    )
    assert "must be outputs of the model" in faults(model(), [dose()], outputs=["x.blood"])[0]
    with pytest.raises(
        InputError, match="must not be Multirate, which has no way to find a timeline of its own"
    ):
        observed(model(), [dose(), *look(1.0)], solver=Multirate())
    linear = [dose(wt=70.0), *look(1.0, wt=80.0)]
    with pytest.raises(InputError, match="must not be ClosedForm, which has no way to find states while"):
        observed(weighed, linear, carry="linear")


def test_the_regimen_and_its_records_agree():
    melatonin = load_model("melatonin")
    times = [0.5, 3.0, 23.9, 30.0, 77.0]
    rows = [{"time": 0.0, "amt": 172.2e3, "cmt": "po", "ii": 24.0, "addl": 2}, *look(*times)]
    found = observed(melatonin, rows)
    result = simulate(melatonin, "melatonin 40 mg po q24h x3", times)
    ratio = found.outputs["melatonin.central"] / np.asarray(result.outputs["melatonin.central"])[:, 0]
    assert ratio == pytest.approx(np.full(len(times), ratio[0]), rel=1e-9)
    assert ratio[0] == pytest.approx(1.0, rel=1e-3)
    assert found.units["melatonin.central"] == "nmol/L"


def test_individuals_differ_and_keep_their_order():
    rows = [{"id": who, **row} for who in ("b", "a", "c") for row in (dose(), *look(1.0, 2.0))]
    rows.insert(3, {"id": "b", **look(5.0)[0]})
    spread = wire(
        {"x.iv": Bolus(), "x": OneCompartment(cl=2.0, v=10.0)},
        {},
        drugs=[Drug("x", ("iv",))],
        variability={"x.cl": 0.3},
    )
    found = observed(spread, rows, patients=Patients({"x.cl": jnp.array([0.0, 1.0, -1.0])}, 3))
    assert found.id.tolist() == ["b", "b", "b", "a", "a", "c", "c"]
    clearance = 2.0 * np.exp(0.3 * np.array([0.0, 0.0, 0.0, 1.0, 1.0, -1.0, -1.0]))
    assert found.outputs["x.central"] == pytest.approx(
        10.0 * np.exp(-clearance / 10.0 * found.time), rel=1e-12
    )


@pytest.mark.parametrize("carry", ["nocb", "locf", "linear"])
def test_covariates_between_records(carry):
    weighed = model(OneCompartment(cl=2.0, v=10.0), {CovariateEffect("x.cl", "wt", "linear", 70.0): 0.01})
    times, weights = np.array([0.0, 1.0, 2.5, 4.0]), np.array([70.0, 90.0, 60.0, 100.0])
    rows = [dose(wt=70.0)] + [look(t, wt=w)[0] for t, w in zip(times[1:], weights[1:], strict=True)]
    clearance = 2.0 * (1.0 + 0.01 * (weights - 70.0))
    held = {"nocb": clearance[1:], "locf": clearance[:-1], "linear": (clearance[1:] + clearance[:-1]) / 2.0}
    expected = 10.0 * np.exp(-np.cumsum(held[carry] * np.diff(times)) / 10.0)
    solver = ODE(rtol=1e-10, atol=1e-12) if carry == "linear" else ClosedForm()
    assert central(weighed, rows, carry=carry, solver=solver) == pytest.approx(expected, rel=1e-9)


def test_order_of_records_at_one_time():
    doses = [dose(), dose(time=8.0, ii=4.0, addl=2)]
    times = look(8.0), look(12.0), look(16.0)
    before = central(model(), [doses[0], *times[0], doses[1], *times[1], *times[2]])
    after = central(model(), [*doses, *times[0], *times[1], *times[2]])
    assert after[0] - before[0] == pytest.approx(10.0, rel=1e-12)
    assert after[1:] == pytest.approx(before[1:], rel=1e-12)
    alone = central(model(), [doses[0], *look(16.0)])[0]
    given = sum(central(model(), [dose(), *look(t)])[0] for t in (8.0, 4.0))
    assert after[2] == pytest.approx(alone + given + 10.0, rel=1e-12)


def test_a_steady_state_of_nonlinear_kinetics_is_where_many_doses_lead():
    aldesleukin = load_model("aldesleukin")
    once, times, last = {"time": 0.0, "amt": 100.0, "cmt": "sc", "ii": 24.0}, np.array([2.0, 9.0, 23.0]), 250
    steady = [{**once, "ss": 1}, *look(*times)]
    many = [{**once, "addl": last}, *look(*(24.0 * last + times))]
    found, expected = (observed(aldesleukin, rows).outputs for rows in (steady, many))
    for name, values in found.items():
        assert values == pytest.approx(expected[name], rel=1e-6), name


def test_where_nothing_settles():
    growing = {
        "x.iv": Bolus(),
        "x": OneCompartment(cl=2.0, v=10.0),
        "effect": Emax(emax=1.0, ec50=5.0),
        "tumour": TumourGrowth(kg=0.1, kkill=0.01),
    }
    wires = {"effect": {"c": "x.central"}, "tumour": {"excess": "effect.effect"}}
    model = wire(growing, wires, drugs=[Drug("x", ("iv",))])
    told = faults(model, [dose(ii=8.0, ss=1), *look(1.0)])
    assert told == ["record 1, ss: must have a steady state that the solver finds."]


def test_many_individuals_at_once_and_one_by_one(tmp_path: Path):
    rng = np.random.default_rng(5)
    rows = []
    for who in range(12):
        count = int(rng.integers(1, 9))
        rows.append({"id": who, **dose(cmt=int(rng.integers(1, 4)), addl=int(rng.integers(0, 5)), ii=3.0)})
        rows += [{"id": who, **row} for row in look(*np.sort(rng.uniform(0.0, 20.0, count)))]
    whole = central(model(), rows)
    apart = np.concatenate([central(model(), [r for r in rows if r["id"] == who]) for who in range(12)])
    assert whole == pytest.approx(apart, rel=1e-12)


def test_predictions_are_pure(tmp_path: Path):
    trial = bind_records(model(), Records.of([dose(), *look(1.0, 3.0)]))
    found = jax.jit(lambda trial, model: trial.outputs(model, ["x.central"]))(trial, model())
    assert found["x.central"].shape == (3,)
    path = tmp_path / "records.toml"
    path.write_text(
        "schema = 1\n[[record]]\ntime = 0\namt = 100\ncmt = 2\n[[record]]\ntime = 1\n[[record]]\ntime = 3\n"
    )
    again = simulate_records(model(), load_records(path))
    assert again.outputs["x.central"] == pytest.approx(np.asarray(found["x.central"])[1:], rel=1e-12)
