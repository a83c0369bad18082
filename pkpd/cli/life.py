"""Doses as patients take them and as clinics change them: what the options say, and what it comes to."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pkpd.cli.output import number, percent, table

if TYPE_CHECKING:
    from pkpd.checks import Findings
    from pkpd.dosing.adherence import Adherence
    from pkpd.dosing.events import Events
    from pkpd.model import Model
    from pkpd.rules import Given, Rule

_NUMBER = r"-?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?"
_RATE = re.compile(rf"({_NUMBER})\s*1?/\s*(min|h|d|wk)")
_CLAUSE = re.compile(r"(?:(?P<drug>[^\W\d][\w-]*) )?(?P<word>taken|after missed|late|dropout) (?P<value>.+)")
_EXAMPLE = 'For instance "taken 0.9; after missed 0.6; late 2 h; dropout 0.01 /d".'
_TEXTS = ("output", "relative", "until", "unit")
_NUMBERS = ("above", "below", "factor", "width")


class Lived(NamedTuple):
    """The doses under each model, and what is told of them; of none, nothing."""

    events: list[Any]
    told: dict[str, Any]


def check_life(
    adherence: str, rules: str, patients: int, others: Sequence[str], findings: "Findings"
) -> None:
    """What the options need: many patients, and none of the `others`."""
    for name, value in (("--adherence", adherence), ("--rules", rules)):
        if value and (patients == 1 or others):
            without = f", and without {', '.join(others)}" if others else ""
            findings.add(name, f"must go with --patients{without}", value)


def live(
    models: Sequence["Model"], asked: Any, group: Any, origin: float, say: Callable[[str, float], None]
) -> Lived:
    """The doses that patients get under each model, where the options ask for other than the plan."""
    from pkpd.dosing.adherence import draw_patterns
    from pkpd.rules import follow, given
    from pkpd.simulation import bind

    if not asked.adherence and not asked.rules:
        return Lived([], {})
    plan = bind(models[0], asked.regimen, group.covariates)
    habits, rules, visits = _read(models[0], plan, asked.adherence, asked.rules)
    taken = plan if habits is None else draw_patterns(plan, habits, group.count, asked.seed).events()
    events, got, found = [], [], []
    for i, model in enumerate(models):
        say(f"following patients to {len(visits)} visits" if visits else "counting doses", i / len(models))
        followed = follow(model, taken, rules, visits, group) if rules else None
        events.append(taken if followed is None else followed.events)
        got.append(given(model, events[-1], group, origin=origin))
        found += [] if followed is None else [followed]
    told: dict[str, Any] = {"doses": _doses(models[0], asked.regimen, plan, got)}
    return Lived(events, told | ({"visits": _visits(found)} if found else {}))


def print_life(content: Mapping[str, Any]) -> None:
    """Doses planned and expected, and the visits."""
    rows = []
    for drug, told in content.get("doses", {}).items():
        amount = told["amount"]
        shown = [f"{number(amount[name])} {amount['unit']}" for name in ("planned", "expected")]
        rows.append([drug, number(told["planned"]), number(told["expected"]), *shown])
    if rows:
        columns = ["drug", "planned", "expected", "amount planned", "amount expected"]
        table("Doses of a patient, those after death left out", columns, rows)
    visits = [
        [f"{visit['time']:.4g} {content['time_unit']}", drug, percent(held), percent(visit["reduced"][drug])]
        for visit in content.get("visits", ())
        for drug, held in visit["held"].items()
    ]
    if visits:
        table("Visits, per cent of patients", ["from", "drug", "held", "reduced"], visits)


def _read(
    model: "Model", plan: "Events", adherence: str, path: str
) -> tuple["Adherence | None", "list[Rule]", list[float]]:
    """What both options say; raises `InputError` with the faults of both."""
    from pkpd.checks import Findings, InputError
    from pkpd.dosing.adherence import draw_patterns
    from pkpd.rules import check_rules

    findings, habits, rules, visits = Findings(), None, [], []
    drugs = list(dict.fromkeys(drug for drug, _ in plan.route))
    if adherence:
        try:
            habits = read_adherence(adherence, drugs, model.units.day)
            draw_patterns(plan, habits, 1)
        except InputError as error:
            findings.adopt(error, "--adherence")
    if path:
        inside = Findings(path)
        try:
            rules, visits = read_rules(path, model)
            check_rules(model, plan, rules, visits)
        except InputError as error:
            inside.adopt(error)
        findings.faults += inside.faults
    findings.raise_if_any()
    return habits, rules, visits


def read_adherence(text: str, drugs: Sequence[str], day: float) -> "Adherence":
    """Clauses such as `taken 0.9`, `after missed 0.6`, `late 2 h`, `dropout 0.01 /d`, with `;` between.

    One that begins with a drug, `melatonin taken 0.8`, is about that drug and goes before one about all
    `drugs`. Raises `InputError` with all faults; a `day` is that in the model's unit of time.
    """
    from pkpd.checks import Findings
    from pkpd.dosing.adherence import Adherence

    findings = Findings()
    found: dict[str, dict[str, float]] = {"taken": {}, "after missed": {}, "late": {}, "dropout": {}}
    for clause in (" ".join(part.split()) for part in text.split(";")):
        said = _CLAUSE.fullmatch(clause)
        if not said or (said["word"] == "dropout" and said["drug"]):
            findings.add("", "must be clauses with ; between them", clause, _EXAMPLE)
        elif (said["drug"] or "") in found[said["word"]]:
            findings.add("", "must say everything once", clause)
        else:
            value = _value(said["word"], said["value"], day, findings)
            found[said["word"]][said["drug"] or ""] = value
    findings.raise_if_any()
    taken, after, late = (_by_drug(found[word], drugs) for word in ("taken", "after missed", "late"))
    leaves = found["dropout"].get("", 0.0)
    return Adherence(1.0 if taken is None else taken, after, 0.0 if late is None else late, leaves)


def _value(word: str, text: str, day: float, findings: "Findings") -> float:
    """The number of a clause, in the model's unit of time."""
    from pkpd.checks import InputError
    from pkpd.dosing.terms import hours

    rate = _RATE.fullmatch(text)
    if word == "late":
        try:
            return hours(text) * day / 24.0
        except InputError as error:
            findings.adopt(error, word)
    elif word == "dropout" and rate:
        return float(rate[1]) / (hours(f"1 {rate[2]}") * day / 24.0)
    elif word != "dropout" and re.fullmatch(_NUMBER, text):
        return float(text)
    else:
        rule = "a hazard, such as 0.01 /d" if word == "dropout" else "a probability, such as 0.9"
        findings.add(word, f"must be {rule}", text)
    return 0.0


def _by_drug(values: Mapping[str, float], drugs: Sequence[str]) -> float | dict[str, float] | None:
    """One number for all, or that of each drug."""
    if {*values} <= {""}:
        return values.get("")
    own = {drug: v for drug, v in values.items() if drug}
    return (dict.fromkeys(drugs, values[""]) if "" in values else {}) | own


def read_rules(path: str, model: "Model") -> tuple["list[Rule]", list[float]]:
    """Rules and visits, in the model's units, of a TOML file; raises `InputError` with all its faults."""
    from pkpd.catalogue.files import read_toml
    from pkpd.checks import Findings, InputError
    from pkpd.dosing.terms import hours
    from pkpd.records.fields import known, names

    findings, content, visits = Findings(path), read_toml(Path(path), path), []
    known(content, ("schema", "visits", "rules"), findings)
    for text in names(content, "visits", findings):
        try:
            visits.append(hours(text) * model.units.day / 24.0)
        except InputError as error:
            findings.adopt(error, "visits")
    tables = content.get("rules")
    if not (isinstance(tables, list) and tables and all(isinstance(each, dict) for each in tables)):
        findings.add("rules", "must be tables, each under [[rules]]")
        tables = []
    rules = [_rule(f"rule {i}", each, model, findings) for i, each in enumerate(tables, 1)]
    findings.raise_if_any()
    return rules, visits


def _rule(place: str, table: Mapping[str, Any], model: "Model", findings: "Findings") -> "Rule":
    """A rule of a table; faults of what it says of the model are found elsewhere."""
    from pkpd.checks import did_you_mean
    from pkpd.records.fields import is_a
    from pkpd.rules import Rule

    keys = (*_TEXTS, *_NUMBERS, "drugs")
    for key in (key for key in table if key not in keys):
        findings.add(f"{place}.{key}", "must be a known key", key, did_you_mean(key, keys))
    texts = {
        key: table[key]
        for key in _TEXTS
        if key in table and is_a(table[key], str, "a text", f"{place}.{key}", findings)
    }
    numbers = {}
    for key in (key for key in _NUMBERS if key in table):
        number = not isinstance(table[key], bool) and isinstance(table[key], (int, float))
        if number or is_a(None, float, "a number", f"{place}.{key}", findings):
            numbers[key] = float(table[key])
    drugs = table.get("drugs", [])
    if not (isinstance(drugs, list) and all(isinstance(drug, str) for drug in drugs)):
        findings.add(f"{place}.drugs", "must be a list of texts", drugs)
        drugs = []
    scale = _scale(place, texts, model, findings)
    for key in {"above", "below", "width"} & {*numbers}:
        numbers[key] /= scale
    texts.pop("unit", None)
    return Rule(**{"output": "", **texts, **numbers, "drugs": tuple(drugs)})


def _scale(place: str, texts: Mapping[str, str], model: "Model", findings: "Findings") -> float:
    """One of the model's unit of the rule's output, in the unit of its limit."""
    from pkpd.simulation import in_unit, units_of
    from pkpd.units import UnitError

    output, unit = texts.get("output", ""), texts.get("unit", "")
    has = dict(units_of(model)).get(output, "")
    if texts.get("relative") and unit:
        findings.add(f"{place}.unit", "must not go with `relative`", unit)
    elif has not in ("", "1") and not unit and not texts.get("relative"):
        findings.add(f"{place}.unit", f"must be given: {output} is in {has}")
    elif unit and has:
        try:
            return float(in_unit(model, output, unit, 1.0))
        except UnitError as error:
            findings.add(f"{place}.unit", str(error), unit)
    return 1.0


def _doses(model: "Model", regimen: str, plan: "Events", got: Sequence["Given"]) -> dict[str, Any]:
    """Of each drug the number of doses and the amount, of the plan and expected, means over patients."""
    import numpy as np

    from pkpd.dosing import Regimen
    from pkpd.units import factor

    substances = {drug.name: drug.substance for drug in model.drugs}
    units = {dose.drug: dose.unit for dose in Regimen.parse(regimen).doses if dose.per is None}
    amount = np.asarray(plan.amount).reshape(len(plan), -1).mean(axis=1)
    found = {}
    for drug in got[0].doses:
        mine = np.array([drug == name for name, _ in plan.route])
        unit = units.get(drug, model.units.amount)
        scale = factor(model.units.amount, unit, substances[drug])
        expected, total = (
            float(np.mean([np.mean(np.asarray(v[drug])) for v in values]))
            for values in ([each.doses for each in got], [each.amount for each in got])
        )
        told = {"unit": unit, "planned": scale * float(amount[mine].sum()), "expected": scale * total}
        found[drug] = {"planned": float(mine.sum()), "expected": expected, "amount": told}
    return found


def _visits(followed: Sequence[Any]) -> list[dict[str, Any]]:
    """The share of patients whose doses are held, and reduced, from each visit on."""
    import numpy as np

    first = followed[0]
    shares = [each.shares() for each in followed]
    means = {
        name: np.mean([np.asarray(share[name]) for share in shares], axis=0) for name in ("held", "reduced")
    }
    return [
        {
            "time": visit,
            **{name: dict(zip(first.drugs, v[i].tolist(), strict=True)) for name, v in means.items()},
        }
        for i, visit in enumerate(first.visits)
    ]
