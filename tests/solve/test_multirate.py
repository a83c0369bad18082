"""The production solver against the adaptive reference, on the shipped model."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pkpd.catalogue import load_model
from pkpd.checks import InputError
from pkpd.individuals import individualise, sample_patients
from pkpd.infer.problem import Problem
from pkpd.simulation import apart, bind, simulate
from pkpd.solve import ODE, Multirate

TIMES = (0.3, 1.0, 2.6, 5.0, 9.0, 30.0)
REGIMENS = {
    "daily": "aldesleukin 3 MIU sc q24h x5 + melatonin 40 mg po q24h x5",
    "strong and often": "aldesleukin 18 MIU sc q12h x6 + melatonin 40 mg po q24h x3",
    "clock times with a day off": "aldesleukin 3 MIU sc q24h for 4 d on days 1-2 of 3 at 08:00"
    " + melatonin 40 mg po q24h x4 at 20:00",
    "into a vein": "aldesleukin 1 MIU iv q24h x2 then aldesleukin 2 MIU iv over 36 h",
    "nothing": "none",
    "the second drug alone": "melatonin 40 mg po q12h x4",
}


@pytest.fixture(scope="module")
def model():
    return load_model("neuroimmunotherapy")


def worst(found, exact):
    """Largest error by state, relative to the state or to a thousandth of its largest size of the patient.

    The tumour's size stands for its logarithm, which crosses zero.
    """
    found, exact = ({**v, "tumour.log_ratio": np.exp(v["tumour.log_ratio"])} for v in (found, exact))
    return {
        s: float(
            np.max(np.abs(found[s] - v) / np.maximum(np.maximum(np.abs(v), 1e-3 * np.abs(v).max(0)), 1e-6))
        )
        for s, v in exact.items()
    }


def follows_the_reference(own, events, times):
    """Asserts the errors that the default and the fine setting promise, for four patients."""

    def run(solver):
        return jax.jit(lambda m: solver.states(m, events, times, 4))(own)

    exact = run(ODE(rtol=1e-10, atol=1e-13, max_steps=50_000))
    usual, fine = (worst(run(solver), exact) for solver in (Multirate(), Multirate(per_day=48.0)))
    assert max(usual.values()) < 1e-4, usual
    assert max(fine.values()) < 1e-6, fine


@pytest.mark.parametrize("name", REGIMENS)
def test_states(model, name):
    own, events = individualise(model, sample_patients(model, 4, 3)), bind(model, REGIMENS[name])
    follows_the_reference(own, events, TIMES)


def test_signals_that_rise_within_seconds(model):
    """A second drug that is half effective at a hundredth of the usual concentration, while the first acts.

    It is given at the start of a cell and inside one, twice at one time too.
    """
    quick = model.replace({"potentiation.ec50": 0.01 * model.get("potentiation.ec50")})
    own = individualise(quick, sample_patients(quick, 4, 3))
    regimen = (
        "aldesleukin 3 MIU sc q12h for 3 d at 06:00 + melatonin 20 mg po q24h x3 at 20:00"
        " + melatonin 20 mg po q24h x3 at 20:00 + melatonin 3 mg po q24h x3 at 00:00"
    )
    events, times = bind(quick, regimen), (1.0, 2.0, 2.4, 3.0, 9.0)
    follows_the_reference(own, events, times)


def test_estimate_covers_the_error(model):
    """Of every output and outcome, against many panels; it is not much larger than what it covers either."""
    patients, times = sample_patients(model, 4, 3), (0.3, 1.0, 2.6, 9.0)

    def run(solver, error=False):
        return simulate(model, REGIMENS["daily"], times, patients, alive=[365.0], solver=solver, error=error)

    found, exact = run(Multirate(), error=True), run(Multirate(per_day=48.0))
    true = apart((exact.outputs, exact.outcomes), (found.outputs, found.outcomes))
    for name, error in true.items():
        assert np.all(error <= found.error[name] + 1e-9), name
    assert max(float(found.error[name].max()) for name in exact.outputs) < 2e-3


def test_groups_repeat_the_kinetics(model):
    patients = sample_patients(model, 12, 5, groups=3)
    events, times = bind(model, REGIMENS["daily"]), (3.0, 14.25, 56.5)
    names = ("aldesleukin.cl", "effector.kout", "tumour.kg", "tumour.kkill")

    def states(x, groups):
        changed = model.replace({n: model.get(n) * jnp.exp(x[i]) for i, n in enumerate(names)})
        own = individualise(changed, patients)
        found = Multirate(per_day=6.0, groups=groups).states(own, events, times, 12)
        return found["tumour.log_ratio"].sum(), found

    runs = [jax.jit(jax.value_and_grad(lambda x, n=n: states(x, n), has_aux=True)) for n in (3, 1)]
    (((_, once), slope), ((_, each), exact)) = (run(jnp.zeros(len(names))) for run in runs)
    for state, values in each.items():
        assert once[state] == pytest.approx(np.asarray(values), rel=1e-12, abs=1e-300), state
    assert slope == pytest.approx(np.asarray(exact), rel=1e-9)


def test_patients_do_not_depend_on_their_chunk(model):
    own, events = individualise(model, sample_patients(model, 9, 5)), bind(model, REGIMENS["daily"])
    whole, parts = (
        jax.jit(lambda m, n=n: Multirate(per_day=6.0, chunk=n).states(m, events, (3.0, 30.0), 9))(own)
        for n in (16, 4)
    )
    for state, values in whole.items():
        assert parts[state] == pytest.approx(np.asarray(values), rel=1e-12, abs=1e-300), state


def test_patients_in_other_groups_are_refused(model):
    with pytest.raises(InputError, match="must come in a multiple of 3 groups"):
        simulate(model, "none", [1.0], sample_patients(model, 12, 1), solver=Multirate(groups=3))
    problem = Problem(model, (), sample_patients(model, 12, 1, groups=3), Multirate(groups=3))
    with pytest.raises(InputError, match="must come in a multiple of 2 groups"):
        dataclasses.replace(problem, solver=Multirate(groups=2))


def test_gradient_in_parameters_amounts_and_times(model):
    patients, events = sample_patients(model, 4, 3), bind(model, REGIMENS["daily"])
    names = (
        "aldesleukin.cl",
        "aldesleukin.sc.ka",
        "aldesleukin.sc.tlag",
        "aldesleukin.pool.base",
        "effector.kout",
    )

    def last(x):
        changed = model.replace({n: model.get(n) * jnp.exp(x[i]) for i, n in enumerate(names)})
        amount, time = events.amount * (1.0 + x[-2]), events.time * (1.0 + 0.01 * x[-1])
        doses = dataclasses.replace(events, amount=amount, time=time)
        found = Multirate().states(individualise(changed, patients), doses, (2.6, 20.0), 4)
        return found["memory.value"].mean()

    x = jnp.asarray([0.0] * (len(names) + 1) + [0.5])  # off the day's start, where doses change their cell
    slope = np.asarray(jax.jit(jax.grad(last))(x))
    value = jax.jit(last)
    for i in range(len(x)):
        shift = jnp.asarray(np.eye(len(x))[i] * 1e-3)
        assert slope[i] == pytest.approx(
            float(value(x + shift) - value(x - shift)) / 2e-3, rel=1e-4, abs=1e-8
        ), i


def test_forward_and_reverse_mode_agree(model):
    patients, events = sample_patients(model, 2, 3), bind(model, REGIMENS["into a vein"])

    def last(x):
        own = individualise(model.replace({"aldesleukin.cl": x[0], "aldesleukin.q": x[1]}), patients)
        return Multirate().states(own, events, (4.0,), 2)["effector.level"].sum()

    x = jnp.asarray([model.get("aldesleukin.cl"), model.get("aldesleukin.q")])
    assert jax.jacfwd(last)(x) == pytest.approx(np.asarray(jax.grad(last)(x)), rel=1e-9)


def test_doses_moved_off_their_nominal_times_are_not_taken_for_equal_days(model):
    own, events = individualise(model, sample_patients(model, 2)), bind(model, REGIMENS["daily"])
    moved = dataclasses.replace(events, time=events.time + 0.01 * jnp.asarray([0.0, 1.0, 3.0, 5.0, 8.0] * 2))
    found, exact = (s.states(own, moved, (2.6, 9.0), 2) for s in (Multirate(), ODE()))
    assert max(worst(found, exact).values()) < 1e-4


def test_a_lag_beyond_reach_is_not_a_lost_dose(model):
    """A dose that no cell holds must not vanish silently."""
    late = model.replace({"aldesleukin.sc.tlag": jnp.asarray(3.0)})
    own = individualise(late, sample_patients(model, 2))
    found = Multirate().states(own, bind(model, "aldesleukin 3 MIU sc"), (10.0,), 2)
    assert np.isnan(found["effector.level"]).all()


def test_the_time_of_day_of_a_schedule_does_not_matter(model):
    """At 03:56 a day's start and its doses differ by rounding, and both drugs are given at once."""
    sharp = model.replace({"potentiation.ec50": 20.0, "potentiation.pmax": 5.0})
    own = individualise(sharp, sample_patients(model, 4, 3))
    found = []
    for clock, late in (("00:00", 0.0), ("03:56", 236.0 / 1440.0)):
        at = f"at {clock}"
        text = f"aldesleukin 0.46 MIU sc q24h x7 {at} + melatonin 47 mg po q24h x7 {at}"
        events, times = bind(model, text), [late + t for t in (0.25, 1.0, 3.0, 5.0, 7.0)]
        run = jax.jit(lambda m, e=events, t=tuple(times): Multirate().states(m, e, t, 4)["effector.level"])
        found.append(np.asarray(run(own)))
    assert found[1] - 1.0 == pytest.approx(found[0] - 1.0, rel=1e-9)
