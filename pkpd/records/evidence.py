"""From a table of arms to the arms of a problem: regimens bound, outcomes known, reports in its units."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from pkpd.arms import ArmTable, Count, Curve, Mean, Median, Ratio, Report
from pkpd.arms.rules import check_pools
from pkpd.checks import Findings, InputError, did_you_mean
from pkpd.dosing import Regimen
from pkpd.dosing.events import Events
from pkpd.endpoints import label, model_endpoints, survives
from pkpd.infer.arm import Arm
from pkpd.infer.score import class_of
from pkpd.likelihood.counts import MOST_AXES
from pkpd.likelihood.reports import AbstractReport, HazardRatio, KaplanMeier, MedianSurvival
from pkpd.likelihood.reports import Mean as MeanReport
from pkpd.model import Model
from pkpd.response.joint import Axis, Endpoint, axes_of
from pkpd.simulation import bind, in_unit, scaling, units_of
from pkpd.units import UnitError

JOINT = f"must count at most {MOST_AXES} outcomes for the joint likelihood, and several kinds of one at most"
FOLLOW_UP = 60  # intervals of a follow-up over which hazards are compared


@dataclasses.dataclass(frozen=True)
class Reader:
    """What arms are read with: the model, regimens by name, and whether counts are told together.

    Faults of the regimens go to `question`, those of the table to `evidence`.
    """

    model: Model
    regimens: Mapping[str, str]
    joint: bool
    question: Findings
    evidence: Findings


def read_evidence(reader: Reader, tables: Sequence[ArmTable], overlap: bool = False) -> list[Arm | None]:
    """An arm for each table, None where it is at fault; `overlap` allows patients to count twice."""
    named = {
        name: bound(reader.model, f"regimens.{name}", text, reader.question)
        for name, text in reader.regimens.items()
    }
    arms = [_arm(reader, table, tables, named) for table in tables]
    if not overlap:
        known = ((table, class_of(arm.events)) for table, arm in zip(tables, arms, strict=True) if arm)
        check_pools(known, "of the same drugs", reader.evidence, apart=True)
    return arms


def bound(model: Model, place: str, text: str, findings: Findings) -> Events | None:
    """The doses of a regimen; faults go to `findings`, with the place."""
    try:
        regimen = Regimen.parse(text)
        for name in scaling(model, regimen):
            rule = f"must not depend on {name}, which differs between the model's virtual patients"
            findings.add(place, rule, text, "All patients of a fit get one amount: give it, or no spread.")
        return bind(model, regimen)
    except InputError as error:
        findings.adopt(error, place)
        return None


def _arm(
    reader: Reader, table: ArmTable, tables: Sequence[ArmTable], named: Mapping[str, Events | None]
) -> Arm | None:
    events = _events(reader, table, named)
    endpoints = {count.endpoint: _endpoint(reader, table, count) for count in table.counts}
    reports = [_report(reader, table, report, tables) for report in table.reports]
    counted = [c for c in table.counts if c.events is not None]
    kept = counted or table.counts  # rows without counts stay out, unless the arm is only predicted
    told = [endpoints[c.endpoint] for c in kept]
    if events is None or None in told or None in reports:
        return None
    known = tuple(e for e in told if e is not None)
    if counted and reader.joint and _too_many(axes_of(known)):
        told_of = ", ".join(c.endpoint for c in counted)
        reader.evidence.add(table.place, JOINT, told_of, 'Choose some, or set likelihood = "product".')
        return None
    counts = tuple(c.events for c in counted if c.events is not None) or None
    mine = tuple(r for r in reports if r is not None)
    return Arm(events, table.study, table.arm, table.n, known, counts, table.weight, mine, table.histology)


def _events(reader: Reader, table: ArmTable, named: Mapping[str, Events | None]) -> Events | None:
    place = table.place_of("regimen")
    if table.regimen in named:
        return named[table.regimen]
    if " " not in table.regimen and table.regimen != "none":
        hint = did_you_mean(table.regimen, reader.regimens)
        reader.evidence.add(place, "must be a regimen or name one of the question's", table.regimen, hint)
        return None
    return bound(reader.model, place, table.regimen, reader.evidence)


def _endpoint(reader: Reader, table: ArmTable, count: Count) -> Endpoint | None:
    model = reader.model
    known = {label(model, endpoint): endpoint for endpoint in model_endpoints(model)}
    known |= {"alive": Endpoint("alive")} if survives(model) else {}
    owner = next((e.outcome for e in known.values() if e.kinds == count.members[:1]), None)
    if count.outcome in known:
        time = None if count.days is None else count.days * model.units.day
        return dataclasses.replace(known[count.outcome], time=time)
    if len(count.members) > 1 and owner is not None:
        return Endpoint(owner, kinds=count.members)
    hint = did_you_mean(count.outcome, known)
    place = table.place_of(count.endpoint)
    reader.evidence.add(place, "must be an outcome of the model", count.endpoint, hint)
    return None


def _too_many(axes: Sequence[Axis]) -> bool:
    """Whether the exact probability of the counts along some axes is out of reach."""
    return len(axes) > MOST_AXES or sum(len(axis.members) > 1 for axis in axes) > 1


def _report(
    reader: Reader, table: ArmTable, report: Report, tables: Sequence[ArmTable]
) -> AbstractReport | None:
    day = reader.model.units.day
    if isinstance(report, Mean):
        return _mean(reader, table, report)
    if not survives(reader.model):
        place = table.place_of(report.endpoint)
        reader.evidence.add(place, "must be a report that the model can make", report.endpoint)
        return None
    if isinstance(report, Curve):
        times = tuple(d * day for d in report.days)
        return KaplanMeier(day, times, report.survival, report.at_risk)
    if isinstance(report, Median):
        return MedianSurvival(day, report.low * day, report.high * day)
    return _ratio(table, report, tables, day)


def _ratio(table: ArmTable, report: Ratio, tables: Sequence[ArmTable], day: float) -> HazardRatio | None:
    """None where the other arm is at fault, or missing, which the table has told."""
    other = next((t for t in tables if (t.study, t.arm) == (table.study, report.against)), None)
    if other is None:
        return None
    times = tuple((np.arange(1, FOLLOW_UP + 1) / FOLLOW_UP * report.days * day).tolist())
    share = table.n / (table.n + other.n)
    return HazardRatio(day, report.against, report.value, report.se, share, times)


def _mean(reader: Reader, table: ArmTable, report: Mean) -> MeanReport | None:
    model, day, place = reader.model, reader.model.units.day, table.place_of(report.endpoint)
    if report.output not in model.outputs:
        hint = did_you_mean(report.output, model.outputs)
        reader.evidence.add(place, "must be the mean of an output of the model", report.output, hint)
        return None
    try:
        factor = 1.0 / float(in_unit(model, report.output, report.unit or "1", 1.0))
    except UnitError:
        own = dict(units_of(model))[report.output]
        reader.evidence.add(place, f'must be in a unit that converts to "{own}"', report.unit)
        return None
    return MeanReport(day, report.output, report.days * day, report.value * factor, report.se * factor)
