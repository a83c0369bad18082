"""The regimens that variables span about a base: points of a space, and the regimen of each."""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from jaxtyping import Float

from pkpd.checks import Findings, InputError, did_you_mean
from pkpd.dosing import Dose, Regimen, terms
from pkpd.explore.vary import AMOUNTS, HINT, NEAR, PLACE, Variable, read_variable
from pkpd.model import Model
from pkpd.units import UnitError, to_system

Point = Float[np.ndarray, " dims"]

_EXCLUDE = (("amount", "amounts"), ("doses", "days"))
_SETTLED = ("interval", "doses", "days")  # what cannot vary while each dose has an amount of its own


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
        return np.concatenate(
            [np.full(n, np.nan if (v := getattr(x, name)) is None else v) for x, n in pairs]
        )

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
        count = np.floor((self.high - self.low) / size + NEAR)
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
        return {
            v.name: p if v.field == "amounts" else p[0] for v, p in zip(self.variables, parts, strict=True)
        }

    def timetables(self, most: int = 2000) -> list[Point]:
        """Points with every combination of the values that decide when doses are given, with amounts above
        0; none where there are too many."""
        axes = [
            [max(high, low)]
            if free
            else (low + step * np.arange(int((high - low) / step + NEAR) + 1)).tolist()
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
        found.add(PLACE, "must be given", hint=HINT)
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
        found.add(
            PLACE, f"must vary a drug that one part of the regimen gives, not {len(lines)}", variable.drug
        )
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
        what = (
            "name a drug of the model" if known is None else f"not be per {per}: the model has no reference"
        )
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
        return _with_amounts(
            dataclasses.replace(line, **unit), own if field == "amounts" else [*own] * len(line.times)
        )
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
            one = {
                "count": end - begin,
                "until": None,
                "days": None,
                "start": start,
                "amount": amounts[begin],
            }
            found = found + dataclasses.replace(line, **one)
    return found


def _runs(line: Dose, amounts: Sequence[float]) -> list[tuple[int, int]]:
    """First and last place but one of doses in a row with the same amount."""
    gaps, interval = np.diff(line.times), line.interval or 0.0
    cut = [i + 1 for i, gap in enumerate(gaps) if amounts[i] != amounts[i + 1] or abs(gap - interval) > NEAR]
    return list(itertools.pairwise([0, *cut, len(amounts)]))
