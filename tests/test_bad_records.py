"""Bad dose records through the command line: row and column named, all at once, exit 2, no file."""

import json
import sys

import pytest

from pkpd.cli import main

MODEL = """schema = 1
title = "Drug Z"
[sources.smith2019]
citation = "Smith A, et al. J Example 2019;1:1-10."
[units]
time = "h"
amount = "mg"
[drug]
name = "drugz"
[covariates]
wt = { value = 70, unit = "kg", source = "smith2019", at = "Table 1" }
[pk]
structure = "OneCompartment"
cl = { value = 5, unit = "L/h", source = "smith2019", at = "Table 3" }
v = { value = 50, unit = "L", source = "smith2019", at = "Table 3" }
e_wt_cl = { value = 0.75, form = "power", unit = "1", source = "smith2019", at = "Table 3" }
[routes.po]
structure = "FirstOrder"
ka = { value = 1, unit = "1/h", source = "smith2019", at = "Table 3" }
"""
COMPARTMENTS = "Compartments: 1 drugz.po.depot, 2 drugz.central."
NAMES = "Known: drugz.central, drugz.central_amount, drugz.po, drugz.po.depot."
MODELLED = "-1 leaves the rate to the model, -2 the duration."
BAD = {
    "unknown compartment": (
        "TIME,AMT,CMT,WT\n0,100,9,70\n0,100,gut,70\n1,.,.,70\n",
        [
            f"row 2, CMT: must be a compartment from 1 to 2, but is 9. {COMPARTMENTS}",
            f'row 3, CMT: must be a compartment of the model, but is "gut". {NAMES}',
        ],
    ),
    "unsorted": (
        "ID,TIME,AMT,WT\n1,0,100,70\n1,5,,70\n1,3,,70\n",
        [
            "row 4, TIME: must not be less than in the record before it, of the same ID, but is 3. "
            "Only EVID 3 or 4 starts the time anew."
        ],
    ),
    "additional doses without interval": (
        "TIME,AMT,ADDL,WT\n0,100,3,70\n1,,,70\n",
        ["row 2, II: must be above 0 where ADDL is, but is 0."],
    ),
    "negative amount": (
        "TIME,AMT,WT\n0,-100,70\n1,,70\n",
        ["row 2, AMT: must not be negative, but is -100."],
    ),
    "steady state": (
        "TIME,AMT,II,SS,WT\n0,100,12,7,70\n1,,,,70\n",
        ["row 2, SS: must be 0, 1 or 2, but is 7. SS 3 of newer NONMEM is not offered."],
    ),
    "another name for the amount": (
        "TIME,DOSE,WT\n0,100,70\n1,,70\n",
        ['row 1, DOSE: must not be a column where AMT is none. Did you mean "AMT"?'],
    ),
    "no covariate": ("TIME,AMT\n0,100\n1,\n", ["row 1: must have the column WT, a covariate of the model."]),
    "covariate without meaning": (
        "TIME,AMT,WT\n0,100,0\n1,,70\n",
        ["row 2, WT: must be above 0, because it acts by a power on drugz.cl."],
    ),
    "text": ("TIME,AMT,WT\n0,1OO,70\n1,,70\n", ['row 2, AMT: must be a finite number, but is "1OO".']),
    "a rate that the model has not": (
        "TIME,AMT,RATE,WT\n0,100,-1,70\n1,,,70\n",
        ["row 2, RATE: must not be -1, because drugz.po states no rate. Give the route a rate."],
    ),
    "empty": ("", ["must have a header and at least one row."]),
    "no rows": ("TIME,AMT,WT\n", ["must have a header and at least one row."]),
    "an individual that returns": (
        "ID,TIME,AMT,WT\n1,0,100,70\n1,1,,70\n2,0,50,70\n2,1,,70\n1,5,,70\n",
        [
            'row 6, ID: must stand together with its other records, but is "1". '
            "NONMEM would take it for a new individual: sort the records by ID, then by TIME."
        ],
    ),
    "many": (
        "ID,TIME,AMT,RATE,II,ADDL,SS,CMT\n1,0,-5,-3,12,3,9,7\n1,x,,,,,,\n2,0,50,,,2,,1\n2,-1,,,,,,\n",
        [
            'row 3, TIME: must be a finite number, but is "x".',
            "row 2, AMT: must not be negative, but is -5.",
            f"row 2, RATE: must be at least 0, or -1 or -2, but is -3. {MODELLED}",
            "row 4, II: must be above 0 where ADDL is, but is 0.",
            "row 2, SS: must be 0, 1 or 2, but is 9. SS 3 of newer NONMEM is not offered.",
            "row 5, TIME: must not be less than in the record before it, of the same ID, but is -1. "
            "Only EVID 3 or 4 starts the time anew.",
            f"row 2, CMT: must be a compartment from 1 to 2, but is 7. {COMPARTMENTS}",
            "row 1: must have the column WT, a covariate of the model.",
        ],
    ),
}


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Simulates the records of a text in an empty folder: exit code, what was printed, files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pkpd.devices.configure", lambda **settings: None)  # JAX has run in this process
    (tmp_path / "drugz.toml").write_text(MODEL, "utf-8")

    def call(text, *options):
        (tmp_path / "events.csv").write_text(text, "utf-8")
        words = ["pkpd", "simulate", "drugz.toml", "--data", "events.csv", "--out", "out.csv", *options]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as stop:
            main()
        return int(stop.value.code or 0), *capsys.readouterr(), sorted(p.name for p in tmp_path.iterdir())

    return call


@pytest.mark.parametrize("name", BAD)
def test_bad_records(run, name):
    text, told = BAD[name]
    code, out, err, files = run(text)
    assert (code, out, files) == (2, "", ["drugz.toml", "events.csv"])
    count = f"{len(told)} fault{'' if len(told) == 1 else 's'}; nothing was written."
    assert err.splitlines() == [*(f"events.csv: {line}" for line in told), count]


def test_json(run):
    code, out, err, _ = run(BAD["negative amount"][0], "--json")
    assert (code, err) == (2, "")
    (fault,) = json.loads(out)["errors"]
    assert fault == {
        "file": "events.csv",
        "place": "row 2, AMT",
        "rule": "must not be negative",
        "value": -100.0,
        "hint": "",
    }


def test_one_bad_row_of_a_million(run):
    rows = ["ID,TIME,AMT,WT"]
    rows += [f"{who},{hour},{100 * (hour == 0)},70" for who in range(100_000) for hour in range(10)]
    rows[765_432] = rows[765_432].replace(",70", ",7o")
    code, _, err, files = run("\n".join(rows) + "\n")
    assert (code, files) == (2, ["drugz.toml", "events.csv"])
    told = 'events.csv: row 765433, WT: must be a finite number, but is "7o". '
    told += "Covariates are numbers; a column that is none must be left out."
    assert err.splitlines() == [told, "1 fault; nothing was written."]


def test_check_needs_no_model(run, monkeypatch, capsys, tmp_path):
    run(BAD["negative amount"][0])
    monkeypatch.setattr(sys, "argv", ["pkpd", "check", "events.csv"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert (
        capsys.readouterr().err.splitlines()[0]
        == "events.csv: row 2, AMT: must not be negative, but is -100."
    )
