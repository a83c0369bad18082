"""Endpoints of one outcome exclude each other; those of others share the lifetime."""

import numpy as np
import pytest
from scipy.stats import multinomial

from pkpd.catalogue import load_model
from pkpd.endpoints import log_table
from pkpd.likelihood.counts import log_joint_counts
from pkpd.response.joint import Endpoint
from pkpd.simulation import bind, courses, individualise, sample_patients
from pkpd.solve import Multirate


@pytest.fixture(scope="module")
def own_course():
    """Patients of whom some respond, in part or completely, and the course of a treated arm."""
    model = load_model("neuroimmunotherapy")
    strong = model.replace({"tumour.kkill": 0.02, "tumour.size0": 30.0})
    own = individualise(strong, sample_patients(model, 16, 3))
    events = bind(model, "aldesleukin 3 MIU sc q24h x14")
    return own, courses(own, events, 16, 0.0, [365.0], Multirate(per_day=8.0))


def test_kinds_of_response_are_the_response(own_course):
    own, course = own_course

    def table(*endpoints):
        return np.exp(np.asarray(log_table(own, course, endpoints)))

    cr, pr, sd, pd = (Endpoint("regression", kind=kind) for kind in ("cr", "pr", "sd", "pd"))
    alive, whole = Endpoint("alive", 365.0), Endpoint("regression")
    both = table(alive, pr, whole, cr)
    assert both.sum() == pytest.approx(1.0, abs=1e-12)
    assert 0.01 < both[:, 0, 1, 1].sum() < both[:, :, 1].sum() - 0.01
    assert both[:, 1, :, 1].sum() == both[:, 1, 0].sum() == both[:, 0, 1, 0].sum() == 0.0  # exclusive
    assert both[:, :, :, 0].sum(2) == pytest.approx(table(alive, pr) - both[:, :, :, 1].sum(2), rel=1e-12)
    assert both.sum((1, 3)) == pytest.approx(table(alive, whole), rel=1e-12)
    assert table(cr)[1] + table(pr)[1] == pytest.approx(table(whole)[1], rel=1e-12)
    four = sum(table(kind)[1] for kind in (cr, pr, sd, pd))
    assert four == pytest.approx(table(Endpoint("alive", 28.0))[1], rel=1e-9)  # who lives to the first visit


def test_counts_of_kinds_are_multinomial(own_course):
    """Exclusive endpoints of one arm: the exact likelihood is that of the categories."""
    cr, pr = Endpoint("regression", kind="cr"), Endpoint("regression", kind="pr")
    own, course = own_course
    table = log_table(own, course, [cr, pr])
    chances = np.exp(np.asarray([table[1, 0], table[0, 1], table[0, 0]]))
    assert log_joint_counts(table, (2, 7), 40) == pytest.approx(
        multinomial.logpmf([2, 7, 31], 40, chances), rel=1e-10
    )
