"""The rows of one arm as an `ArmTable`, with every fault in them."""

from collections.abc import Sequence
from dataclasses import dataclass

from pkpd.arms.cells import number, whole
from pkpd.arms.counts import check_counts, read_count
from pkpd.arms.endpoints import Endpoint, read_endpoint
from pkpd.arms.reports import read_curve, read_report
from pkpd.arms.rows import OF_ARM, REQUIRED, SOURCED, Row
from pkpd.arms.table import ArmTable, Count, Report
from pkpd.checks import Findings, did_you_mean

ROLES = ("primary", "supporting", "peripheral", "held-out")
Entries = tuple[tuple[Row, Endpoint], ...]


@dataclass(frozen=True)
class Draft:
    """An arm as far as it can be read, its rows with a known endpoint, and whether no row is at fault."""

    table: ArmTable
    rows: tuple[Row, ...]
    entries: Entries
    sound: bool

    def row_of(self, endpoint: str) -> Row:
        """The first row of an endpoint."""
        return next(row for row, known in self.entries if known.name == endpoint)


def read_arm(rows: Sequence[Row], sourced: bool, findings: Findings) -> Draft:
    """One arm from its rows; what cannot be read is left out and told to `findings`.

    In its place stand 0 patients and weight 0, with which no rule across arms finds a fault.
    """
    first, start = rows[0], len(findings.faults)
    _check_filled(rows, sourced, findings)
    _check_shared(rows, findings)
    entries = _entries(rows, findings)
    n = whole(first, "n", findings, least=1)
    weight = _weight(first, findings)
    if first["role"] and first["role"] not in ROLES:
        hint = did_you_mean(first["role"], ROLES)
        findings.add(first.place("role"), "must be a known role", first["role"], hint)
    table = ArmTable(
        study=first["study"],
        arm=first["arm"],
        regimen=first["regimen"],
        n=n or 0,
        counts=_counts(entries, n, findings),
        weight=weight,
        source="; ".join(dict.fromkeys(row["source"] for row in rows)),
        place=f"line {first.line}",
        reports=_reports(entries, n, findings),
        histology=first["histology"],
        role=first["role"],
        pool=first["pool"],
        excludes=tuple(dict.fromkeys(name for row in rows for name in excluded(row))),
        population=first["population"],
        places={entry.name: row.place("endpoint") for row, entry in reversed(entries)},
    )
    return Draft(table, tuple(rows), entries, len(findings.faults) == start)


def excluded(row: Row) -> list[str]:
    """The names in a cell of `excludes`, which semicolons separate."""
    return list(filter(None, map(str.strip, row["excludes"].split(";"))))


def _check_filled(rows: Sequence[Row], sourced: bool, findings: Findings) -> None:
    for row in rows:
        for name in (*REQUIRED, *SOURCED) if sourced else REQUIRED:
            if name != "n" and not row[name]:
                findings.add(row.place(name), "must not be empty")


def _check_shared(rows: Sequence[Row], findings: Findings) -> None:
    first = rows[0]
    for row in rows[1:]:
        for name in OF_ARM:
            if row[name] != first[name]:
                told = first[name] or "empty"
                rule = f"must be the same in all rows of an arm ({told} in line {first.line})"
                findings.add(row.place(name), rule, row[name], "Endpoints of one arm share its patients.")


def _entries(rows: Sequence[Row], findings: Findings) -> Entries:
    """Rows with a known endpoint that the arm has not told before; a curve has several."""
    seen: dict[str, int] = {}
    found = []
    for row in rows:
        endpoint = read_endpoint(row, findings)
        name = endpoint.name if endpoint else row["endpoint"]
        if name and name != "km" and name in seen:
            rule = f"must not repeat an endpoint of the arm (line {seen[name]})"
            findings.add(row.place("endpoint"), rule, f"{row['study']}, {row['arm']}, {name}")
        elif endpoint is not None:
            found.append((row, endpoint))
        seen.setdefault(name, row.line)
    return tuple(found)


def _weight(row: Row, findings: Findings) -> float:
    if not row["weight"]:
        return 1.0
    rule = "must lie between 0 and 1"
    hint = "It is the power of the arm's likelihood: 1 counts in full, 0 not at all."
    weight = number(row, "weight", findings, rule, lambda value: 0 <= value <= 1, hint)
    return 0.0 if weight is None else weight


def _counts(entries: Entries, n: int | None, findings: Findings) -> tuple[Count, ...]:
    read = [(r, read_count(r, e, n, findings)) for r, e in entries if e.kind == "count"]
    counted = [(row, count) for row, count in read if count is not None]
    check_counts(counted, n, findings)
    return tuple(count for _, count in counted)


def _reports(entries: Entries, n: int | None, findings: Findings) -> tuple[Report, ...]:
    curve = read_curve([row for row, e in entries if e.kind == "km"], n, findings)
    others = [read_report(r, e, findings) for r, e in entries if e.kind not in ("count", "km")]
    return tuple(report for report in (curve, *others) if report is not None)
