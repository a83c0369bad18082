"""Exposure metrics by interval against textbook expressions, quadrature and root finding."""

import math
from collections.abc import Callable
from itertools import pairwise

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp
from scipy.optimize import root_scalar

from pkpd.checks import InputError
from pkpd.exposures import Exposure, exposure
from pkpd.exposures.exposure import DEFAULT, chosen
from pkpd.exposures.measures import QUANTITIES
from pkpd.model import Drug, Model, wire
from pkpd.pk import Bolus, FirstOrder, MichaelisMenten, OneCompartment
from pkpd.population import Patients
from pkpd.simulation import bind
from pkpd.solve import ODE, ClosedForm, Multirate
from pkpd.units import UnitSystem

V, DOSE, LEVEL = 10.0, 100.0, 2.0
UNITS = UnitSystem("h", "mg", "L")
ORAL = "drug 100 mg po q24h x2"
Curve = Callable[[float], float]

# absorption rate, clearance and lag: usual, equal rates, flip-flop, slow and never below the level, no dose
PATIENTS = ((1.3, 2.0, 0.0), (0.2, 2.0, 0.0), (0.05, 8.0, 1.5), (0.9, 0.2, 0.25), (1.3, 2.0, 0.0))
GIVEN = (DOSE, DOSE, 5.0 * DOSE, DOSE, 0.0)


def one_compartment(**given: float) -> Model:
    return wire(
        {
            "drug": OneCompartment(cl=2.0, v=V),
            "drug.po": FirstOrder(ka=1.3, **given),
            "drug.iv": Bolus(),
        },
        {},
        drugs=[Drug("drug", ("iv", "po"))],
        units=UNITS,
        name="one",
    )


def bateman(ka: float, k: float, t: float) -> float:
    """Unit dose in the depot at 0, amount in the central compartment."""
    if t <= 0.0:
        return 0.0
    if ka == k:
        return ka * t * math.exp(-k * t)
    return ka / (ka - k) * (math.exp(-k * t) - math.exp(-ka * t))


def twice(ka: float, cl: float, lag: float, dose: float) -> Curve:
    """Concentration after doses at 0 and 24 h."""
    return lambda t: dose / V * sum(bateman(ka, cl / V, t - lag - start) for start in (0.0, 24.0))


def slope(curve: Curve, t: float, step: float = 1e-4) -> float:
    """By differences of fourth order."""
    far, near = curve(t + 2 * step) - curve(t - 2 * step), curve(t + step) - curve(t - step)
    return (8.0 * near - far) / (12.0 * step)


def roots(function: Curve, begin: float, end: float) -> list[float]:
    """Where a function changes its sign, from dense looks and bisection."""
    looks = np.linspace(begin, end, 2001)
    values = [function(t) for t in looks]
    crossed = [i for i, (a, b) in enumerate(pairwise(values)) if (a > 0.0) != (b > 0.0)]
    ends = [(looks[i], looks[i + 1]) for i in crossed]
    return [float(root_scalar(function, bracket=end, xtol=1e-14, rtol=1e-14).root) for end in ends]


def of_patients(level: float) -> Exposure:
    ka, cl, lag = (jnp.array(v) for v in zip(*PATIENTS, strict=True))
    model = one_compartment().replace({"drug.po.ka": ka, "drug.cl": cl, "drug.po.tlag": lag})
    events = bind(model, ORAL)
    amounts = jnp.broadcast_to(jnp.array(GIVEN), (2, len(GIVEN)))
    events = eqx.tree_at(lambda e: e.amount, events, amounts)
    return exposure(model, events, "drug.central", Patients({}, 5), quantities=QUANTITIES, above=level)


@pytest.fixture(scope="module")
def oral() -> Exposure:
    return of_patients(LEVEL)


@pytest.mark.parametrize("patient", range(4))
@pytest.mark.parametrize("interval", [0, 1])
def test_absorbed_doses(oral: Exposure, patient: int, interval: int) -> None:
    ka, cl, lag = PATIENTS[patient]
    curve = twice(ka, cl, lag, GIVEN[patient])
    begin, end = 24.0 * interval, 24.0 * (interval + 1)
    found = {name: float(v[interval, patient]) for name, v in oral.values.items()}
    kinks = [begin + lag]
    area = quad(curve, begin, end, points=kinks, epsabs=1e-12, epsrel=1e-12, limit=200)[0]
    assert found["auc"] == pytest.approx(area, rel=1e-10)
    assert found["cavg"] == pytest.approx(area / 24.0, rel=1e-10)
    assert found["ctrough"] == pytest.approx(curve(end), rel=1e-12)
    tops = roots(lambda t: slope(curve, t), begin + lag + 1e-3, end - 1e-3)
    top = max([*tops, end], key=curve)
    assert found["cmax"] == pytest.approx(curve(top), rel=1e-12)
    assert found["tmax"] == pytest.approx(top - begin, abs=1e-8)
    lowest = min([begin, begin + lag, end], key=curve)
    assert found["cmin"] == pytest.approx(curve(lowest), rel=1e-12)
    assert found["tmin"] == pytest.approx(lowest - begin, abs=1e-12)
    cuts = [begin, *roots(lambda t: curve(t) - LEVEL, begin, end), end]
    above = sum(b - a for a, b in pairwise(cuts) if curve((a + b) / 2.0) > LEVEL)
    assert found["time_above"] == pytest.approx(above, abs=1e-10)
    assert found["thalf"] == pytest.approx(math.log(2.0) / min(ka, cl / V), rel=1e-12)


def test_time_of_the_peak_is_that_of_the_textbook(oral: Exposure) -> None:
    """`ln(ka / k) / (ka - k)`, and `1 / k` where both are equal."""
    assert float(oral.values["tmax"][0, 0]) == pytest.approx(math.log(1.3 / 0.2) / 1.1, abs=1e-13)
    assert float(oral.values["tmax"][0, 1]) == pytest.approx(5.0, abs=1e-12)
    assert float(oral.values["cmax"][0, 1]) == pytest.approx(DOSE / V / math.e, rel=1e-14)


def test_no_dose_is_no_exposure(oral: Exposure) -> None:
    for name in set(QUANTITIES) - {"thalf"}:
        assert oral.values[name][:, 4] == pytest.approx(0.0, abs=0.0)


def test_all_intervals_together(oral: Exposure) -> None:
    for name in ("auc", "time_above"):
        assert oral.total[name] == pytest.approx(np.asarray(oral.values[name].sum(0)), rel=1e-14)
    assert oral.total["cavg"] == pytest.approx(np.asarray(oral.total["auc"] / 48.0), rel=1e-14)
    assert oral.total["cmax"] == pytest.approx(np.asarray(oral.values["cmax"].max(0)), rel=1e-14)
    assert float(oral.total["tmax"][0]) == pytest.approx(24.0 + float(oral.values["tmax"][1, 0]))
    assert oral.total["ctrough"] == pytest.approx(np.asarray(oral.values["ctrough"][-1]))


def test_labels(oral: Exposure) -> None:
    found = oral.to_xarray()
    assert found["auc"].dims == ("intervals", "patients")
    assert found["total_auc"].dims == ("patients",)
    units = {name: found[name].attrs["units"] for name in ("auc", "cmax", "tmax", "time_above", "start")}
    assert units == {"auc": "mg/L*h", "cmax": "mg/L", "tmax": "h", "time_above": "h", "start": "h"}
    assert found["end"].values.tolist() == [24.0, 48.0]
    assert found.attrs["output"] == "drug.central"


def test_a_level_that_is_just_reached_or_never_passed(oral: Exposure) -> None:
    """The first patient touches his own peak; a little below it he is above for as long as the curve says."""
    top, when = float(oral.values["cmax"][0, 0]), float(oral.values["tmax"][0, 0])
    curve, found = twice(*PATIENTS[0], DOSE), {}
    for share in (1.0, 1.0 - 1e-6, 1.0 + 1e-9, 1.5):
        found[share] = float(of_patients(share * top).values["time_above"][0, 0])
    bend = slope(lambda t: slope(curve, t, 1e-3), when, 1e-3)
    assert found[1.0 - 1e-6] == pytest.approx(2.0 * math.sqrt(2e-6 * top / -bend), rel=1e-3)
    assert found[1.0] < 1e-4
    assert found[1.0 + 1e-9] == found[1.5] == 0.0


def test_injections_and_infusions_in_steady_state() -> None:
    """A bolus every 12 h, an infusion of 2 h between; peaks are where they end, at kinks."""
    k, tau, lasts = 0.2, 12.0, 2.0
    regimen = "drug 100 mg iv q12h x30 + drug 50 mg iv over 2 h q12h x30 from 6 h"
    found = exposure(one_compartment(), regimen, "drug.central")
    left = 1.0 / (1.0 - math.exp(-k * tau))
    run = (
        50.0 / lasts / (k * V) * (1.0 - math.exp(-k * lasts)) * left
    )  # at the end of the infusion, its share
    late = DOSE / V * left * math.exp(-6.0 * k)
    before = run * math.exp(-4.0 * k) + late * math.exp(-6.0 * k)
    bolus, infusion = ({q: float(v[i, 0]) for q, v in found.values.items()} for i in (-2, -1))
    assert len(found.edges) == 61
    assert bolus["ctrough"] == pytest.approx(run * math.exp(-10.0 * k) + late, rel=1e-12)
    assert bolus["tmax"] == 0.0
    assert bolus["cmax"] == pytest.approx(before + DOSE / V, rel=1e-12)
    assert infusion["tmax"] == pytest.approx(lasts, abs=1e-10)
    assert infusion["cmax"] == pytest.approx(run + late * math.exp(-lasts * k), rel=1e-12)
    assert infusion["ctrough"] == pytest.approx(before, rel=1e-12)
    assert bolus["auc"] + infusion["auc"] == pytest.approx(150.0 / (k * V), rel=1e-12)


def test_edges_of_ones_own_and_the_area_to_infinity() -> None:
    """Dose over clearance; an edge that rounding keeps apart from a dose is at its time."""
    regimen, edges = "drug 100 mg iv + drug 40 mg iv from 24 h", [0.0, 24.0 - 1e-12, 1e4]
    found = exposure(one_compartment(), regimen, "drug.central", edges=edges)
    left = math.exp(-24.0 * 0.2)
    first, second = DOSE / 2.0 * (1.0 - left), DOSE / 2.0 * left + 40.0 / 2.0
    assert found.values["auc"][:, 0] == pytest.approx([first, second], rel=1e-12)
    assert found.values["cmax"][:, 0] == pytest.approx([DOSE / V, DOSE / V * left + 4.0], rel=1e-12)
    assert found.edges == (0.0, 24.0, 1e4)


def test_many_patients_in_groups_and_chunks() -> None:
    """The order of patients stays; each has the peak of the textbook."""
    rng = np.random.default_rng(1)
    eta = {"drug.po.ka": jnp.asarray(rng.normal(size=600)), "drug.cl": jnp.asarray(rng.normal(size=600))}
    model = one_compartment()
    model = wire(
        model.components,
        {},
        drugs=model.drugs,
        units=UNITS,
        variability={"drug.po.ka": 0.4, "drug.cl": 0.3},
    )
    quantities = ("auc", "cmax", "tmax")
    found = exposure(
        model,
        "drug 100 mg po",
        "drug.central",
        Patients(eta, 600, 2),
        quantities=quantities,
        edges=[0.0, 1e3],
    )
    ka, k = 1.3 * np.exp(0.4 * eta["drug.po.ka"]), 0.2 * np.exp(0.3 * eta["drug.cl"])
    top = np.log(ka / k) / (ka - k)
    assert found.values["tmax"][0] == pytest.approx(top, rel=1e-10)
    assert found.values["cmax"][0] == pytest.approx(DOSE / V * np.exp(-k * top), rel=1e-12)
    assert found.values["auc"][0] == pytest.approx(DOSE / V / k, rel=1e-12)


def test_gradients_by_parameters_schedule_and_level() -> None:
    model = one_compartment()
    events = bind(model, "drug 100 mg po + drug 20 mg iv over 2 h from 20 h")
    names = ("drug.po.ka", "drug.cl", "drug.v", "drug.po.tlag", "drug.po.bioav")
    quantities = ("auc", "cmax", "tmax", "time_above")

    def value(x: jax.Array) -> jax.Array:
        own = model.replace({name: x[i] for i, name in enumerate(names)})
        schedule = (x[5:7], x[7:9], jnp.stack([jnp.zeros(()), x[9]]))
        doses = eqx.tree_at(lambda e: (e.time, e.amount, e.duration), events, schedule)
        found = exposure(
            own, doses, "drug.central", quantities=quantities, edges=[0.0, 12.0, 30.0], above=x[10]
        )
        return jnp.concatenate([found.values[q][:, 0] for q in quantities] + [found.total["tmax"]])

    point = jnp.array([1.3, 2.0, V, 0.4, 0.9, 0.5, 20.0, DOSE, 20.0, 2.0, LEVEL])
    run, exact = jax.jit(value), np.asarray(jax.jit(jax.jacfwd(value))(point))
    for i, at in enumerate(point):
        move = jnp.zeros(len(point)).at[i].set(1e-5 * float(at))
        slopes = (run(point + move) - run(point - move)) / (2e-5 * at)
        assert exact[:, i] == pytest.approx(np.asarray(slopes), rel=1e-6, abs=1e-7), i


def test_gradients_at_ties_equal_rates_and_zero_doses() -> None:
    """Backwards, where `ka = k`, an edge lies at a dose and that dose is nothing."""
    model, k = one_compartment(), 0.2
    events = bind(model, ORAL)

    def peak(cl: jax.Array, ka: jax.Array, amount: jax.Array) -> jax.Array:
        own = model.replace({"drug.cl": cl, "drug.po.ka": ka})
        doses = eqx.tree_at(lambda e: e.amount, events, jnp.stack([amount, jnp.zeros(())]))
        found = exposure(own, doses, "drug.central", quantities=("cmax", "tmax"))
        return jnp.stack([found.values[q][0, 0] for q in ("cmax", "tmax")])

    by_cl, by_ka, by_amount = jax.jit(jax.jacrev(peak, (0, 1, 2)))(10.0 * k, k, DOSE)
    assert by_amount == pytest.approx([1.0 / V / math.e, 0.0], abs=1e-12)
    # tmax is 1 / k - (ka - k) / (2 k^2) near ka = k, and cmax dose / V exp(-k tmax)
    assert by_cl == pytest.approx([-DOSE / V / math.e * 0.5 / k / V, -0.5 / k**2 / V], rel=1e-7)
    assert by_ka == pytest.approx([DOSE / V / math.e * 0.5 / k, -0.5 / k**2], rel=1e-7)


def saturable() -> Model:
    return wire(
        {
            "drug": OneCompartment(cl=0.5, v=V),
            "drug.po": FirstOrder(ka=1.3, tlag=0.5),
            "drug.elimination": MichaelisMenten(vmax=15.0, km=3.0),
        },
        {"drug": {"clearance": "drug.elimination.clearance"}, "drug.elimination": {"c": "drug.central"}},
        drugs=[Drug("drug", ("po",))],
        units=UNITS,
        name="saturable",
    )


@pytest.mark.parametrize(
    ("solver", "rtol"),
    [pytest.param(ODE(rtol=1e-10, atol=1e-12), 1e-8, marks=pytest.mark.slow, id="ODE"), (None, 1e-4)],
)
def test_saturable_elimination(solver: ODE | None, rtol: float) -> None:
    def right(t: float, y: np.ndarray) -> list[float]:
        c = y[1] / V
        return [-1.3 * y[0], 1.3 * y[0] - (0.5 + 15.0 / (3.0 + c)) * c, c]

    def last(t: float, y: np.ndarray) -> float:
        return right(t, y)[1]

    def level(t: float, y: np.ndarray) -> float:
        return y[1] / V - LEVEL

    path = solve_ivp(
        right, (0.0, 23.5), [DOSE, 0.0, 0.0], "LSODA", rtol=1e-12, atol=1e-12, events=(last, level)
    )
    (top, *_), crossings = path.t_events
    found = exposure(saturable(), "drug 100 mg po", "drug.central", above=LEVEL, solver=solver)
    expected = {
        "auc": path.y[2, -1],
        "cavg": path.y[2, -1] / 24.0,
        "cmax": path.y_events[0][0][1] / V,
        "tmax": top + 0.5,
        "ctrough": path.y[1, -1] / V,
        "time_above": crossings[1] - crossings[0],
    }
    for name, value in expected.items():
        assert float(found.values[name][0, 0]) == pytest.approx(
            value, rel=20.0 * rtol if name == "tmax" else rtol
        )


def test_a_linear_drug_is_exact_in_a_nonlinear_model() -> None:
    both = saturable()
    model = wire(
        {**both.components, "other": OneCompartment(cl=2.0, v=V), "other.iv": Bolus()},
        {"drug": {"clearance": "drug.elimination.clearance"}, "drug.elimination": {"c": "drug.central"}},
        drugs=[*both.drugs, Drug("other", ("iv",))],
        units=UNITS,
    )
    assert isinstance(chosen(model, "other.central", DEFAULT), ClosedForm)
    assert isinstance(chosen(model, "drug.central", DEFAULT), Multirate)
    assert isinstance(chosen(model, "drug.elimination.clearance", ("cmax",)), Multirate)


def test_faults_are_told_together() -> None:
    model = one_compartment()
    with pytest.raises(InputError) as caught:
        exposure(
            model, ORAL, "drug.centrl", quantities=("auc", "cmx", "time_above"), edges=[3.0, -1.0, np.inf]
        )
    text = str(caught.value)
    assert len(caught.value.faults) == 5
    for part in ('"drug.central"', '"cmax"', "above", "not negative", "ascending"):
        assert part in text
    with pytest.raises(InputError, match="must give drug"):
        exposure(model, "none", "drug.central")
    with pytest.raises(InputError) as caught:
        exposure(model, "drug 1 furlong po", "drug.central", edges=[1.0], quantities=(), above=math.nan)
    assert {fault.place for fault in caught.value.faults} == {"regimen", "above"}
    with pytest.raises(InputError, match="at least two times"):
        exposure(model, ORAL, "drug.central", edges=[1.0], quantities=())
    with pytest.raises(InputError, match="must not be ClosedForm"):
        exposure(saturable(), ORAL, "drug.central", solver=ClosedForm())
