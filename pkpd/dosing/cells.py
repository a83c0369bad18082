"""What one cell of an event record says: a number, an individual, a compartment; and why it does not."""

import math
import re
from numbers import Real
from typing import Any

NAMES = ("id", "time", "amt", "rate", "dur", "ii", "addl", "ss", "evid", "mdv", "cmt", "dv")
LONGEST = 100
UNFIT = math.inf

_BLANK = ("", ".")
_NO_VALUE = ("na", "n/a", "nan", "none", "null", "-", "*")
_NUMBER = re.compile(r"[-+]?(?:[0-9]++\.?[0-9]*+|\.[0-9]++)(?:[eE][-+]?[0-9]++)?")
_WHOLE = re.compile(r"\+?0*([0-9]{1,15})(?:\.0*)?")
_NAME = re.compile(r"[^\W\d][\w.]*")


def text_number(cell: str) -> float:
    """The number of a cell of a text file: NaN where it is empty, infinity where it is unfit."""
    cell = cell.strip()
    if cell in _BLANK:
        return math.nan
    return _finite(float(cell)) if _NUMBER.fullmatch(cell) else UNFIT


def value_number(value: Any) -> float:
    """The number of a Python value: NaN for None, infinity where it is unfit."""
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, Real):
        return UNFIT
    try:
        return _finite(float(value))
    except OverflowError:
        return UNFIT


def _finite(number: float) -> float:
    return number if math.isfinite(number) else UNFIT


def _plain(cell: Any) -> str | None:
    """A cell as text: whole numbers without a point, empty ones as "", None where it is neither."""
    if cell is None:
        return ""
    if isinstance(cell, str):
        return "" if cell.strip() in _BLANK else cell.strip()
    number = value_number(cell)
    return str(int(number)) if abs(number) < 1e15 and number.is_integer() else None


def individual(cell: Any) -> str | None:
    """An individual as text, "" where the cell is empty, None where it is unfit."""
    text = _plain(cell)
    return text if text is None or (len(text) <= LONGEST and text.isprintable()) else None


def compartment(cell: Any) -> str | None:
    """The number or name of a compartment, "" for the default one, None where it is unfit."""
    text = _plain(cell)
    if not text or len(text) > LONGEST:
        return None if text else text
    if whole := _WHOLE.fullmatch(text):
        return "" if whole[1] == "0" else whole[1].lstrip("0")
    return text if _NAME.fullmatch(text) else None


def unfit(name: str, cell: Any) -> tuple[str, str]:
    """Which rule the cell breaks, and what to do."""
    if name == "id":
        return f"must be a whole number or at most {LONGEST} printable characters", ""
    if name == "cmt" and _is_negative(cell):
        return (
            "must not be negative",
            "NONMEM would turn the compartment off; here compartments cannot be turned off.",
        )
    if name == "cmt":
        return (
            "must be a whole number or the name of a compartment",
            f"A name has letters, digits, _ and dots, a letter first, and at most {LONGEST} characters.",
        )
    return "must be a finite number", _number_hint(name, cell)


def _number_hint(name: str, cell: Any) -> str:
    if not isinstance(cell, str):
        return ""
    text = cell.strip().lower()
    if text in _NO_VALUE:
        needed = name == "time" or name not in NAMES
        return "" if needed else "Where there is no value, leave the cell empty or write a dot."
    if ":" in text and name in ("time", "ii"):
        return "Clock times are not read: write 9:30 as 9.5."
    if "," in text and _NUMBER.fullmatch(text.replace(",", ".", 1)):
        return "Write the decimal sign as a point."
    return "" if name in NAMES else "Covariates are numbers; a column that is none must be left out."


def _is_negative(cell: Any) -> bool:
    return (text_number(cell) if isinstance(cell, str) else value_number(cell)) < 0


def clipped(text: str) -> str:
    """A text as it is shown in a message."""
    return text if len(text) <= 60 else f"{text[:60]}…"
