"""Doses and intervals for an exposure, against closed forms of one compartment with sums over all doses."""

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import brentq

from pkpd.catalogue import load_card, load_model
from pkpd.checks import InputError
from pkpd.explore.limits import caps_of
from pkpd.explore.target import read_target, solve_target
from pkpd.individuals import sample_patients
from pkpd.population import typical_patient

DATA = Path(__file__).parents[1] / "data" / "schedules"
CL, V, KA, BIOAV = 4.0, 20.0, 0.9, 0.6
K = CL / V


def bolus(t):
    """Level at t after 1 mg, and the area to then."""
    return np.exp(-K * t) / V, (1 - np.exp(-K * t)) / CL


def oral(t):
    """The same by mouth: Bateman's function."""
    size = BIOAV * KA / (V * (KA - K))
    area = (1 - np.exp(-K * t)) / K - (1 - np.exp(-KA * t)) / KA
    return size * (np.exp(-K * t) - np.exp(-KA * t)), size * area


def infusion(t, lasts=2.0):
    """The same over two hours, for times after its end."""
    level = (1 - np.exp(-K * lasts)) / (lasts * CL) * np.exp(-K * (t - lasts))
    return level, 1 / CL - level / K


ROUTES = {"iv": bolus, "po": oral, "iv over 2 h": infusion}
COUNT = 5


def exact(route, quantity, amount, interval, count=COUNT):
    """An exposure of the last interval, or of all, by summing what each dose adds."""
    one = ROUTES[route]
    ages = interval * np.arange(count)
    added = sum(one(age + interval)[1] - (one(age)[1] if age > 0 else 0.0) for age in ages)
    if quantity == "ctrough":
        return amount * sum(one(age + interval)[0] for age in ages)
    if quantity == "total_auc":
        return amount * sum(one(interval * (i + 1))[1] for i in range(count))
    return amount * added / (interval if quantity == "cavg" else 1.0)


@pytest.fixture(scope="module")
def poison():
    return load_model(DATA / "poison.toml")


UNITS = {"auc": "mg*h/L", "total_auc": "mg*h/L", "cavg": "mg/L", "ctrough": "mg/L"}


@pytest.mark.parametrize(
    ("route", "quantity"),
    [("iv", "ctrough"), ("po", "cavg"), ("iv over 2 h", "auc"), ("po", "total_auc")],
)
def test_the_amount_for_an_exposure(poison, route, quantity):
    regimen = f"poison 10 mg {route} q8h x{COUNT}"
    wanted = 0.37
    told = f"poison.{quantity} = {wanted} {UNITS[quantity]}"
    target = read_target(poison, regimen, ["poison.amount 0.1..900 mg"], told, [], [])
    found = solve_target(poison, target, typical_patient())
    amount = wanted / exact(route, quantity, 1.0, 8.0)
    assert found["varied"]["poison.amount"]["value"] == pytest.approx(amount, rel=1e-6)
    assert found["value"] == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize(
    ("route", "quantity"), [("iv", "cavg"), ("po", "ctrough"), ("iv over 2 h", "ctrough")]
)
def test_the_interval_for_an_exposure(poison, route, quantity):
    regimen = f"poison 10 mg {route} q8h x{COUNT}"
    wanted = float(exact(route, quantity, 10.0, 11.3))
    told = f"poison.{quantity} = {wanted!r} {UNITS[quantity]}"
    target = read_target(poison, regimen, ["poison.interval 4..30 h"], told, [], [])
    found = solve_target(poison, target, typical_patient())
    interval = brentq(lambda t: exact(route, quantity, 10.0, t) - wanted, 4.0, 30.0, xtol=1e-12)
    assert found["varied"]["poison.interval"]["value"] == pytest.approx(interval, rel=1e-6)
    assert interval == pytest.approx(11.3, rel=1e-9)


@pytest.mark.slow
def test_a_peak_at_an_interval_needs_a_program_for_each(poison):
    """After a bolus the peak of the last interval is what is left and the dose."""
    target = read_target(
        poison, "poison 10 mg iv q8h x2", ["poison.interval 4..12 h"], "poison.cmax = 0.6 mg/L", [], []
    )
    found = solve_target(poison, target, typical_patient())
    interval = -np.log(0.6 / 0.5 - 1.0) / K
    assert found["varied"]["poison.interval"]["value"] == pytest.approx(interval, rel=1e-6)


def test_a_step_gives_the_nearest_and_says_what_it_reaches(poison):
    target = read_target(
        poison, "poison 10 mg iv q8h x5", ["poison.amount 1..90 mg step 5"], "poison.auc = 5 mg*h/L", [], []
    )
    found = solve_target(poison, target, typical_patient())
    amount = 5.0 / exact("iv", "auc", 1.0, 8.0)
    assert found["regimen"] == f"poison {1 + 5 * round((amount - 1) / 5)} mg iv q8h x5"
    assert found["value"] == pytest.approx(exact("iv", "auc", 1 + 5 * round((amount - 1) / 5), 8.0), rel=1e-9)


def test_patients_stand_by_their_median():
    model = load_model(DATA.parent / "drugy.toml")
    patients = sample_patients(model, 33, seed=1)
    vary, told = ["drugy.amount 1..500 mg"], "drugy.ctrough = 0.5 ng/mL"
    target = read_target(model, "drugy 40 mg po q3h x3", vary, told, [], [])
    amount = solve_target(model, target, patients)["varied"]["drugy.amount"]["value"]
    ka = 2.0 * np.exp(np.sqrt(np.log1p(0.25)) * np.asarray(patients.eta["drugy.po.ka"]))
    levels = np.zeros(33)
    for age in (3.0, 6.0, 9.0):
        levels += ka / (50.0 * (ka - 2.0)) * (np.exp(-2.0 * age) - np.exp(-ka * age))
    assert amount == pytest.approx(0.5e-3 / np.median(levels), rel=1e-6)


def test_what_cannot_be_reached_says_what_can(poison):
    target = read_target(
        poison, "poison 10 mg iv q8h x5", ["poison.amount 1..9 mg"], "poison.auc = 50 mg*h/L", [], []
    )
    with pytest.raises(
        InputError, match=r"--target: must be reached within what varies, but is 50.0. .* 0\.2"
    ):
        solve_target(poison, target, typical_patient())


def test_a_cap_forbids_a_target(poison):
    caps = caps_of(load_card(DATA / "poison.toml"), poison, ["poison"])
    target = read_target(
        poison, "poison 1 mg iv q8h x5", ["poison.amount 1..90 mg"], "poison.auc = 4 mg*h/L", [], caps
    )
    with pytest.raises(InputError, match=r"must allow the target, but is .*poison.daily <= 9 mg"):
        solve_target(poison, target, typical_patient())


def test_faults_of_a_target_are_told_together(poison):
    with pytest.raises(InputError) as told:
        read_target(
            poison,
            "poison 1 mg iv q8h x5",
            ["poison.doses 1..9"],
            "poison.total = 4 mg",
            ["poison.weekly < 3 mg"],
            [],
        )
    text = str(told.value)
    assert "--target: must be of an exposure" in text
    assert "--vary: must be one amount or one interval" in text
    assert "--subject-to: must be QUANTITY <= VALUE UNIT" in text
