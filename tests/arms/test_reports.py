"""Curves, medians, ratios and means: what is read, and every rule with a case that breaks it."""

import pytest

from pkpd.arms import Curve, Mean, Median, Ratio
from tests.arms.tables import faults, load, row

MONTH = 30.4375  # 365.25 / 12


def km(time, value, events: object = "", **cells):
    return row(endpoint="km", time=time, value=value, events=events, **cells)


def hr(against, arm, value=0.7, **cells):
    return row(endpoint=f"hr({against})", arm=arm, **({"value": value, "se": 0.2, "time": "1 y"} | cells))


def mean(**cells):
    return row(**({"endpoint": "mean(cells)", "value": "430 1/uL", "se": "20", "time": "28 d"} | cells))


def test_a_curve(tmp_path):
    (arm,) = load(tmp_path, km("90 d", 0.8, 30), km("6 mo", 0.52, 18), km("1 y", 0.52, 18))
    assert arm.reports == (Curve((90.0, 182.625, 365.0), (0.8, 0.52, 0.52), (30, 18, 18)),)
    assert not arm.reports[0].approximate


def test_numbers_at_risk_as_if_nobody_were_censored(tmp_path):
    (arm,) = load(tmp_path, km("0 d", 1), km("90 d", 0.82), km("1 y", 0))
    assert arm.reports == (Curve((0.0, 90.0, 365.0), (1.0, 0.82, 0.0), (40, 33, 0)),)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (km("80 d", 0.7, 20), "line 3, time: must be later than 90 d in line 2"),
        (km("90 d", 0.7, 20), "line 3, time: must be later than 90 d in line 2"),
        (km("1 y", 0.81, 20), "line 3, value: must not rise from 0.8 in line 2, but is 0.81."),
        (km("1 y", 0.7, 31), "line 3, events: must not rise from 30 at risk in line 2, but is 31."),
        (km("1 y", 0.7, 41), "line 3, events: must not exceed n = 40, but is 41."),
        (
            km("1 y", 43, 20),
            'line 3, value: must be a survival between 0 and 1, but is "43". Give a fraction',
        ),
        (km("1 y", "43%", 20), "line 3, value: must be a survival between 0 and 1"),
        (km("1 y", -0.1, 20), "line 3, value: must be a survival between 0 and 1"),
        (km("1 y", "", 20), "line 3, value: must not be empty for km"),
        (km("", 0.7, 20), "line 3, time: must not be empty for km"),
        (km("1 year", 0.7, 20), 'line 3, time: must be a time such as "90 d"'),
        (km("1 y", 0.7, 20, se=0.1), "line 3, se: must be empty for km"),
    ],
)
def test_a_wrong_curve(tmp_path, second, message):
    assert any(fault.startswith(message) for fault in faults(tmp_path, km("90 d", 0.8, 30), second))


def test_a_curve_is_checked_where_n_is_at_fault(tmp_path):
    found = faults(tmp_path, km("90 d", 0.4, n="x"), km("1 y", 0.3, 20, n="x"), km("2 y", 0.5, 20, n="x"))
    assert [fault.split(":")[0] for fault in found] == ["line 2, n", "line 4, value"]


@pytest.mark.parametrize("n", ["1000001", "9" * 5000, "²"])
def test_numbers_of_patients_that_cannot_be(tmp_path, n):
    found = faults(tmp_path, row(n=n, events=1))
    rule = "must be a whole number from 1" if n == "²" else "must be at most 1000000"
    assert any(fault.startswith(f"line 2, n: {rule}") for fault in found)


def test_more_at_risk_than_are_alive(tmp_path):
    (fault,) = faults(tmp_path, km("90 d", 0.1, 38), km("1 y", 0.0, 20))
    assert fault.startswith(
        "line 3, events: must not exceed n = 40 times the survival of line 2, 0.1, but is 20."
    )


def test_nobody_is_dead_at_time_zero(tmp_path):
    (fault,) = faults(tmp_path, km("0 d", 0.9, 40), km("1 y", 0.4, 16))
    assert fault.startswith("line 2, value: must be 1 at time 0, when everybody is alive, but is 0.9.")


def test_a_curve_whose_numbers_at_risk_are_half_given(tmp_path):
    (fault,) = faults(tmp_path, km("90 d", 0.4), km("1 y", 0.4, 20))
    assert fault.endswith("Give the number at risk at every time, or at none.")


@pytest.mark.parametrize(
    ("text", "months"),
    [
        ("12 mo", (12, 11.5, 12.5)),
        ("3.4 mo", (3.4, 3.35, 3.45)),
        ("3-4 mo", (3.5, 2.5, 4.5)),
        ("3.0–4.5mo", (3.75, 2.95, 4.55)),
    ],
)
def test_a_median_is_what_rounds_to_it(tmp_path, text, months):
    (arm,) = load(tmp_path, row(endpoint="median_survival", time=text))
    (report,) = arm.reports
    assert isinstance(report, Median)
    expected = [month * MONTH for month in months]
    assert [report.days, report.low, report.high] == pytest.approx(expected, rel=1e-12)
    assert report.approximate


@pytest.mark.parametrize("text", ["4-3 mo", "0 mo", "twelve mo", "12", "NR", "-3 mo"])
def test_a_wrong_median(tmp_path, text):
    (fault,) = faults(tmp_path, row(endpoint="median_survival", time=text))
    assert fault.startswith("line 2, time: must be a time above 0 as printed")
    assert fault.endswith("A median that was not reached is told by alive(T) or km.")


def test_a_hazard_ratio(tmp_path):
    control = row(arm="b (low)", events=1)
    arm, _ = load(tmp_path, hr("b (low)", "a"), control)
    assert arm.reports == (Ratio("b (low)", 0.7, 0.2, 365.0),)
    assert arm.reports[0].approximate


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (hr("c", "a"), 'line 2, endpoint: must name another arm of the study, but is "c". Known: b.'),
        (hr("a", "a"), 'line 2, endpoint: must name another arm of the study, but is "a".'),
        (hr("b", "a", 0), 'line 2, value: must be a number above 0, but is "0".'),
        (hr("b", "a", se=-1), 'line 2, se: must be a number above 0, but is "-1".'),
        (hr("b", "a", se=""), "line 2, se: must not be empty for hr(b)"),
        (hr("b", "a", time="0 d"), "line 2, time: must be a time after 0"),
        (hr("b", "a", events=3), "line 2, events: must be empty for hr(b)"),
    ],
)
def test_a_wrong_hazard_ratio(tmp_path, wrong, message):
    found = faults(tmp_path, wrong, row(arm="b", events=1))
    assert any(fault.startswith(message) for fault in found), found


def test_a_mean(tmp_path):
    (arm,) = load(
        tmp_path,
        mean(),
        mean(endpoint="mean(size)", value="-2.1", se="0.3 1"),
        mean(endpoint="mean(t)", time="0 d"),
    )
    assert arm.reports == (
        Mean("cells", 430.0, 20.0, "1/uL", 28.0),
        Mean("size", -2.1, 0.3, "1", 28.0),
        Mean("t", 430.0, 20.0, "1/uL", 0.0),
    )
    assert not arm.reports[0].approximate


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"value": "many"}, "line 2, value: must be a number with its unit"),
        ({"value": "430 1/uLL"}, "line 2, value: must be a known unit"),
        ({"se": "0"}, "line 2, se: must be above 0"),
        ({"se": "-2 1/uL"}, "line 2, se: must be above 0"),
        ({"se": "20 1/mL"}, "line 2, se: must be in the unit of value, 1/uL"),
        ({"se": ""}, "line 2, se: must not be empty for mean(cells)"),
        ({"time": ""}, "line 2, time: must not be empty for mean(cells)"),
        ({"printed_p": "NS"}, "line 2, printed_p: must be empty for mean(cells)"),
    ],
)
def test_a_wrong_mean(tmp_path, cells, message):
    (fault,) = faults(tmp_path, mean(**cells))
    assert fault.startswith(message)


def test_a_report_stands_once(tmp_path):
    (fault,) = faults(tmp_path, mean(), mean(endpoint="mean( cells )", time="35 d"))
    assert fault.startswith("line 3, endpoint: must not repeat an endpoint of the arm (line 2)")


MEDIAN = row(endpoint="median_survival", time="12 mo")
ALIVE = row(endpoint="alive(2 y)", events=3)


@pytest.mark.parametrize(
    ("rows", "left_out"),
    [
        ([km("1 y", 0.5), MEDIAN], ["median_survival"]),
        ([MEDIAN, km("1 y", 0.5)], ["median_survival"]),
        ([MEDIAN, ALIVE], ["median_survival"]),
        ([ALIVE, km("1 y", 0.5)], ["alive(2 y)"]),
        ([ALIVE, km("1 y", 0.5), MEDIAN], ["alive(2 y)", "median_survival"]),
    ],
)
def test_survival_is_told_once(tmp_path, rows, left_out):
    found = faults(tmp_path, *rows)
    assert len(found) == len(left_out)
    for fault, name in zip(found, left_out, strict=True):
        assert "must not tell an arm's survival twice" in fault
        assert f"Leave out {name}, because " in fault


def test_survivors_to_be_predicted_stand_beside_a_curve(tmp_path):
    load(tmp_path, km("1 y", 0.5), row(endpoint="alive(2 y)"))


def test_a_ratio_tells_what_one_arm_does_not(tmp_path):
    load(tmp_path, hr("b", "a"), row(endpoint="surv_1y", arm="b", events=5))


@pytest.mark.parametrize(
    "rows",
    [
        [row(endpoint="surv_1y", events=5), km("1 y", 0.5, arm="b"), hr("b", "a")],
        [hr("b", "a"), row(arm="b", events=1), hr("a", "b")],
        [hr("b", "a"), hr("c", "b"), hr("c", "a"), row(arm="c", events=1)],
        [
            hr("b", "a"),
            hr("c", "b"),
            row(endpoint="surv_1y", events=5),
            row(endpoint="surv_1y", arm="c", events=5),
        ],
    ],
)
def test_a_ratio_between_arms_that_are_known_already(tmp_path, rows):
    (fault,) = faults(tmp_path, *rows)
    assert "must not tell survival twice" in fault
    assert "Leave out hr(" in fault
