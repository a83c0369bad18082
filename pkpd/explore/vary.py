"""What varies in a regimen: fields of a drug's line, each in a range, and the regimens that they span.

    DRUG.amount LO..HI UNIT [step S]      the amount of each dose; 0 leaves the drug out
    DRUG.amounts LO..HI UNIT [step S]     an amount of its own for each dose of the line
    DRUG.interval LO..HI h [step S]       from dose to dose
    DRUG.doses LO..HI                     how many doses
    DRUG.days LO..HI of 7                 the first days of each week on which doses are given
    DRUG.start LO..HI d                   when the line begins (`from`): a lead-in, an offset
    DRUG.at LO..HI h                      the time of day

Without a step an amount is any number, days and counts are whole, hours of the day too; an interval steps by
the longest of 24, 12, 6, 4, 3, 2 and 1 h that divides both ends, a start by days.
"""

import dataclasses
import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from jaxtyping import Float

from pkpd.checks import Findings, InputError, did_you_mean
from pkpd.dosing import Dose, Regimen, terms
from pkpd.model import Model
from pkpd.units import UnitError, factor, to_system

FIELDS = ("amount", "amounts", "interval", "doses", "days", "start", "at")
AMOUNTS = ("amount", "amounts")
PLACE = "--vary"
Point = Float[np.ndarray, " dims"]

_TEXT = re.compile(
    rf"(?P<drug>[^\s.]+)\.(?P<field>\w+)\s+(?P<low>{terms.NUMBER})\s*\.\.\s*(?P<high>{terms.NUMBER})"
    rf"(?:\s+(?!step\b)(?P<unit>of\s+[0-9]+|\S+))?(?:\s+step\s+(?P<step>{terms.NUMBER}))?"
)
_RULE = "must be DRUG.FIELD LOW..HIGH UNIT [step S]"
_HINT = 'For instance "aldesleukin.amount 1..18 MIU step 1", "aldesleukin.days 3..7 of 7".'
_STEPS = (24.0, 12.0, 6.0, 4.0, 3.0, 2.0, 1.0)
_NEAR = 1e-9
_EXCLUDE = (("amount", "amounts"), ("doses", "days"))
_SETTLED = ("interval", "doses", "days")  # what cannot vary while each dose has an amount of its own


@dataclass(frozen=True)
class Variable:
    """A field of a drug's line between `low` and `high`, by `step` where that is not None.

    Amounts are in `unit`, perhaps `per` kg or m2; times are in hours; days are `of` a period.
    """

    drug: str
    field: str
    low: float
    high: float
    unit: str = ""
    per: str | None = None
    step: float | None = None
    of: int = 0

    @property
    def name(self) -> str:
        """For instance `aldesleukin.amount`."""
        return f"{self.drug}.{self.field}"

    @property
    def full_unit(self) -> str:
        """The unit as written, with what it is per."""
        return f"{self.unit}/{'m2' if self.per == 'm2' else self.per}" if self.per else self.unit


def read_variable(text: str, found: Findings) -> Variable | None:
    """The variable that a text spells; faults go to `found`."""
    match = _TEXT.fullmatch(" ".join(text.split()))
    if match is None:
        found.add(PLACE, _RULE, text, _HINT)
        return None
    field, before = match["field"], len(found.faults)
    if field not in FIELDS:
        found.add(PLACE, "must vary a field of a drug's line", field, did_you_mean(field, FIELDS))
        return None
    low, high = float(match["low"]), float(match["high"])
    scale, told = _unit(field, match["unit"] or "", text, found)
    low, high = low * scale, high * scale
    step = _step(field, match["step"], scale, low, high)
    _check_range(field, text, (low, high, step), found)
    if len(found.faults) > before:
        return None
    return Variable(match["drug"], field, low, high, step=step, **told)


def _unit(field: str, unit: str, text: str, found: Findings) -> tuple[float, dict[str, Any]]:
    """How many of the variable's units a number of the text is, and what it says of the unit."""
    if field in AMOUNTS:
        name, _, per = unit.partition("/")
        if not name or (per and per not in terms.PER):
            found.add(PLACE, "must have a unit of amount, perhaps per kg or m2", text, _HINT)
            return 1.0, {}
        return 1.0, {"unit": name, "per": terms.PER[per] if per else None}
    if field == "days":
        period = unit.removeprefix("of").strip()
        if not period.isdigit() or not 1 <= int(period) <= terms.MAX_PERIOD:
            found.add(PLACE, "must say of how many days, as in `1..7 of 7`", text)
            return 1.0, {}
        return 1.0, {"of": int(period)}
    if field == "doses":
        if unit:
            found.add(PLACE, "must have no unit: it is a count", text)
        return 1.0, {}
    if unit not in terms.TIME:
        found.add(PLACE, "must have a unit of time: min, h, d or wk", text)
        return 1.0, {}
    return float(terms.TIME[unit]), {}


def _step(field: str, text: str | None, scale: float, low: float, high: float) -> float | None:
    if text is not None:
        return float(text) * scale
    if field in AMOUNTS:
        return None
    if field == "interval":
        return next((s for s in _STEPS if low % s == 0.0 and high % s == 0.0), _STEPS[-1])
    return 24.0 if field == "start" else 1.0


def _check_range(field: str, text: str, span: tuple[float, float, float | None], found: Findings) -> None:
    low, high, step = span
    if not 0.0 <= low < high < math.inf:
        found.add(PLACE, "must be a range from a number that is not negative to a larger one", text)
    if step is not None and not 0.0 < step <= max(high - low, 0.0):
        found.add(PLACE, "must have a step that is positive and no wider than the range", text)
    if field in ("doses", "days") and not all(float(v or 0.0).is_integer() for v in span):
        found.add(PLACE, "must be whole numbers", text)
    if field == "doses" and low < 1.0:
        found.add(PLACE, "must be at least 1 dose", text, "An amount of 0 leaves the drug out.")


@dataclass(frozen=True)
class Space:
    """The regimens that variables span about a base; a point [dims] has the values of all of them.

    `shares` are the amount [dims] in the model's units of one unit of a dim that is an amount, else 0.
    """

    base: Regimen
    variables: tuple[Variable, ...]
    sizes: tuple[int, ...]
    start: Point
    shares: Point

    def _each(self, name: str) -> Point:
        pairs = zip(self.variables, self.sizes, strict=True)
        return np.concatenate([np.full(n, np.nan if (v := getattr(x, name)) is None else v) for x, n in pairs])

    @property
    def low(self) -> Point:
        """The least value of each dim."""
        return self._each("low")

    @property
    def high(self) -> Point:
        """The largest value of each dim."""
        return self._each("high")

    @property
    def step(self) -> Point:
        """The step of each dim; not a number where it is continuous."""
        return self._each("step")

    @property
    def owners(self) -> tuple[Variable, ...]:
        """The variable of each dim."""
        return tuple(v for v, n in zip(self.variables, self.sizes, strict=True) for _ in range(n))

    @property
    def free(self) -> np.ndarray:
        """Which dims are amounts [dims], by which there are gradients."""
        return np.array([v.field in AMOUNTS for v in self.owners], bool)

    def snapped(self, point: Point) -> Point:
        """The nearest point that is in range and on all steps."""
        inside, step = np.clip(point, self.low, self.high), self.step
        size = np.where(np.isnan(step), 1.0, step)
        count = np.floor((self.high - self.low) / size + _NEAR)
        on = self.low + size * np.minimum(np.round((inside - self.low) / size), count)
        return np.where(np.isnan(step), inside, on)

    def regimen(self, point: Point) -> Regimen:
        """The regimen at a point."""
        ends = np.cumsum(self.sizes)
        values: dict[str, dict[str, Any]] = {}
        for variable, end, size in zip(self.variables, ends, self.sizes, strict=True):
            own = [float(v) for v in point[end - size : end]]
            values.setdefault(variable.drug, {})[variable.field] = (variable, own)
        return _rebuilt(self.base.to_table(), values)

    def said(self, point: Point) -> dict[str, float | list[float]]:
        """The values of the variables at a point, by name."""
        ends = np.cumsum(self.sizes)
        parts = [point[end - size : end].tolist() for end, size in zip(ends, self.sizes, strict=True)]
        return {v.name: p if v.field == "amounts" else p[0] for v, p in zip(self.variables, parts, strict=True)}

    def timetables(self, most: int = 2000) -> list[Point]:
        """Points with every combination of the values that decide when doses are given, with amounts above
        0; none where there are too many."""
        axes = [
            [max(high, low)] if free else (low + step * np.arange(int((high - low) / step + _NEAR) + 1)).tolist()
            for low, high, step, free in zip(self.low, self.high, self.step, self.free, strict=True)
        ]
        if math.prod(map(len, axes)) > most:
            return []
        return [np.array(each) for each in itertools.product(*axes)]


def space_of(model: Model, base: Regimen, texts: Sequence[str], found: Findings) -> Space | None:
    """The space that texts span about a base; None where faults went to `found`."""
    before = len(found.faults)
    variables = [v for v in (read_variable(text, found) for text in texts) if v is not None]
    if not texts:
        found.add(PLACE, "must be given", hint=_HINT)
    lines = {v.name: _line_of(v, base, found) for v in variables}
    _check_together(variables, found)
    if len(found.faults) > before:
        return None
    told = [_told(model, v, line, found) for v in variables if (line := lines[v.name]) is not None]
    if len(found.faults) > before:
        return None
    sizes = tuple(len(start) for start, _ in told)
    space = Space(
        base,
        tuple(variables),
        sizes,
        np.concatenate([np.array(start, float) for start, _ in told]),
        np.concatenate([np.full(len(start), share) for start, share in told]),
    )
    _check_language(space, found)
    return space if len(found.faults) == before else None


def _line_of(variable: Variable, base: Regimen, found: Findings) -> Dose | None:
    """The line of a variable's drug."""
    lines = [dose for dose in base.doses if dose.drug == variable.drug]
    if not lines:
        hint = did_you_mean(variable.drug, base.drugs)
        found.add(PLACE, "must vary a drug that the regimen gives", variable.drug, hint)
    elif len(lines) > 1:
        found.add(PLACE, f"must vary a drug that one part of the regimen gives, not {len(lines)}", variable.drug)
    else:
        _check_line(variable, lines[0], found)
        return lines[0]
    return None


def _check_line(variable: Variable, line: Dose, found: Findings) -> None:
    """Whether a line has what varies."""
    if variable.field in ("interval", "doses", "days") and line.interval is None:
        found.add(PLACE, "must be of a drug that is given at an interval, such as q24h", variable.name)
    if variable.field == "doses" and line.days is not None:
        found.add(PLACE, "must not vary beside `on days`, where `for DURATION` says how long", variable.name)
    if variable.field == "at" and line.clock is None:
        found.add(PLACE, "must be of a regimen in which all parts have `at`", variable.name)
    if variable.field == "days" and variable.high > variable.of:
        found.add(PLACE, f"must be at most the {variable.of} days of the period", variable.high)


def _check_together(variables: Sequence[Variable], found: Findings) -> None:
    """Whether variables contradict each other."""
    for drug in dict.fromkeys(v.drug for v in variables):
        fields = [v.field for v in variables if v.drug == drug]
        for field in sorted({f for f in fields if fields.count(f) > 1}):
            found.add(PLACE, "must vary once", f"{drug}.{field}")
        pairs = [*_EXCLUDE, *(("amounts", field) for field in _SETTLED)]
        for one, other in pairs:
            if one in fields and other in fields:
                found.add(PLACE, f"must not vary beside {drug}.{other}", f"{drug}.{one}")


def _told(model: Model, variable: Variable, line: Dose, found: Findings) -> tuple[list[float], float]:
    """Where a variable starts, an entry for each of its dims; and what one unit of an amount is."""
    if variable.field in AMOUNTS:
        share, own = (_in_model(model, variable.drug, u, p, found) for u, p in _both(variable, line))
        count = len(line.times) if variable.field == "amounts" else 1
        return [line.amount * (own / share)] * count, share
    period = terms.day_pattern(line.days) if line.days else ((), 0)
    known = {
        "interval": line.interval,
        "doses": line.slots,
        "days": len(period[0]) or variable.of,
        "start": line.start,
        "at": line.clock,
    }
    return [float(known[variable.field] or 0.0)], 0.0


def _both(variable: Variable, line: Dose) -> tuple[tuple[str, str | None], tuple[str, str | None]]:
    """The unit of a variable and that of its line, and what they are per."""
    return (variable.unit, variable.per), (line.unit, line.per)


def _in_model(model: Model, drug: str, unit: str, per: str | None, found: Findings) -> float:
    """One unit of a drug's amount in the model's units; 1 where it does not fit."""
    known = next((d for d in model.drugs if d.name == drug), None)
    share = {None: 1.0, "kg": model.references.get("wt"), "m2": model.references.get("bsa")}[per]
    if known is None or share is None:
        hint = did_you_mean(drug, [d.name for d in model.drugs]) if known is None else ""
        what = "name a drug of the model" if known is None else f"not be per {per}: the model has no reference"
        found.add(PLACE, f"must {what}", drug if known is None else unit, hint)
        return 1.0
    try:
        return float(share) * to_system(1.0, unit, "amount", model.units, known.substance)
    except UnitError as error:
        found.add(PLACE, str(error), unit)
        return 1.0


def _check_language(space: Space, found: Findings) -> None:
    """Whether the regimen language allows both ends of each variable, beside the base."""
    told = set()
    for k, variable in enumerate(space.owners):
        for value in (space.low[k], space.high[k]):
            try:
                space.regimen(np.where(np.arange(len(space.low)) == k, value, space.snapped(space.start)))
            except InputError as error:
                new = {f.rule for f in error.faults} - told
                for rule in sorted(new):
                    found.add(PLACE, f"{variable.name} {rule}", float(value))
                told |= new


def _rebuilt(table: Mapping[str, Any], values: Mapping[str, Mapping[str, Any]]) -> Regimen:
    """The regimen of nested tables with the values of some drugs' lines in place of theirs."""
    for key, join in (("together", Regimen.__add__), ("then", Regimen.then)):
        if key in table:
            return reduce(join, [_rebuilt(part, values) for part in table[key]])
    if "repeat" in table:
        return _rebuilt(table["repeat"], values).repeat(table["count"])
    found = Regimen.from_table(table)
    return changed(found, values[found.drug]) if isinstance(found, Dose) and found.drug in values else found


def changed(line: Dose, values: Mapping[str, tuple[Variable, Sequence[float]]]) -> Regimen:
    """A line with other values of some fields; nothing where none of its doses is left."""
    known = {field: own[0] for field, (_, own) in values.items()}
    simple = {"interval": known.get("interval"), "start": known.get("start"), "clock": known.get("at")}
    new = {name: v for name, v in simple.items() if v is not None}
    if "doses" in known:
        new |= {"count": round(known["doses"]), "until": None}
    line = dataclasses.replace(line, **new)
    if "days" in known:
        line = _on_days(line, round(known["days"]), values["days"][0].of)
    if known.get("days", 1.0) < 0.5:
        return Regimen.none()
    for field in (f for f in AMOUNTS if f in values):
        variable, own = values[field]
        unit = {"unit": variable.unit, "per": variable.per}
        return _with_amounts(dataclasses.replace(line, **unit), own if field == "amounts" else own * len(line.times))
    return line


def _on_days(line: Dose, days: int, period: int) -> Dose:
    """A line given on the first days of each period, for as long as it lasts."""
    told = terms.days_text(range(1, max(days, 1) + 1), period) if days < period else None
    return dataclasses.replace(line, count=1, until=line.slots * (line.interval or 0.0), days=told)


def _with_amounts(line: Dose, amounts: Sequence[float]) -> Regimen:
    """A line in which each dose has an amount of its own: as it is, or a line for each run of the same."""
    if min(amounts) == max(amounts):
        return dataclasses.replace(line, amount=amounts[0]) if amounts[0] > 0.0 else Regimen.none()
    first = line.start + (line.clock or 0.0)
    found: Regimen = Regimen.none()
    for begin, end in _runs(line, amounts):
        if amounts[begin] > 0.0:
            start = line.start + line.times[begin] - first
            one = {"count": end - begin, "until": None, "days": None, "start": start, "amount": amounts[begin]}
            found = found + dataclasses.replace(line, **one)
    return found


def _runs(line: Dose, amounts: Sequence[float]) -> list[tuple[int, int]]:
    """First and last place but one of doses in a row with the same amount."""
    gaps, interval = np.diff(line.times), line.interval or 0.0
    cut = [i + 1 for i, gap in enumerate(gaps) if amounts[i] != amounts[i + 1] or abs(gap - interval) > _NEAR]
    return list(itertools.pairwise([0, *cut, len(amounts)]))

