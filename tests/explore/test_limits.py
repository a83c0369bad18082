"""Quantities of a schedule by hand, limits and caps."""

from pathlib import Path

import pytest

from pkpd.catalogue import check_model_file, load_card, load_model
from pkpd.checks import Findings
from pkpd.cli.catalogue import _caps, _print_caps
from pkpd.explore.limits import caps_of, check_together, read_limit
from pkpd.explore.quantities import of_amounts, read_quantity
from pkpd.simulation import bind

DATA = Path(__file__).parents[1] / "data" / "schedules"
REGIMEN = "poison 4 mg iv q12h x4 + poison 7 mg po q24h x3 from 12 h"


@pytest.fixture(scope="module")
def poison():
    return load_model(DATA / "poison.toml")


@pytest.mark.parametrize(
    ("name", "unit", "value"),
    [
        ("poison.total", "mg", 37.0),  # 4 x 4 and 3 x 7
        ("poison.total", "g", 0.037),
        ("poison.total", "mg/m2", 37.0 / 1.8),
        ("poison.daily", "mg", 4 + 4 + 7 + 0.0),  # at 0 and 12 h; the dose at 24 h is a day later
        ("poison.weekly", "mg", 37.0),
        ("poison.within(36 h)", "mg", 4 + 7 + 4 + 4 + 7 - 0.0 - 7),  # from 0: 4, 4 + 7, 4
        ("poison.doses", "", 7.0),
        ("injections", "", 4.0),
        ("clinic_days", "", 2.0),
        ("duration", "d", 3.5),
    ],
)
def test_a_quantity_by_hand(poison, name, unit, value):
    found = Findings()
    quantity = read_quantity(poison, name, "", found)
    assert quantity is not None
    if "within" in name:
        windows = [[0, 12, 24], [12, 24, 36], [24, 36], [36, 60], [60]]
        amounts = {0: 4.0, 12: 11.0, 24: 4.0, 36: 11.0, 60: 7.0}
        value = max(sum(amounts[t] for t in window) for window in windows)
    if "daily" in name:
        value = 11.0 + 4.0  # from 12 h, or from 0
    assert of_amounts(poison, quantity.in_unit(poison, unit), bind(poison, REGIMEN)) == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("poison.total < 3 mg", "must be QUANTITY <= VALUE UNIT"),
        (
            "poison.totl <= 3 mg",
            'must name an outcome or a quantity of the schedule, but is "poison.totl". Did',
        ),
        ("poison.total <= 3 h", "poison.total must be amount"),
        ("poison.total <= -3 mg", "must have a limit that is not negative"),
        ("poison.auc <= 3 mg", "poison.auc must be convertible"),
        ("injections <= 3 mg", "injections must have no unit"),
        ("poison.within(x) <= 3 mg", "must name an outcome or a quantity"),
        ("alive(365 d) >= 0.2", "must name an outcome or a quantity"),
    ],
)
def test_faults_of_limits(poison, text, told):
    found = Findings()
    read_limit(poison, text, found)
    assert [told in str(fault) for fault in found.faults] == [True], found.faults
    assert found.faults[0].place == "--subject-to"


def test_limits_of_outcomes_and_in_per_cent():
    model, found = load_model(DATA.parent / "illness.toml"), Findings()
    limit = read_limit(model, "alive(30 d) >= 20 %", found)
    assert found.faults == []
    assert limit is not None
    assert (limit.quantity.name, limit.quantity.factor) == ("alive(30 d)", pytest.approx(0.01))
    assert limit.kept(20.0)
    assert not limit.kept(19.9)
    assert str(limit) == "alive(30 d) >= 20 %"


def test_limits_that_contradict_each_other(poison):
    found = Findings()
    limits = [read_limit(poison, t, found) for t in ("poison.total <= 3 mg", "poison.total >= 0.004 g")]
    check_together([x for x in limits if x], found)
    assert [str(fault) for fault in found.faults] == [
        "--subject-to: must not contradict each other, but is "
        '"poison.total >= 0.004 g; poison.total <= 3 mg".'
    ]


def test_caps_are_data_with_a_source():
    card, model = load_card("neuroimmunotherapy"), load_model("neuroimmunotherapy")
    caps = caps_of(card, model, ["aldesleukin"])
    daily, long = (
        next(c for c in caps if c.quantity.name == f"aldesleukin.{name}")
        for name in ("daily", "within(90 d)")
    )
    assert (daily.value, daily.quantity.unit) == (18.0, "MIU")
    assert (long.value, long.quantity.unit) == (1.25 * 90, "MIU/m2")
    assert long.source.startswith("Meropol")
    course = bind(model, "aldesleukin 1.25 MIU/m2 sc q24h x120")
    assert of_amounts(model, long.quantity, course) == pytest.approx(1.25 * 90)
    assert caps_of(card, model, ["melatonin"]) == []


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            'quantity = "daily"',
            'quantity = "dayly"',
            "caps[0].quantity: must be total, daily, weekly or the most",
        ),
        ("value = 9\n", "value = 0\n", "caps[0].value: must be positive, but is 0."),
        (
            'unit = "mg"\nsource = "white2023"\nat = "Table 2"',
            'unit = "h"\nsource = "white2023"\nat = "Table 2"',
            "caps[0].unit: must be amount",
        ),
        ('why = "headache"', "", "caps[0].why: must be given."),
        (
            'why = "headache"',
            'why = "headache"\nwhen = "x"',
            'caps[0].when: must be a key of a cap, but is "when".',
        ),
        (
            'source = "white2023"\nat = "Table 2"',
            'source = "assumed"\nat = "Table 2"',
            "caps[0].source: must be a key of [sources]",
        ),
    ],
)
def test_faults_of_caps(tmp_path, old, new, told):
    text = (DATA / "poison.toml").read_text("utf-8")
    assert text.count(old) == 1
    (tmp_path / "poison.toml").write_text(text.replace(old, new), "utf-8")
    faults = [str(fault) for fault in check_model_file(tmp_path / "poison.toml")]
    assert len(faults) == 1
    assert told in faults[0]


def test_a_disease_has_no_caps_of_its_own(tmp_path):
    for name in ("poison", "logkill"):
        (tmp_path / f"{name}.toml").write_bytes((DATA / f"{name}.toml").read_bytes())
    with (tmp_path / "logkill.toml").open("a") as file:
        file.write("[[caps]]\n")
    (fault,) = check_model_file(tmp_path / "logkill.toml")
    assert "caps: must be a table of a disease model" in str(fault)


def test_an_exposure_that_is_not_known_is_refused():
    model, found = load_model(DATA / "logkill.toml"), Findings()
    assert read_limit(model, "poison.halflife <= 3 h", found) is None
    assert len(found.faults) == 1


def test_caps_are_shown(capsys):
    card = load_card("neuroimmunotherapy")
    assert {(cap["drug"], cap["quantity"]) for cap in _caps(card)} >= {("aldesleukin", "daily")}
    _print_caps(card)
    told = capsys.readouterr().out
    assert told.startswith("Caps")
    assert "112.5" in told
    _print_caps(load_card("melatonin"))
    assert capsys.readouterr().out == ""
