"""The door for event records: NONMEM-style CSV and TOML in, CSV out."""

import csv
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pkpd.checks import Findings, did_you_mean, fail
from pkpd.dosing.columns import Broken, Columns, Places, joined, read, text_numbers, usable
from pkpd.dosing.record import Further, Records, checked, from_rows
from pkpd.dosing.terms import number_text
from pkpd.files import written

MAX_BYTES = 500_000_000
BLOCK = 10_000

_EMPTY = "must have a header and at least one row"
_TABLE = "must be a table of comma-separated values"
_QUOTE = "Look for a quotation mark that is not closed."

Block = tuple[list[int], list[list[str]]]


def load_records(
    path: str | Path, covariates: Collection[str] | None = None, also: Further | None = None
) -> Records:
    """The event records of a file, in order; raises `InputError` with every fault, each with row and column.

    Of the columns that `Records` does not name only the `covariates` are read, by default all. `also` tells
    more faults of the records, for instance `pkpd.records_for(model)` those of a model.

    `.csv`: comma-separated UTF-8 text under a header of column names, in any case; every column that
    `Records` does not name is a covariate. An empty cell or a dot is a value that is not given.
    `.toml`: `schema = 1` and a table `[[record]]` for each record, with the same columns in lower case.
    """
    path = Path(path)
    readers = {".csv": _read_csv, ".toml": _read_toml}
    if path.suffix.lower() not in readers:
        raise fail("", "must be a .csv or .toml file", file=str(path))
    if not path.is_file():
        raise fail("", "must be a file that exists", file=str(path))
    if path.stat().st_size > MAX_BYTES:
        raise fail("", f"must be at most {MAX_BYTES:,} bytes", path.stat().st_size, file=str(path))
    try:
        return readers[path.suffix.lower()](path, Findings(str(path)), covariates, also)
    except UnicodeDecodeError as error:
        raise fail("", f"must be text in UTF-8 ({error.reason})", file=str(path)) from error
    except OSError as error:
        raise fail(
            "", "must be a file that can be read", hint=f"{error.strerror}.", file=str(path)
        ) from error


def write_records(records: Records, path: str | Path) -> None:
    """Writes a CSV file, whole or not at all, of which `load_records` makes the same records."""
    path = Path(path)
    if path.suffix.lower() != ".csv":
        raise fail("", "must be a .csv file", file=str(path))
    names = records.told
    columns = [_cells(records, name) for name in names]
    with written(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(name.upper() if name.isascii() else name for name in names)
        writer.writerows(zip(*columns, strict=True))


def _cells(records: Records, name: str) -> list[str]:
    values: list[Any] = records[name].tolist()
    if name == "dv":
        return ["." if value != value else number_text(value) for value in values]
    if records[name].dtype.kind == "U":
        return [value or "." for value in values]
    return list(map(number_text if records[name].dtype.kind == "f" else str, values))


def _read_csv(
    path: Path, findings: Findings, covariates: Collection[str] | None, also: Further | None
) -> Records:
    broken, places = Broken(), Places("row", capitals=True)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        header = _header(reader, findings)
        names = usable(header, findings, places, covariates)
        parts = [_part(block, names, broken) for block in _blocks(reader, len(header), broken)]
    if not parts and not broken.first:
        findings.add("", _EMPTY)
    return checked(joined(parts), tuple(names), broken, findings, places, also)


def _header(reader: Iterator[list[str]], findings: Findings) -> list[str]:
    try:
        cells = next((cells for cells in reader if any(map(str.strip, cells))), [])
    except csv.Error as error:
        raise fail("row 1", f"{_TABLE} ({error})", hint=_QUOTE, file=findings.file) from error
    if not cells:
        raise fail("", _EMPTY, file=findings.file)
    if len(cells) == 1 and len(re.split(r"[;\s]+", cells[0].strip())) > 1:
        raise fail("row 1", _TABLE, cells[0], "Put a comma between two names.", findings.file)
    return [" ".join(cell.lower().split()) for cell in cells]


def _blocks(reader: Any, width: int, broken: Broken) -> Iterator[Block]:
    """Rows of the right width that are not blank, with their lines; the others are told to `broken`."""
    lines, rows = [], []
    line = reader.line_num
    try:
        for cells in reader:
            line = reader.line_num
            if len(cells) == width and any(cells):
                lines.append(line)
                rows.append(cells)
            elif any(map(str.strip, cells)):
                hint = "A comma within a cell stands in quotation marks." if len(cells) > width else ""
                broken.add("", f"must have {width} cells", line, len(cells), hint)
            if len(rows) == BLOCK:
                yield lines, rows
                lines, rows = [], []
    except csv.Error as error:
        broken.add("", f"{_TABLE} ({error})", line + 1, hint=_QUOTE)
    if rows:
        yield lines, rows


def _part(block: Block, names: Mapping[str, int], broken: Broken) -> Columns:
    lines, rows = block
    columns = list(zip(*rows, strict=True))
    return read({name: columns[k] for name, k in names.items()}, np.array(lines), broken, text_numbers)


def _read_toml(
    path: Path, findings: Findings, covariates: Collection[str] | None, also: Further | None
) -> Records:
    text = path.read_text("utf-8-sig")
    try:
        content = tomllib.loads(text)
    except RecursionError as error:
        raise fail("", "must not be nested so deeply", file=findings.file) from error
    except ValueError as error:
        raise fail("", "must be TOML", hint=f"{error}.", file=findings.file) from error
    for key in sorted(content.keys() - {"schema", "record"}):
        findings.add(key, "must be a known key", hint=did_you_mean(key, ("schema", "record")))
    schema, rows = content.get("schema"), content.get("record", [])
    if isinstance(schema, bool) or schema != 1:
        findings.add("schema", "must be 1", schema)
    if not isinstance(rows, list):
        findings.add("record", "must be tables, [[record]]")
        rows = []
    return from_rows(rows, findings, covariates, also)
