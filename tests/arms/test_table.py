"""A table that is written from arms reads back as those arms.

Strategies draw a class with its arguments, and the test builds it: the checks of annotations use `random`,
which hypothesis forbids inside strategies.
"""

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pkpd.arms import ArmTable, Count, Curve, Mean, Median, Ratio
from tests.arms.tables import load

NAMES = st.text("ab0,;\"'é+-(/.)", min_size=1, max_size=6)
RESPONSES = {
    "CR": "cr",
    "PR": "pr",
    "SD": "sd",
    "PD": "pd",
    "CR+PR": "regression",
    "CR+PR+SD": "disease_control",
}
DISJOINT = [(), ("CR+PR",), ("PD", "PR", "SD", "CR"), ("CR+PR+SD", "PD"), ("SD", "CR+PR")]
POSITIVE = st.floats(1e-3, 1e6)


def falling(most, size):
    """Numbers from 0 to `most` that do not rise."""
    return st.lists(st.integers(0, most), min_size=size, max_size=size).map(lambda x: sorted(x, reverse=True))


@st.composite
def counts(draw, n):
    left, found = n, []
    for name in draw(st.sampled_from(DISJOINT)):
        events = draw(st.none() | st.integers(0, left))
        left -= events or 0
        members = tuple(name.lower().split("+"))
        printed = draw(st.sampled_from(["", "NS", "<0.05"]))
        found.append((Count, name, RESPONSES[name], None, events, members, printed))
    return found


@st.composite
def survival(draw, n):
    """Survivors at some times, or a curve, or a median, or nothing."""
    days = sorted(draw(st.lists(st.integers(1, 2000), min_size=1, max_size=4, unique=True)))
    alive = draw(falling(n, len(days)))
    share = [percent / 100 for percent in draw(falling(100, len(days)))]
    risk = [min(a, int(n * s)) for a, s in zip(alive, [1.0, *share[:-1]], strict=True)]
    median = float(days[0])
    return draw(
        st.sampled_from(
            [
                [],
                [(Count, f"alive({d} d)", "alive", float(d), e) for d, e in zip(days, alive, strict=True)],
                [(Curve, tuple(map(float, days)), tuple(share), tuple(risk))],
                [(Median, median, median - 0.5, median + 0.5)],
            ]
        )
    )


@st.composite
def arms(draw, study, name, pool, others):
    n = draw(st.integers(1, 500))
    told = draw(survival(n))
    reports = [one for one in told if one[0] is not Count]
    if others and not told:
        reports.append((Ratio, others[0], draw(POSITIVE), draw(POSITIVE), float(draw(st.integers(1, 999)))))
    if draw(st.booleans()):
        value = draw(st.floats(-1e9, 1e9))
        unit = draw(st.sampled_from(["1", "1/uL", "mm"]))
        reports.append((Mean, draw(NAMES), value, draw(POSITIVE), unit, float(draw(st.integers(0, 99)))))
    counted = (*draw(counts(n)), *(one for one in told if one[0] is Count))
    if not counted and not reports:
        counted = ((Count, "ps_improved", "ps_improved", None, None),)
    return {
        "study": study,
        "arm": name,
        "regimen": draw(NAMES),
        "n": n,
        "counts": counted,
        "weight": draw(st.floats(0, 0.5 if pool else 1)),
        "source": draw(NAMES),
        "place": "",
        "reports": tuple(reports),
        "histology": draw(NAMES),
        "role": draw(st.sampled_from(["", "primary", "supporting", "peripheral", "held-out"])),
        "pool": pool,
        "excludes": draw(st.sampled_from([(), ("a study",), ("a study", "another/arm of it")])),
        "population": draw(NAMES),
    }


@st.composite
def tables(draw):
    found = []
    for study in draw(st.lists(NAMES, min_size=1, max_size=3, unique=True)):
        pool, names = (
            draw(st.sampled_from(["", "A"])),
            draw(st.lists(NAMES, min_size=1, max_size=2, unique=True)),
        )
        found += [draw(arms(study, name, pool, [o for o in names[:1] if o != name])) for name in names]
    return found


def built(cells):
    """The arm of what was drawn."""
    made = {name: tuple(kind(*args) for kind, *args in cells[name]) for name in ("counts", "reports")}
    return ArmTable(**(cells | made))


def rows_of(arm):
    """The rows that say what an arm says."""
    shared = {name: str(getattr(arm, name)) for name in ("study", "arm", "regimen", "n", "weight", "source")}
    shared |= {name: getattr(arm, name) for name in ("histology", "role", "pool", "population")}
    shared |= {"excludes": "; ".join(arm.excludes), "at": "Table 1"}
    cells: list[dict[str, Any]] = [
        {"endpoint": c.endpoint, "events": "" if c.events is None else c.events, "printed_p": c.printed_p}
        for c in arm.counts
    ]
    for report in arm.reports:
        cells += _report(report)
    return [shared | {name: str(value) for name, value in own.items()} for own in cells]


def _report(report) -> list[dict[str, Any]]:
    if isinstance(report, Curve):
        points = zip(report.days, report.survival, report.at_risk, strict=True)
        return [{"endpoint": "km", "time": f"{d} d", "value": s, "events": r} for d, s, r in points]
    if isinstance(report, Median):
        return [{"endpoint": "median_survival", "time": f"{report.days:g} d"}]
    value = f"{report.value} {report.unit}" if isinstance(report, Mean) else report.value
    return [{"endpoint": report.endpoint, "time": f"{report.days:g} d", "value": value, "se": report.se}]


@given(tables())
def test_what_is_written_reads_back(drawn):
    table = [built(cells) for cells in drawn]
    with tempfile.TemporaryDirectory() as folder:
        found = load(Path(folder), *(cells for arm in table for cells in rows_of(arm)))
    assert [dataclasses.replace(arm, place="") for arm in found] == table
