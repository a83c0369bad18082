"""The door for event records: files in and out, every fault with row and column, long files."""

import time
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pkpd.checks import InputError
from pkpd.dosing import Records, load_records, nonmem, write_records

GOOD = """\
ID,TIME,AMT,RATE,CMT,DV,WT
1,0,100,.,depot,.,70
1,2.5,.,,,0.31,70
b,0,50,-2,1,,8e1
"""
SHORT = "TIME,AMT,WT\n0,1,70\n"


def write(folder: Path, text: str | bytes, name: str = "events.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def faults(folder: Path, text: str | bytes, name: str = "events.csv") -> list[str]:
    path = write(folder, text, name)
    with pytest.raises(InputError) as caught:
        load_records(path)
    assert all(fault.file == str(path) for fault in caught.value.faults)
    return [str(fault).removeprefix(f"{path}: ") for fault in caught.value.faults]


def test_rows_become_records(tmp_path: Path) -> None:
    records = load_records(write(tmp_path, GOOD))
    assert records.rows() == [
        {"id": 1, "time": 0, "amt": 100, "rate": 0, "cmt": "depot", "dv": None, "wt": 70},
        {"id": 1, "time": 2.5, "amt": 0, "rate": 0, "cmt": "", "dv": 0.31, "wt": 70},
        {"id": "b", "time": 0, "amt": 50, "rate": -2, "cmt": 1, "dv": None, "wt": 80},
    ]
    assert records.evid.tolist() == [1, 0, 1]
    assert records.given == ("id", "time", "amt", "rate", "cmt", "dv", "wt")


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + GOOD,
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("\n", "\n\n"),
        GOOD.replace(",", " , "),
        GOOD + ",,,,,,\n",
        GOOD.replace("ID,TIME,AMT", "Id,time,aMT"),
        GOOD.replace("100", '"100"').replace("2.5", "+2.50"),
        GOOD.removesuffix("\n"),
    ],
)
def test_the_same_records_spelt_otherwise(tmp_path: Path, text: str) -> None:
    assert load_records(write(tmp_path, text)) == load_records(write(tmp_path, GOOD))


def test_toml_is_the_same(tmp_path: Path) -> None:
    text = """
    schema = 1
    [[record]]
    id = 1
    time = 0
    amt = 100
    rate = 0
    cmt = "depot"
    wt = 70
    [[record]]
    id = "1"
    time = 2.5
    dv = 0.31
    wt = 70.0
    [[record]]
    id = "b"
    time = 0
    amt = 50
    rate = -2
    cmt = 1
    wt = 80
    """
    records = load_records(write(tmp_path, text, "events.toml"))
    assert records.given == ("id", "time", "amt", "rate", "cmt", "wt", "dv")
    assert replace(records, given=()) == replace(load_records(write(tmp_path, GOOD)), given=())


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("schema = 1", ["records: must have at least one record."]),
        ("[[record]]\ntime = 0", ["schema: must be 1."]),
        ("schema = true\n[[record]]\ntime = 0", ["schema: must be 1, but is True."]),
        (
            "schema = 1\n[[records]]\ntime = 0",
            [
                'records: must be a known key. Did you mean "record"?',
                "records: must have at least one record.",
                "records: must have the column time.",
            ],
        ),
        (
            "schema = 1\nrecord = [1, { time = 0 }]",
            ["record 1: must be a mapping of columns to values, but is 1."],
        ),
        (
            "schema = 1\n[[record]]\ntime = 0\namt = 'x'\n[[record]]\ntime = nan\namt = -1",
            [
                "record 2, time: must be a finite number, but is nan.",
                'record 1, amt: must be a finite number, but is "x".',
            ],
        ),
        ("schema = 1\nrecord = { time = 0 }", ["record: must be tables, [[record]]."]),
        ("schema = ", ["must be TOML. Invalid value (at end of document)."]),
    ],
)
def test_wrong_toml(tmp_path: Path, text: str, messages: list[str]) -> None:
    found = faults(tmp_path, text, "events.toml")
    assert [message for message in messages if message in found] == messages


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("0,x1,70", 'row 3, AMT: must be a finite number, but is "x1".'),
        ("0,1_000,70", 'row 3, AMT: must be a finite number, but is "1_000".'),
        ("0,٣,70", 'row 3, AMT: must be a finite number, but is "٣".'),
        ("0,1e999,70", 'row 3, AMT: must be a finite number, but is "1e999".'),
        ("0,inf,70", 'row 3, AMT: must be a finite number, but is "inf".'),
        (
            "0,NA,70",
            'row 3, AMT: must be a finite number, but is "NA". '
            "Where there is no value, leave the cell empty or write a dot.",
        ),
        (
            '0,"1,5",70',
            'row 3, AMT: must be a finite number, but is "1,5". Write the decimal sign as a point.',
        ),
        (
            "9:30,1,70",
            'row 3, TIME: must be a finite number, but is "9:30". '
            "Clock times are not read: write 9:30 as 9.5.",
        ),
        (".,1,70", "row 3, TIME: must have a value."),
        ("0,1,.", "row 3, WT: must have a value. A covariate is needed in every record."),
        ("0,1, ", "row 3, WT: must have a value. A covariate is needed in every record."),
        ("0,1,NA", 'row 3, WT: must be a finite number, but is "NA".'),
        (
            "0,1,heavy",
            'row 3, WT: must be a finite number, but is "heavy". '
            "Covariates are numbers; a column that is none must be left out.",
        ),
        ("0,-1,70", "row 3, AMT: must not be negative, but is -1."),
        ("0,1", "row 3: must have 3 cells, but is 2."),
        ("0,1,70,", "row 3: must have 3 cells, but is 4. A comma within a cell stands in quotation marks."),
        (f"0,{'9' * 400},70", f'row 3, AMT: must be a finite number, but is "{"9" * 60}…".'),
        (
            '0,1,"70',
            "row 3: must be a table of comma-separated values (unexpected end of data). "
            "Look for a quotation mark that is not closed.",
        ),
    ],
)
def test_a_wrong_row(tmp_path: Path, row: str, message: str) -> None:
    assert faults(tmp_path, f"{SHORT}{row}\n") == [message]


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("TIME,AMT,WT,Time\n0,1,70,0\n", ["row 1, TIME: must be the name of one column only."]),
        ("TIME,,WT\n0,1,70\n", ["row 1, column 2: must have a name."]),
        (
            '"",TIME\n1,0\n',
            ["row 1, column 1: must have a name. In R: write.csv(..., row.names = FALSE)."],
        ),
        ("ID,AMT\n1,1\n", ["row 1: must have the column TIME."]),
        (
            "TIME,Dose\n0,1\n",
            ['row 1, DOSE: must not be a column where AMT is none. Did you mean "AMT"?'],
        ),
        (
            "Clock,AMT\n0,1\n",
            [
                'row 1, CLOCK: must not be a column where TIME is none. Did you mean "TIME"?',
                "row 1: must have the column TIME.",
            ],
        ),
        (
            "DATE,TIME\n1,0\n",
            [
                "row 1, DATE: must not be a column, because dates and times of day are not put together. "
                "Give the time since the first record as one number, TIME."
            ],
        ),
        (
            "TIME,DOSAGE,WT,AGE\n0,1,x,50\n1,1,70,x\n",
            [
                'row 1, DOSAGE: must not be a column where AMT is none. Did you mean "AMT"?',
                'row 2, WT: must be a finite number, but is "x". '
                "Covariates are numbers; a column that is none must be left out.",
                'row 3, AGE: must be a finite number, but is "x". '
                "Covariates are numbers; a column that is none must be left out.",
            ],
        ),
        *(
            (
                f"TIME{mark}AMT\n0{mark}1\n",
                [
                    "row 1: must be a table of comma-separated values, "
                    f'but is "TIME{mark}AMT". Put a comma between two names.'
                ],
            )
            for mark in "; \t"
        ),
        *((text, ["must have a header and at least one row."]) for text in ("", "\n \n", "TIME,AMT\n")),
        (
            'TIME,"AMT\n0,1\n',
            [
                "row 1: must be a table of comma-separated values (unexpected end of data). "
                "Look for a quotation mark that is not closed."
            ],
        ),
        ("TIME,größe\n0,1\n".encode("latin-1"), ["must be text in UTF-8 (invalid start byte)."]),
        ("TIME\n0\n".encode("utf-16"), ["must be text in UTF-8 (invalid start byte)."]),
    ],
)
def test_a_wrong_file(tmp_path: Path, text: str | bytes, messages: list[str]) -> None:
    assert faults(tmp_path, text) == messages


def test_every_fault_at_once(tmp_path: Path) -> None:
    text = "ID,TIME,AMT,EVID,MDV\n1,0,-1,1,0\n1,x,1,1,0\n1,5\n1,3,1,0,9\n1,2,0,0,0\n"
    assert [fault.split(":")[0] for fault in faults(tmp_path, text)] == [
        "row 4",
        "row 3, TIME",
        "row 5, MDV",
        "row 5, AMT",
        "row 2, AMT",
        "row 6, TIME",
    ]


def test_rows_are_the_lines_of_an_editor(tmp_path: Path) -> None:
    text = 'TIME,"WT\n(kg)"\n\n0,70\n\n,\n0,x\n'
    assert faults(tmp_path, text)[0].startswith('row 7, WT (KG): must be a finite number, but is "x"')


def test_what_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, message in (("a.csv", "a file that exists"), ("a.txt", "a .csv or .toml file")):
        with pytest.raises(InputError, match=f"must be {message}"):
            load_records(tmp_path / name)
    monkeypatch.setattr(nonmem, "MAX_BYTES", 9)
    assert faults(tmp_path, "TIME\n0\n1\n2\n") == ["must be at most 9 bytes, but is 11."]


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    records = load_records(write(tmp_path, GOOD))
    path = tmp_path / "out.csv"
    write_records(records, path)
    text = "ID,TIME,AMT,RATE,CMT,DV,WT\n1,0,100,0,depot,.,70\n1,2.5,0,0,.,0.31,70\nb,0,50,-2,1,.,80\n"
    assert path.read_text() == text
    with pytest.raises(OSError, match="No such file"):
        write_records(records, tmp_path / "absent" / "out.csv")
    with pytest.raises(InputError, match=r"must be a \.csv file"):
        write_records(records, tmp_path / "out.toml")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["events.csv", "out.csv"]


def test_what_differs_from_its_default_is_written_though_not_given(tmp_path: Path) -> None:
    records = load_records(write(tmp_path, SHORT))
    told = replace(
        records, dv=np.array([0.5]), mdv=np.array([0]), covariates=records.covariates | {"f": np.ones(1)}
    )
    write_records(told, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "TIME,AMT,WT,MDV,DV,F\n0,1,70,0,0.5,1\n"


NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
WORDS = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=9).filter(
    lambda text: text != "."
)
ROWS = st.fixed_dictionaries(
    {"time": st.just(0), "wt": NUMBERS, 'größe, "cm"': NUMBERS},
    optional={
        "id": st.just(1),
        "evid": st.just(1),
        "amt": NUMBERS.filter(lambda amt: amt > 0),
        "rate": st.sampled_from([0, -1, 1 / 3]),
        "ii": NUMBERS.map(abs).filter(lambda ii: 0 < ii < 1e300),
        "addl": st.integers(0, 10_000),
        "ss": st.sampled_from([0, 1, 2]),
        "mdv": st.sampled_from([0, 1]),
        "cmt": st.sampled_from(["", 3, "depot"]),
        "dv": st.none() | NUMBERS,
    },
)


@given(st.lists(st.lists(ROWS, min_size=1, max_size=3), min_size=1, max_size=4), st.data())
def test_records_are_files_are_records(
    tmp_path_factory: pytest.TempPathFactory, tables: list[list[dict]], data: st.DataObject
) -> None:
    ids = data.draw(st.lists(WORDS, min_size=len(tables), max_size=len(tables), unique=True))
    dose = {"amt": 1.5, "ii": 0.25}
    rows = [dose | row | {"id": name} for name, table in zip(ids, tables, strict=True) for row in table]
    records = Records.of(rows)
    path = tmp_path_factory.getbasetemp() / "trip.csv"
    write_records(records, path)
    assert load_records(path) == records


ROW = "0,.,0,1.5,70,40,0,1\n"
HEADER = "TIME,AMT,RATE,DV,WT,AGE,EVID,CMT\n"


def test_one_bad_cell_among_a_million_rows_is_named(tmp_path: Path) -> None:
    half = ROW * 500_000
    path = write(tmp_path, f"{HEADER}{half}0,.,0,1.5,7O,40,0,1\n{half}")
    start = time.process_time()
    with pytest.raises(InputError) as caught:
        load_records(path)
    assert time.process_time() - start < 20
    (fault,) = caught.value.faults
    assert (fault.place, fault.value) == ("row 500002, WT", "7O")


def test_a_long_file_is_read_in_blocks(tmp_path: Path) -> None:
    rows = "".join(f"{k},.,0,{k / 7},{k + 0.5},40,0,1\n" for k in range(100_000))
    path = write(tmp_path, HEADER + rows)
    tracemalloc.start()
    records = load_records(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(records) == 100_000
    assert records.time[-1] == 99_999
    assert peak < 60e6


def test_only_some_covariates(tmp_path):
    path = tmp_path / "events.csv"
    path.write_text("ID,TIME,EVID,SEX,WT\n1,0,0,male,70\n1,1,0,male,.\n")
    with pytest.raises(InputError, match="SEX"):
        load_records(path)
    assert load_records(path, covariates=()).covariates == {}
    with pytest.raises(InputError, match="row 3, WT: must have a value"):
        load_records(path, covariates=("wt",))
    path.write_text("ID,TIME,EVID,DOSE\n1,0,0,100\n")
    with pytest.raises(InputError, match='Did you mean "AMT"'):
        load_records(path, covariates=())
