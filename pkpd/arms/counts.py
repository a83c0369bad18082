"""Counts of one arm, and the rules that they keep among themselves."""

from collections.abc import Sequence
from itertools import pairwise

from pkpd.arms.cells import whole
from pkpd.arms.endpoints import NAMED, Endpoint
from pkpd.arms.printed import HINT, RULE, read_printed
from pkpd.arms.rows import Row
from pkpd.arms.table import Count
from pkpd.checks import Findings

Counted = Sequence[tuple[Row, Count]]


def read_count(row: Row, endpoint: Endpoint, n: int | None, findings: Findings) -> Count | None:
    """The count of a row; an empty cell means that it is to be predicted only."""
    if row["printed_p"] and read_printed(row["printed_p"]) is None:
        findings.add(row.place("printed_p"), RULE, row["printed_p"], HINT)
    events = whole(row, "events", findings, least=0) if row["events"] else None
    if row["events"] and events is None:
        return None
    if n is not None and events is not None and events > n:
        hint = "Events are counted among the n patients of the arm."
        findings.add(row.place("events"), f"must not exceed n = {n}", events, hint)
    return Count(endpoint.name, endpoint.outcome, endpoint.days, events, endpoint.members, row["printed_p"])


def check_counts(counted: Counted, n: int | None, findings: Findings) -> None:
    """Responses are counted once and fit into the arm; survivors do not grow in number."""
    _check_parts(counted, findings)
    _check_best(counted, n, findings)
    _check_survivors(counted, findings)


def _check_parts(counted: Counted, findings: Findings) -> None:
    """A composite endpoint may not stand beside one of its parts."""
    for row, composite in counted:
        parts = [(r, c) for r, c in counted if set(c.members) < set(composite.members) and c.members]
        for part_row, part in parts:
            later = max(row, part_row, key=lambda r: r.line)
            rule = f"must not count responses twice: {composite.endpoint} stands beside {part.endpoint}"
            hint = _what_to_give(composite, [c for _, c in parts])
            findings.add(later.place("endpoint"), rule, row["arm"], hint)


def _what_to_give(composite: Count, parts: Sequence[Count]) -> str:
    """The endpoint, and the number where it can be computed, that replaces a composite beside its parts."""
    covered = {member for part in parts for member in part.members}
    rest = tuple(member for member in composite.members if member not in covered)
    if not rest:
        return f"Leave out {composite.endpoint}, which the others make up."
    name = next((e.name for e in NAMED.values() if e.members == rest), None)
    if name is None:
        return f"Leave out {composite.endpoint} or {' and '.join(part.endpoint for part in parts)}."
    return f"Give {name}{_difference(composite, parts, len(covered))} instead of {composite.endpoint}."


def _difference(composite: Count, parts: Sequence[Count], covered: int) -> str:
    events = [part.events for part in parts if part.events is not None]
    disjoint = sum(len(part.members) for part in parts) == covered
    if composite.events is None or len(events) < len(parts) or not disjoint:
        return ""
    left = composite.events - sum(events)
    return f", events {left}," if left >= 0 else ""


def _check_best(counted: Counted, n: int | None, findings: Findings) -> None:
    best = [(row, count) for row, count in counted if count.members]
    members = [member for _, count in best for member in count.members]
    total = sum(count.events or 0 for _, count in best)
    disjoint = len(set(members)) == len(members)
    each_fits = all((count.events or 0) <= (n or 0) for _, count in best)
    if n is not None and disjoint and each_fits and total > n:
        rule = f"must not exceed n = {n} over the responses, of which a patient has one at most"
        findings.add(best[0][0].place("events"), rule, total)


def _check_survivors(counted: Counted, findings: Findings) -> None:
    alive = [(c.days, c.events, row) for row, c in counted if c.days is not None and c.events is not None]
    for (earlier, before, _), (days, after, row) in pairwise(sorted(alive, key=lambda item: item[0])):
        if days == earlier:
            rule = f"must not count survivors at {days:g} d twice"
            findings.add(row.place("endpoint"), rule, row["endpoint"])
        elif after > before:
            rule = f"must not have more survivors at {days:g} d than earlier ({before})"
            findings.add(row.place("events"), rule, after)
