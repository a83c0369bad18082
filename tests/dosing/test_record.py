"""Event records from Python rows: defaults, every rule with its message, and rows back."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pkpd.checks import InputError
from pkpd.dosing import Records

CONSTANT = "Only a constant infusion at steady state has none: SS 1, RATE above 0, AMT, II and ADDL 0."
NO_DOSE = "must be 0 where EVID is 0, 2 or 3"
DOSE = "A dose has EVID 1 or 4 and AMT above 0."
ALIASES = {
    "id": "subject usubjid",
    "amt": "dose dosage amount",
    "rate": "infusion_rate",
    "dur": "duration tinf",
    "ii": "interval tau",
    "addl": "additional",
    "evid": "event",
    "cmt": "compartment",
    "dv": "conc",
}


def faults(*rows: dict[str, Any]) -> list[str]:
    with pytest.raises(InputError) as caught:
        Records.of(rows)
    return [str(fault) for fault in caught.value.faults]


def test_what_is_absent_has_a_default() -> None:
    records = Records.of([{"time": 0, "amt": 100}, {"time": 1.5}, {"time": 2, "rate": -2, "amt": 5}])
    assert records.id.tolist() == ["1", "1", "1"]
    assert records.evid.tolist() == [1, 0, 1]
    assert records.mdv.tolist() == [1, 0, 1]
    assert records.cmt.tolist() == ["", "", ""]
    assert np.isnan(records.dv).all()
    for name in ("dur", "ii", "addl", "ss"):
        assert records[name].tolist() == [0, 0, 0]
    assert records.given == ("time", "amt", "rate")
    assert len(records) == 3
    assert {records[name].dtype for name in ("time", "amt", "rate", "dur", "ii", "dv")} == {np.dtype(float)}
    assert {records[name].dtype for name in ("addl", "ss", "evid", "mdv")} == {np.dtype(np.int64)}


def test_a_duration_alone_makes_a_dose_record_and_so_needs_an_amount() -> None:
    assert faults({"time": 0, "dur": 1})[0].startswith("record 1, amt: must be above 0 in a dose record")


def test_evid_and_mdv_follow_where_one_record_does_not_give_them() -> None:
    rows = [{"time": 0, "evid": 2}, {"time": 0, "evid": None, "amt": 1}, {"time": 0, "mdv": 1}]
    records = Records.of(rows)
    assert records.evid.tolist() == [2, 1, 0]
    assert records.mdv.tolist() == [1, 1, 1]


def test_individuals_and_compartments_are_text() -> None:
    rows = [
        {"id": 7.0, "time": 0, "cmt": 2},
        {"id": " 7", "time": 0, "cmt": "2.0"},
        {"id": "07", "time": 0, "cmt": "depot_1.a"},
        {"id": np.int64(8), "time": 0, "cmt": 0},
        {"id": 8, "time": 0},
    ]
    records = Records.of(rows)
    assert records.id.tolist() == ["7", "7", "07", "8", "8"]
    assert records.cmt.tolist() == ["2", "2", "depot_1.a", "", ""]
    assert [row["id"] for row in records.rows()] == [7, 7, "07", 8, 8]


def test_rows_come_back() -> None:
    rows = [
        {"id": 1, "time": 0, "amt": 100, "cmt": "depot", "wt": 70, "dv": None},
        {"id": 1, "time": 1, "amt": 0, "cmt": "", "wt": 70, "dv": 3.25},
        {"id": "b", "time": -1.5, "amt": 0, "cmt": 2, "wt": 81.5, "dv": None},
    ]
    assert Records.of(rows).rows() == rows
    assert list(Records.of(rows).rows()[0]) == list(rows[0])


def test_columns_cannot_be_written_to() -> None:
    records = Records.of([{"time": 0, "wt": 70}])
    for name in ("time", "id", "evid", "wt"):
        with pytest.raises(ValueError, match="read-only"):
            records[name][0] = records[name][0]


def test_records_are_equal_by_value() -> None:
    rows = [{"time": 0, "dv": None, "wt": 70}]
    assert Records.of(rows) == Records.of(rows)
    for other in ({"time": 0, "dv": 1, "wt": 70}, {"time": 0, "dv": None, "wt": 71}, {"time": 0, "dv": None}):
        assert Records.of(rows) != Records.of([other])
    assert Records.of(rows) != Records.of(rows * 2)
    assert Records.of(rows) != rows


def test_a_missing_observation_may_be_none_or_nan() -> None:
    assert Records.of([{"time": 0, "dv": float("nan")}]) == Records.of([{"time": 0, "dv": None}])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"time": None}, "record 1, time: must have a value."),
        ({"time": float("inf")}, "record 1, time: must be a finite number, but is inf."),
        (
            {"time": "9:30"},
            'must be a finite number, but is "9:30". Clock times are not read: write 9:30 as 9.5.',
        ),
        ({"time": True}, "record 1, time: must be a finite number, but is True."),
        ({"amt": float("nan")}, "record 1, amt: must be a finite number, but is nan."),
        ({"amt": 10**400}, f"record 1, amt: must be a finite number, but is {10**400}."),
        ({"amt": "5"}, 'record 1, amt: must be a finite number, but is "5".'),
        ({"amt": -5}, "record 1, amt: must not be negative, but is -5."),
        (
            {"evid": 1},
            f"record 1, amt: must be above 0 in a dose record, but is 0. {CONSTANT} "
            "A record without dose has EVID 0, 2 or 3.",
        ),
        ({"evid": 4}, "record 1, amt: must be above 0 in a dose record, but is 0."),
        ({"rate": 10}, "record 1, amt: must be above 0 in a dose record, but is 0."),
        ({"rate": -1}, "record 1, amt: must be above 0 in a dose record, but is 0."),
        (
            {"amt": 5, "rate": -3},
            "record 1, rate: must be at least 0, or -1 or -2, but is -3. "
            "-1 leaves the rate to the model, -2 the duration.",
        ),
        ({"amt": 5, "dur": -0.5}, "record 1, dur: must not be negative, but is -0.5."),
        (
            {"amt": 5, "dur": 1, "rate": 5},
            "record 1, dur: must be 0 where RATE is not, but is 1. Give one of them.",
        ),
        (
            {"amt": 5, "dur": 1, "rate": -2},
            "record 1, dur: must be 0 where RATE is not, but is 1. Give one of them.",
        ),
        ({"amt": 5, "ii": -1}, "record 1, ii: must not be negative, but is -1."),
        ({"amt": 5, "addl": 3}, "record 1, ii: must be above 0 where ADDL is, but is 0."),
        (
            {"amt": 5, "ii": 1, "addl": 1.5},
            "record 1, addl: must be a whole number from 0 to 10,000, but is 1.5.",
        ),
        (
            {"amt": 5, "ii": 1, "addl": -1},
            "record 1, addl: must be a whole number from 0 to 10,000, but is -1.",
        ),
        (
            {"amt": 5, "ii": 1, "addl": 10_001},
            "record 1, addl: must be a whole number from 0 to 10,000, but is 10001.",
        ),
        (
            {"amt": 5, "ii": 1e308, "addl": 9},
            "record 1, ii: must be less: the last additional dose has no finite TIME, but is 1e+308.",
        ),
        (
            {"amt": 5, "ii": 1, "ss": 3},
            "record 1, ss: must be 0, 1 or 2, but is 3. SS 3 of newer NONMEM is not offered.",
        ),
        ({"amt": 5, "ss": 1}, f"record 1, ii: must be above 0 where SS is, but is 0. {CONSTANT}"),
        ({"amt": 5, "rate": 5, "ss": 2}, f"record 1, ii: must be above 0 where SS is, but is 0. {CONSTANT}"),
        ({"rate": 5, "ss": 1, "ii": 12}, "record 1, amt: must be above 0 in a dose record, but is 0."),
        ({"evid": 5}, "record 1, evid: must be 0, 1, 2, 3 or 4, but is 5."),
        ({"evid": 0.5}, "record 1, evid: must be 0, 1, 2, 3 or 4, but is 0.5."),
        ({"evid": 0, "amt": 5}, f"record 1, amt: {NO_DOSE}, but is 5. {DOSE}"),
        ({"evid": 2, "rate": 5}, f"record 1, rate: {NO_DOSE}, but is 5. {DOSE}"),
        ({"evid": 3, "dur": 5}, f"record 1, dur: {NO_DOSE}, but is 5. {DOSE}"),
        ({"evid": 3, "addl": 5}, f"record 1, addl: {NO_DOSE}, but is 5. {DOSE}"),
        ({"ss": 1}, f"record 1, ss: {NO_DOSE}, but is 1. {DOSE}"),
        ({"mdv": 2}, "record 1, mdv: must be 0 or 1, but is 2."),
        (
            {"cmt": -2},
            "record 1, cmt: must not be negative, but is -2. "
            "NONMEM would turn the compartment off; here compartments cannot be turned off.",
        ),
        (
            {"cmt": "1a"},
            'record 1, cmt: must be a whole number or the name of a compartment, but is "1a". '
            "A name has letters, digits, _ and dots, a letter first, and at most 100 characters.",
        ),
        ({"cmt": 1.5}, "record 1, cmt: must be a whole number or the name of a compartment, but is 1.5."),
        ({"cmt": "a" * 101}, "record 1, cmt: must be a whole number or the name of a compartment"),
        ({"wt": None}, "record 1, wt: must have a value. A covariate is needed in every record."),
        ({"wt": float("nan")}, "record 1, wt: must be a finite number, but is nan."),
        (
            {"sex": "M"},
            'record 1, sex: must be a finite number, but is "M". '
            "Covariates are numbers; a column that is none must be left out.",
        ),
        ({"id": None}, "record 1, id: must have a value."),
        (
            {"id": 1.5},
            "record 1, id: must be a whole number or at most 100 printable characters, but is 1.5.",
        ),
        ({"id": "a\nb"}, "record 1, id: must be a whole number or at most 100 printable characters"),
        ({"AMT": 5}, 'AMT: must be a name in lower case. Did you mean "amt"?'),
        ({"": 5}, "records, column 2: must have a name."),
        ({" wt": 5}, " wt: must be a name of at most 100 printable characters, one space between words."),
        (
            {"date": 5},
            "date: must not be a column, because dates and times of day are not put together. "
            "Give the time since the first record as one number, time.",
        ),
    ],
)
def test_a_wrong_record(row: dict[str, Any], message: str) -> None:
    found = faults({"time": 0} | row)
    assert len(found) == 1
    assert message in found[0]


@pytest.mark.parametrize("row", [{"evid": 1, "ss": 1}, {"rate": 5, "ss": 2}, {"rate": -1, "ss": 1}])
def test_what_is_no_constant_infusion_lacks_amount_and_interval(row: dict[str, Any]) -> None:
    found = faults({"time": 0} | row)
    assert [fault.split(",")[1].split(" but")[0] for fault in found] == [
        " amt: must be above 0 in a dose record",
        " ii: must be above 0 where SS is",
    ]


@pytest.mark.parametrize(
    "row",
    [
        {"rate": 5, "ss": 1},
        {"rate": 5, "ss": 1, "evid": 4},
        {"amt": 5, "rate": -1},
        {"amt": 5, "rate": -2, "ii": 24, "addl": 10_000},
        {"amt": 5, "dur": 2, "ii": 24, "ss": 2},
        {"amt": 5, "ii": 24, "ss": 1, "addl": 3},
        {"amt": 5, "mdv": 0},
        {"amt": 5, "dose": 5},
        {"amt": 5, "dv": 3},
        {"evid": 3},
        {"evid": 0, "mdv": 1},
        {"time": -3},
    ],
)
def test_a_right_record(row: dict[str, Any]) -> None:
    assert len(Records.of([{"time": 0} | row])) == 1


@pytest.mark.parametrize(("alias", "name"), [(a, n) for n, names in ALIASES.items() for a in names.split()])
def test_a_name_of_other_software_is_no_covariate_where_the_column_is_absent(alias: str, name: str) -> None:
    hint = f'Did you mean "{name}"?'
    assert faults({"time": 0, alias: 5}) == [f"{alias}: must not be a column where {name} is none. {hint}"]


def test_time_must_be_given() -> None:
    assert faults({"clock": 0}) == [
        'clock: must not be a column where time is none. Did you mean "time"?',
        "records: must have the column time.",
    ]


def test_no_records() -> None:
    assert "records: must have at least one record." in faults()


def test_time_does_not_fall_but_at_a_reset() -> None:
    rows = [{"time": 0}, {"time": 5}, {"time": 4}]
    assert faults(*rows) == [
        "record 3, time: must not be less than in the record before it, of the same ID, but is 4. "
        "Only EVID 3 or 4 starts the time anew."
    ]
    assert len(Records.of([*rows[:2], {"time": 4, "evid": 3}, {"time": 4}])) == 4
    assert len(Records.of([*rows[:2], {"time": 4, "evid": 4, "amt": 1}])) == 3
    assert len(Records.of([{"id": 1, "time": 5}, {"id": 2, "time": 4}])) == 2


def test_individuals_stand_together() -> None:
    rows = [{"id": name, "time": 0} for name in "aabbaac"]
    assert faults(*rows) == [
        'record 5, id: must stand together with its other records, but is "a". '
        "NONMEM would take it for a new individual: sort the records by ID, then by TIME."
    ]


def test_every_fault_at_once() -> None:
    found = faults(
        {"id": 1, "time": 0, "amt": -1, "ss": 7, "wt": 70},
        {"id": 2, "time": "x", "amt": 1, "ss": 0, "wt": None},
        {"id": 1, "time": 1, "amt": 1, "ss": 1, "wt": 70},
    )
    assert [fault.split(":")[0] for fault in found] == [
        "record 2, time",
        "record 2, wt",
        "record 1, amt",
        "record 1, ss",
        "record 3, ii",
        "record 3, id",
    ]


def test_a_cell_that_cannot_be_read_breaks_no_other_rule() -> None:
    assert len(faults({"time": 5}, {"time": "x", "evid": 1}, {"time": 6, "amt": "y", "rate": 5})) == 2
    assert len(faults({"id": 1.5, "time": 5}, {"id": 2.5, "time": 4}, {"id": 1.5, "time": 3})) == 3


def test_twenty_faults_of_a_rule_are_listed() -> None:
    found = faults(*[{"time": 0, "amt": -1, "wt": "x"}] * 21)
    assert len(found) == 42
    assert found[20] == "wt: must be a finite number, but 1 more record breaks this rule."
    assert found[41] == "amt: must not be negative, but 1 more record breaks this rule."
    assert faults(*[{"time": 0, "amt": -1}] * 1500)[20].endswith("but 1,480 more records break this rule.")


def finite(**limits: Any) -> st.SearchStrategy[float]:
    return st.floats(allow_nan=False, allow_infinity=False, **limits)


@st.composite
def tables(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Rows of one set of columns, with individuals together and times in order."""
    dose = {
        "amt": finite(min_value=0, exclude_min=True),
        "rate": st.sampled_from([0, -1, -2, 0.1]),
        "ii": st.sampled_from([0.5, 24]),
        "addl": st.integers(0, 10_000),
        "ss": st.sampled_from([0, 1, 2]),
        "evid": st.sampled_from([1, 4]),
    }
    every = {
        "mdv": st.sampled_from([0, 1]),
        "cmt": st.sampled_from(["", 1, 12, "depot", "drug.central"]),
        "dv": st.none() | finite(),
        "wt": finite(),
        "größe, cm": finite(),
    }
    names = draw(st.sets(st.sampled_from([*dose, *every]))) | {"amt", "ii", "evid"}
    text = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=9)
    ids = draw(
        st.lists(st.integers(0, 99) | text.filter(lambda t: t != "." and not t.isdigit()), unique_by=str)
    )
    rows = []
    for name in ids or [1]:
        for time in sorted(draw(st.lists(finite(), min_size=1, max_size=4))):
            gives = draw(st.booleans())
            cells = {k: draw(v) if gives else 0 for k, v in dose.items()} | {
                k: draw(v) for k, v in every.items()
            }
            rows.append({"id": name, "time": time} | {k: v for k, v in cells.items() if k in names})
    return rows


@given(tables())
def test_rows_are_records_are_rows(rows: list[dict[str, Any]]) -> None:
    records = Records.of(rows)
    assert records.rows() == rows
    assert Records.of(records.rows()) == records
