"""The door for evidence: what is read, and every fault with line and column."""

import pytest

from pkpd.arms import load_arms
from pkpd.checks import InputError

HEADER = "study,arm,endpoint,n,events,regimen,source,at\n"
GOOD = (
    HEADER
    + "S,a,PR,40,7,treated,Paper,Table 1\nS,a,surv_1y,40,11,treated,Paper,Table 1\n"
    + "S,b,PR,39,0,none,Paper,Table 1\n"
)


def write(tmp_path, text):
    path = tmp_path / "arms.csv"
    path.write_text(text, "utf-8")
    return path


def faults(tmp_path, text):
    with pytest.raises(InputError) as caught:
        load_arms(write(tmp_path, text))
    return [str(fault).removeprefix(f"{tmp_path}/arms.csv: ") for fault in caught.value.faults]


def test_rows_become_arms(tmp_path):
    one, two = load_arms(write(tmp_path, GOOD))
    assert (one.study, one.arm, one.n, one.weight) == ("S", "a", 40, 1.0)
    assert [(c.outcome, c.days, c.events) for c in one.counts] == [
        ("pr", None, 7),
        ("alive", 365.0, 11),
    ]
    assert two.counts[0].events == 0


def test_every_endpoint_is_an_outcome(tmp_path):
    names = ["CR", "PR", "SD", "PD", "surv_1y", "surv_3y", "ps_improved"]
    (arm,) = load_arms(write(tmp_path, HEADER + "".join(f"S,a,{name},9,1,x,P,T\n" for name in names)))
    assert [c.outcome for c in arm.counts] == ["cr", "pr", "sd", "pd", "alive", "alive", "ps_improved"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("S,c,PR,40,41,x,P,T", "line 5, events: must not exceed n = 40, but is 41."),
        (
            "S,c,PR,40,17.5,x,P,T",
            'line 5, events: must be a whole number from 0, but is "17.5". Give the number',
        ),
        (
            "S,c,PR,40,17%,x,P,T",
            'line 5, events: must be a whole number from 0, but is "17%". Give the number',
        ),
        ("S,c,PR,40,-1,x,P,T", "line 5, events: must be a whole number from 0"),
        ("S,c,PR,many,1,x,P,T", 'line 5, n: must be a whole number from 1, but is "many".'),
        (
            "S,c,PRR,40,1,x,P,T",
            'line 5, endpoint: must be a known endpoint, but is "PRR". Did you mean "PR"?',
        ),
        ("S,c,PR,40,1,x,,T", "line 5, source: must not be empty"),
        ("S,b,PR,39,1,none,P,T", "line 5, endpoint: must not repeat an endpoint of the arm (line 4)"),
        (
            "S,b,CR+PR,39,1,none,P,T",
            "line 5, endpoint: must not count responses twice: CR+PR stands beside PR",
        ),
        (
            "S,b,CR+PR,39,1,none,P,T\nS,b,CR,39,0,none,P,T",
            "line 6, endpoint: must not count responses twice: CR+PR stands beside CR",
        ),
        (
            "S,b,SD,39,20,none,P,T\nS,b,PD,39,20,none,P,T",
            "line 4, events: must not exceed n = 39 over the responses, of which a patient has one at most, "
            "but is 40.",
        ),
        ("S,b,surv_1y,38,1,none,P,T", "line 5, n: must be the same in all rows of an arm (39 in line 4)"),
        ("S,c,PR,40", "line 5: must have 8 cells, but is 4."),
    ],
)
def test_a_wrong_row(tmp_path, row, message):
    assert any(fault.startswith(message) for fault in faults(tmp_path, GOOD + row + "\n"))


def test_all_faults_at_once(tmp_path):
    text = GOOD + "S,c,PR,40,41,x,P,T\nS,d,PRR,40,1,x,P,T\n"
    assert len(faults(tmp_path, text)) == 2


def test_unknown_and_missing_columns(tmp_path):
    found = faults(tmp_path, GOOD.replace("endpoint", "endpiont"))
    assert 'line 1: must be a known column, but is "endpiont". Did you mean "endpoint"?' in found
    assert "line 1: must have the column endpoint." in found


def test_weights(tmp_path):
    text = GOOD.replace("at\n", "at,weight\n", 1).replace("Table 1\n", "Table 1,1.5\n")
    assert any("weight: must lie between 0 and 1" in fault for fault in faults(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "message"),
    [(text, "must have a header and at least one row") for text in ("", HEADER, HEADER + ",,,,,,,\n")],
)
def test_empty_files(tmp_path, text, message):
    assert message in faults(tmp_path, text)[0]


def test_unreadable_files(tmp_path):
    with pytest.raises(InputError, match="must be a file that exists"):
        load_arms(tmp_path / "absent.csv")
    (tmp_path / "latin.csv").write_bytes("study,é\n".encode("latin-1"))
    with pytest.raises(InputError, match="must be a readable UTF-8 text"):
        load_arms(tmp_path / "latin.csv")
    (tmp_path / "nul.csv").write_text(GOOD.replace("S,", "S\0,"), "utf-8")
    with pytest.raises(InputError, match="must be a readable UTF-8 text"):
        load_arms(tmp_path / "nul.csv")


def test_a_column_that_is_there_twice_is_the_only_fault(tmp_path):
    (fault,) = faults(tmp_path, GOOD.replace("at\n", "at,n\n", 1).replace("Table 1\n", "Table 1,400\n"))
    assert "must name each column once" in fault


def test_a_short_row_hides_no_other_fault(tmp_path):
    found = faults(tmp_path, GOOD + "S,c,PR,40\nS,d,PR,40,41,x,P,T\n")
    assert [fault.split(":")[0] for fault in found] == ["line 5", "line 6, events"]


def test_lines_are_counted_as_an_editor_does(tmp_path):
    quoted = 'S,c,PR,40,1,x,"a paper\nin two lines",T\n'
    found = faults(tmp_path, GOOD + "\n" + quoted + ",,,,,,,\nS,d,PR,40,41,x,P,T\n")
    assert [fault.split(":")[0] for fault in found] == ["line 9, events"]


def test_studies_that_share_patients_may_not_stand_together(tmp_path):
    text = GOOD.replace("at\n", "at,excludes\n", 1).replace("Table 1\n", "Table 1,\n")
    found = faults(tmp_path, text + "R,a,PR,40,7,treated,Paper,Table 1,S; T\n")
    assert any("must not stand beside a study that it excludes" in fault for fault in found)


def test_nobody_returns_to_life(tmp_path):
    found = faults(tmp_path, GOOD + "S,c,surv_1y,40,5,x,P,T\nS,c,surv_3y,40,6,x,P,T\n")
    assert any("more survivors at 1095" in fault for fault in found)
