"""Doses of records in slots: arrays of one shape for individuals whose records differ.

A span is what an individual's records say from one fresh start to the next: the first record, a reset, a
steady-state dose that forgets what was before. Spans are independent columns of all arrays.
"""

from itertools import product

import equinox as eqx
import numpy as np
from jaxtyping import Bool, Int, Shaped

from pkpd.dosing.record import Records

KINDS = ("bolus", "rate", "duration", "modelled rate", "modelled duration", "constant")
ROLES = ("dose", "earlier", "steady")
DOSES = (1, 4)
_RESETS = (3, 4)

Doses = Int[np.ndarray, " doses"]
All = Int[np.ndarray, " all"]
Rows = Int[np.ndarray, " rows"]


class Group(eqx.Module):
    """Slots of one role: the place of each slot's record in its span, the place in `KINDS` of its dose, and
    which repetition it is: 0 the dose itself, more an additional one, less one given before the record.

    A dose of the role `steady` stands for the states that all doses before the record have led to, at most
    `earlier` of which are still to be felt. `kinds` are those that occur.
    """

    target: str = eqx.field(static=True)
    role: str = eqx.field(static=True)
    earlier: int = eqx.field(static=True)
    kinds: tuple[str, ...] = eqx.field(static=True)
    kind: Int[np.ndarray, "slots spans"]
    place: Int[np.ndarray, "slots spans"]
    copy: Int[np.ndarray, "slots spans"]
    absent: Bool[np.ndarray, "slots spans"]


class Layout(eqx.Module):
    """Spans side by side: the row of each record of a span [records, spans], the last one again where a span
    has fewer; how many it has; the individual; and the slots of its doses."""

    row: Int[np.ndarray, "records spans"]
    records: Int[np.ndarray, " spans"]
    individual: Int[np.ndarray, " spans"]
    groups: tuple[Group, ...]


def spans(records: Records) -> All:
    """The span of each record."""
    dose = np.isin(records.evid, DOSES)
    forgets = np.isin(records.evid, _RESETS) | (dose & (records.ss == 1))
    return np.cumsum(_begins(records) | forgets) - 1


def individuals(records: Records) -> All:
    """The individual of each record."""
    return np.cumsum(_begins(records)) - 1


def kinds(records: Records) -> All:
    """What each record's dose is, as its place in `KINDS`; -1 where it is none."""
    constant = (records.ss > 0) & (records.ii == 0.0)
    cases = [constant, records.rate > 0.0, records.dur > 0.0, records.rate == -1.0, records.rate == -2.0]
    found = np.select(cases, [5, 1, 2, 3, 4], 0)
    return np.where(np.isin(records.evid, DOSES), found, -1)


def layout(records: Records, rows: Rows, target: Shaped[np.ndarray, " all"], earlier: All) -> Layout:
    """Some rows, whole spans, side by side.

    `target` names where each record's dose goes; `earlier` is how many of the doses before a steady-state
    record are still to be felt as doses after it. Both have an entry for each of all records.
    """
    span = spans(records)[rows]
    starts, count = np.unique(span, return_index=True, return_counts=True)[1:]
    row = rows[starts[None] + np.minimum(np.arange(count.max())[:, None], count[None] - 1)]
    column = np.repeat(np.arange(len(starts)), count)
    place = np.arange(len(rows)) - np.repeat(starts, count)
    dose, copy, role = _repeated(records, rows, earlier)
    kind, name = kinds(records)[rows][dose], target[rows][dose]
    groups = []
    for key in product(np.unique(name), range(len(ROLES))):
        mine = (name == key[0]) & (role == key[1])
        if mine.any():
            most = int(earlier[rows][dose[mine]].max())
            told = str(key[0]), ROLES[key[1]], most, tuple(KINDS[k] for k in np.unique(kind[mine]))
            groups.append(
                _group(told, column[dose[mine]], (kind[mine], place[dose[mine]], copy[mine]), len(starts))
            )
    return Layout(row, count, individuals(records)[rows[starts]], tuple(groups))


def _begins(records: Records) -> Bool[np.ndarray, " records"]:
    return np.concatenate([[True], records.id[1:] != records.id[:-1]])


def _repeated(records: Records, rows: Rows, earlier: All) -> tuple[Doses, Doses, Doses]:
    """Which of the rows, which repetition and which role, for each dose that they tell."""
    kind, steady = kinds(records)[rows], records.ss[rows] > 0
    given = kind >= 0
    passing = KINDS.index("constant")
    repeats = (
        np.where(given & (kind != passing), 1 + records.addl[rows], 0),
        np.where(given & steady, earlier[rows], 0),
        np.where(given & steady, 1, 0),
    )
    found = []
    for role, count in enumerate(repeats):
        dose = np.repeat(np.arange(len(rows)), count)
        run = np.arange(len(dose)) - np.repeat(np.cumsum(count) - count, count)
        found.append((dose, -1 - run if role == 1 else run, np.full(len(dose), role)))
    dose, copy, role = (np.concatenate(v) for v in zip(*found, strict=True))
    return dose, copy, role


def _group(
    told: tuple[str, str, int, tuple[str, ...]], column: Doses, values: tuple[Doses, Doses, Doses], width: int
) -> Group:
    """The slots of some doses: their column, and what is told of each: kind, place and repetition."""
    order = np.argsort(column, kind="stable")
    each = np.bincount(column, minlength=width)
    slot = np.arange(len(column)) - np.repeat(np.cumsum(each) - each, each)
    where = slot, column[order]
    kind, place, copy = (np.zeros((each.max(), width), int) for _ in values)
    for array, value in zip((kind, place, copy), values, strict=True):
        array[where] = value[order]
    absent = np.ones(kind.shape, bool)
    absent[where] = False
    return Group(*told, kind, place, copy, absent)
