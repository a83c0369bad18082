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
PLAN = "melatonin 40 mg po q24h x3 + melatonin 5 mg iv over 2 h"
LATE = "melatonin 40 mg po q24h x3 from 7.2 h + melatonin 5 mg iv over 2 h from 7.2 h"
MISSED = "melatonin 40 mg po q48h x2 + melatonin 5 mg iv over 2 h"
SOLVERS = [ClosedForm(), ODE(rtol=1e-9, atol=1e-12), Multirate()]
DAILY = "melatonin 40 mg po q24h x12"


@pytest.fixture(scope="module")
def model():
    return load_model("melatonin")


@pytest.fixture(scope="module")
def illness():
    return load_model("tests/data/illness.toml")


@pytest.fixture(scope="module")
def many(model):
    """A plan and the patterns of so many patients that shares are known to a percent."""
    events = bind(model, DAILY)
    return events, draw_patterns(events, scaled(HABITS, model), 20_000, 1)


@pytest.fixture(scope="module")
def plans(model):
    """Exact states under the plan that begins late, and under the one without a dose."""
    return [states(ClosedForm(), model, bind(model, plan), 1) for plan in (LATE, MISSED)]


def states(solver, model, events, patients):
    """States at four times, one of them between a dose and the same dose late."""
    wanted = [t * model.units.day for t in (0.2, 0.9, 1.5, 2.8)]
    return jax.jit(lambda e: solver.states(model, e, wanted, patients))(events)


def scaled(habits, model):
    """Times in days as times of the model."""
    day = model.units.day
    return dataclasses.replace(habits, late=habits.late * day, dropout=habits.dropout / day)


@pytest.mark.parametrize("solver", SOLVERS, ids=repr)
def test_late_doses_are_a_plan_shifted_and_missed_ones_a_plan_without_them(model, plans, solver):
    """The third patient is later than was said: where the grid has no place for it he has no numbers."""
    events, day = bind(model, PLAN), model.units.day
    assert events.nominal == pytest.approx([0.0, 0.0, day, 2 * day])
    time = events.time[:, None] + jnp.asarray([0.3, 0.0, 3.0]) * day
    given = jnp.asarray([[True, True, True]] * 4).at[2, 1].set(False)
    amount = jnp.where(given, events.amount[:, None], 0.0)
    both = dataclasses.replace(events, time=time, amount=amount, given=given, late=0.3 * day)

    found = states(solver, model, both, 3)
    for patient, plan in enumerate(plans):
        for state, path in plan.items():
            exact = pytest.approx(np.asarray(path[:, 0]), rel=1e-6, abs=1e-6)
            assert found[state][:, patient] == exact, state
    assert np.isnan(found["melatonin.central_amount"][-1, 2]) == isinstance(solver, Multirate)


def test_certain_habits(model):
    events = bind(model, PLAN)
    kept, none = (draw_patterns(events, Adherence(p), 3).events() for p in (1.0, 0.0))
    assert np.array_equal(kept.amount, np.broadcast_to(events.amount[:, None], (4, 3)))
    assert np.array_equal(kept.time, events.time)
    assert np.asarray(kept.given).all()
    assert not np.asarray(none.given).any()
    assert not np.asarray(none.amount).any()
    control = draw_patterns(bind(model, "none"), Adherence(0.5, dropout=0.1), 3)
    assert len(control.events()) == 0
    assert np.array_equal(control.weight(Adherence(0.6, dropout=0.2)), np.ones(3))


def test_padding_taking_and_times_of_their_own(model):
    events = draw_patterns(bind(model, PLAN), scaled(HABITS, model), 3).events()
    longer, some = events.pad(6), events.take([1, 3])
    assert longer.time.shape == (6, 3)
    assert np.array_equal(some.time, events.time[np.array([1, 3])])
    assert longer.late == some.late == events.late > 0.0
    assert not events.fixed
    assert dataclasses.replace(events, time=jnp.asarray(events.nominal)[:, None] * jnp.ones(3)).fixed


def test_chances_of_a_chain_in_two_states(model):
    """`q(n) = m + (1 - m) (p - r)^n` with the stationary `m = r / (1 - p + r)`, times the rest that stays."""
    events = bind(model, DAILY)
    p, r, h, n = 0.8, 0.5, 0.1, np.arange(1, 13)
    stationary = r / (1.0 - p + r)
    expected = (stationary + (1.0 - stationary) * (p - r) ** n) * np.exp(-h * (n - 1))
    assert chances(events, scaled(HABITS, model)) == pytest.approx(expected, rel=1e-12)


def test_shares_of_patterns_are_their_chances(many, model):
    events, patterns = many
    share = np.asarray(patterns.events().given).mean(axis=1)
    exact = np.asarray(chances(events, scaled(HABITS, model)))
    assert share == pytest.approx(exact, abs=4.0 * np.sqrt(0.25 / 20_000))


def test_slopes_of_the_weights_are_those_of_the_expectation(many, model):
    """Of the expected number of doses in each probability and the hazard, within four standard errors."""
    events, patterns = many
    number = jnp.asarray(patterns.events().given, float).sum(0)
    x = jnp.asarray([0.8, 0.5, 0.1])

    def habits(x):
        return scaled(Adherence(x[0], x[1], 0.0, x[2]), model)

    exact = jax.jacrev(lambda x: chances(events, habits(x)).sum())(x)
    score = jax.jacfwd(lambda x: patterns.weight(habits(x)))(x)
    slope = jax.grad(lambda x: patterns.mean(number, habits(x)))(x)
    noise = np.std(np.asarray(score * (number - number.mean())[:, None]), axis=0) / np.sqrt(len(number))
    assert np.all(np.abs(slope - exact) < 4.0 * noise)
    assert np.all(noise < 0.1 * np.abs(exact))
    moved = x * jnp.asarray([1.05, 0.9, 1.3])
    gap = patterns.mean(number, habits(moved)) - chances(events, habits(moved)).sum()
    assert abs(float(gap)) < 0.1  # three standard errors


def test_patterns_drawn_before_certainty_know_its_slope(model):
    """At a probability of one, where no pattern would miss a dose: `d E / d p` of twelve doses is twelve."""
    events = bind(model, DAILY)
    patterns = draw_patterns(events, Adherence(0.9), 40_000, 1)
    number = jnp.asarray(patterns.events().given, float).sum(0)
    value, slope = jax.value_and_grad(lambda p: jnp.mean(patterns.weight(Adherence(p)) * number))(1.0)
    assert float(value) == pytest.approx(12.0, rel=0.03)
    assert float(slope) == pytest.approx(12.0, rel=0.15)


def test_the_same_luck_in_another_plan(model):
    habits = Adherence(0.7)
    few, all_ = (
        draw_patterns(bind(model, text), habits, 5, 3).taken for text in ("melatonin 3 mg po q12h x4", DAILY)
    )
    assert np.array_equal(few, all_[:4])


def test_late_doses_come_before_the_next(many, model):
    events, patterns = many
    late = np.asarray(patterns.events().time) - np.array(events.nominal)[:, None]
    day = model.units.day
    assert late.min() >= 0.0
    assert late.max() <= patterns.events().late == pytest.approx(0.25 * day)
    cut = 1.0 - 6.0 * np.exp(-5.0)
    assert late.mean() == pytest.approx(0.05 * day * cut / (1.0 - np.exp(-5.0)), rel=0.01)
    often = draw_patterns(events, Adherence(late=0.5 * day), 100).events()
    assert np.max(np.asarray(often.time) - np.array(events.nominal)[:, None]) <= 0.9 * day + 1e-9


def test_habits_by_drug(illness):
    events = bind(illness, "drugx 1 MIU sc q24h x6 + drugy 4 mg po q24h x6")
    patterns = draw_patterns(events, Adherence(taken={"drugy": 0.0}, late={"drugy": 2.0}), 3)
    given, late = (
        np.asarray(patterns.events().given),
        np.asarray(patterns.events().time) - np.array(events.nominal)[:, None],
    )
    first = np.array([drug == "drugx" for drug, _ in events.route])
    assert given[first].all()
    assert not given[~first].any()
    assert not late[first].any()
    assert late[~first].all()


def test_faults_of_an_adherence(illness):
    events = bind(illness, "drugx 1 MIU sc q24h x2")
    habits = Adherence({"drugx": 1.2, "drugz": 0.5}, -0.1, late=-1.0, dropout=jnp.inf)
    with pytest.raises(InputError) as error:
        draw_patterns(events, habits, 0, -1)
    told = {fault.place: fault.rule for fault in error.value.faults}
    assert told == {
        "patients": "must be at least 1",
        "seed": "must not be negative",
        "taken.drugx": "must lie between 0 and 1",
        "taken.drugz": "must be of a drug that is given",
        "after_missed": "must lie between 0 and 1",
        "late": "must be a finite number that is not negative",
        "dropout": "must be a finite number that is not negative",
    }
    with pytest.raises(InputError, match="late: must be 0 where the patterns were drawn with doses on time"):
        draw_patterns(events, Adherence(0.5), 2).events(Adherence(0.5, late=1.0))
    with pytest.raises(InputError, match="must be a plan that gives all patients the same doses"):
        chances(draw_patterns(events, Adherence(0.5), 2).events(), Adherence(0.5))


def test_slopes_in_adherence_amounts_and_times(model):
    """Of expected levels and of an effect that saturates, by an exact solver, with the patterns held."""
    patients, drawn = sample_patients(model, 50, 3), scaled(HABITS, model)
    plan = bind(model, "melatonin 40 mg po q24h x3 from 8 h + melatonin 5 mg iv over 2 h q24h x3 from 14 h")
    patterns = draw_patterns(plan, drawn, 50, 5)

    def expected(x):
        habits, times, amounts = Adherence(*x[:4]), jnp.tile(x[4:6], 3), jnp.tile(x[6:], 3)
        events = patterns.events(habits)
        events = dataclasses.replace(
            events, time=events.time + times[:, None], amount=events.amount * amounts[:, None]
        )
        found = simulate(model, events, [9.0, 30.0, 41.0, 64.0], patients, outputs=["melatonin.central"])
        level = found.outputs["melatonin.central"]
        return patterns.mean((level + jnp.tanh(level / 100.0)).sum(0), habits)

    x = jnp.asarray([drawn.taken, drawn.after_missed, drawn.late, drawn.dropout, 0.1, 0.0, 1.0, 1.0])
    both = jax.jit(jax.value_and_grad(expected))
    slope = both(x)[1]
    for i in range(len(x)):
        step = 1e-4 * jnp.zeros(len(x)).at[i].set(1.0)
        rise = (both(x + step)[0] - both(x - step)[0]) / 2e-4
        assert float(slope[i]) == pytest.approx(float(rise), rel=1e-4), i


@pytest.mark.slow
def test_slopes_of_every_outcome(illness):
    """In adherence, amounts and times, against central differences with the patterns held."""
    patients = sample_patients(illness, 4, 3)
    plan = bind(illness, "drugx 1 MIU sc q24h x2 from 8 h + drugy 40 mg po q24h x2 from 14 h")
    drawn = scaled(HABITS, illness)
    patterns = draw_patterns(plan, drawn, 4, 5)
    assert 0 < np.asarray(patterns.events().given).sum() < 16
    x = jnp.asarray([drawn.taken, drawn.after_missed, drawn.late, drawn.dropout, 1.0, 1.0, 0.0, 0.0])
    mine = jnp.asarray([drug == "drugx" for drug, _ in plan.route])

    def outcomes(x):
        habits, amounts, shifts = Adherence(*x[:4]), x[4:6], x[6:]
        events = patterns.events(habits)
        times = events.time + jnp.where(mine, *shifts)[:, None]
        events = dataclasses.replace(
            events, amount=events.amount * jnp.where(mine, *amounts)[:, None], time=times
        )
        found = simulate(illness, events, [1.0], patients, alive=[2400.0]).outcomes
        return {name: patterns.mean(v, habits) for name, v in found.items()}

    along = jax.jit(lambda x, v: jax.jvp(outcomes, (x,), (v,)))
    assert {"regression", "relief", "alive(100 d)"} <= {*along(x, x)[0]}
    for i in range(len(x)):
        unit = jnp.zeros(len(x)).at[i].set(1.0)
        step = 1e-3 * max(1e-2, abs(float(x[i])))
        up, down = (along(x + s * unit, unit)[0] for s in (step, -step))
        for name, slope in along(x, unit)[1].items():
            rise = (up[name] - down[name]) / (2.0 * step)
            assert float(slope) == pytest.approx(float(rise), rel=1e-4, abs=1e-9), (i, name)


@pytest.mark.slow
@pytest.mark.parametrize("late", [0.02, 0.25])
def test_late_doses_of_the_shipped_model(late):
    """Doses that are hours late cross the edges of cells and each other, and follow the reference."""
    model = load_model("neuroimmunotherapy")
    own = individualise(model, sample_patients(model, 4, 3))
    events = bind(model, "aldesleukin 3 MIU sc q24h x5 + melatonin 40 mg po q24h x5")
    events = draw_patterns(events, Adherence(0.9, 0.6, late, 0.02), 4, 1).events()
    times = (0.3, 1.0, 2.6, 5.0, 9.0, 30.0)
    exact, usual, fine = (
        jax.jit(lambda m, s=s: s.states(m, events, times, 4))(own)
        for s in (ODE(rtol=1e-10, atol=1e-13, max_steps=50_000), Multirate(), Multirate(per_day=48.0))
    )
    for found, most in ((usual, 1e-4), (fine, 1e-6)):
        for state, path in exact.items():
            size = np.maximum(np.maximum(np.abs(path), 1e-3 * np.abs(path).max(0)), 1e-6)
            size = np.maximum(size, 1e-3) if state == "tumour.log_ratio" else size
            assert np.max(np.abs(found[state] - path) / size) < most, state
