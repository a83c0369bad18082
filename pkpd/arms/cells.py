"""Single cells as values: whole numbers, numbers, times in days, quantities with a unit.

A month is 30.4375 d (365.25 / 12) and a year 365 d, so `12 mo` is a quarter of a day more than `1 y`.
"""

import math
import re
from collections.abc import Callable
from decimal import Decimal

from pkpd.arms.rows import Row
from pkpd.checks import Findings
from pkpd.units import UnitError, factor

DAYS = {"h": 1 / 24, "d": 1.0, "wk": 7.0, "mo": 30.4375, "y": 365.0}
MOST = 1_000_000  # patients of an arm
LONGEST = 36_525.0  # days: a hundred years
TIME_RULE = 'must be a time such as "90 d" or "6 mo"'
TIME_HINT = "Units of time: h, d, wk, mo (30.4375 d), y (365 d)."
_AMOUNT = r"[0-9]{1,9}(?:\.[0-9]{1,9})?"
_NUMBER = r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?"
_UNIT = "|".join(DAYS)


def whole(row: Row, column: str, findings: Findings, least: int) -> int | None:
    """A whole number of patients, at least `least` and at most `MOST`."""
    text = row[column]
    value = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
    if value is not None and least <= value <= MOST:
        return value
    hint = "Give the number of patients, not a percentage or a fraction."
    many = text.isascii() and text.isdigit() and (value is None or value > MOST)
    rule = f"must be at most {MOST}" if many else f"must be a whole number from {least}"
    findings.add(row.place(column), rule, text, hint if "%" in text or "." in text else "")
    return None


def number(
    row: Row, column: str, findings: Findings, rule: str, admits: Callable[[float], bool], hint: str = ""
) -> float | None:
    """A number that `admits` accepts, with the `rule` that says so."""
    value = _float(row[column])
    if math.isfinite(value) and admits(value):
        return value
    findings.add(row.place(column), rule, row[column], hint)
    return None


def positive(row: Row, column: str, findings: Findings) -> float | None:
    """A number above 0."""
    return number(row, column, findings, "must be a number above 0", lambda value: value > 0)


def days_of(text: str) -> float | None:
    """A time such as `90 d`, `6 mo` or `2 y` in days; None for anything else."""
    match = re.fullmatch(rf"({_AMOUNT})\s*({_UNIT})", text)
    return float(match[1]) * DAYS[match[2]] if match else None


def days(row: Row, findings: Findings, above: float = 0.0) -> float | None:
    """The cell `time` in days, greater than `above`."""
    found = days_of(row["time"])
    if found is not None and above < found <= LONGEST:
        return found
    rule = TIME_RULE if found is None else "must be a time after 0 and within 100 y"
    findings.add(row.place("time"), rule, row["time"], TIME_HINT if found is None else "")
    return None


def printed_interval(text: str) -> tuple[float, float, float] | None:
    """Middle, least and greatest number of days that `12 mo` or `3-4 mo` can mean, or None.

    A printed number stands for all that round to it in its digits: 12 mo for 11.5 to 12.5 mo.
    """
    match = re.fullmatch(rf"({_AMOUNT})(?:\s*[-–]\s*({_AMOUNT}))?\s*({_UNIT})", text)
    if not match:
        return None
    first, last = Decimal(match[1]), Decimal(match[2] or match[1])
    if not 0 < first <= last:
        return None
    low, high = max(Decimal(0), first - _half_digit(first)), last + _half_digit(last)
    unit = DAYS[match[3]]
    return float((first + last) / 2) * unit, float(low) * unit, float(high) * unit


def _half_digit(printed: Decimal) -> Decimal:
    """Half a unit of the last printed digit."""
    return Decimal((0, (5,), int(printed.as_tuple().exponent) - 1))


def quantity(row: Row, column: str, findings: Findings) -> tuple[float, str] | None:
    """A number and its unit, `1` where none is written."""
    text, _, unit = row[column].partition(" ")
    value, unit = _float(text), unit.strip() or "1"
    if not math.isfinite(value):
        rule = 'must be a number with its unit, such as "430 1/uL"'
        findings.add(row.place(column), rule, row[column], "A number alone is dimensionless.")
        return None
    try:
        factor(unit, unit)
    except UnitError as error:
        findings.add(row.place(column), str(error), unit)
        return None
    return value, unit


def _float(text: str) -> float:
    """A number as papers print it; not a number for anything else that Python reads, such as `1_000`."""
    return float(text) if re.fullmatch(_NUMBER, text) else math.nan
