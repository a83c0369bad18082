"""The single values of a regimen: how durations, clock times and days are spelt, and their rules."""

import math
import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from pkpd.checks import Findings, InputError, fail

Number = float | int

MAX_ADMINISTRATIONS = 100_000
MAX_HOURS = 1e6
MAX_PERIOD = 1000
NUMBER = r"-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
NUMBER_LENGTH = 40
TIME = {"min": Fraction(1, 60), "h": Fraction(1), "d": Fraction(24), "wk": Fraction(168)}
PER = {"kg": "kg", "m2": "m2", "m²": "m2"}
COUNT_RULE = "must be a whole number of at least 1"
CLOCK_RULE = "must be a time of day from 00:00 to 23:59, in whole minutes"


def hours(text: str) -> float:
    """A duration such as `30 min`, `24 h`, `7 d` or `4 wk`, in hours; `InputError` for anything else."""
    match = re.fullmatch(rf"({NUMBER})\s*({'|'.join(TIME)})", text.strip())
    if not match or len(match[1]) > NUMBER_LENGTH:
        raise fail("", "must be a duration in min, h, d or wk, such as 24 h", text)
    return to_hours(match[1], match[2])


def to_hours(number: str, unit: str) -> float:
    """Correctly rounded, so that a text and what is printed for it mean the same float."""
    if 1e-12 < abs(float(number)) < 1e12:
        return float(Fraction(number) * TIME[unit])
    return float(number) * float(TIME[unit])


def hours_text(duration: Number, days_from: float = 24.0, joint: str = " ") -> str:
    """The shortest exact text of a duration in hours; days only if whole, from `days_from` hours on."""
    exact = [(duration / 24, "d")] if duration % 24 == 0 and duration >= days_from else []
    exact.append((float(duration), "h"))
    minutes = float(round(duration * 60))
    exact += [(minutes, "min")] if minutes / 60 == duration else []
    return min((f"{number_text(number)}{joint}{unit}" for number, unit in exact), key=len)


def number_text(number: float) -> str:
    """The shortest text that reads back as the same float."""
    return repr(number).removesuffix(".0")


def clock_hours(text: str) -> float:
    """`HH:MM` as hours since midnight; `InputError` for anything else."""
    match = re.fullmatch(r"([0-9]{1,2}):([0-5][0-9])", text)
    if not match or int(match[1]) > 23:
        raise fail("", CLOCK_RULE, text)
    return (60 * int(match[1]) + int(match[2])) / 60


def clock_text(clock: Number) -> str:
    """`HH:MM` of hours since midnight."""
    return "{:02d}:{:02d}".format(*divmod(round(60 * clock), 60))


def day_pattern(text: str) -> tuple[tuple[int, ...], int]:
    """`1-5,8 of 14` as ((1, 2, 3, 4, 5, 8), 14); `InputError` for anything else."""
    chosen, _, period = re.sub(r"\s*([-,])\s*", r"\1", " ".join(text.split())).rpartition(" of ")
    pieces = [re.fullmatch(r"([0-9]{1,4})(?:-([0-9]{1,4}))?", piece) for piece in chosen.split(",")]
    if not re.fullmatch(r"[0-9]{1,4}", period) or not all(pieces):
        raise fail("", "must be a pattern of days, such as 1-6 of 7", text)
    runs = [(int(piece[1]), int(piece[2] or piece[1])) for piece in pieces if piece]
    if int(period) > MAX_PERIOD or not all(1 <= low <= high <= int(period) for low, high in runs):
        raise fail("", f"must name days from 1 to the period (at most {MAX_PERIOD}), low to high", text)
    return tuple(sorted({day for low, high in runs for day in range(low, high + 1)})), int(period)


def days_text(days: Sequence[int], period: int) -> str:
    """The canonical text of a pattern of days; three or more in a row become a range."""
    runs: list[list[int]] = []
    for day in days:
        if runs and runs[-1][-1] == day - 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    spelt = [f"{run[0]}-{run[-1]}" if len(run) > 2 else ",".join(map(str, run)) for run in runs]
    return f"{','.join(spelt)} of {period}"


def is_midnight(time: float) -> bool:
    """Whether a time in hours is a whole number of days."""
    return math.isclose(time, 24 * round(time / 24), rel_tol=0, abs_tol=1e-6)


def check_amount(place: str, value: Any, found: Findings) -> None:
    number = _number(value)
    if not (0 <= number < math.inf):
        found.add(place, "must be a finite number of at least 0", value)


def check_hours(place: str, value: Any, found: Findings, positive: bool = True) -> None:
    number = _number(value)
    if not (0 <= number <= MAX_HOURS) or (positive and number == 0):
        least = "more than" if positive else "at least"
        found.add(place, f"must be {least} 0 and at most {MAX_HOURS:,.0f} h", value)


def check_count(place: str, value: Any, found: Findings) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        found.add(place, COUNT_RULE, value)


def check_clock(place: str, value: Any, found: Findings) -> None:
    number = _number(value)
    if not (0 <= number < 24) or round(60 * number) / 60 != number:
        found.add(place, CLOCK_RULE, value)


def check_days(place: str, value: str, found: Findings) -> None:
    try:
        day_pattern(value)
    except InputError as error:
        found.adopt(error, place)


def _number(value: Any) -> float:
    """NaN where `value` is none."""
    try:
        return math.nan if isinstance(value, (str, bool)) else float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
