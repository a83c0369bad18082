"""What varies in a regimen, and the regimens that it spans."""

from pathlib import Path

import numpy as np
import pytest

from pkpd.catalogue import load_model
from pkpd.checks import Findings
from pkpd.dosing import Regimen
from pkpd.explore.space import space_of

DATA = Path(__file__).parents[1] / "data" / "schedules"
BASE = "poison 10 mg iv q24h x6"


@pytest.fixture(scope="module")
def poison():
    return load_model(DATA / "poison.toml")


def spanned(model, texts, base=BASE):
    found = Findings()
    space = space_of(model, Regimen.parse(base), texts, found)
    found.raise_if_any()
    assert space is not None
    return space


@pytest.mark.parametrize(
    ("vary", "value", "regimen"),
    [
        ("poison.amount 0..20 mg", 12.5, "poison 12.5 mg iv q24h x6"),
        ("poison.amount 0..20 mg", 0.0, "none"),
        ("poison.amount 1..20 mg/m2", 3.0, "poison 3 mg/m2 iv q24h x6"),
        ("poison.interval 12..48 h", 36.0, "poison 10 mg iv q36h x6"),
        ("poison.doses 1..9", 9.0, "poison 10 mg iv q24h x9"),
        ("poison.days 1..7 of 7", 5.0, "poison 10 mg iv q24h for 6 d on days 1-5 of 7"),
        ("poison.days 1..7 of 7", 7.0, "poison 10 mg iv q24h for 6 d"),
        ("poison.start 0..4 d", 48.0, "poison 10 mg iv q24h x6 from 2 d"),
    ],
)
def test_a_field_takes_its_value(poison, vary, value, regimen):
    assert str(spanned(poison, [vary]).regimen(np.array([value]))) == regimen


def test_a_clock_takes_its_value(poison):
    space = spanned(poison, ["poison.at 6..22 h"], "poison 10 mg iv q24h x6 at 08:00")
    assert str(space.regimen(np.array([20.0]))) == "poison 10 mg iv q24h x6 at 20:00"
    assert space.start.tolist() == [8.0]


def test_doses_with_amounts_of_their_own_are_told_by_runs(poison):
    space = spanned(poison, ["poison.amounts 0..20 mg"])
    amounts = np.array([5.0, 5.0, 0.0, 7.0, 5.0, 5.0])
    regimen = space.regimen(amounts)
    told = [f"poison {a} mg iv q24h x{n}" for a, n in ((5, 2), (7, 1), (5, 2))]
    assert str(regimen) == f"{told[0]} + {told[1]} from 3 d + {told[2]} from 4 d"
    given = {each.time / 24.0: each.amount for each in regimen.administrations()}
    assert given == {float(day): a for day, a in enumerate(amounts) if a > 0.0}
    assert Regimen.parse(str(regimen)) == regimen
    assert regimen.length == Regimen.parse(BASE).length


def test_only_the_line_of_the_drug_changes():
    model = load_model(DATA.parent / "illness.toml")
    base = "(drugx 3 MIU sc q24h x5 then rest 2 d) x2 + drugy 40 mg po q12h x4"
    space = spanned(model, ["drugx.amount 1..9 MIU", "drugy.doses 1..8"], base)
    found = space.regimen(np.array([4.0, 6.0]))
    assert str(found) == "(drugx 4 MIU sc q24h x5 then rest 2 d) x2 + drugy 40 mg po q12h x6"
    assert space.said(np.array([4.0, 6.0])) == {"drugx.amount": 4.0, "drugy.doses": 6.0}


def test_a_base_in_another_unit_starts_at_its_amount():
    model = load_model(DATA.parent / "drugx.toml")
    space = spanned(model, ["drugx.amount 1..9 MIU"], "drugx 0.22 mg sc")
    assert space.start == pytest.approx([3.6])
    with_unit = spanned(model, ["drugx.amount 1..9 MIU/m2"], "drugx 3.6 MIU sc")
    assert with_unit.start == pytest.approx([2.0])


def test_points_are_snapped_to_steps_within_the_range(poison):
    space = spanned(poison, ["poison.amount 1..20 mg step 4", "poison.interval 12..48 h"])
    assert space.step.tolist() == [4.0, 12.0]
    assert space.snapped(np.array([30.0, 19.0])).tolist() == [17.0, 24.0]
    assert space.snapped(np.array([-3.0, 90.0])).tolist() == [1.0, 48.0]
    assert len(space.timetables()) == 4


FAULTS = [
    ("poison.amount", "must be DRUG.FIELD LOW..HIGH UNIT"),
    ("poison.dose 1..3", 'must vary a field of a drug\'s line, but is "dose". Did you mean "doses"?'),
    ("poisson.amount 1..3 mg", 'must vary a drug that the regimen gives, but is "poisson". Did you mean'),
    ("poison.amount 1..3", "must have a unit of amount"),
    ("poison.amount 1..3 h", 'must be amount, but is "h"'),
    ("poison.amount 1..3 mg/s", "must have a unit of amount"),
    ("poison.amount 1..3 mg/kg", "must not be per kg"),
    ("poison.amount 3..3 mg", "must be a range from a number that is not negative to a larger one"),
    ("poison.amount -1..3 mg", "must be a range from a number that is not negative to a larger one"),
    ("poison.amount 1..3 mg step 5", "must have a step that is positive and no wider than the range"),
    ("poison.doses 0..3", "must be at least 1 dose"),
    ("poison.doses 1..3.5", "must be whole numbers"),
    ("poison.doses 1..3 mg", "must have no unit: it is a count"),
    ("poison.days 1..7", "must say of how many days"),
    ("poison.days 1..9 of 7", "must be at most the 7 days of the period"),
    ("poison.interval 1..7", "must have a unit of time"),
    ("poison.interval 0..7 h", "poison.interval must be more than 0"),
    ("poison.at 6..22 h", "must be of a regimen in which all parts have `at`"),
]


@pytest.mark.parametrize(("text", "told"), FAULTS)
def test_faults_are_clear(poison, text, told):
    found = Findings()
    assert space_of(poison, Regimen.parse(BASE), [text], found) is None
    assert [told in str(fault) for fault in found.faults] == [True], [str(f) for f in found.faults]
    assert all(fault.place == "--vary" for fault in found.faults)


@pytest.mark.parametrize(
    ("texts", "base", "told"),
    [
        ([], BASE, "must be given"),
        (["poison.amount 1..3 mg"] * 2, BASE, "must vary once"),
        (["poison.amount 1..3 mg", "poison.amounts 1..3 mg"], BASE, "must not vary beside poison.amounts"),
        (["poison.doses 1..3", "poison.days 1..3 of 7"], BASE, "must not vary beside poison.days"),
        (["poison.amount 1..3 mg"], f"{BASE} + poison 3 mg po", "that one part of the regimen gives, not 2"),
        (["poison.interval 6..12 h"], "poison 3 mg po", "must be of a drug that is given at an interval"),
        (
            ["poison.doses 1..3"],
            "poison 1 mg po q24h for 7 d on days 1 of 7",
            "must not vary beside `on days`",
        ),
    ],
)
def test_what_contradicts_is_told(poison, texts, base, told):
    found = Findings()
    assert space_of(poison, Regimen.parse(base), texts, found) is None
    assert told in str(found.faults[0])
