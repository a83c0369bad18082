"""Occasions of records: stretches of an individual's course, numbered by the column `occ`."""

import numpy as np
from jaxtyping import Bool, Int

from pkpd.checks import Findings
from pkpd.dosing.record import Records
from pkpd.dosing.slots import individuals, kinds

OCCASION = "occ"
_MOST_TOLD = 20


def occasions(records: Records) -> Int[np.ndarray, " all"]:
    """The occasion of each record, by its place among all numbers of the column in ascending order."""
    return np.unique(records.covariates[OCCASION], return_inverse=True)[1]


def check_occasions(records: Records, most: int, findings: Findings) -> None:
    """Records that tell their occasions, at most so many; each individual has a dose in each of his."""
    if OCCASION not in records.covariates:
        rule = f"must have the column {records.places.name(OCCASION)}, because parameters differ by occasion"
        findings.add(records.places.column(""), rule)
        return
    place = occasions(records)
    if (count := int(place.max()) + 1) > most:
        rule = f"must tell at most {most} occasions, for which the patients have effects"
        findings.add(records.places.name(OCCASION), rule, count)
    for row in np.flatnonzero(_idle(records, place))[:_MOST_TOLD].tolist():
        told = float(records.covariates[OCCASION][row])
        findings.add(records.place(row, OCCASION), "must be an occasion in which a dose is given", told)


def _idle(records: Records, place: Int[np.ndarray, " all"]) -> Bool[np.ndarray, " all"]:
    """The first record of each occasion of an individual that holds no dose, additional ones included."""
    who = individuals(records)
    _, first, back = np.unique(np.stack([who, place]), axis=1, return_index=True, return_inverse=True)
    back, dose = back.ravel(), kinds(records) >= 0
    idle = np.bincount(back, weights=dose) == 0
    for k in np.flatnonzero(idle).tolist():
        mine = back == k
        begin, end = records.time[mine].min(), records.time[mine].max()
        other = np.flatnonzero(dose & (who == who[first[k]]) & (records.addl > 0))
        idle[k] = not any(_falls(records, row, begin, end) for row in other.tolist())
    found = np.zeros(len(records), bool)
    found[first[idle]] = True
    return found


def _falls(records: Records, row: int, begin: float, end: float) -> bool:
    """Whether an additional dose of a record is given in a time."""
    doses = records.time[row] + records.ii[row] * np.arange(1, records.addl[row] + 1)
    return bool(np.any((begin <= doses) & (doses <= end)))
