"""Reports of one arm: survival curves, medians, hazard ratios and means."""

from collections.abc import Sequence
from itertools import pairwise

from pkpd.arms.cells import TIME_HINT, days, number, positive, printed_interval, quantity, whole
from pkpd.arms.endpoints import Endpoint
from pkpd.arms.rows import Row
from pkpd.arms.table import Curve, Mean, Median, Ratio, Report
from pkpd.checks import Findings

Point = tuple[Row, float, float, int]
AT_RISK = "At risk are those of the n patients who are alive and still followed."
ROUNDED = 0.01  # by which a survival that is read from a curve may be too small
MANY = 10**9  # patients of an arm whose n is at fault


def read_report(row: Row, endpoint: Endpoint, findings: Findings) -> Report | None:
    """The report of a row that is one by itself; None where a cell is at fault."""
    readers = {"median_survival": _median, "hr": _ratio, "mean": _mean}
    return readers[endpoint.kind](row, endpoint, findings)


def _median(row: Row, endpoint: Endpoint, findings: Findings) -> Median | None:
    if not row["time"]:
        return None
    found = printed_interval(row["time"])
    if found is None:
        rule = 'must be a time above 0 as printed, such as "12 mo", or a range such as "3-4 mo"'
        hint = f"{TIME_HINT} A median that was not reached is told by alive(T) or km."
        findings.add(row.place("time"), rule, row["time"], hint)
        return None
    return Median(*found)


def _ratio(row: Row, endpoint: Endpoint, findings: Findings) -> Ratio | None:
    value = positive(row, "value", findings) if row["value"] else None
    se = positive(row, "se", findings) if row["se"] else None
    followed = days(row, findings) if row["time"] else None
    if value is None or se is None or followed is None:
        return None
    return Ratio(endpoint.of, value, se, followed)


def _mean(row: Row, endpoint: Endpoint, findings: Findings) -> Mean | None:
    value = quantity(row, "value", findings) if row["value"] else None
    se = quantity(row, "se", findings) if row["se"] else None
    when = days(row, findings, above=-1.0) if row["time"] else None
    if se is not None and se[0] <= 0:
        hint = "A standard error is half the width of a 95 % interval over 1.96."
        findings.add(row.place("se"), "must be above 0", row["se"], hint)
        return None
    if value is None or se is None or when is None:
        return None
    if " " in row["se"] and se[1] != value[1]:
        findings.add(row.place("se"), f"must be in the unit of value, {value[1]}", row["se"])
        return None
    return Mean(endpoint.of, value[0], se[0], value[1], when)


def read_curve(rows: Sequence[Row], n: int | None, findings: Findings) -> Curve | None:
    """The curve of an arm's `km` rows, whose times ascend; None where a cell is at fault.

    Where the number at risk is empty it is `n` times the survival, as if nobody had been censored, and not
    more than before.
    """
    start = len(findings.faults)
    points: list[Point] = []
    for row in rows:
        point = _point(row, n, points, findings)
        if point is not None:
            points.append(point)
    for before, after in pairwise(points):
        _check_step(before, after, n or MANY, findings)
    if n is None or not points or len(findings.faults) > start or len(points) < len(rows):
        return None
    _, times, survival, at_risk = zip(*points, strict=True)
    return Curve(times, survival, at_risk)


def _point(row: Row, n: int | None, before: Sequence[Point], findings: Findings) -> Point | None:
    when = days(row, findings, above=-1.0) if row["time"] else None
    rule, hint = "must be a survival between 0 and 1", "Give a fraction: 0.43 for 43 %."
    value = number(row, "value", findings, rule, lambda v: 0 <= v <= 1, hint) if row["value"] else None
    given = whole(row, "events", findings, least=0) if row["events"] else None
    if given is not None and n is not None and given > n:
        findings.add(row.place("events"), f"must not exceed n = {n}", given, AT_RISK)
    if when == 0.0 and value is not None and value < 1.0:
        findings.add(
            row.place("value"), "must be 1 at time 0, when everybody is alive", value, "Leave it out."
        )
    if when is None or value is None or (row["events"] and given is None):
        return None
    most = before[-1][3] if before else n or MANY
    return row, when, value, min(most, round((n or MANY) * value)) if given is None else given


def _check_step(before: Point, after: Point, n: int, findings: Findings) -> None:
    (earlier, then, higher, more), (row, now, lower, fewer) = before, after
    line = f"line {earlier.line}"
    if now <= then:
        rule = f"must be later than {earlier['time']} in {line}"
        findings.add(row.place("time"), rule, row["time"], "Times of a curve ascend.")
    elif lower > higher:
        hint = "A survival curve falls: check the order of the rows."
        findings.add(row.place("value"), f"must not rise from {higher:g} in {line}", lower, hint)
    elif fewer > more:
        hint = "" if earlier["events"] else "Give the number at risk at every time, or at none."
        findings.add(row.place("events"), f"must not rise from {more} at risk in {line}", fewer, hint)
    elif fewer > n * (higher + ROUNDED):
        rule = f"must not exceed n = {n} times the survival of {line}, {higher:g}"
        findings.add(row.place("events"), rule, fewer, AT_RISK)
