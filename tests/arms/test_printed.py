"""Printed P values: known papers, and what a cell may say."""

import pytest

from pkpd.arms import remarks_of
from pkpd.arms.printed import p_values, read_printed
from tests.arms.tables import faults, load, row


def two_arms(events, n, others, m, printed, **cells):
    cells = {"endpoint": "surv_1y", **cells}
    return (
        row(n=n, events=events, printed_p=printed, **cells),
        row(arm="b", n=m, events=others, printed_p=printed, **cells),
    )


@pytest.mark.parametrize(
    ("counts", "printed", "flagged", "low", "high"),
    [
        ((11, 41, 1, 39), "<0.001", True, 0.002, 0.007),  # Br J Cancer 1994;69:196-199, response
        ((4, 26, 9, 24), "<0.05", True, 0.07, 0.15),  # Nat Immun 1998;16:27-33, survival
        ((9, 25, 3, 25), "<0.05", False, 0.046, 0.098),  # Oncology 1995;52:243-245, survival
        ((21, 52, 5, 48), "<0.005", False, 0.0006, 0.0015),  # Support Care Cancer 1995;3:194-197, survival
        ((22, 52, 8, 48), "<0.01", False, 0.005, 0.01),  # the same trial, performance status
        ((9, 25, 3, 25), "0.047", False, 0.046, 0.098),
        ((9, 25, 3, 25), ".05", False, 0.046, 0.098),
        ((9, 25, 3, 25), "0.046", True, 0.046, 0.098),
        ((9, 25, 3, 25), "NS", False, 0.046, 0.098),
        ((21, 52, 5, 48), "n.s.", True, 0.0006, 0.0015),
        ((0, 25, 0, 25), "NS", False, 1.0, 1.0),
        ((25, 25, 25, 25), "<0.05", True, 1.0, 1.0),
    ],
)
def test_known_values(tmp_path, counts, printed, flagged, low, high):
    events, n, others, m = counts
    values = p_values(events, n, others, m).values()
    assert all(low <= value <= high for value in values)
    remarks = remarks_of(load(tmp_path, *two_arms(events, n, others, m, printed)))
    assert len(remarks) == flagged
    assert all(remark.startswith(f"S, surv_1y: printed P {printed} is not reproduced") for remark in remarks)


def test_a_remark_tells_all_three(tmp_path):
    (remark,) = remarks_of(load(tmp_path, *two_arms(11, 41, 1, 39, "<0.001", endpoint="CR+PR")))
    shares = "11/41 in a v 1/39 in b gives 0.0024 (Pearson), 0.0064 (Yates), 0.0034 (Fisher)."
    assert remark == f"S, CR+PR: printed P <0.001 is not reproduced: {shares}"


def test_the_arm_compared_with(tmp_path):
    one, two = two_arms(11, 41, 1, 39, "")
    three = row(endpoint="surv_1y", arm="c", n=39, events=11)
    (fault,) = faults(tmp_path, one | {"printed_p": "<0.001"}, two, three)
    assert fault.startswith("line 2, printed_p: must say with which arm of the study it compares")
    assert fault.endswith('For instance "<0.001 v b".')
    assert len(remarks_of(load(tmp_path, one | {"printed_p": "<0.001 v b"}, two, three))) == 1
    assert remarks_of(load(tmp_path, one | {"printed_p": "NS v c"}, two, three)) == ()
    for other in ("d", "a"):
        (fault,) = faults(tmp_path, one | {"printed_p": f"<0.001 v {other}"}, two, three)
        assert fault.startswith(f'line 2, printed_p: must name another arm of the study, but is "{other}"')


def test_without_another_count_nothing_is_compared(tmp_path):
    one, two = two_arms(11, 41, 1, 39, "<0.001")
    assert remarks_of(load(tmp_path, one)) == ()
    assert remarks_of(load(tmp_path, one, two | {"events": ""})) == ()
    assert remarks_of(load(tmp_path, one, two | {"endpoint": "surv_3y"})) == ()


@pytest.mark.parametrize("text", ["significant", "< 0", "1.5", "0,05", "5%", "-0.1"])
def test_a_cell_that_is_no_p_value(tmp_path, text):
    assert read_printed(text) is None
    (fault,) = faults(tmp_path, row(events=3, printed_p=text))
    assert fault.startswith("line 2, printed_p: must be a printed P value")
