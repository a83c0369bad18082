"""The tables of a model file: values read from them, and everything that is wrong with them."""

import json
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from pkpd.card import ASSUMED, Quantity, Source
from pkpd.checks import Findings, InputError, did_you_mean
from pkpd.dosing.terms import hours
from pkpd.parameters import Declaration, count_rule, is_count
from pkpd.units import Substance, UnitError, UnitSystem, dimension_of, factor, to_system

Convert = Callable[[str], tuple[str, float]]

FRACTION = "must lie between 0 and 5 (0.3 means 30 %)"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_FORMS = {"": "lognormal", "_cv": "lognormal", "_sd": "normal", "_logit": "logit"}
SPREADS = tuple(f"{kind}{suffix}" for kind in ("iiv", "iov") for suffix in _FORMS)
KEYS = ("value", "unit", "source", "at", "why", "rse", "ci95", *SPREADS, "note")
_FAR = 4.0  # standard deviations at which a normal effect must still leave a parameter in its domain


@dataclass(frozen=True)
class Sheet:
    """One table, its place in the file and where its faults go; what is at fault reads as None."""

    table: Mapping[str, Any]
    place: str
    findings: Findings

    def at(self, key: str) -> str:
        """The place of a key."""
        name = key if _NAME.fullmatch(key) else json.dumps(key)
        return f"{self.place}.{name[:60]}" if self.place else name[:60]

    def fault(self, key: str, rule: str, hint: str = "") -> None:
        """The value at `key` (or its absence) breaks a rule."""
        self.findings.add(self.at(key), rule, _brief(self.table.get(key)), hint)

    def known(self, keys: Collection[str], rule: str) -> None:
        """Faults every key that is not one of `keys`."""
        for key in self.table:
            if key not in keys:
                self.findings.add(self.at(key), rule, _brief(key), did_you_mean(key[:60], keys))

    def need(self, *keys: str, what: str = "") -> None:
        """Faults every key that is absent."""
        for key in keys:
            if key not in self.table:
                self.fault(key, f"must be given{what}")

    def text(self, key: str) -> str:
        """A text without its outer blanks; empty where absent."""
        value = self.table.get(key, "")
        if isinstance(value, str) and (value.strip() or key not in self.table):
            return value.strip()
        self.fault(key, "must be a text that is not empty")
        return ""

    def choice(self, key: str, options: Collection[str]) -> str | None:
        """One of the options."""
        value = self.table.get(key)
        if isinstance(value, str) and value in options:
            return value
        if key in self.table:
            hint = did_you_mean(value, options) if isinstance(value, str) else ""
            self.fault(key, f"must be one of: {', '.join(options)}", "" if hint.startswith("Known") else hint)
        return None

    def number(self, key: str, endless: bool = False) -> float | None:
        """A number; finite, unless `endless` leaves that to another check."""
        if key not in self.table:
            return None
        value = _as_number(self.table[key])
        if value is None:
            self.fault(key, "must be a number")
        elif math.isinf(value) and not endless:
            self.fault(key, "must be finite")
            return None
        return value

    def count(self, key: str, most: int) -> int | None:
        """A whole number from 1 to a largest one."""
        value = self.table.get(key)
        if is_count(value, most):
            return value
        if key in self.table:
            self.fault(key, count_rule(most))
        return None

    def pair(self, key: str) -> tuple[float, float] | None:
        """Two numbers in ascending order."""
        value = self.table.get(key)
        if isinstance(value, list) and len(value) == 2:
            low, high = map(_as_number, value)
            if low is not None and high is not None and low < high:
                return low, high
        if key in self.table:
            self.fault(key, "must be two numbers in ascending order")
        return None

    def duration(self, key: str, system: UnitSystem) -> float | None:
        """A time such as `28 d` in the model's unit."""
        if key not in self.table:
            return None
        value = self.table[key]
        if not isinstance(value, str):
            self.fault(key, 'must be a duration as text, such as "28 d"')
            return None
        return self._hours(key, value, system)

    def durations(self, key: str, system: UnitSystem) -> tuple[float, ...] | None:
        """Ascending times, such as `["28 d", "56 d"]`, in the model's unit."""
        value = self.table.get(key)
        if not isinstance(value, list) or not value or not all(isinstance(entry, str) for entry in value):
            if key in self.table:
                self.fault(key, 'must be a list of durations as text, such as ["28 d", "56 d"]')
            return None
        times = [self._hours(key, entry, system) for entry in value]
        found = tuple(time for time in times if time is not None)
        if any(later <= earlier for earlier, later in pairwise(found)):
            self.fault(key, "must ascend")
        return found

    def _hours(self, key: str, text: str, system: UnitSystem) -> float | None:
        try:
            time = hours(text)
        except InputError as error:
            self.findings.adopt(error, self.at(key))
            return None
        if 0.0 <= time < math.inf:
            return time * factor("h", system.time)
        self.findings.add(self.at(key), "must not be negative or without end", _brief(text))
        return None

    def child(self, key: str) -> "Sheet":
        """A table within; empty where absent."""
        value = self.table.get(key, {})
        if not isinstance(value, dict):
            self.fault(key, "must be a table")
            value = {}
        return Sheet(value, self.at(key), self.findings)

    def children(self, key: str) -> Iterator[tuple[str, "Sheet"]]:
        """The tables within a table, by name."""
        parent = self.child(key)
        for name in parent.table:
            if _NAME.fullmatch(name):
                yield name, parent.child(name)
            else:
                parent.findings.add(
                    parent.at(name), "must be named by letters, digits, _ and -", _brief(name)
                )

    def rows(self, key: str) -> Iterator["Sheet"]:
        """The tables of an array."""
        value = self.table.get(key, [])
        if isinstance(value, list) and all(isinstance(row, dict) for row in value):
            for index, row in enumerate(value):
                yield Sheet(row, f"{self.at(key)}[{index}]", self.findings)
        else:
            self.fault(key, f"must be tables, each under [[{key}]]")


Slot = tuple[Sheet, str]


def in_system(dimension: str, system: UnitSystem, substance: Substance) -> Convert:
    """Reads a unit as a dimension (`*`: whichever it has) and a factor to the model's units."""

    def convert(unit: str) -> tuple[str, float]:
        word = dimension_of(unit, system, substance) if dimension == "*" else dimension
        return word, to_system(1.0, unit, word, system, substance)

    return convert


def to_unit(target: str) -> Convert:
    """Reads a unit as a factor to a fixed one, whatever the substance."""

    def convert(unit: str) -> tuple[str, float]:
        try:
            return target, factor(unit, target)
        except UnitError as error:
            known = str(error).startswith("must not mix")
            raise UnitError(f'must be convertible to "{target}"') if known else error from error

    return convert


def read_quantity(
    slot: Slot,
    declaration: Declaration,
    convert: Convert,
    sources: Mapping[str, Source],
    hint: str = "",
    keys: Collection[str] = KEYS,
    example: str = 'unit = "L/h"',
) -> Quantity | None:
    """A number with unit, source and spread; `hint` helps where its unit does not fit."""
    parent, key = slot
    if not isinstance(parent.table[key], dict):
        parent.fault(key, f'must be a table such as {{ value = 1, {example}, source = "...", at = "..." }}')
        return None
    sheet = parent.child(key)
    before = len(sheet.findings.faults)
    sheet.known(keys, "must be a key of a parameter")
    sheet.need("value", "unit")
    value = sheet.number("value", endless=True)
    unit = read_unit(sheet, convert, hint)
    texts = {key: sheet.text(key) for key in ("source", "at", "why", "note")}
    check_source(sheet, sources)
    spread = _read_spread(sheet)
    _check_form(sheet, declaration.domain, spread, unit[2] if unit else 1.0)
    if unit is not None or declaration.domain != "unit":
        _check_domain(sheet, declaration, unit[2] if unit else 1.0)
    if value is None or unit is None or len(sheet.findings.faults) > before:
        return None
    return Quantity(value, *unit, **texts, **spread)


def read_unit(sheet: Sheet, convert: Convert, hint: str = "") -> tuple[str, str, float] | None:
    """A unit, its dimension and its factor to the model's unit."""
    unit = sheet.text("unit")
    if not unit:
        return None
    try:
        return unit, *convert(unit)
    except UnitError as error:
        sheet.fault("unit", str(error), hint if str(error).startswith("must not") else "")
        return None


def _check_domain(sheet: Sheet, declaration: Declaration, scale: float) -> None:
    """The value and its range lie in the domain once they are in the model's units."""
    entries = {"value": [sheet.table.get("value")], "ci95": sheet.table.get("ci95")}
    for key, values in entries.items():
        numbers = [_as_number(value) for value in values] if isinstance(values, list) else []
        outside = [n * scale for n in numbers if n is not None and not declaration.admits(n * scale)]
        if outside:
            sheet.fault(key, "must be finite" if math.isinf(outside[0]) else declaration.rule)


def check_source(sheet: Sheet, sources: Collection[str], published: bool = False) -> None:
    """Published with a source and the place in it, or assumed with a reason and a range."""
    sheet.need("source")
    source = sheet.table.get("source")
    if source == ASSUMED and not published:
        sheet.need("why", what=', because the source is "assumed"')
        sheet.need("ci95", what=' (the range explored), because the source is "assumed"')
        return
    if isinstance(source, str) and source.strip() and source not in sources:
        sheet.fault("source", "must be a key of [sources]", did_you_mean(source[:60], sources))
    sheet.need("at", what=" (the place in the source)")


def _read_spread(sheet: Sheet) -> dict[str, Any]:
    """`rse`, `ci95`, and the SDs between patients and between occasions."""
    if "rse" in sheet.table and "ci95" in sheet.table:
        sheet.fault("rse", "must not stand beside ci95")
    rse = sheet.number("rse")
    if rse is not None and not 0.0 < rse <= 5.0:
        sheet.fault("rse", FRACTION)
    value, ci95 = _as_number(sheet.table.get("value")), sheet.pair("ci95")
    if ci95 is not None and value is not None:
        check_inside(sheet, "ci95", ci95, value)
    found = {kind: _read_effects(sheet, kind) for kind in ("iiv", "iov")}
    forms = {form for size, form in found.values() if size is not None}
    if len(forms) > 1:
        sheet.fault("iov", "must be of the same scale as iiv")
    form = min(forms, default="lognormal")
    people = {"median": sheet.number("median"), "within": sheet.pair("within")}
    sizes = {kind: size for kind, (size, _) in found.items()}
    return {"rse": rse, "ci95": ci95, "form": form, **people, **sizes}


def _read_effects(sheet: Sheet, kind: str) -> tuple[float | None, str]:
    """An SD and what it is of: by `iiv` of the logarithm, by `iiv_cv` too (omega^2 = ln(1 + CV^2)), by
    `iiv_sd` of the number, in its unit, by `iiv_logit` of its logit."""
    keys = [key for key in (f"{kind}{suffix}" for suffix in _FORMS) if key in sheet.table]
    for key in keys[:-1]:
        sheet.fault(key, f"must not stand beside {keys[-1]}")
    if not keys:
        return None, "lognormal"
    suffix, size = keys[-1].removeprefix(kind), sheet.number(keys[-1])
    free = suffix == "_sd"
    if size is not None and not 0.0 <= size <= (math.inf if free else 5.0):
        sheet.fault(keys[-1], "must not be negative" if free else FRACTION)
    if size is not None and suffix == "_cv":
        size = math.sqrt(math.log1p(min(abs(size), 5.0) ** 2))
    return size, _FORMS[suffix]


def _check_form(sheet: Sheet, domain: str, spread: Mapping[str, Any], scale: float) -> None:
    """Effects leave a parameter in its domain: on its logit, or at four standard deviations."""
    key = next((key for key in sheet.table if key in SPREADS), "iiv")
    value, form = _as_number(sheet.table.get("value")), spread["form"]
    if value is None or form == "lognormal":
        return
    far = _FAR * math.hypot(spread["iiv"] or 0.0, spread["iov"] or 0.0)
    if form == "logit" and not 0.0 < value * scale < 1.0:
        sheet.fault(key, "must be iiv, iiv_cv or iiv_sd, because the number is no share")
    elif form == "normal" and domain == "unit":
        sheet.fault(key, "must be iiv_logit, iiv or iiv_cv, because the number is a share")
    elif form == "normal" and domain != "real" and value < far:
        rule = f"must leave the number positive at {_FAR:g} standard deviations below {value:g}"
        sheet.fault(key, rule, "Use iiv, of the logarithm.")


def check_inside(sheet: Sheet, key: str, interval: tuple[float, float], value: float) -> None:
    """An interval contains the value it belongs to."""
    if not interval[0] <= value <= interval[1]:
        sheet.fault(key, f"must contain the value {value:g}")


def read_sources(sheet: Sheet) -> dict[str, Source]:
    """The publications of a file, by key."""
    found = {}
    for key, table in sheet.children("sources"):
        table.known(("citation", "doi", "pmid", "note"), "must be a key of a source")
        table.need("citation")
        found[key] = Source(*(table.text(name) for name in ("citation", "doi", "pmid", "note")))
        if key == ASSUMED:
            sheet.findings.add(table.place, "must have another name, because it marks numbers without source")
    return found


def flatten(sheet: Sheet, depth: int = 3) -> Iterator[tuple[str, Slot]]:
    """The slots of numbers by dotted path: a table that holds tables only is a step of the path."""
    for key, value in sheet.table.items():
        if (
            depth > 0
            and isinstance(value, dict)
            and value
            and all(isinstance(v, dict) for v in value.values())
        ):
            yield from ((f"{key}.{path}", slot) for path, slot in flatten(sheet.child(key), depth - 1))
        else:
            yield key, (sheet, key)


def _as_number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return math.inf
    return None if math.isnan(number) else number


def _brief(value: object) -> Any:
    """What a fault shows of a value: short, whatever the file holds; None for tables."""
    if isinstance(value, str):
        return value if len(value) <= 80 else f"{value[:79]}…"
    if isinstance(value, list):
        short = len(value) <= 6 and not any(isinstance(entry, dict | list) for entry in value)
        return [_brief(entry) for entry in value] if short else None
    if isinstance(value, dict):
        return None
    return math.inf if isinstance(value, int) and abs(value) >= 10**80 else value
