"""Doses that keep a clock, against sums of textbook formulas of single doses, and the adaptive reference."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pkpd.model import Drug, Model, wire
from pkpd.pk import Bolus, FirstOrder, OneCompartment, ParallelAbsorption, TwoCompartment, ZeroOrder
from pkpd.simulation import bind, simulate
from pkpd.solve import ODE, ClosedForm, closed_form
from pkpd.solve.streams import streams_of
from pkpd.units import Substance, UnitSystem

HOURS = np.arange(0.0, 121.0)
STATE = "testol.central_amount"
LAGS = np.array([0.0, 0.3, 2.0, 24.0, 49.5])
ORAL = "testol 100 mg po q24h x5"


def drug(ka: float = 1.1, tlag: float = 0.0) -> Model:
    parts = {
        "testol.po": FirstOrder(ka=ka, bioav=0.4, tlag=tlag),
        "testol.iv": Bolus(tlag=0.0),
        "testol.tab": ZeroOrder(duration=3.0),
        "testol": OneCompartment(cl=6.0, v=20.0),
    }
    units = UnitSystem(time="h", amount="mg", volume="L")
    return wire(parts, {}, drugs=[Drug("testol", ("po", "iv", "tab"), Substance())], units=units)


def bateman(t: np.ndarray, ka: float, k: float = 0.3, dose: float = 40.0) -> np.ndarray:
    """A = D ka (exp(-k t) - exp(-ka t)) / (ka - k), and D k t exp(-k t) in the limit."""
    t = np.maximum(t, 0.0)
    if ka == k:
        return dose * k * t * np.exp(-k * t)
    return dose * ka / (ka - k) * (np.exp(-k * t) - np.exp(-ka * t))


def infused(t: np.ndarray, duration: np.ndarray, dose: float = 100.0, k: float = 0.3) -> np.ndarray:
    """A = R (1 - exp(-k min(t, d))) / k exp(-k max(t - d, 0))."""
    t = np.maximum(t, 0.0)
    on, off = np.minimum(t, duration), np.maximum(t - duration, 0.0)
    return dose / duration / k * -np.expm1(-k * on) * np.exp(-k * off)


def solved(model: Model, regimen: str, times: np.ndarray = HOURS, patients: int = 1) -> np.ndarray:
    """By the clock, or it is an error."""
    events = bind(model, regimen)
    assert streams_of(model, events, times) is not None
    run = jax.jit(lambda m: ClosedForm().states(m, events, times.tolist(), patients)[STATE])
    return np.asarray(run(model))


@pytest.mark.parametrize("ka", [1.1, 0.3], ids=["bateman", "equal rates"])
def test_lags_of_their_own(ka):
    found = solved(drug(ka).replace({"testol.po.tlag": jnp.asarray(LAGS)}), ORAL, patients=len(LAGS))
    expected = sum(bateman(HOURS[:, None] - LAGS - 24.0 * i, ka) for i in range(5))
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-13)


def test_a_lag_of_all_days_off_and_times_in_any_order():
    times = np.concatenate([np.arange(300.0, 330.0, 0.5)[::-1], np.arange(30.0)])
    days = [d for d in range(14) if d % 7 < 5]
    found = solved(drug(tlag=30.5), "testol 100 mg po q24h for 14 d on days 1-5 of 7", times)
    expected = sum(bateman(times - 30.5 - 24.0 * d, 1.1) for d in days)
    assert found[:, 0] == pytest.approx(expected, rel=1e-12, abs=1e-13)


def test_a_dose_is_not_seen_at_its_own_time():
    """Boluses into the central compartment, whose amount jumps: at, just before and just after some, whether
    rounding makes the time since a tick more or less than the lag."""
    lags = np.array([0.0, 0.1, 0.3, 1 / 3, 24.0, 24.7, *np.random.default_rng(1).uniform(0.0, 30.0, 40)])
    doses = 1.2 + 8.0 * np.arange(15)
    times = np.concatenate([d + lags + shift for d in doses[[2, 9]] for shift in (-1e-9, 0.0, 1e-9)])
    model = drug().replace({"testol.iv.tlag": jnp.asarray(lags)})
    found = solved(model, "testol 50 mg iv q8h x15 from 1.2 h", times, len(lags))
    ages = times[:, None, None] - doses[:, None] - lags
    expected = np.where(ages > 1e-10, 50.0 * np.exp(-0.3 * ages), 0.0).sum(1)
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-13)


@pytest.mark.parametrize("hours", [4, 24, 60])
def test_infusions_that_end_within_a_period_or_after_it(hours):
    found = solved(drug(), f"testol 100 mg iv over {hours} h q24h x5 from 3 h")[:, 0]
    expected = sum(infused(HOURS - 3.0 - 24.0 * i, np.asarray(hours)) for i in range(5))
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_durations_of_their_own():
    lasts = np.array([0.5, 3.0, 23.0, 24.0, 55.0])
    changed = drug().replace({"testol.tab.duration": jnp.asarray(lasts)})
    found = solved(changed, "testol 100 mg tab q24h x5", patients=5)
    expected = sum(infused(HOURS[:, None] - 24.0 * i, lasts) for i in range(5))
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_drugs_and_routes_against_the_reference():
    parts = {
        "one.po": ParallelAbsorption(ka=0.7, fraction=0.4, duration=5.0, delay=10.0, tlag=6.0),
        "one.iv": Bolus(),
        "one": TwoCompartment(cl=6.0, vc=20.0, q=4.0, vp=30.0),
        "two.po": FirstOrder(ka=0.9, tlag=1.5),
        "two": OneCompartment(cl=2.0, v=10.0),
    }
    drugs = [Drug("one", ("po", "iv"), Substance()), Drug("two", ("po",), Substance())]
    model = wire(parts, {}, drugs=drugs, units=UnitSystem(time="h", amount="mg", volume="L"))
    model = model.replace({"one.cl": jnp.array([6.0, 2.0]), "one.po.tlag": jnp.array([6.0, 0.25])})
    events = bind(model, "one 10 mg po q12h x4 + one 5 mg iv over 3 h q12h x3 from 7 h + two 8 mg po q8h x5")
    events = dataclasses.replace(events, amount=events.amount[:, None] * jnp.array([1.0, 0.3]))
    times = HOURS[:49]
    assert streams_of(model, events, times) is not None
    exact, found = (
        jax.jit(lambda m, s=s: s.states(m, events, times.tolist(), 2))(model)
        for s in (ODE(rtol=1e-10, atol=1e-12), ClosedForm())
    )
    for state in model.states:
        assert np.asarray(found[state]) == pytest.approx(np.asarray(exact[state]), rel=1e-7, abs=1e-7), state


def test_what_follows_no_clock():
    """Irregular doses, differing durations, few looks, and times that are traced."""
    model = drug()
    for regimen in (
        "testol 1 mg po q24h x3 + testol 1 mg po from 31.7 h + testol 1 mg po from 3.14159 h",
        "testol 1 mg iv over 1 h q24h x3 + testol 1 mg iv over 2 h q24h x3",
    ):
        assert streams_of(model, bind(model, regimen), HOURS) is None
    events = bind(model, ORAL)
    assert streams_of(model, events, np.array([0.5, 30.1, 55.3, 110.0])) is None
    assert jax.jit(lambda t: streams_of(model, dataclasses.replace(events, time=t), HOURS) is None)(
        events.time
    )


def test_gradients():
    """In rates that are equal, bioavailability, duration, amounts, one of which is zero, and patients' lags:
    none, one, and one beyond a period."""
    start = drug(0.3).replace({"testol.po.tlag": jnp.asarray([0.0, 0.3, 49.5])})
    paths = ("testol.po.ka", "testol.po.bioav", "testol.tab.duration", "testol.cl", "testol.po.tlag")
    events = bind(start, f"{ORAL} + testol 30 mg tab q24h x4 from 5 h")
    events = dataclasses.replace(events, amount=events.amount.at[1].set(0.0))
    times = np.arange(0.5, 121.0, 1.0)
    assert streams_of(start, events, times) is not None
    weight = jnp.cos(jnp.asarray(times))

    @jax.jit
    def total(x):
        shifts = (*x[:4], x[4:7])
        changes = {p: start.get(p) + shift for p, shift in zip(paths, shifts, strict=True)}
        doses = dataclasses.replace(events, amount=events.amount + x[7:])
        found = ClosedForm().states(start.replace(changes), doses, times.tolist(), 3)
        return (weight @ found[STATE]).sum()

    step, size = 1e-4, 7 + len(events)
    slope = np.asarray(jax.grad(total)(jnp.zeros(size)))
    for i in range(size):
        at = [float(total(step * k * jnp.asarray(np.eye(size)[i]))) for k in range(5)]
        rise = np.array([-25, 48, -36, 16, -3]) @ at / (12.0 * step)
        assert slope[i] == pytest.approx(rise, rel=1e-6, abs=1e-6), i


def test_simulation_takes_the_clock(monkeypatch):
    """In the program that `simulate` compiles too, where doses are traced."""
    model = drug()
    events = bind(model, ORAL)
    monkeypatch.setattr(closed_form, "merge", None)  # the other way needs it
    found = simulate(model, events, HOURS, outputs=["testol.central"], solver=ClosedForm()).outputs
    expected = sum(bateman(HOURS - 24.0 * i, 1.1) for i in range(5)) / 20.0
    assert found["testol.central"][:, 0] == pytest.approx(expected, rel=1e-12, abs=1e-13)
