"""Covariates of a model file: their references, and how virtual patients spread about them."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from pkpd.card import Quantity, Source
from pkpd.catalogue.sheet import KEYS, Sheet, check_inside, check_source, read_quantity, to_unit
from pkpd.dosing.cells import NAMES
from pkpd.dosing.occasions import OCCASION
from pkpd.parameters import Declaration
from pkpd.population import Covariate

COVARIATES = {
    "bsa": Declaration("bsa", "body surface area", "m^2", "positive"),
    "wt": Declaration("wt", "body weight", "kg", "positive"),
}
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_KEYS = (*(key for key in KEYS if not key.startswith("iov")), "median", "within")
_OF_LEVELS = ("levels", "reference", "shares", "source", "at", "why", "ci95")
_WHOLE = 1e-6

Levels = tuple[tuple[str, float, float], ...]


@dataclass
class Covariates:
    """References by name, and the levels of those that have some: name, number and share of the patients."""

    quantities: dict[str, Quantity] = field(default_factory=dict)
    levels: dict[str, Levels] = field(default_factory=dict)

    def covariates(self) -> list[Covariate]:
        """What the model is told."""
        return [_covariate(name, q, self.levels.get(name, ())) for name, q in self.quantities.items()]


def read_covariates(root: Sheet, sources: Mapping[str, Source]) -> Covariates:
    """`wt` and `bsa`, which regimens may need, and any that acts on a number."""
    sheet, found = root.child("covariates"), Covariates()
    for name, table in sheet.table.items():
        if name not in COVARIATES and (not _NAME.fullmatch(name) or name in (*NAMES, OCCASION)):
            rule = "must be a lower-case word that is no column of dose records"
            sheet.findings.add(sheet.at(name), rule, name[:60])
            continue
        if isinstance(table, dict) and "levels" in table:
            quantity, levels = _read_levels(sheet.child(name), sources)
            found.levels[name] = levels
        else:
            quantity = _read_number(sheet, name, sources)
        if quantity is not None:
            found.quantities[name] = quantity
    return found


def _read_number(sheet: Sheet, name: str, sources: Mapping[str, Source]) -> Quantity | None:
    declared = COVARIATES.get(name, Declaration(name, "covariate", "", "real"))
    convert = to_unit(declared.dimension) if declared.dimension else lambda unit: to_unit(unit)(unit)
    quantity = read_quantity((sheet, name), declared, convert, sources, keys=_KEYS)
    if quantity is None:
        return None
    own, middle = sheet.child(name), _median(quantity)
    if quantity.within is not None:
        check_inside(own, "within", quantity.within, middle)
    for key in (key for key in ("median", "within") if key in own.table and not quantity.iiv):
        own.fault(key, "must stand beside iiv, iiv_cv or iiv_sd")
    if quantity.iiv and quantity.form == "lognormal" and not middle > 0.0:
        own.fault("iiv", f"must be iiv_sd, because the median is {middle:g}")
    return quantity


def _median(q: Quantity) -> float:
    return q.value if q.median is None else q.median


def _read_levels(sheet: Sheet, sources: Mapping[str, Source]) -> tuple[Quantity | None, Levels]:
    """Names with the numbers that stand for them in records, one of which is the reference."""
    before = len(sheet.findings.faults)
    sheet.known(_OF_LEVELS, "must be a key of a covariate with levels")
    sheet.need("reference")
    table, shares = sheet.child("levels"), sheet.child("shares")
    numbers = {name: table.number(name) for name in table.table}
    for name in (name for name in numbers if not _NAME.fullmatch(name)):
        table.findings.add(table.at(name), "must be a lower-case word", name[:60])
    if len(numbers) < 2 or len(set(numbers.values())) < len(numbers):
        sheet.findings.add(sheet.at("levels"), "must be two levels or more, each with a number of its own")
    reference = sheet.choice("reference", numbers)
    shares.known(numbers, "must be a level")
    parts = {name: shares.number(name) or 0.0 for name in numbers}
    if shares.table and not (min(parts.values()) >= 0.0 and abs(sum(parts.values()) - 1.0) <= _WHOLE):
        sheet.findings.add(sheet.at("shares"), "must not be negative and add up to 1", sum(parts.values()))
    check_source(sheet, sources)
    if len(sheet.findings.faults) > before or reference is None:
        return None, ()
    source, at, why = (sheet.text(key) for key in ("source", "at", "why"))
    quantity = Quantity(float(numbers[reference] or 0.0), "1", "1", 1.0, source, at, why)
    return quantity, tuple((name, float(number or 0.0), parts[name]) for name, number in numbers.items())


def _covariate(name: str, q: Quantity, levels: Levels) -> Covariate:
    low, high = q.within or (-math.inf, math.inf)
    within, spread = (low * q.factor, high * q.factor), q.spread_in_system(q.iiv or 0.0)
    middle = _median(q) * q.factor
    return Covariate(name, q.value_in_system, middle, q.form, spread, within, levels)
