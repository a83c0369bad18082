"""The door for evidence: `arms.csv` in, arms with counts out."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from pkpd.checks import Findings, InputError, did_you_mean, fail

REQUIRED = ("study", "arm", "endpoint", "n", "events", "regimen", "source", "at")
OPTIONAL = ("value", "se", "time", "population", "histology", "role", "weight", "pool", "excludes", "note")
ENDPOINTS = {
    "CR": ("cr", None),
    "PR": ("pr", None),
    "SD": ("sd", None),
    "PD": ("pd", None),
    "CR+PR": ("regression", None),
    "surv_1y": ("alive", 365.0),
    "surv_3y": ("alive", 1095.0),
    "ps_improved": ("ps_improved", None),
}
RESPONSES = ("CR", "PR", "SD", "PD")  # a patient has at most one of them
MAX_BYTES = 10_000_000


@dataclass(frozen=True)
class Count:
    """One endpoint of an arm: `events` of the arm's patients (None: to be predicted), days for `alive`."""

    endpoint: str
    outcome: str
    days: float | None
    events: int | None


@dataclass(frozen=True)
class ArmTable:
    """One arm of a study as the table states it."""

    study: str
    arm: str
    regimen: str
    n: int
    counts: tuple[Count, ...]
    weight: float
    source: str
    place: str


def load_arms(path: str | Path) -> tuple[ArmTable, ...]:
    """The arms of a CSV file, in order; raises `InputError` with every fault, each with line and column."""
    arms, findings = read_arms(path)
    findings.raise_if_any()
    return arms


def read_arms(path: str | Path, label: str = "") -> tuple[tuple[ArmTable, ...], Findings]:
    """The arms without fault of a CSV file, `label` in messages, and every fault.

    Raises `InputError` where the file cannot be read as a table of arms.
    """
    path = Path(path)
    findings = Findings(label or str(path))
    rows = list(_rows(path, findings))
    if not rows and not findings.faults:
        findings.add("", "must have a header and at least one row")
    if not rows or not set(REQUIRED) <= set(rows[0][1]):
        findings.raise_if_any()
    groups: dict[tuple[str, str], list[tuple[int, dict[str, str]]]] = {}
    for line, row in rows:
        groups.setdefault((row["study"], row["arm"]), []).append((line, row))
    arms = [_arm(lines, findings) for lines in groups.values()]
    _check_exclusions(rows, findings)
    return tuple(arm for arm in arms if arm is not None), findings


def _rows(path: Path, findings: Findings) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.reader(io.StringIO(_text(path, findings.file), newline=""), strict=True)
    try:
        lines = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        hint = "Look for a quotation mark that is not closed."
        rule = f"must be a table of comma-separated values ({error})"
        raise fail("", rule, hint=hint, file=findings.file) from error
    if not lines:
        return
    header = [name.strip() for name in lines[0][1]]
    _check_header(header, findings)
    for number, cells in lines[1:]:
        if len(cells) != len(header):
            findings.add(f"line {number}", f"must have {len(header)} cells", len(cells))
        else:
            yield number, {k: v.strip() for k, v in zip(header, cells, strict=True)}


def _check_header(header: list[str], findings: Findings) -> None:
    for name in header:
        if name not in REQUIRED + OPTIONAL:
            findings.add("line 1", "must be a known column", name, did_you_mean(name, REQUIRED + OPTIONAL))
    for name in REQUIRED:
        if name not in header:
            findings.add("line 1", f"must have the column {name}")
    if len(set(header)) != len(header):
        findings.add("line 1", "must name each column once", ", ".join(header))


def _text(path: Path, label: str) -> str:
    if not path.is_file():
        raise fail("", "must be a file that exists", file=label)
    if path.stat().st_size > MAX_BYTES:
        raise fail("", f"must be at most {MAX_BYTES:,} bytes", path.stat().st_size, file=label)
    try:
        return path.read_text("utf-8-sig")
    except (UnicodeDecodeError, PermissionError) as error:
        raise fail("", f"must be a readable UTF-8 text ({error})", file=label) from error


def _arm(lines: list[tuple[int, dict[str, str]]], findings: Findings) -> ArmTable | None:
    first_line, first = lines[0]
    start = len(findings.faults)
    for line, row in lines:
        for name in ("study", "arm", "endpoint", "regimen", "source", "at"):
            if not row[name]:
                findings.add(f"line {line}, {name}", "must not be empty")
        for name in ("n", "regimen", "weight"):
            if row.get(name, "") != first.get(name, ""):
                rule = f"must be the same in all rows of an arm ({first.get(name)} in line {first_line})"
                findings.add(
                    f"line {line}, {name}", rule, row.get(name), "Endpoints of one arm share its patients."
                )
    _check_endpoints(lines, findings)
    n = _whole(first["n"], f"line {first_line}, n", findings, least=1)
    weight = _weight(first.get("weight", ""), f"line {first_line}, weight", findings)
    counts = [_count(line, row, n, findings) for line, row in lines]
    if len(findings.faults) > start or n is None:
        return None
    kept = tuple(c for c in counts if c is not None)
    _check_survivors(first_line, kept, findings)
    best = sum(c.events or 0 for c in kept if c.endpoint in (*RESPONSES, "CR+PR"))
    if best > n:
        rule = f"must not exceed n = {n} over the responses, of which a patient has one at most"
        findings.add(f"line {first_line}, events", rule, best)
    place = f"line {first_line}"
    return ArmTable(first["study"], first["arm"], first["regimen"], n, kept, weight, first["source"], place)


def _check_exclusions(rows: list[tuple[int, dict[str, str]]], findings: Findings) -> None:
    """`excludes` lists studies, separated by semicolons, that contain the same patients."""
    studies = {row["study"] for _, row in rows}
    for line, row in rows:
        for other in filter(None, map(str.strip, row.get("excludes", "").split(";"))):
            if other in studies:
                rule = "must not stand beside a study that it excludes, because patients would count twice"
                findings.add(f"line {line}, excludes", rule, f"{row['study']} and {other}")


def _check_endpoints(lines: list[tuple[int, dict[str, str]]], findings: Findings) -> None:
    seen: dict[str, int] = {}
    for line, row in lines:
        name = row["endpoint"]
        if name not in ENDPOINTS:
            findings.add(
                f"line {line}, endpoint", "must be a known endpoint", name, did_you_mean(name, ENDPOINTS)
            )
        if name in seen:
            rule = f"must not repeat an endpoint of the arm (line {seen[name]})"
            findings.add(f"line {line}, endpoint", rule, f"{row['study']}, {row['arm']}, {name}")
        seen.setdefault(name, line)
    for part in ("CR", "PR"):
        if "CR+PR" in seen and part in seen:
            line = max(seen["CR+PR"], seen[part])
            rule = f"must not count responses twice: CR+PR stands beside {part}"
            findings.add(f"line {line}, endpoint", rule, lines[0][1]["arm"])


def _check_survivors(line: int, counts: tuple[Count, ...], findings: Findings) -> None:
    alive = sorted((c.days, c.events) for c in counts if c.days is not None and c.events is not None)
    for (_, before), (days, after) in pairwise(alive):
        if after > before:
            rule = f"must not have more survivors at {days:g} d than earlier ({before})"
            findings.add(f"line {line}, events", rule, after)


def _count(line: int, row: dict[str, str], n: int | None, findings: Findings) -> Count | None:
    if row["endpoint"] not in ENDPOINTS:
        return None
    outcome, days = ENDPOINTS[row["endpoint"]]
    if not row["events"]:
        return Count(row["endpoint"], outcome, days, None)
    events = _whole(row["events"], f"line {line}, events", findings, least=0)
    if events is None:
        return None
    if n is not None and events > n:
        findings.add(f"line {line}, events", f"must not exceed n = {n}", events)
    return Count(row["endpoint"], outcome, days, events)


def _whole(text: str, place: str, findings: Findings, least: int) -> int | None:
    if text.isascii() and text.isdigit() and len(text) < 10 and int(text) >= least:
        return int(text)
    hint = "Give the number of patients, not a percentage." if "%" in text or "." in text else ""
    findings.add(place, f"must be a whole number from {least}", text, hint)
    return None


def _weight(text: str, place: str, findings: Findings) -> float:
    if not text:
        return 1.0
    try:
        weight = float(text)
    except ValueError:
        weight = float("nan")
    if not 0.0 <= weight <= 1.0:
        findings.add(place, "must lie between 0 and 1", text)
    return weight


def check_arms(path: str | Path) -> list:
    """All faults of an arms file; none if it loads."""
    try:
        load_arms(path)
    except InputError as error:
        return list(error.faults)
    return []
