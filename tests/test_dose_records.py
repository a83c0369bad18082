"""Published numbers for what dose records mean, most of them NONMEM's own output.

`pytest tests/test_dose_records.py --write` writes `references/dose_records.md` anew.
"""

import tomllib
from pathlib import Path

import numpy as np
import pytest

from pkpd import pk
from pkpd.dosing import load_records
from pkpd.model import Drug, wire
from pkpd.observed import simulate_records
from pkpd.population import CovariateEffect

REFERENCES = Path(__file__).parent / "references"
CONTENT = tomllib.loads((REFERENCES / "dose_records.toml").read_text("utf-8"))
CASES, SOURCES = CONTENT["case"], CONTENT["sources"]
FOUND = {}
TABLE = REFERENCES / "dose_records.md"


def model_of(case, columns):
    """The model of a case; a parameter that is a column of its records is that covariate, times one."""
    values = dict(case["parameters"])
    routes = {"iv": (pk.Bolus, "central")}
    if case["absorption"] == "FirstOrder":
        routes = {"po": (pk.FirstOrder, "depot"), **routes}
    parts, effects = {}, {}
    for name, (structure, compartment) in routes.items():
        symbols = {"lag": "tlag", "bioav": "bioav", "duration": "duration"}
        told = {s: values.pop(f"{k}_{compartment}", None) for k, s in symbols.items()}
        told = {s: v for s, v in told.items() if v is not None}
        if structure is pk.FirstOrder:
            told["ka"] = values.pop("ka")
        if f"lag_{compartment}" in columns:
            told["tlag"] = 1.0
            effects[CovariateEffect(f"x.{name}.tlag", f"lag_{compartment}", "power", 1.0)] = 1.0
        parts[f"x.{name}"] = structure(**told)
    for symbol in columns & values.keys():
        values[symbol] = 1.0
        effects[CovariateEffect(f"x.{symbol}", symbol, "power", 1.0)] = 1.0
    disposition = getattr(pk, case["structure"])
    parts["x"] = disposition(**values)
    return wire(parts, {}, drugs=[Drug("x", tuple(routes))], effects=effects)


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_published(case, tmp_path):
    path = tmp_path / "records.csv"
    path.write_text(case["records"].lstrip())
    records = load_records(path)
    model = model_of(case, records.covariates.keys())
    found = simulate_records(model, records)
    value = found.outputs["x.central"]
    if case["observe"] == "amount":
        value = value * float(model.get("x.v" if "x.v" in model.declared else "x.vc"))
    published = records.dv[found.row]
    told = ~np.isnan(published)
    gap, tolerance = np.abs(value - published)[told], np.asarray(case["tol"])
    share = np.divide(gap, tolerance, out=np.zeros_like(gap), where=gap > 0.0)
    FOUND[case["id"]] = [case["name"], case["source"], int(told.sum()), tolerance.max(), share.max()]
    assert np.all(gap <= tolerance), share


def test_the_table_is_that_of_this_run(request):
    known = {case["id"] for case in CASES}
    if request.config.getoption("--write"):
        assert set(FOUND) == known
        TABLE.write_text(table(), "utf-8")
    rows = [
        row.strip("| ").split(" | ") for row in TABLE.read_text("utf-8").splitlines() if row.startswith("| ")
    ]
    stored = {cells[0]: cells[1:] for cells in rows[1:]}
    assert stored.keys() == known
    for case, (*told, share) in FOUND.items():
        assert stored[case][:-1] == list(map(shown, told)), case
        assert float(stored[case][-1]) == pytest.approx(share, abs=0.02), case


def table():
    """The cases of this run as a page."""
    numbers = sum(row[2] for row in FOUND.values())
    lines = [
        "# Dose records against published numbers",
        "",
        f"{len(FOUND)} cases, {numbers} numbers; `dose_records.toml` holds records and numbers with places.",
        "The last column is the largest gap as a share of the tolerance, which is half a unit of the last",
        "digit published or the accuracy that the source states. Written by the check itself:",
        "`pytest tests/test_dose_records.py --write`.",
        "",
        "| case | what | source | numbers | tolerance | gap / tolerance |",
        "|---|---|---|---|---|---|",
        *(f"| {case} | {' | '.join(map(shown, row[:-1]))} | {row[-1]:.2f} |" for case, row in FOUND.items()),
        "",
        *(f"- **{key}**: {source['citation']}. <{source['url']}>" for key, source in SOURCES.items()),
    ]
    return "\n".join(lines) + "\n"


def shown(cell):
    return f"{cell:.3g}" if isinstance(cell, float) else str(cell)
