"""Tables of arms written from the cells that differ from those of a plain arm."""

import csv
from pathlib import Path

import pytest

from pkpd.arms import ArmTable, read_arms
from pkpd.checks import InputError

PLAIN = {"study": "S", "arm": "a", "endpoint": "PR", "n": "40", "regimen": "x", "source": "P", "at": "T"}


def row(**cells: object) -> dict[str, str]:
    """A row of a plain arm but for `cells`."""
    return PLAIN | {name: str(value) for name, value in cells.items()}


def write(folder: Path, *rows: dict[str, str]) -> Path:
    """A file with a column for each name in the rows; line 2 is the first row."""
    path = folder / "arms.csv"
    columns = list(dict.fromkeys(name for cells in rows for name in cells))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def load(folder: Path, *rows: dict[str, str], sourced: bool = True) -> tuple[ArmTable, ...]:
    """The arms of rows without fault."""
    arms, findings = read_arms(write(folder, *rows), sourced=sourced)
    findings.raise_if_any()
    return arms


def faults(folder: Path, *rows: dict[str, str]) -> list[str]:
    """Every fault of rows that have one, without the file's name."""
    with pytest.raises(InputError) as caught:
        load(folder, *rows)
    return [str(fault).removeprefix(f"{folder}/arms.csv: ") for fault in caught.value.faults]
