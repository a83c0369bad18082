"""Counts: which endpoints there are, and that each response and each survivor is counted once."""

import pytest

from tests.arms.tables import faults, load, row, write


def counts(**events):
    """Rows of one arm with the given events of each endpoint."""
    return [row(endpoint=name, events=value) for name, value in events.items()]


def test_what_a_count_counts(tmp_path):
    names = ["CR+PR", "PD", "SD", "surv_1y", "alive(6 mo)", "alive(2 y)", "alive( 12 wk)", "ps_improved"]
    events = dict(zip(names, [9, 5, 4, 20, 30, 10, 35, 3], strict=True))
    (arm,) = load(tmp_path, *counts(**events))
    assert [(c.endpoint, c.outcome, c.days, c.members) for c in arm.counts] == [
        ("CR+PR", "regression", None, ("cr", "pr")),
        ("PD", "pd", None, ("pd",)),
        ("SD", "sd", None, ("sd",)),
        ("surv_1y", "alive", 365.0, ()),
        ("alive(6 mo)", "alive", 182.625, ()),
        ("alive(2 y)", "alive", 730.0, ()),
        ("alive(12 wk)", "alive", 84.0, ()),
        ("ps_improved", "ps_improved", None, ()),
    ]
    assert [c.events for c in arm.counts] == list(events.values())
    assert not any(c.approximate for c in arm.counts)


def test_disease_control_is_an_outcome(tmp_path):
    (arm,) = load(tmp_path, *counts(**{"CR+PR+SD": 20, "PD": 20}))
    assert arm.counts[0].outcome == "disease_control"
    assert arm.counts[0].members == ("cr", "pr", "sd")


def test_none_and_all_of_the_patients_are_counts(tmp_path):
    (arm,) = load(tmp_path, *counts(CR=0, surv_1y=40))
    assert [c.events for c in arm.counts] == [0, 40]


def test_an_empty_cell_is_to_be_predicted(tmp_path):
    (arm,) = load(tmp_path, row(endpoint="CR"), row(endpoint="surv_1y"), sourced=True)
    assert [c.events for c in arm.counts] == [None, None]


def test_arms_to_be_predicted_need_no_source(tmp_path):
    bare = {name: row()[name] for name in ("study", "arm", "endpoint", "n", "regimen")}
    (arm,) = load(tmp_path, bare, sourced=False)
    assert (arm.source, arm.numbers) == ("", {})
    assert [fault.split(": ")[1] for fault in faults(tmp_path, bare)] == [
        "must have the column source.",
        "must have the column at.",
    ]


@pytest.mark.parametrize(
    ("events", "hint"),
    [
        ({"CR+PR": 11, "PR": 8}, "Give CR, events 3, instead of CR+PR."),
        ({"CR": 3, "CR+PR": 11}, "Give PR, events 8, instead of CR+PR."),
        ({"CR+PR+SD": 20, "SD": 9}, "Give CR+PR, events 11, instead of CR+PR+SD."),
        ({"CR+PR+SD": 20, "CR+PR": 11}, "Give SD, events 9, instead of CR+PR+SD."),
        ({"CR+PR+SD": 20, "CR": 3, "PR": 8}, "Give SD, events 9, instead of CR+PR+SD."),
        ({"CR+PR+SD": 20, "CR+PR": 11, "CR": 3}, "Give SD instead of CR+PR+SD."),
        ({"CR+PR": "", "PR": 8}, "Give CR instead of CR+PR."),
        ({"CR+PR": 7, "PR": 8}, "Give CR instead of CR+PR."),
        ({"CR+PR": 11, "CR": 3, "PR": 8}, "Leave out CR+PR, which the others make up."),
        ({"CR+PR+SD": 20, "CR": 3}, "Leave out CR+PR+SD or CR."),
    ],
)
def test_a_composite_beside_its_part(tmp_path, events, hint):
    first = faults(tmp_path, *counts(**events))[0]
    assert ", endpoint: must not count responses twice: " in first
    assert first.endswith(hint)


def test_responses_together_fit_into_the_arm(tmp_path):
    (fault,) = faults(tmp_path, *counts(**{"CR+PR+SD": 30, "PD": 11}))
    assert fault.startswith("line 2, events: must not exceed n = 40 over the responses")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "alive(90 days)",
            'must be a time such as "90 d" or "6 mo" in brackets, but is "alive(90 days)". Unit',
        ),
        ("alive(0 d)", "must be alive at a time after 0"),
        ("alive(-1 d)", "must be a time such as"),
        ("alive()", "must be a known endpoint"),
        ("PR+CR", 'must be a known endpoint, but is "PR+CR". Known: CR, CR+PR, '),
        ("median_surv", 'must be a known endpoint, but is "median_surv". Did you mean "median_survival"?'),
    ],
)
def test_a_name_that_is_no_endpoint(tmp_path, name, message):
    (fault,) = faults(tmp_path, row(endpoint=name, events=1))
    assert fault.startswith(f"line 2, endpoint: {message}")


def test_survivors_at_several_times(tmp_path):
    load(tmp_path, *counts(**{"alive(2 y)": 3, "surv_1y": 11, "alive(90 d)": 30}))
    (fault,) = faults(tmp_path, *counts(**{"alive(2 y)": 12, "surv_1y": 11}))
    assert fault.startswith("line 2, events: must not have more survivors at 730 d than earlier (11)")
    (fault,) = faults(tmp_path, *counts(**{"surv_1y": 11, "alive(365 d)": 11}))
    assert fault.startswith("line 3, endpoint: must not count survivors at 365 d twice")


def test_a_count_reads_no_other_column(tmp_path):
    (fault,) = faults(tmp_path, row(events=1, time="90 d"))
    assert fault.startswith("line 2, time: must be empty for PR")


@pytest.mark.parametrize("column", ["regimen", "population", "histology", "role", "weight", "pool"])
def test_rows_of_an_arm_agree_about_it(tmp_path, column):
    cells = {"population": "lung", "histology": "lung", "role": "primary", "weight": "0.3", "pool": "A"}
    one = row(events=1, **cells)
    (arm,) = load(tmp_path, one, one | {"endpoint": "SD"})
    assert (arm.population, arm.histology, arm.role, arm.weight, arm.pool) == tuple(
        float(v) if k == "weight" else v for k, v in cells.items()
    )
    told = faults(tmp_path, one, one | {"endpoint": "SD", column: "0.1"})
    assert any(f.startswith(f"line 3, {column}: must be the same in all rows of an arm") for f in told)


def test_a_role_is_one_of_four(tmp_path):
    (fault,) = faults(tmp_path, row(events=1, role="holdout"))
    assert fault.startswith('line 2, role: must be a known role, but is "holdout". Did you mean "held-out"?')


@pytest.mark.parametrize("text", ["-0.1", "1.01", "nan", "half", "1_0"])
def test_a_weight_is_a_share(tmp_path, text):
    (fault,) = faults(tmp_path, row(events=1, weight=text))
    assert fault.startswith("line 2, weight: must lie between 0 and 1")


def test_rows_without_a_name_are_not_one_arm(tmp_path):
    found = faults(tmp_path, row(arm="", events=1), row(arm="", n=3, events=4))
    assert [fault.split(":")[0] for fault in found] == ["line 2, arm", "line 3, arm", "line 3, events"]


def test_the_sources_of_an_arm_are_all_kept(tmp_path):
    (arm,) = load(tmp_path, row(events=1), row(endpoint="SD", events=2, source="Q"))
    assert arm.source == "P; Q"
    assert write(tmp_path, row()).is_file()
