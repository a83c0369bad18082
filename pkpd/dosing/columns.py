"""Cells of event records as columns: numbers and names, and which cell breaks which rule."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from pkpd.checks import Findings
from pkpd.dosing import cells as one
from pkpd.dosing.cells import LONGEST, NAMES, UNFIT

Numbers = Float[np.ndarray, " records"]
Text = Shaped[np.ndarray, " records"]
Lines = Int[np.ndarray, " records"]

TEXTS = ("id", "cmt")
MOST = 20

_ALIASES = {
    "id": "subject subj subjid usubjid patient pid individual #id",
    "time": "clock t hour hours day days",
    "amt": "dose dosage amount",
    "rate": "infusion_rate inf_rate",
    "dur": "duration tinf infusion_duration",
    "ii": "interval tau",
    "addl": "add additional additional_doses",
    "ss": "steady_state",
    "evid": "event",
    "cmt": "compartment comp",
    "dv": "conc concentration lidv y",
}
_MEANT = {alias: name for name, aliases in _ALIASES.items() for alias in aliases.split()}
_DATES = ("date", "dat1", "dat2", "dat3")


@dataclass(frozen=True)
class Places:
    """How a place is called: `row 5, AMT` of a file, `record 3, amt` of Python rows."""

    noun: str = "record"
    capitals: bool = False

    def name(self, column: str) -> str:
        return column.upper() if self.capitals else column

    def cell(self, number: int, column: str) -> str:
        return f"{self.noun} {number}{', ' if column else ''}{self.name(column)}"

    def column(self, column: str) -> str:
        return self.cell(1, column) if self.capitals else column or "records"


@dataclass
class Broken:
    """The cells that break a rule: how many there are, and the first 20 of each rule and column."""

    first: dict[tuple[str, str], list[tuple[int, object, str]]] = field(default_factory=dict)
    count: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, column: str, rule: str, number: int, value: object = None, hint: str = "") -> None:
        """A cell of the row or record `number`; without column the whole of it."""
        cells = self.first.setdefault((column, rule), [])
        self.count[column, rule] += 1
        if len(cells) < MOST:
            cells.append((number, value, hint))

    def add_where(
        self,
        column: str,
        rule: str,
        broken: Bool[np.ndarray, " records"],
        numbers: Lines,
        values: Shaped[np.ndarray, " records"] | None = None,
        hint: str = "",
    ) -> None:
        """The cells where `broken` is true."""
        where = np.flatnonzero(broken)
        for k in where[:MOST].tolist():
            self.add(column, rule, int(numbers[k]), None if values is None else _shown(values[k]), hint)
        if len(where) > MOST:
            self.count[column, rule] += len(where) - MOST

    def tell(self, findings: Findings, places: Places) -> None:
        """Every rule with its cells, then how many more there are."""
        for (column, rule), cells in self.first.items():
            for number, value, hint in cells:
                findings.add(places.cell(number, column), rule, value, hint)
            more = self.count[column, rule] - len(cells)
            if more:
                break_it = f"{places.noun} breaks" if more == 1 else f"{places.noun}s break"
                place = places.name(column) or f"{places.noun}s"
                findings.add(place, f"{rule}, but {more:,} more {break_it} this rule")


@dataclass(frozen=True)
class Columns:
    """What the cells say: NaN or "" where one is empty, infinity or "" where it is unfit.

    `number` is the row or record that each stands in.
    """

    number: Lines
    numbers: dict[str, Numbers]
    text: dict[str, Text]

    @property
    def sound(self) -> Bool[np.ndarray, " records"]:
        """Where no number of a known column is unfit."""
        found = np.ones(len(self.number), bool)
        for name in self.numbers.keys() & set(NAMES):
            found &= ~np.isinf(self.numbers[name])
        return found


def usable(
    names: Sequence[Any], findings: Findings, places: Places, covariates: Collection[str] | None = None
) -> dict[str, int]:
    """Columns by name with their positions; the names that cannot be used are told to `findings`.

    Columns that records do not have are left out unless they are among the `covariates`, if these are given.
    """
    found: dict[str, int] = {}
    for k, name in enumerate(names):
        if not name:
            hint = "In R: write.csv(..., row.names = FALSE)." if k == 0 and places.capitals else ""
            findings.add(f"{places.column('')}, column {k + 1}", "must have a name", hint=hint)
        elif name in found:
            findings.add(places.column(name), "must be the name of one column only")
        elif fault := _name_fault(name, names, places):
            findings.add(places.column(str(name)), fault[0], hint=fault[1])
        else:
            found[name] = k
    if "time" not in names:
        findings.add(places.column(""), f"must have the column {places.name('time')}")
    return {n: k for n, k in found.items() if covariates is None or n in NAMES or n in covariates}


def joined(parts: Sequence[Columns]) -> Columns:
    """The parts of a long table as one."""
    if len(parts) < 2:
        return parts[0] if parts else Columns(np.zeros(0, int), {}, {})
    return Columns(
        np.concatenate([part.number for part in parts]),
        {name: np.concatenate([part.numbers[name] for part in parts]) for name in parts[0].numbers},
        {name: np.concatenate([part.text[name] for part in parts]) for name in parts[0].text},
    )


def text_numbers(cells: Sequence[str]) -> Numbers:
    """The numbers of cells of a text file."""
    whole = "".join(cells)
    if whole.isascii() and "_" not in whole:
        with suppress(ValueError):
            found = np.fromiter(map(float, cells), float, len(cells))
            if np.isfinite(found).all():
                return found
    known = {cell: one.text_number(cell) for cell in set(cells)}
    return np.fromiter(map(known.__getitem__, cells), float, len(cells))


def value_numbers(cells: Sequence[Any]) -> Numbers:
    """The numbers of Python values; None is an empty cell."""
    if set(map(type, cells)) <= {int, float}:
        with suppress(OverflowError):
            found = np.array(cells, float)
            if np.isfinite(found).all():
                return found
    return np.fromiter(map(one.value_number, cells), float, len(cells))


def read(
    cells: Mapping[str, Sequence[Any]],
    number: Lines,
    broken: Broken,
    numbers_of: Callable[[Sequence[Any]], Numbers] = value_numbers,
) -> Columns:
    """Columns of cells; those that cannot be read, and those that must not be empty, are told to `broken`."""
    text, numbers = {}, {}
    for name, column in cells.items():
        if name in TEXTS:
            text[name] = _texts(name, column, number, broken)
        else:
            numbers[name] = numbers_of(column)
            _tell_unfit(name, column, np.flatnonzero(np.isinf(numbers[name])), number, broken)
        if name == "time" or name not in NAMES:
            empty = np.isnan(numbers[name])
            _tell_empty(name, empty, number, broken)
            numbers[name][empty] = UNFIT
    return Columns(number, numbers, text)


def _name_fault(name: Any, names: Sequence[Any], places: Places) -> tuple[str, str] | None:
    if not isinstance(name, str) or name != name.lower():
        return "must be a name in lower case", f'Did you mean "{str(name).lower()}"?'
    if name in _DATES:
        return (
            "must not be a column, because dates and times of day are not put together",
            f"Give the time since the first record as one number, {places.name('time')}.",
        )
    meant = _MEANT.get(name, name)
    if meant not in names:
        return (
            f"must not be a column where {places.name(meant)} is none",
            f'Did you mean "{places.name(meant)}"?',
        )
    if name != " ".join(name.split()) or not name.isprintable() or len(name) > LONGEST:
        return f"must be a name of at most {LONGEST} printable characters, one space between words", ""
    return None


def _texts(name: str, cells: Sequence[Any], number: Lines, broken: Broken) -> Text:
    read_cell = one.individual if name == "id" else one.compartment
    if set(map(type, cells)) == {str}:
        known = {cell: read_cell(cell) for cell in set(cells)}
        found = [known[cell] for cell in cells]
    else:
        found = [read_cell(cell) for cell in cells]
    unfit = [k for k, text in enumerate(found) if text is None] if None in found else []
    _tell_unfit(name, cells, unfit, number, broken)
    if name == "id" and "" in found:
        _tell_empty(name, np.array([text == "" for text in found]), number, broken)
    return np.array([text or "" for text in found], dtype=np.str_)


def _tell_unfit(
    name: str,
    cells: Sequence[Any],
    unfit: Sequence[int] | Int[np.ndarray, " unfit"],
    number: Lines,
    broken: Broken,
) -> None:
    for k in unfit:
        cell = cells[k]
        rule, hint = one.unfit(name, cell)
        broken.add(name, rule, int(number[k]), cell if not isinstance(cell, str) else one.clipped(cell), hint)


def _tell_empty(name: str, empty: Bool[np.ndarray, " records"], number: Lines, broken: Broken) -> None:
    hint = "" if name in NAMES else "A covariate is needed in every record."
    broken.add_where(name, "must have a value", empty, number, hint=hint)


def _shown(value: Any) -> object:
    if isinstance(value, str):
        return one.clipped(str(value))
    number = float(value)
    return int(number) if number.is_integer() and abs(number) < 1e15 else number
