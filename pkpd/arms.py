"""The door for evidence: `arms.csv` in, arms out; every fault with its line and column, all at once.

One row is one endpoint of one arm: `events` of `n` patients. `regimen` to `excludes` belong to the arm and
are the same in all its rows. A row without `events` is not fitted; neither is an arm of weight 0 or held out.
"""

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pkpd.checks import Findings, InputError, did_you_mean, fail
from pkpd.dosing.terms import hours

ENDPOINTS = ("CR+PR", "PR", "CR", "SD", "PD", "surv_1y", "surv_3y", "ps_improved")
ROLES = ("primary", "supporting", "held-out")
COLUMNS = (
    *("study", "arm", "endpoint", "n", "events", "value", "se", "time", "regimen", "population", "histology"),
    *("role", "weight", "pool", "excludes", "source", "at", "note"),
)
MAX_BYTES = 1_000_000
_NEEDED = ("study", "arm", "endpoint", "source", "at")
_OF_ARM = ("regimen", "population", "histology", "role", "weight", "pool", "excludes")
_QUOTES = 'A text with commas stands in "quotes".'
_SIGNS = {"semicolons": ";", "tabs": "\t"}
_TWIN = 0.5  # largest weight of a second study of a pool with the same treatment


@dataclass(frozen=True)
class Row:
    """One endpoint of an arm: `events` of `n` patients, None where not reported; `line` in the file."""

    endpoint: str
    line: int
    source: str
    at: str
    n: int | None = None
    events: int | None = None
    value: float | None = None
    se: float | None = None
    time: str = ""
    note: str = ""


@dataclass(frozen=True)
class ArmTable:
    """One arm of one study with the rows of its endpoints.

    `regimen` is a name or a text; `weight` the power of its likelihood; `excludes` the studies that
    contain the same patients; `pool` marks studies whose overlap nobody has excluded.
    """

    study: str
    arm: str
    rows: tuple[Row, ...]
    regimen: str = ""
    population: str = ""
    histology: str = ""
    role: str = "primary"
    weight: float = 1.0
    pool: str = ""
    excludes: tuple[str, ...] = ()

    @property
    def counted(self) -> tuple[Row, ...]:
        """The rows with counts."""
        return tuple(row for row in self.rows if row.events is not None)

    @property
    def fitted(self) -> bool:
        """Whether the arm enters a likelihood."""
        return bool(self.counted) and self.weight > 0.0 and self.role != "held-out"


@dataclass(frozen=True)
class _Line:
    """A line of the table; what is at fault in a cell reads as None."""

    line: int
    cells: Mapping[str, str]
    findings: Findings

    def fault(self, column: str, rule: str, hint: str = "") -> None:
        value = self.cells.get(column) or None
        shown = value if value is None or len(value) <= 80 else f"{value[:79]}…"
        self.findings.add(f"line {self.line}, {column}", rule, shown, hint)

    def text(self, column: str) -> str:
        return self.cells.get(column, "")

    def choice(self, column: str, options: tuple[str, ...]) -> str:
        value = self.text(column)
        if value and value not in options:
            self.fault(column, f"must be one of: {', '.join(options)}", _close(value, options))
            return ""
        return value

    def count(self, column: str, least: int) -> int | None:
        """A number of patients."""
        text = self.text(column)
        if not text:
            return None
        if not re.fullmatch(r"[0-9]{1,7}", text):
            negative = re.fullmatch(r"-[0-9.]+", text)
            part = re.search(r"[.,%/]", text)
            rule = "must not be negative" if negative else "must be a whole number below 10 million"
            self.fault(column, rule, "Give how many patients, not which share." if part else "")
            return None
        if int(text) < least:
            self.fault(column, f"must be at least {least}")
            return None
        return int(text)

    def number(self, column: str, low: float = -math.inf, high: float = math.inf) -> float | None:
        text = self.text(column)
        if not text:
            return None
        plain = re.fullmatch(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,3})?", text)
        value = float(text) if plain and len(text) <= 40 else math.nan
        if not math.isfinite(value):
            self.fault(column, "must be a number")
            return None
        if not low <= value <= high:
            self.fault(
                column, f"must be at least {low:g}" if high == math.inf else f"must lie in {low:g}-{high:g}"
            )
            return None
        return value


def load_arms(path: str | Path, label: str = "") -> tuple[ArmTable, ...]:
    """The arms of a table, in its order; `label` is what messages call the file.

    Raises `InputError` with every fault.
    """
    path = Path(path)
    findings = Findings(label or path.as_posix())
    lines = list(_lines(_text(path, findings.file), findings))
    rows = [(line, row) for line in lines if (row := _row(line))]
    arms: dict[tuple[str, str], list[tuple[_Line, Row]]] = {}
    for line, row in rows:
        arms.setdefault((line.text("study"), line.text("arm")), []).append((line, row))
    found = [_arm(study, arm, members) for (study, arm), members in arms.items()]
    _check_overlap(found, findings)
    findings.raise_if_any()
    return tuple(found)


def _text(path: Path, label: str) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise fail("", "must be a file that can be read", hint=f"{error.strerror}.", file=label) from error
    if len(data) > MAX_BYTES:
        raise fail("", f"must have at most {MAX_BYTES} bytes", file=label)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise fail(f"line {line}", "must be text in UTF-8", file=label) from error
    if not text.strip():
        raise fail("", "must not be empty", file=label)
    return text


def _lines(text: str, findings: Findings) -> Iterator[_Line]:
    """The lines under the header; none if the header is at fault."""
    try:
        table = list(_numbered(csv.reader(io.StringIO(text, newline=""), strict=True)))
    except csv.Error as error:
        raise fail("", "must be comma-separated values", hint=f"{error}.", file=findings.file) from error
    (first, header), *body = table or [(1, [""])]
    if not _check_header(first, header, findings):
        return
    if not body:
        findings.add("", "must have at least one row under the header")
    for number, cells in body:
        if len(cells) == len(header):
            yield _Line(number, dict(zip(header, cells, strict=True)), findings)
        else:
            findings.add(f"line {number}", f"must have {len(header)} cells", len(cells), _QUOTES)


def _numbered(reader: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    """Lines that are not blank, each with the number of its first line in the file."""
    last = 0
    for cells in reader:
        stripped = [cell.strip() for cell in cells]
        if any(stripped):
            yield last + 1, stripped
        last = reader.line_num  # pyright: ignore[reportAttributeAccessIssue]


def _check_header(number: int, header: list[str], findings: Findings) -> bool:
    if not set(header) & set(COLUMNS):
        mark = next((name for name, sign in _SIGNS.items() if sign in header[0]), "")
        hint = f"Separate columns by commas, not {mark}." if mark else ""
        findings.add(f"line {number}", f"must name the columns, such as {', '.join(COLUMNS[:5])}", hint=hint)
        return False
    before = len(findings.faults)
    for name in header:
        if name not in COLUMNS:
            findings.add(
                f"line {number}", "must be a known column", name[:60], did_you_mean(name[:60], COLUMNS)
            )
    for name in sorted({name for name in header if header.count(name) > 1 and name in COLUMNS}):
        findings.add(f"line {number}", "must name each column once", name)
    for name in _NEEDED:
        if name not in header:
            findings.add(f"line {number}", f'must have the column "{name}"')
    return len(findings.faults) == before


def _row(line: _Line) -> Row | None:
    """The endpoint of a line; None where its study, arm or endpoint is at fault."""
    for column in _NEEDED:
        if not line.text(column):
            line.fault(column, "must be given")
    endpoint = line.choice("endpoint", ENDPOINTS)
    n, events = line.count("n", 1), line.count("events", 0)
    if line.text("events") and not line.text("n"):
        line.fault("n", "must be given where events are")
    if n is not None and events is not None and events > n:
        line.fault("events", f"must not exceed n = {n}")
    value, se = line.number("value"), line.number("se", 0.0)
    if line.text("se") and not line.text("value"):
        line.fault("value", "must be given where se is")
    _check_time(line)
    if not (endpoint and line.text("study") and line.text("arm")):
        return None
    texts = {column: line.text(column) for column in ("source", "at", "time", "note")}
    return Row(endpoint, line.line, n=n, events=events, value=value, se=se, **texts)


def _check_time(line: _Line) -> None:
    try:
        if line.text("time"):
            hours(line.text("time"))
    except InputError as error:
        line.fault("time", error.faults[0].rule)


def _arm(study: str, name: str, members: list[tuple[_Line, Row]]) -> ArmTable:
    first = members[0][0]
    for line, _ in members[1:]:
        for column in _OF_ARM:
            if line.text(column) != first.text(column):
                line.fault(column, f'must be the same in all rows of arm "{name}" of {study}')
    _check_endpoints(members)
    weight = first.number("weight", 0.0, 1.0)
    return ArmTable(
        study,
        name,
        tuple(row for _, row in members),
        regimen=first.text("regimen"),
        population=first.text("population"),
        histology=first.text("histology"),
        role=first.choice("role", ROLES) or ROLES[0],
        weight=1.0 if weight is None else weight,
        pool=first.text("pool"),
        excludes=tuple(filter(None, re.split(r"\s*;\s*", first.text("excludes")))),
    )


def _check_endpoints(members: list[tuple[_Line, Row]]) -> None:
    """The endpoints of an arm are counted once each, in the same patients."""
    seen: dict[str, Row] = {}
    counted = [row for _, row in members if row.events is not None]
    for line, row in members:
        if row.endpoint in seen:
            line.fault("endpoint", f"must not be given twice for an arm (line {seen[row.endpoint].line})")
        seen.setdefault(row.endpoint, row)
        if row.events is not None and row.n != counted[0].n:
            hint = "Leave out what was counted in some of the patients, or give it an arm of its own."
            line.fault(
                "n", f"must be that of line {counted[0].line}: the endpoints share their patients", hint
            )
    for line, row in members:
        if row.endpoint in ("CR", "PR") and "CR+PR" in seen:
            rule = f"must not stand beside CR+PR (line {seen['CR+PR'].line}), which counts the same patients"
            line.fault("endpoint", rule, "Keep the sum, or its parts.")
        earlier = seen.get("surv_1y") if row.endpoint == "surv_3y" else None
        if earlier and _more(row, earlier):
            line.fault("events", f"must not exceed those alive at one year (line {earlier.line})")


def _more(row: Row, other: Row) -> bool:
    return row.events is not None and other.events is not None and row.events > other.events


def _check_overlap(arms: Iterable[ArmTable], findings: Findings) -> None:
    """No patient counts twice: excluded studies stay out, a pool gives full weight once per treatment."""
    used = [arm for arm in arms if arm.fitted]
    studies = {arm.study for arm in used}
    leading: dict[tuple[str, str], ArmTable] = {}
    for arm in used:
        place = f"line {arm.rows[0].line}"
        for other in sorted(studies & set(arm.excludes)):
            hint = "Give one of them weight 0, or take it out."
            findings.add(
                f"{place}, excludes", "must not name a study in use, which has the same patients", other, hint
            )
        if not arm.pool or arm.weight <= _TWIN:
            continue
        leader = leading.setdefault((arm.pool, arm.regimen), arm)
        if leader.study != arm.study:
            rule = (
                f"must be at most {_TWIN}: {leader.study} of the same pool has this treatment at full weight"
            )
            findings.add(f"{place}, weight", rule, arm.weight)


def _close(value: str, options: tuple[str, ...]) -> str:
    hint = did_you_mean(value[:60], options)
    return "" if hint.startswith("Known") else hint
