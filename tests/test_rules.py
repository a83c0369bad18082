"""Rules at clinic days: what they decide, what is then given, slopes, faults."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pkpd.catalogue import load_model
from pkpd.checks import InputError
from pkpd.dosing.adherence import Adherence, chances, draw_patterns
from pkpd.individuals import sample_patients
from pkpd.population import typical_patient
from pkpd.response import WeibullSurvival
from pkpd.rules import Rule, follow, given
from pkpd.simulation import bind, simulate
from pkpd.solve import Multirate

PLAN = "melatonin 40 mg po q24h x4"
VISITS = (25.0, 49.0)  # an hour after a dose
LEVEL = "melatonin.central"


@pytest.fixture(scope="module")
def model():
    return load_model("melatonin")


@pytest.fixture(scope="module")
def illness():
    return load_model("tests/data/illness.toml")


@pytest.fixture(scope="module")
def group(model):
    return sample_patients(model, 8, 1)


def levels(model, events, group):
    """The level at both visits [visits, patients]."""
    found = simulate(model, events, VISITS, group, outputs=[LEVEL])
    return np.asarray(found.outputs[LEVEL])


def limit_between(model, group):
    """A limit that six of eight patients pass at the first visit, and none are near."""
    first = np.sort(levels(model, PLAN, group)[0])
    return float(np.sqrt(first[1] * first[2]))


@pytest.mark.parametrize("until", ["next visit", "end"])
def test_doses_follow_what_is_found_at_each_visit(model, group, until):
    """Decided by hand: the third dose by the first visit, the fourth by the second."""
    limit, events = limit_between(model, group), bind(model, PLAN)
    found = follow(model, PLAN, [Rule(LEVEL, above=limit, factor=0.5, until=until)], VISITS, group)
    before = levels(model, PLAN, group)[0] >= limit
    assert before.sum() == 6
    third = np.where(before, 0.5, 1.0)
    amount = np.broadcast_to(events.amount[:, None], (4, 8)).copy()
    amount[2] *= third
    changed = dataclasses.replace(events, amount=jnp.asarray(amount))
    after = levels(model, changed, group)[1] >= limit
    assert 0 < after.sum() < 6
    fourth = np.where(after | (before & (until == "end")), 0.5, 1.0)
    amount[3] *= fourth
    assert found.events.amount == pytest.approx(amount, rel=1e-12)
    assert np.array_equal(found.factor[:, 0], [third, fourth])
    assert found.shares()["reduced"][:, 0] == pytest.approx([0.75, np.mean(fourth < 1.0)])
    times = [50.0, 75.0, 100.0]
    exact = simulate(model, dataclasses.replace(events, amount=jnp.asarray(amount)), times, group).outputs[
        LEVEL
    ]
    assert simulate(model, found.events, times, group).outputs[LEVEL] == pytest.approx(
        np.asarray(exact), rel=1e-12
    )


def test_nobody_at_a_limit_gets_the_plan(model, group):
    rules = [
        Rule(LEVEL, above=1e9),
        Rule(LEVEL, below=0.0, relative="start", factor=0.5, drugs=("melatonin",)),
    ]
    found = follow(model, PLAN, rules[:1], VISITS, group)
    assert np.array_equal(found.events.amount, np.broadcast_to(bind(model, PLAN).amount[:, None], (4, 8)))
    assert np.asarray(found.events.given).all()
    with pytest.raises(
        InputError, match=r"rule 2.relative: must not be relative: melatonin.central is not positive"
    ):
        follow(model, PLAN, rules, VISITS, group)


def test_held_doses_are_none_and_the_smallest_factor_counts(model, group):
    limit = limit_between(model, group)
    rules = [
        Rule(LEVEL, above=0.0, factor=0.5, until="end"),
        Rule(LEVEL, above=limit),
        Rule(LEVEL, below=-1.0, factor=0.1),
    ]
    found = follow(model, PLAN, rules, VISITS[:1], group)
    held = levels(model, PLAN, group)[0] >= limit
    assert np.array_equal(found.factor[0, 0], np.where(held, 0.0, 0.5))
    assert np.array_equal(np.asarray(found.events.given)[2:], [~held, ~held])
    got = given(model, found.events, group)
    assert got.doses["melatonin"] == pytest.approx(np.where(held, 2.0, 4.0))
    dose = float(bind(model, PLAN).amount[0])
    assert got.amount["melatonin"] == pytest.approx(dose * np.where(held, 2.0, 3.0))
    alive = jnp.asarray(np.where(held, 0.5, 1.0))[None]
    assert found.shares(alive)["held"] == pytest.approx(np.array([[3.0 / 5.0]]))


def test_rules_after_missed_doses(model, group):
    """What is left out stays out, what is taken is reduced; the mean number is what chances say."""
    events = bind(model, PLAN)
    patterns = draw_patterns(events, Adherence(0.5), 8, 1)
    found = follow(model, patterns.events(), [Rule(LEVEL, above=0.0, factor=0.5)], VISITS[:1], group)
    assert np.array_equal(np.asarray(found.events.given), np.asarray(patterns.events().given))
    half = np.array([1.0, 1.0, 0.5, 0.5])[:, None]
    assert found.events.amount == pytest.approx(np.asarray(patterns.events().amount) * half)
    many = draw_patterns(events, Adherence(0.5, 0.9), 4000, 1).events()
    number = given(model, many, sample_patients(model, 4000, 1)).doses["melatonin"]
    assert float(number.mean()) == pytest.approx(float(chances(events, Adherence(0.5, 0.9)).sum()), rel=0.03)


def test_second_cycle_only_without_progression(illness):
    """A tumour that nothing kills is `e^(kg t)` of its start: it passes 1.118 before day 14, or does not."""
    plan = "drugx 1 MIU sc q24h x2 then rest 12 d then drugx 1 MIU sc q24h x2"
    rule = Rule("tumour.size", above=1.118, relative="lowest", until="end")
    for growth, again in ((0.0078, 1.0), (0.0082, 0.0)):
        assert (np.exp(growth * 14.0) < 1.118) == bool(again)
        model = illness.replace({"tumour.kg": growth / 24.0, "tumour.kkill": 0.0})
        found = follow(model, plan, [rule], [14 * 24.0], solver=Multirate(per_day=3.0))
        amount = np.asarray(found.events.amount)[:, 0]
        assert amount == pytest.approx(amount[0] * np.array([1.0, 1.0, again, again]))


def test_what_a_limit_is_a_multiple_of():
    path = jnp.asarray([[100.0, 100.0], [60.0, 90.0], [66.0, 118.0]])
    for relative, share in (("", [0.0, 1.0]), ("start", [0.0, 1.0]), ("lowest", [0.0, 1.0])):
        limit = {"": 100.0, "start": 1.1, "lowest": 1.118}[relative]
        assert np.array_equal(Rule("size", above=limit, relative=relative).met(path), share)
        assert np.array_equal(Rule("size", below=limit, relative=relative).met(path), 1.0 - np.array(share))
    assert np.array_equal(Rule("size", above=1.1, relative="lowest").met(path), [1.0, 1.0])
    smooth = Rule("size", above=92.0, width=10.0).met(path)
    assert smooth == pytest.approx(1.0 / (1.0 + np.exp([2.6, -2.6])))


def test_doses_count_by_the_chance_to_live(model, group):
    """`e^-(scale t)^shape` from the origin on, and for certain before it."""
    survival = WeibullSurvival(scale=0.01, shape=1.3, freeze=24.0)
    mortal, events = dataclasses.replace(model, outcomes={"survival": survival}), bind(model, PLAN)
    found = given(mortal, events, group, origin=24.0)
    alive = np.exp(-((0.01 * np.maximum(np.array(events.nominal) - 24.0, 0.0)) ** 1.3))
    assert found.alive == pytest.approx(np.broadcast_to(alive[:, None], (4, 8)), rel=1e-9)
    assert found.doses["melatonin"] == pytest.approx(np.full(8, alive.sum()), rel=1e-9)
    assert found.amount["melatonin"] == pytest.approx(
        alive @ np.asarray(events.amount) * np.ones(8), rel=1e-9
    )


def test_slopes_under_rules(model, group):
    """In amounts, the clock, the limit and the factor; without a width nobody is near the limit."""
    events, limit = bind(model, PLAN), limit_between(model, group)

    def level(x, width):
        rule = Rule(LEVEL, above=limit * x[0], factor=x[1], width=width)
        doses = dataclasses.replace(events, amount=events.amount * x[2], time=events.time + x[3])
        doses = follow(model, doses, [rule], VISITS[:1], group).events
        return simulate(model, doses, [50.0, 75.0], group, outputs=[LEVEL]).outputs[LEVEL].sum()

    x = jnp.asarray([1.0, 0.25, 1.0, 0.1])
    for width in (0.0, 0.3 * limit):
        both = jax.jit(jax.value_and_grad(lambda x, w=width: level(x, w)))
        slope = both(x)[1]
        for i in range(4):
            step = 1e-4 * jnp.zeros(4).at[i].set(1.0)
            rise = (both(x + step)[0] - both(x - step)[0]) / 2e-4
            assert float(slope[i]) == pytest.approx(float(rise), rel=1e-4, abs=1e-9), (width, i)
        assert (float(slope[0]) != 0.0) == (width > 0.0)


def test_every_fault_at_once(model):
    rules = [
        Rule("melatonin.centre", above=1.0),
        Rule(LEVEL, above=1.0, below=2.0, factor=1.0),
        Rule(LEVEL, factor=-0.5, drugs=("aldesleukin",), width=-1.0),
        Rule(LEVEL, above=1.0, relative="nadir", until="later"),
    ]
    with pytest.raises(InputError) as error:
        follow(model, PLAN, rules, [30.0, 20.0, 73.0])
    told = {(fault.place, fault.rule) for fault in error.value.faults}
    assert told == {
        ("rule 1.output", "must be an output of the model"),
        ("rule 2", "must have either `above` or `below`"),
        ("rule 2.factor", "must be at least 0 (held) and below 1"),
        ("rule 3", "must have either `above` or `below`"),
        ("rule 3.factor", "must be at least 0 (held) and below 1"),
        ("rule 3.drugs", "must be given"),
        ("rule 3.width", "must be a finite number that is not negative"),
        ("rule 4.relative", 'must be one of "start", "lowest"'),
        ("rule 4.until", 'must be one of "next visit", "end"'),
        ("visits", "must ascend"),
        ("visits", "must lie within the course: from 0 to the last dose, 72 h"),
    }
    with pytest.raises(InputError, match="must be at least one"):
        follow(model, PLAN, [], [])
    with pytest.raises(InputError, match="must give something where rules are followed"):
        follow(model, "none", [Rule(LEVEL, above=1.0)], [0.0])


@pytest.mark.parametrize(
    ("rules", "idle"),
    [
        ([Rule(LEVEL, above=1.0), Rule(LEVEL, above=2.0, factor=0.5)], [2]),
        ([Rule(LEVEL, above=1.0), Rule(LEVEL, above=1.0, factor=0.5)], [2]),
        ([Rule(LEVEL, above=1.0), Rule(LEVEL, above=1.0)], [2]),
        ([Rule(LEVEL, below=1.0, factor=0.5), Rule(LEVEL, below=2.0)], [1]),
        ([Rule(LEVEL, above=1.0, factor=0.5), Rule(LEVEL, above=2.0)], []),
        ([Rule(LEVEL, above=1.0), Rule(LEVEL, above=2.0, factor=0.5, until="end")], []),
        ([Rule(LEVEL, above=1.0), Rule(LEVEL, below=2.0)], []),
        ([Rule(LEVEL, above=1.0, drugs=("melatonin",)), Rule(LEVEL, above=2.0, factor=0.5)], []),
    ],
)
def test_contradictory_rules(model, rules, idle):
    """A rule that another one leaves nothing to do is a fault, not a surprise."""
    if not idle:
        follow(model, PLAN, rules, VISITS[:1], typical_patient())
        return
    with pytest.raises(InputError, match="must not contradict rule") as error:
        follow(model, PLAN, rules, VISITS[:1], typical_patient())
    assert [fault.place for fault in error.value.faults] == [f"rule {i}" for i in idle]
