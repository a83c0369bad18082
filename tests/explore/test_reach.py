"""How far schedules lie from the evidence, and what their answers rest on."""

import numpy as np
import pytest

from pkpd.dosing import Regimen
from pkpd.explore.given import given_by
from pkpd.explore.reach import dose_length, prior_driven, reach_of
from pkpd.infer.mode import Mode

ARMS = {"both": {"a": 10.0, "b": 4.0}, "neither": {"a": 0.0, "b": 0.0}}
LENGTHS = {"both": 27.0, "neither": 0.0}


@pytest.mark.parametrize(
    ("areas", "length", "kind", "nearest"),
    [
        ({"a": 10.0, "b": 4.0}, 27.0, "observed", "both"),
        ({"a": 12.4, "b": 3.3}, 27.0, "observed", "both"),
        ({"a": 0.0, "b": 0.0}, 0.0, "observed", "neither"),
        ({"a": 5.0, "b": 4.0}, 27.0, "between", "both"),
        ({"a": 10.0, "b": 4.0}, 60.0, "between", "both"),
        ({"a": 10.0, "b": 0.0}, 27.0, "combination", "both"),
        ({"a": 12.6, "b": 4.0}, 27.0, "beyond", "both"),
        ({"a": 0.0, "b": 40.0}, 27.0, "beyond", "both"),
    ],
)
def test_kinds_of_extrapolation(areas, length, kind, nearest):
    found = reach_of(areas, length, ARMS, LENGTHS)
    assert (found.kind, found.nearest) == (kind, nearest)


def test_an_interpolation_in_name_only_is_told():
    """Between nothing and one dose there is no second exposure; with a third arm there is."""
    told = reach_of({"a": 5.0, "b": 4.0}, 27.0, ARMS, LENGTHS)
    assert told.ratios == {"a": 0.5, "b": 1.0}
    assert "a 0.5 times the area of both; of a and b the evidence has no second exposure" in told.words
    more, lengths = ARMS | {"low": {"a": 2.0, "b": 4.0}}, LENGTHS | {"low": 27.0}
    assert "of b the evidence" in reach_of({"a": 5.0, "b": 4.0}, 27.0, more, lengths).words


def test_a_drug_without_evidence_has_no_ratio():
    found = reach_of(
        {"a": 10.0, "b": 4.0, "c": 1.0}, 27.0, {k: v | {"c": 0.0} for k, v in ARMS.items()}, LENGTHS
    )
    assert found.kind == "beyond"
    assert found.ratios["c"] == np.inf


def test_what_priors_decide():
    """The first direction is informed; a sum of independent parts has their share of variance."""
    rng = np.random.default_rng(1)
    draws = rng.standard_normal((4000, 3)) * [0.4, 1.0, 1.0]
    mode = Mode(np.zeros(3), 0.0, 0.0, np.diag([6.0, 1.5, 1.0]))
    assert prior_driven(mode, draws, 2.0 * draws[:, 0] + 1.0) == pytest.approx(0.0, abs=1e-12)
    assert prior_driven(mode, draws, draws[:, 2]) == pytest.approx(1.0, abs=2e-3)
    mixed = 5.0 * draws[:, 0] + 2.0 * draws[:, 1]  # variances 4 and 4
    assert prior_driven(mode, draws, mixed) == pytest.approx(0.5, abs=0.03)
    assert prior_driven(mode, draws, np.full(4000, 0.3)) == 0.0


def test_what_is_given():
    found = given_by(Regimen.parse("a 3 MIU sc q24h for 28 d on days 1-6 of 7 + b 40 mg po q24h x28"))
    assert found["drugs"] == {
        "a": {"doses": 24, "amount": {"MIU": 72.0}},
        "b": {"doses": 28, "amount": {"mg": 1120.0}},
    }
    assert (found["injections"], found["dose_days"], found["days"]) == (24, 28, 28.0)
    assert given_by(Regimen.none()) == {"drugs": {}, "injections": 0, "dose_days": 0, "days": 0.0}
    assert (dose_length(()), dose_length((1.0, 4.0))) == (0.0, 3.0)
