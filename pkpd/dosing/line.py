"""One line of a prescription: its fields, their rules, and when its doses are due."""

import math
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from pkpd.checks import Findings
from pkpd.dosing import language, terms

_ROUNDING = 1e-9


@dataclass(frozen=True)
class Line:
    """DRUG AMOUNT UNIT ROUTE and the clauses of the regimen language.

    Hours: `duration` of each infusion (`over`), `interval` (`q`), `until` (`for`), `start` (`from`), `clock`
    since midnight (`at`). `count` doses or those due within `until`; `days` as `1-6 of 7`; `per` kg or m2.
    """

    drug: str
    amount: terms.Number
    unit: str
    route: str
    duration: terms.Number = 0.0
    interval: terms.Number | None = None
    count: int = 1
    until: terms.Number | None = None
    days: str | None = None
    start: terms.Number = 0.0
    clock: terms.Number | None = None
    per: str | None = None

    def check(self, found: Findings) -> None:
        """Tell `found` which rules are broken; if none, make numbers floats and `days` canonical."""
        self._check_words(found)
        self._check_numbers(found)
        found.raise_if_any()
        for name in ("amount", "duration", "interval", "until", "start", "clock"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else float(value) + 0.0)
        if self.days is not None:
            object.__setattr__(self, "days", terms.days_text(*terms.day_pattern(self.days)))
        self._check_clauses(found)

    def _check_words(self, found: Findings) -> None:
        for name in ("drug", "unit", "route"):
            if not language.is_name(getattr(self, name)):
                hint = 'Write per="kg" or per="m2".' if name == "unit" and "/" in self.unit else ""
                found.add(
                    name, "must be a word that the regimen language does not use", getattr(self, name), hint
                )
        if self.per not in (None, *terms.PER.values()):
            found.add("per", "must be kg or m2", self.per)
        if self.days is not None:
            terms.check_days("days", self.days, found)

    def _check_numbers(self, found: Findings) -> None:
        terms.check_amount("amount", self.amount, found)
        terms.check_count("count", self.count, found)
        for name in ("duration", "start"):
            terms.check_hours(name, getattr(self, name), found, positive=False)
        for name in ("interval", "until"):
            if getattr(self, name) is not None:
                terms.check_hours(name, getattr(self, name), found)
        if self.clock is not None:
            terms.check_clock("clock", self.clock, found)

    def _check_clauses(self, found: Findings) -> None:
        if self.interval is None:
            loose = {"count": self.count != 1, "until": self.until is not None, "days": self.days is not None}
            for name in (name for name, given in loose.items() if given):
                found.add(name, "must go with an interval, such as q24h", getattr(self, name))
        elif self.until is not None and self.count != 1:
            found.add("count", "must be left out where `for` is given", self.count)
        elif self.days is not None and self.until is None:
            hint = "`xN` counts doses given; how long the days go on must be said."
            found.add("count", "must give way to `for DURATION` where `on days` is given", self.count, hint)
        elif self.slots <= terms.MAX_ADMINISTRATIONS and not self.times:
            found.add("days", "must fall within the part, or nothing is given", self.days)
        if self.clock is not None and not terms.is_midnight(self.start):
            found.add("start", "must be whole days where `at` is given", self.start)

    @property
    def slots(self) -> int:
        """How many doses are due, with those that `on days` leaves out."""
        if self.until is None or self.interval is None:
            return self.count
        return max(1, math.ceil(min(self.until / self.interval, terms.MAX_ADMINISTRATIONS + 1) - _ROUNDING))

    @property
    def lasting(self) -> float:
        """Hours from `start` to the end."""
        if self.interval is not None:
            return float(self.slots * self.interval)
        if self.clock is not None:
            return 24.0 * max(1, math.ceil((self.clock + self.duration) / 24 - _ROUNDING))
        return float(self.duration)

    @cached_property
    def times(self) -> tuple[float, ...]:
        """Hours of the doses given, from the start of the block that holds this."""
        slots = [(self.clock or 0.0) + slot * (self.interval or 0.0) for slot in range(self.slots)]
        if self.days is not None:
            days, period = terms.day_pattern(self.days)
            slots = [slot for slot in slots if math.floor(slot / 24 + _ROUNDING) % period + 1 in days]
        return tuple(self.start + slot for slot in slots)

    def told(self) -> dict[str, Any]:
        """The fields that differ from their defaults."""
        told = {each.name: (getattr(self, each.name), each.default) for each in fields(self)}
        return {name: value for name, (value, default) in told.items() if value != default}
