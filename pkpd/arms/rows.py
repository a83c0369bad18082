"""From a CSV file to rows of cells with their lines."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pkpd.checks import Findings, did_you_mean, fail

REQUIRED = ("study", "arm", "endpoint", "n", "regimen")
SOURCED = ("source", "at")
OF_ARM = ("n", "regimen", "population", "histology", "role", "weight", "pool")
OF_ROW = ("events", "value", "se", "time", "printed_p")
COLUMNS = tuple(dict.fromkeys((*REQUIRED, *SOURCED, *OF_ARM, *OF_ROW, "excludes", "note")))
MAX_BYTES = 10_000_000


@dataclass(frozen=True)
class Row:
    """One line of the table: its number in the file and its cells by column."""

    line: int
    cells: dict[str, str]

    def __getitem__(self, column: str) -> str:
        """A cell; empty where the table has no such column."""
        return self.cells.get(column, "")

    def place(self, column: str) -> str:
        """Where a cell is, for messages."""
        return f"line {self.line}, {column}"


def read_rows(path: Path, sourced: bool, findings: Findings) -> list[Row]:
    """The rows that have a cell for each column; faults of the file go to `findings`.

    Raises `InputError` where the file cannot be read as a table of arms.
    """
    required = (*REQUIRED, *SOURCED) if sourced else REQUIRED
    rows = list(_rows(path, required, findings))
    if not rows and not findings.faults:
        findings.add("", "must have a header and at least one row")
    if not rows or not set(required) <= set(rows[0].cells):
        findings.raise_if_any()
    return rows


def _rows(path: Path, required: tuple[str, ...], findings: Findings) -> Iterator[Row]:
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
    _check_header(header, required, findings)
    if len(set(header)) < len(header):
        return
    for number, cells in lines[1:]:
        if len(cells) != len(header):
            findings.add(f"line {number}", f"must have {len(header)} cells", len(cells))
        else:
            yield Row(number, {k: v.strip() for k, v in zip(header, cells, strict=True)})


def _check_header(header: list[str], required: tuple[str, ...], findings: Findings) -> None:
    for name in header:
        if name not in COLUMNS:
            findings.add("line 1", "must be a known column", name, did_you_mean(name, COLUMNS))
    for name in required:
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
        text = path.read_text("utf-8-sig")
    except (UnicodeDecodeError, PermissionError) as error:
        raise fail("", f"must be a readable UTF-8 text ({error})", file=label) from error
    if "\0" in text:
        raise fail("", "must be a readable UTF-8 text (it has a character NUL)", file=label)
    return text
