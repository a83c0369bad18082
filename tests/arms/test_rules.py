"""Rules across arms and studies: exclusions, pools, publications entered twice."""

import pytest

from pkpd.arms import load_arms, remarks_of
from pkpd.catalogue import shipped
from tests.arms.tables import faults, load, row

PAPER = "Support Care Cancer 1995;3:194-197"


def pooled(study, weight, arm="a", **cells):
    return row(study=study, arm=arm, events=3, pool="A", weight=weight, **cells)


@pytest.mark.parametrize(
    ("excludes", "kind", "twin"),
    [("R", "a study", 1), ("Q; R/a", "an arm", 1), ("R/a;Q", "an arm", 1), ("S/b", "an arm", 2)],
)
def test_the_same_patients_twice(tmp_path, excludes, kind, twin):
    rows = [row(events=3, excludes=excludes), row(study="R", events=4), row(arm="b", events=4)]
    (fault,) = faults(tmp_path, *rows)
    assert fault.startswith(f"line 2, excludes: must not stand beside {kind} that it excludes")
    for unused in (0, twin):
        changed = [cells | {"weight": "0" if i == unused else ""} for i, cells in enumerate(rows)]
        assert len(load(tmp_path, *changed)) == 3


def test_what_is_excluded_need_not_be_there(tmp_path):
    (arm,) = load(tmp_path, row(events=3, excludes="R; R/a; ;R"), row(endpoint="SD", events=3))
    assert arm.excludes == ("R", "R/a")


@pytest.mark.parametrize(
    ("excludes", "message"),
    [
        ("R/A", 'must be a study, or STUDY/ARM of one, but is "R/A". Did you mean "R/a"?'),
        ("R, Q", 'must be a study, or STUDY/ARM of one, but is "R, Q". Separate them by semicolons.'),
        ("r", 'must be a study, or STUDY/ARM of one, but is "r". Did you mean "R"?'),
        ("S", 'must name other studies or arms, but is "S"'),
        ("S/a", 'must name other studies or arms, but is "S/a"'),
    ],
)
def test_an_exclusion_that_excludes_nothing(tmp_path, excludes, message):
    (fault,) = faults(tmp_path, row(events=3, excludes=excludes), row(study="R", events=4))
    assert fault.startswith(f"line 2, excludes: {message}")


def test_an_exclusion_of_an_arm_that_may_be_misspelt(tmp_path):
    cells = row(events=3, excludes="Rome/IL2 alone; Rome/IL-2 + melatonin")
    arms = load(tmp_path, cells, row(study="Rome", arm="IL-2 alone", events=4))
    told = "Rome/IL2 alone is excluded and not in the table, where Rome/IL-2 alone is."
    assert remarks_of(arms) == (told,)


def test_an_exclusion_in_a_later_row_is_found_there(tmp_path):
    rows = [row(events=3), row(endpoint="SD", events=1, excludes="R"), row(study="R", events=4)]
    (fault,) = faults(tmp_path, *rows)
    assert fault.startswith("line 3, excludes:")


def test_a_pool_has_one_arm_of_full_weight_for_each_regimen(tmp_path):
    (fault,) = faults(tmp_path, pooled("R", 1), pooled("S", 0.6, regimen=" x"), pooled("T", 0.5))
    assert fault.startswith("line 3, weight: must be at most 0.5 beside R/a")
    assert "overlap = true in [weights]" in fault
    found = faults(tmp_path, pooled("R", 0.9), pooled("S", ""), pooled("T", 0.5))
    assert [fault.split(":")[0] for fault in found] == ["line 2, weight"]


def test_a_pool_allows_arms_of_one_study_and_other_regimens(tmp_path):
    rows = pooled("R", 1), pooled("R", 1, "b"), pooled("S", 1, regimen="y"), pooled("T", 0.5)
    arms = load(tmp_path, *rows)
    assert remarks_of(arms) == ("Pool A joins R, S, T: their patients may overlap.",)


def test_one_study_in_use_is_no_overlap(tmp_path):
    assert remarks_of(load(tmp_path, pooled("R", 1), pooled("R", 1, "b"), pooled("S", 0))) == ()


def test_a_study_is_in_one_pool(tmp_path):
    (fault,) = faults(tmp_path, pooled("R", 1), pooled("R", 1, "b") | {"pool": ""})
    assert fault.startswith("line 3, pool: must be the same in all arms of a study (A in line 2)")


@pytest.mark.parametrize("same", [PAPER, "Support Care Cancer. 1995 May;3(3):194-7.", f"{PAPER}, doi 10.1/x"])
@pytest.mark.parametrize("arm", ["a", "IL-2 and melatonin"])
def test_a_publication_entered_twice(tmp_path, same, arm):
    one, two = row(events=3, source=PAPER), row(study="R", arm=arm, events=3, source=same)
    (fault,) = faults(tmp_path, one, two)
    rule = "must not repeat an arm of the same publication (line 2)"
    assert fault.startswith(f'line 3, study: {rule}, but is "R/{arm} and S/a"')


def test_one_arm_in_two_studies_by_endpoint(tmp_path):
    rows = row(events=3, source=PAPER), row(study="R", endpoint="surv_1y", events=9, source=PAPER)
    assert "must not repeat an arm" in faults(tmp_path, *rows)[0]


@pytest.mark.parametrize(
    ("cells", "place"),
    [
        ({"events": 4}, "line 4, endpoint"),
        ({"n": 41, "events": 3}, "line 4, n"),
    ],
)
def test_a_publication_that_contradicts_itself(tmp_path, cells, place):
    one = row(events=3, source=PAPER), row(arm="b", events=1, source=PAPER)
    (fault,) = faults(tmp_path, *one, row(study="R", source=PAPER, **cells))
    rule = "must not contradict the same arm of the same publication (line 2)"
    assert fault.startswith(f'{place}: {rule}, but is "R/a and S/a"')
    load(tmp_path, *one, row(study="R", source=PAPER, weight=0, **cells))


def test_two_trials_of_one_paper(tmp_path):
    load(tmp_path, row(events=3, source=PAPER), row(study="R", arm="b", events=4, source=PAPER))
    load(tmp_path, row(events=3, source=PAPER), row(study="R", events=3, source="J 1995;3:200"))


def test_the_shipped_evidence():
    arms = load_arms(shipped("fits") / "lissoni1995" / "arms.csv")
    assert [(arm.arm, arm.role, arm.weight) for arm in arms] == [
        ("IL-2 + melatonin", "primary", 1.0),
        ("supportive care", "primary", 1.0),
    ]
    assert remarks_of(arms) == ()


def test_all_faults_at_once(tmp_path):
    rows = [
        pooled("R", 1, excludes="T", source=PAPER),
        pooled("S", 1, source=PAPER),
        row(study="T", events=41),
        row(study="T", arm="b", endpoint="hr(c)", value=1, se=1, time="1 y"),
    ]
    places = [fault.split(":")[0] for fault in faults(tmp_path, *rows)]
    assert places == [
        "line 4, events",
        "line 5, endpoint",
        "line 2, excludes",
        "line 3, weight",
        "line 3, study",
    ]
