"""Caps of a model file: the most of a drug that may be given unless somebody asks for more."""

import re
from collections.abc import Mapping

from pkpd.card import Cap, Source
from pkpd.catalogue.sheet import Sheet, check_source, read_unit
from pkpd.checks import InputError
from pkpd.dosing.terms import PER, hours
from pkpd.units import Substance, UnitError, UnitSystem, to_system

_NAMES = ("total", "daily", "weekly")
_KEYS = ("quantity", "value", "unit", "source", "at", "why")
_RULE = 'must be total, daily, weekly or the most within a time, such as "within(90 d)"'


def read_caps(
    root: Sheet, system: UnitSystem, substance: Substance, sources: Mapping[str, Source]
) -> tuple[Cap, ...]:
    """The tables under `[[caps]]`; each has a published source and a reason."""
    found = []
    for sheet in root.rows("caps"):
        before = len(sheet.findings.faults)
        sheet.known(_KEYS, "must be a key of a cap")
        sheet.need("quantity", "value", "unit", "why")
        check_source(sheet, sources, published=True)
        texts = {name: sheet.text(name) for name in ("quantity", "source", "at", "why")}
        value = sheet.number("value")
        if texts["quantity"] and not _is_quantity(texts["quantity"]):
            sheet.fault("quantity", _RULE)
        if value is not None and value <= 0.0:
            sheet.fault("value", "must be positive")
        unit = read_unit(sheet, lambda unit: _amount(unit, system, substance))
        if value is not None and unit is not None and len(sheet.findings.faults) == before:
            found.append(Cap(value=value, unit=unit[0], **texts))
    return tuple(found)


def _is_quantity(text: str) -> bool:
    match = re.fullmatch(r"within\((.+)\)", text)
    try:
        return text in _NAMES if match is None else hours(match[1]) > 0.0
    except InputError:
        return False


def _amount(unit: str, system: UnitSystem, substance: Substance) -> tuple[str, float]:
    """A unit of amount, perhaps per kg or m2."""
    name, _, per = unit.partition("/")
    if per and per not in PER:
        raise UnitError("must be a unit of amount, perhaps per kg or m2")
    return "amount", to_system(1.0, name, "amount", system, substance)
