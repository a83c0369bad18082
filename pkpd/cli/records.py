"""Predictions at the observation records of a data file."""

import csv
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from pkpd.cli.output import DISCLAIMER, number, print_json, table

if TYPE_CHECKING:
    from pkpd.observed import Observed

MOST_PRINTED = 20


def predict_records(
    model: str,
    data: str,
    carry: str,
    out: str,
    asked: Mapping[str, Any],
    noise: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Reads the records, predicts every output at its observations and writes or prints them.

    `asked` are options that go with a regimen only, each with whether it was used; `noise` is the seed of
    residual errors that are to be added.
    """
    import numpy as np

    from pkpd.catalogue import load_model
    from pkpd.devices import configure, float64, usable_cores
    from pkpd.dosing import load_records
    from pkpd.observation import observe
    from pkpd.observed import records_for, simulate_records

    _check(carry, out, asked)
    configure(cores=usable_cores(), cache=True)
    with float64():
        built = load_model(model)
        found = simulate_records(built, load_records(data, built.reads, records_for(built)), carry=carry)
        if noise is not None:
            seen = {name: np.asarray(v) for name, v in observe(built, found.outputs, noise).items()}
            found = dataclasses.replace(found, outputs=seen)
    if as_json:
        print_json(_content(built, found))
    elif not out:
        _print(found)
    if out:
        _write(found, Path(out))
        if not quiet:
            typer.echo(f"wrote {out}", err=True)


def _check(carry: str, out: str, asked: Mapping[str, Any]) -> None:
    from pkpd.checks import Findings, did_you_mean
    from pkpd.observed import CARRIES

    findings = Findings()
    for name in (name for name, used in asked.items() if used):
        findings.add(f"--{name}", "must not go with --data: the records say who gets what and when")
    if carry not in CARRIES:
        findings.add("--carry", f"must be one of: {', '.join(CARRIES)}", carry, did_you_mean(carry, CARRIES))
    if out and not Path(out).absolute().parent.is_dir():
        findings.add("--out", "must lie in a folder that exists", out)
    if out and Path(out).suffix != ".csv":
        findings.add("--out", "must end in .csv with --data", Path(out).suffix)
    findings.raise_if_any()


def _content(built: Any, found: "Observed") -> dict[str, Any]:
    outputs = {name: {"unit": found.units[name], "value": v} for name, v in found.outputs.items()}
    return {
        "model": built.name,
        "time_unit": built.units.time,
        "ids": found.id,
        "times": found.time,
        "outputs": outputs,
    }


def _write(found: "Observed", out: Path) -> None:
    """One row for each observation record: ID, TIME and a column for each output."""
    from pkpd.files import written

    columns = [found.id.tolist(), *(v.tolist() for v in (found.time, *found.outputs.values()))]
    with written(out) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["ID", "TIME", *found.outputs])
        writer.writerows(zip(*columns, strict=True))


def _print(found: "Observed") -> None:
    names = [f"{name} ({found.units[name]})" if found.units[name] else name for name in found.outputs]
    values = [v[:MOST_PRINTED].tolist() for v in (found.time, *found.outputs.values())]
    rows = [
        [who, *map(number, row)] for who, *row in zip(found.id.tolist()[:MOST_PRINTED], *values, strict=False)
    ]
    table("Predictions at the observation records", ["ID", "TIME", *names], rows)
    left = len(found.id) - MOST_PRINTED
    if left > 0:
        typer.echo(f"... and {left:,} more: write all of them with --out.")
    typer.echo(DISCLAIMER)
