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

import math
import re
from dataclasses import dataclass
from typing import Any

from pkpd.checks import Findings, did_you_mean
from pkpd.dosing import terms

FIELDS = ("amount", "amounts", "interval", "doses", "days", "start", "at")
AMOUNTS = ("amount", "amounts")
PLACE = "--vary"

_TEXT = re.compile(
    rf"(?P<drug>[^\s.]+)\.(?P<field>\w+)\s+(?P<low>{terms.NUMBER})\s*\.\.\s*(?P<high>{terms.NUMBER})"
    rf"(?:\s+(?!step\b)(?P<unit>of\s+[0-9]+|\S+))?(?:\s+step\s+(?P<step>{terms.NUMBER}))?"
)
_RULE = "must be DRUG.FIELD LOW..HIGH UNIT [step S]"
HINT = 'For instance "aldesleukin.amount 1..18 MIU step 1", "aldesleukin.days 3..7 of 7".'
_STEPS = (24.0, 12.0, 6.0, 4.0, 3.0, 2.0, 1.0)
NEAR = 1e-9


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
        found.add(PLACE, _RULE, text, HINT)
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
            found.add(PLACE, "must have a unit of amount, perhaps per kg or m2", text, HINT)
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
