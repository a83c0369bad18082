"""The rules of event records, over all records at once."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool

from pkpd.dosing.columns import Broken, Columns, Numbers, Text

MAX_ADDL = 10_000

Mask = Bool[np.ndarray, " records"]
Rule = tuple[str, str, Mask, str]
Cells = dict[str, Numbers]

_CONSTANT = "Only a constant infusion at steady state has none: SS 1, RATE above 0, AMT, II and ADDL 0."
_DOSE = "A dose has EVID 1 or 4 and AMT above 0."


def check(columns: Columns, broken: Broken) -> None:
    """Tells `broken` every rule that a record breaks; `columns` has all columns, defaults filled in.

    Cells that are unfit are told already: their records are held against rules of order only.
    """
    sound, cells = columns.sound, columns.numbers
    for rules in (_kinds(cells), _amounts(cells), _repeats(cells)):
        for name, rule, wrong, hint in rules:
            broken.add_where(name, rule, wrong & sound, columns.number, cells[name], hint)
    for name, rule, wrong, hint in _order(cells, columns.text["id"]):
        values = columns.text["id"] if name == "id" else cells[name]
        broken.add_where(name, rule, wrong, columns.number, values, hint)


def _kinds(cells: Cells) -> Iterator[Rule]:
    evid = cells["evid"]
    yield "evid", "must be 0, 1, 2, 3 or 4", ~np.isin(evid, (0, 1, 2, 3, 4)), ""
    yield "mdv", "must be 0 or 1", ~np.isin(cells["mdv"], (0, 1)), ""
    no_dose = np.isin(evid, (0, 2, 3))
    for name in ("amt", "rate", "dur", "addl", "ss"):
        yield name, "must be 0 where EVID is 0, 2 or 3", no_dose & (cells[name] != 0), _DOSE


def _amounts(cells: Cells) -> Iterator[Rule]:
    amt, rate, dur = cells["amt"], cells["rate"], cells["dur"]
    yield "amt", "must not be negative", amt < 0, ""
    yield (
        "amt",
        "must be above 0 in a dose record",
        _is_dose(cells) & (amt == 0) & ~_is_constant(cells),
        f"{_CONSTANT} A record without dose has EVID 0, 2 or 3.",
    )
    modelled = (rate == -1) | (rate == -2)
    hint = "-1 leaves the rate to the model, -2 the duration."
    yield "rate", "must be at least 0, or -1 or -2", (rate < 0) & ~modelled, hint
    yield "dur", "must not be negative", dur < 0, ""
    yield "dur", "must be 0 where RATE is not", (dur > 0) & (rate != 0), "Give one of them."


def _repeats(cells: Cells) -> Iterator[Rule]:
    ii, addl, ss, dose = cells["ii"], cells["addl"], cells["ss"], _is_dose(cells)
    yield "ii", "must not be negative", ii < 0, ""
    whole = (addl >= 0) & (addl <= MAX_ADDL) & (addl == np.floor(addl))
    yield "addl", f"must be a whole number from 0 to {MAX_ADDL:,}", ~whole, ""
    yield "ii", "must be above 0 where ADDL is", dose & (addl > 0) & (ii == 0), ""
    with np.errstate(over="ignore", invalid="ignore"):
        endless = whole & ~np.isfinite(cells["time"] + ii * addl)
    yield "ii", "must be less: the last additional dose has no finite TIME", endless, ""
    known = np.isin(ss, (0, 1, 2))
    yield "ss", "must be 0, 1 or 2", ~known, "SS 3 of newer NONMEM is not offered."
    steady = dose & known & (ss > 0) & (addl == 0) & ~_is_constant(cells)
    yield "ii", "must be above 0 where SS is", steady & (ii == 0), _CONSTANT


def _order(cells: Cells, individual: Text) -> Iterator[Rule]:
    time = np.where(np.isfinite(cells["time"]), cells["time"], np.nan)
    reset = np.isin(cells["evid"], (3, 4)) | np.isinf(cells["evid"])
    same = (individual[1:] == individual[:-1]) & (individual[1:] != "")
    falls = np.zeros(len(time), bool)
    falls[1:] = same & (time[1:] < time[:-1]) & ~reset[1:]
    rule = "must not be less than in the record before it, of the same ID"
    yield "time", rule, falls, "Only EVID 3 or 4 starts the time anew."
    hint = "NONMEM would take it for a new individual: sort the records by ID, then by TIME."
    yield "id", "must stand together with its other records", _returns(individual), hint


def _returns(individual: Text) -> Mask:
    """Where records of an individual start that has had others, apart from them."""
    starts = np.flatnonzero(np.append(True, individual[1:] != individual[:-1])).tolist()
    first: dict[str, int] = {}
    again = [
        k
        for k, name in zip(starts, individual[starts].tolist(), strict=True)
        if first.setdefault(name, k) != k
    ]
    found = np.zeros(len(individual), bool)
    found[again] = True
    return found & (individual != "")


def _is_dose(cells: Cells) -> Mask:
    return np.isin(cells["evid"], (1, 4))


def _is_constant(cells: Cells) -> Mask:
    """An infusion that has been running for ever, and goes on."""
    nothing = (cells["amt"] == 0) & (cells["ii"] == 0) & (cells["addl"] == 0)
    return nothing & (cells["ss"] == 1) & (cells["rate"] > 0)
