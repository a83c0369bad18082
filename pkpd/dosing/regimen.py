"""What is given when: `Dose` and `Rest`, together (`+`), one after the other (`then`), repeated; or none.

What the words mean (times in hours, from the start of the part unless said otherwise):

- A dose with `qINTERVAL` has slots at `from` + 0, 1, 2 ... intervals: N of them (`xN`), or all that start
  within `for DURATION`. `over` is the length of each infusion. Without `q` there is one slot.
- `on days 1-6 of 7` gives only the doses that fall on these days of the part, day 1 being the first 24 h from
  `from`. Slots go on: two weeks on days 1-6 of 7 last 14 days. `xN` counts doses given and is refused here.
- A part ends at its last slot + interval, a single dose with its infusion, a sum at its longest part.
- `then` starts the next part where the previous ended, `rest` lets time pass, `( ... ) xN` is N blocks in a
  row. A bolus without interval has no length: what would coincide with it after `then` is refused.
- Time 0 is where `from 0` is. With `at`, which is for all doses or none, it is 00:00 of day 1: parts start at
  midnight, `at` is added to every slot, a single dose takes up its day, `on days` means calendar days.
- `none` gives nothing and takes no time: `none + a`, `none then a` and `a` are the same.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pkpd.checks import Fault, Findings, InputError, fail
from pkpd.dosing import language, tables, terms
from pkpd.dosing.language import Phrase, Span
from pkpd.dosing.line import Line

MAX_TEXT = 10_000

_NO_END = "must start later than the dose before it, which has no length"
_NO_END_HINT = "Write `+` for at once, a `rest` between, or an interval, as in q24h x1."


@dataclass(frozen=True)
class Administration:
    """A dose given: hours from time 0 and of infusion; which part of the regimen says so, and where."""

    drug: str
    amount: float
    unit: str
    per: str | None
    route: str
    time: float
    duration: float
    part: int
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class _Extent:
    """Hours, administrations (at most), levels, doses in text order; whether it outlasts the last dose."""

    length: float = 0.0
    size: int = 0
    depth: int = 0
    doses: tuple["Dose", ...] = ()
    lasts: bool = True


@dataclass(frozen=True)
class _Source:
    """The text that a regimen was read from, and for each dose the spans of its words."""

    text: str
    places: tuple[dict[str, Span], ...]


class Regimen(ABC):
    """A schedule of doses; equal by value, whatever text it was read from."""

    _source: _Source | None = None

    @staticmethod
    def parse(text: str) -> "Regimen":
        """The regimen that `text` spells; `InputError` tells all faults, each with its place in the text."""
        if not text.strip():
            raise fail("regimen", "must not be empty", hint='Write "none" where nothing is given.')
        if len(text) > MAX_TEXT:
            raise fail("regimen", f"must have at most {MAX_TEXT} characters", len(text))
        regimen, source = _read(text)
        object.__setattr__(regimen, "_source", source)
        return regimen

    @staticmethod
    def from_table(table: Mapping[str, Any]) -> "Regimen":
        """The regimen that nested tables spell, as `to_table` writes them."""
        found = Findings()
        return _built(tables.read(table, found, "regimen"), found, _fault_in_table)

    @staticmethod
    def none() -> "Regimen":
        """Nothing is given: a control arm."""
        return _Nothing()

    def __add__(self, other: "Regimen") -> "Regimen":
        """Both, from the same start."""
        return _joined(_Together, (self, other))

    def then(self, other: "Regimen") -> "Regimen":
        """`other` starts where this ends."""
        return _joined(_Then, (self, other))

    def repeat(self, n: int) -> "Regimen":
        """This `n` times in a row."""
        repeated = self if n == 1 else _Repeat(self, n)
        return self if isinstance(self, _Nothing) else repeated

    @property
    def length(self) -> float:
        """Hours until the regimen ends."""
        return self._extent.length

    @property
    def doses(self) -> tuple["Dose", ...]:
        """The parts that give something, in text order; `Administration.part` counts them from 0."""
        return self._extent.doses

    @property
    def drugs(self) -> tuple[str, ...]:
        """The drugs, in text order."""
        return tuple(dict.fromkeys(dose.drug for dose in self.doses))

    def administrations(self) -> tuple[Administration, ...]:
        """Every dose given, by time; those at the same time in text order."""
        places = self._source.places if self._source else ({},) * len(self.doses)
        given = sorted(self._given(), key=lambda slot: slot[0])
        return tuple(
            _administered(self.doses[part], time, part, places[part].get("")) for time, part in given
        )

    def point(self, part: int, field: str) -> str:
        """Two lines: the text, and carets under the drug, amount, unit, route ... (`field`) of a part."""
        source = self._source or _read(str(self))[1]
        places = source.places[part]
        return language.point(source.text, places.get(field, places[""]))

    @abstractmethod
    def to_table(self) -> dict[str, Any]:
        """The regimen as nested tables of text and numbers, fit for TOML and JSON."""

    @abstractmethod
    def _measured(self) -> _Extent: ...

    @abstractmethod
    def _given(self) -> Iterator[tuple[float, int]]:
        """Times of the doses, from the start of this, and indices of their parts."""

    @abstractmethod
    def _check(self, found: Findings) -> None: ...

    @cached_property
    def _extent(self) -> _Extent:
        return self._measured()

    def __post_init__(self) -> None:
        found = Findings()
        self._check(found)
        found.raise_if_any()
        if self._extent.size > terms.MAX_ADMINISTRATIONS:
            found.add(
                "", f"must have at most {terms.MAX_ADMINISTRATIONS:,} administrations", self._extent.size
            )
        if self._extent.length > terms.MAX_HOURS:
            found.add("", f"must last at most {terms.MAX_HOURS:,.0f} h", self._extent.length)
        if self._extent.depth > language.MAX_DEPTH:
            found.add("", f"must be nested at most {language.MAX_DEPTH} deep", self._extent.depth)
        found.raise_if_any()


@dataclass(frozen=True)
class Dose(Line, Regimen):
    """A line of a prescription as a regimen of its own; fields and units as in `Line`."""

    def _check(self, found: Findings) -> None:
        self.check(found)

    def _measured(self) -> _Extent:
        return _Extent(self.start + self.lasting, self.slots, 0, (self,), self.lasting > 0)

    def _given(self) -> Iterator[tuple[float, int]]:
        return ((time, 0) for time in self.times)

    def __str__(self) -> str:
        return language.dose_text(self.told())

    def to_table(self) -> dict[str, Any]:
        return tables.row(self.told())


@dataclass(frozen=True)
class Rest(Regimen):
    """Time (h) in which nothing is given."""

    duration: terms.Number

    def _check(self, found: Findings) -> None:
        terms.check_hours("duration", self.duration, found)
        if not found.faults:
            object.__setattr__(self, "duration", float(self.duration))

    def _measured(self) -> _Extent:
        return _Extent(float(self.duration))

    def _given(self) -> Iterator[tuple[float, int]]:
        return iter(())

    def __str__(self) -> str:
        return f"rest {terms.hours_text(self.duration)}"

    def to_table(self) -> dict[str, Any]:
        return {"rest": terms.hours_text(self.duration)}


@dataclass(frozen=True)
class _Nothing(Regimen):
    def _check(self, found: Findings) -> None: ...

    def _measured(self) -> _Extent:
        return _Extent()

    def _given(self) -> Iterator[tuple[float, int]]:
        return iter(())

    def __str__(self) -> str:
        return "none"

    def to_table(self) -> dict[str, Any]:
        return {"none": True}


@dataclass(frozen=True)
class _Together(Regimen):
    parts: tuple[Regimen, ...]

    def _check(self, found: Findings) -> None:
        _check_clocks(self.parts, found)

    def _measured(self) -> _Extent:
        length = max(part.length for part in self.parts)
        lasts = all(part._extent.lasts or part.length < length for part in self.parts)
        return _gathered(self.parts, length, lasts)

    def _given(self) -> Iterator[tuple[float, int]]:
        first = 0
        for part in self.parts:
            yield from ((time, first + index) for time, index in part._given())
            first += len(part.doses)

    def __str__(self) -> str:
        return " + ".join(f"({part})" if isinstance(part, _Then) else str(part) for part in self.parts)

    def to_table(self) -> dict[str, Any]:
        return {"together": [part.to_table() for part in self.parts]}


@dataclass(frozen=True)
class _Then(Regimen):
    parts: tuple[Regimen, ...]

    def _check(self, found: Findings) -> None:
        _check_clocks(self.parts, found)
        start, first, lasts = 0.0, 1, True
        for part in self.parts:
            if not lasts and _first_time(part) == 0:
                found.add(f"part {first}", _NO_END, hint=_NO_END_HINT)
            if part.doses and part.doses[0].clock is not None and not terms.is_midnight(start):
                hint = f"It would start at {terms.hours_text(start)}: put a `rest` before it."
                found.add(f"part {first}", "must start at midnight where `at` is given", hint=hint)
            start, first, lasts = start + part.length, first + len(part.doses), part._extent.lasts

    def _measured(self) -> _Extent:
        return _gathered(self.parts, sum(part.length for part in self.parts), self.parts[-1]._extent.lasts)

    def _given(self) -> Iterator[tuple[float, int]]:
        start, first = 0.0, 0
        for part in self.parts:
            yield from ((start + time, first + index) for time, index in part._given())
            start, first = start + part.length, first + len(part.doses)

    def __str__(self) -> str:
        return " then ".join(map(str, self.parts))

    def to_table(self) -> dict[str, Any]:
        return {"then": [part.to_table() for part in self.parts]}


@dataclass(frozen=True)
class _Repeat(Regimen):
    part: Regimen
    count: int

    def _check(self, found: Findings) -> None:
        terms.check_count("count", self.count, found)
        if not self.part._extent.lasts and _first_time(self.part) == 0:
            found.add("part 1", _NO_END, hint=_NO_END_HINT)
        if (
            self.part.doses
            and self.part.doses[0].clock is not None
            and not terms.is_midnight(self.part.length)
        ):
            found.add("count", "must repeat whole days where `at` is given", self.count)

    def _measured(self) -> _Extent:
        once = self.part._extent
        return _Extent(
            once.length * self.count, once.size * self.count, once.depth + 1, once.doses, once.lasts
        )

    def _given(self) -> Iterator[tuple[float, int]]:
        once = tuple(self.part._given())
        return (
            (block * self.part.length + time, index) for block in range(self.count) for time, index in once
        )

    def __str__(self) -> str:
        return f"({self.part}) x{self.count}"

    def to_table(self) -> dict[str, Any]:
        return {"repeat": self.part.to_table(), "count": self.count}


def _administered(dose: Dose, time: float, part: int, span: Span | None) -> Administration:
    what = (dose.drug, float(dose.amount), dose.unit, dose.per, dose.route)
    return Administration(*what, time, float(dose.duration), part, span)


def _joined(kind: type[_Together] | type[_Then], parts: Sequence[Regimen]) -> Regimen:
    """The parts as one; parts of the same kind are taken apart, `none` is left out."""
    flat = [each for part in parts for each in (part.parts if isinstance(part, kind) else (part,))]
    kept = tuple(part for part in flat if not isinstance(part, _Nothing))
    if len(kept) > 1:
        return kind(kept)
    return kept[0] if kept else _Nothing()


def _gathered(parts: Sequence[Regimen], length: float, lasts: bool) -> _Extent:
    extents = [part._extent for part in parts]
    doses = tuple(dose for extent in extents for dose in extent.doses)
    depth = 1 + max(extent.depth for extent in extents)
    return _Extent(length, sum(extent.size for extent in extents), depth, doses, lasts)


def _first_time(part: Regimen) -> float:
    return min((time for time, _ in part._given()), default=math.inf)


def _check_clocks(parts: Sequence[Regimen], found: Findings) -> None:
    doses = [dose for part in parts for dose in part.doses]
    without = [place for place, dose in enumerate(doses, 1) if dose.clock is None]
    for place in without if len(without) < len(doses) else ():
        found.add(f"part {place}", "must have `at`, as other parts do")


_MAKE: dict[str, Callable[[dict[str, Any], list[Regimen]], Regimen]] = {
    "dose": lambda values, _: Dose(**values),
    "rest": lambda values, _: Rest(**values),
    "none": lambda *_: _Nothing(),
    "together": lambda _, parts: _joined(_Together, parts),
    "then": lambda _, parts: _joined(_Then, parts),
    "repeat": lambda values, parts: parts[0].repeat(values["count"]),
}


def _built(phrase: Phrase, found: Findings, told: Callable[[Phrase, str, Fault], Fault]) -> Regimen:
    """The regimen of a phrase; the faults of its parts are placed by `told` and raised together."""

    def build(phrase: Phrase) -> Regimen | None:
        parts = [build(part) for part in phrase.parts]
        whole = [part for part in parts if part is not None]
        if phrase.kind == "fault" or len(whole) < len(parts):
            return None
        try:
            return _MAKE[phrase.kind](phrase.values, whole)
        except InputError as error:
            found.faults += [told(*phrase.spot(fault.place), fault) for fault in error.faults]
            return None

    regimen = build(phrase)
    if regimen is None or found.faults:
        raise InputError(found.faults)
    return regimen


def _read(text: str) -> tuple[Regimen, _Source]:
    found = Findings()
    phrase = language.read(text, found)

    def fault_in_text(inner: Phrase, place: str, fault: Fault) -> Fault:
        rule = f"{inner.label(place)} {fault.rule}".strip()
        return language.fault_at(text, inner.places.get(place, inner.span), rule, fault.hint)

    return _built(phrase, found, fault_in_text), _Source(text, tuple(leaf.places for leaf in phrase.leaves()))


def _fault_in_table(phrase: Phrase, place: str, fault: Fault) -> Fault:
    return Fault(f"{phrase.path}.{place}".strip("."), fault.rule, fault.value, fault.hint)
