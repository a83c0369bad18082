"""Event records: what happens to whom at which time, in the words that NONMEM, rxode2 and mrgsolve share."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from pkpd.checks import Findings
from pkpd.dosing import record_rules
from pkpd.dosing.columns import NAMES, TEXTS, Broken, Columns, Numbers, Places, Text, read, usable

Whole = Int[np.ndarray, " records"]

# Each after what its default needs.
_NUMBERS = ("amt", "rate", "dur", "ii", "addl", "ss", "evid", "mdv", "dv")
_TEXT = {"id": "1", "cmt": ""}
_WHOLE = ("addl", "ss", "evid", "mdv")


@dataclass(frozen=True, eq=False)
class Records:
    """Event records as columns, in the order given; equal by value. `of` and `load_records` check them.

    | column | meaning | where absent |
    |---|---|---|
    | id | individual; its records stand together | "1" |
    | time | when, never falling but at a reset; in one unit, like rate, dur and ii | |
    | amt | amount of the dose | 0 |
    | rate | of an infusion; -1: the model gives the rate, -2: the duration | 0, a bolus |
    | dur | duration of an infusion, instead of rate | 0 |
    | ii | interval of the additional doses or of the steady state | 0 |
    | addl | additional doses, each ii later | 0 |
    | ss | 1: at steady state, 2: steady state added to what is there | 0 |
    | evid | 0 observation, 1 dose, 2 other, 3 reset, 4 reset and dose | 1 with amt, rate or dur, else 0 |
    | mdv | 1: dv is no observation | 0 for evid 0, else 1 |
    | cmt | compartment, its number or its name | "", the default one |
    | dv | what was observed | NaN |
    | covariates | every other column, by its name | |

    Every column has the shape [records]; `given` names the columns in the order told. `file`, `number` and
    `places` say where a record stands.
    """

    id: Text
    time: Numbers
    amt: Numbers
    rate: Numbers
    dur: Numbers
    ii: Numbers
    addl: Whole
    ss: Whole
    evid: Whole
    mdv: Whole
    cmt: Text
    dv: Numbers
    covariates: dict[str, Float[np.ndarray, " records"]]
    given: tuple[str, ...]
    file: str = ""
    number: Whole | None = None
    places: Places = Places()

    @staticmethod
    def of(rows: Sequence[Mapping[str, Any]]) -> "Records":
        """Records from mappings such as `{"id": 1, "time": 0, "amt": 100, "cmt": "depot", "wt": 70}`.

        Raises `InputError` with every fault.
        """
        return from_rows(rows, Findings())

    def rows(self) -> list[dict[str, Any]]:
        """The records as mappings of the given columns; `of` makes the same records of them.

        Individuals and compartments that are whole numbers are numbers; a missing dv is None.
        """
        names = self.told
        cells = [self._values(name) for name in names]
        return [dict(zip(names, row, strict=True)) for row in zip(*cells, strict=True)]

    @property
    def told(self) -> tuple[str, ...]:
        """The given columns, then those that are not at their defaults all the same."""
        apart = [name for name in NAMES if name != "time" and not _same(self[name], self._default(name))]
        return tuple(dict.fromkeys([*self.given, *apart, *self.covariates]))

    def place(self, record: int, column: str) -> str:
        """Where a cell stands, in messages: `row 5, AMT` of a file, `record 3, amt` of rows."""
        return self.places.cell(record + 1 if self.number is None else int(self.number[record]), column)

    def __getitem__(self, name: str) -> Text:
        """A column or covariate by its name."""
        return getattr(self, name) if name in NAMES else self.covariates[name]

    def __len__(self) -> int:
        return len(self.time)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Records):
            return NotImplemented
        if (self.given, len(self), set(self.covariates)) != (other.given, len(other), set(other.covariates)):
            return False
        return all(_same(self[name], other[name]) for name in (*NAMES, *self.covariates))

    def _default(self, name: str) -> Text:
        if name in TEXTS:
            return np.full(len(self), _TEXT[name])
        return np.broadcast_to(_default(name, {part: self[part] for part in NAMES}), len(self))

    def _values(self, name: str) -> list[Any]:
        values = self[name].tolist()
        if name == "dv":
            return [None if math.isnan(value) else value for value in values]
        return list(map(_number_or_text, values)) if name in TEXTS else values


Further = Callable[[Records, Findings], None]


def from_rows(
    rows: Sequence[Any],
    findings: Findings,
    covariates: Collection[str] | None = None,
    also: Further | None = None,
) -> Records:
    """`Records.of` with faults told to `findings`, which raises them, and of some `covariates` only."""
    rows, broken, places = list(rows), Broken(), Places()
    tables = {k: row for k, row in enumerate(rows, 1) if isinstance(row, Mapping)}
    for k, row in enumerate(rows, 1):
        if k not in tables:
            broken.add("", "must be a mapping of columns to values", k, row)
    if not rows:
        findings.add("records", "must have at least one record")
    names = dict.fromkeys(key for row in tables.values() for key in row)
    cells = {
        name: [row.get(name) for row in tables.values()]
        for name in usable(list(names), findings, places, covariates)
    }
    if "dv" in cells:
        cells["dv"] = [None if _is_nan(value) else value for value in cells["dv"]]
    columns = read(cells, np.array(list(tables), int), broken)
    return checked(columns, tuple(cells), broken, findings, places, also)


def checked(
    columns: Columns,
    given: tuple[str, ...],
    broken: Broken,
    findings: Findings,
    places: Places,
    also: Further | None = None,
) -> Records:
    """The records of columns that break no rule; raises `InputError` with every fault found so far.

    `also` tells what else is wrong with records; cells at fault stand in them as 0 or "", covariates as NaN.
    """
    if findings.faults or not len(columns.number):
        broken.tell(findings, places)
        findings.raise_if_any()
    columns = _filled(columns)
    record_rules.check(columns, broken)
    broken.tell(findings, places)
    records = _built(columns, given, findings.file, places)
    if also:
        also(records, findings)
    findings.raise_if_any()
    return records


def _built(columns: Columns, given: tuple[str, ...], file: str, places: Places) -> Records:
    unfit = {name: 0.0 if name in NAMES else np.nan for name in columns.numbers}
    cells = columns.text | {k: np.where(np.isinf(v), unfit[k], v) for k, v in columns.numbers.items()}
    cells |= {name: cells[name].astype(np.int64) for name in _WHOLE}
    for array in cells.values():
        array.setflags(write=False)
    known = {name: cells.pop(name) for name in NAMES}
    return Records(**known, covariates=cells, given=given, file=file, number=columns.number, places=places)


def _filled(columns: Columns) -> Columns:
    """All columns, with defaults where nothing is given."""
    size, numbers = len(columns.number), dict(columns.numbers)
    for name in _NUMBERS:
        default = _default(name, numbers)
        told = numbers.get(name, np.full(size, np.nan))
        numbers[name] = np.where(np.isnan(told), default, told)
    text = {name: columns.text.get(name, np.full(size, _TEXT[name])) for name in TEXTS}
    return Columns(columns.number, numbers, text)


def _default(name: str, cells: Mapping[str, Any]) -> Any:
    """What a number is where it is not given, in every record or by record."""
    if name == "evid":
        return ((cells["amt"] != 0) | (cells["rate"] != 0) | (cells["dur"] != 0)).astype(float)
    if name == "mdv":
        return (cells["evid"] != 0).astype(float)
    return np.nan if name == "dv" else 0.0


def _same(one: Text, other: Text) -> bool:
    return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _number_or_text(text: str) -> int | str:
    whole = text.isascii() and text.isdigit() and len(text) <= 15
    return int(text) if whole and str(int(text)) == text else text
