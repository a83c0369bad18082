"""Endpoints of one outcome exclude each other; those of others share the lifetime."""

import jax
import numpy as np
import pytest
from scipy.stats import multinomial

from pkpd.catalogue import load_model
from pkpd.checks import InputError
from pkpd.endpoints import label, log_alive, log_table
from pkpd.individuals import individualise, sample_patients
from pkpd.likelihood.counts import log_joint_counts
from pkpd.response.joint import Axis, Endpoint, axes_of, categories, joint_counts, marginals
from pkpd.simulation import bind, courses
from pkpd.solve import Multirate


@pytest.fixture(scope="module")
def own_course():
    """Patients of whom some respond, in part or completely, and the course of a treated arm."""
    model = load_model("neuroimmunotherapy")
    strong = model.replace({"tumour.kkill": 0.02, "tumour.size0": 30.0})
    own = individualise(strong, sample_patients(model, 16, 3))
    events = bind(model, "aldesleukin 3 MIU sc q24h x14")
    return own, courses(own, events, 16, 0.0, [365.0], Multirate(per_day=8.0))


CR, PR, SD, PD = (Endpoint("regression", kinds=(kind,)) for kind in ("cr", "pr", "sd", "pd"))
ALIVE, WHOLE = Endpoint("alive", 365.0), Endpoint("regression")


def test_kinds_of_response_are_the_response(own_course):
    own, course = own_course

    def table(*endpoints):
        return np.exp(np.asarray(log_table(own, course, endpoints)))

    both = table(PR, ALIVE, CR)
    assert both.shape == (3, 2)
    assert both.sum() == pytest.approx(1.0, abs=1e-12)
    assert 0.01 < both[1, 1] < both[1].sum() - 0.01
    assert both[1] == pytest.approx(table(PR, ALIVE)[1], rel=1e-12)
    assert both[2] == pytest.approx(table(CR, ALIVE)[1], rel=1e-12)
    assert both[1:].sum(0) == pytest.approx(table(WHOLE, ALIVE)[1], rel=1e-12)
    assert table(ALIVE, WHOLE, SD)[:, 1:].sum() == pytest.approx(
        table(CR)[1] + table(PR)[1] + table(SD)[1], rel=1e-12
    )
    four = table(CR, PR, SD, PD)[1:].sum()
    assert four == pytest.approx(table(Endpoint("alive", 28.0))[1], rel=1e-9)  # who lives to the first visit


def test_a_composite_is_its_kinds_together(own_course):
    own, course = own_course
    control = Endpoint("regression", kinds=("cr", "pr", "sd"))
    table = np.exp(np.asarray(log_table(own, course, [ALIVE, control, PD])))
    each = np.exp(np.asarray(log_table(own, course, [ALIVE, CR, PR, SD, PD])))
    assert table == pytest.approx(np.stack([each[:, 0], each[:, 1:4].sum(1), each[:, 4]], axis=1), rel=1e-12)
    both = Endpoint("regression", kinds=("pr", "cr"))
    pair = [np.asarray(log_table(own, course, [endpoint])) for endpoint in (both, WHOLE)]
    assert pair[0] == pytest.approx(pair[1], rel=1e-12)
    assert [label(own, e) for e in (WHOLE, both, control, PR, ALIVE)] == [
        "regression",
        "regression",
        "cr+pr+sd",
        "pr",
        "alive(365 d)",
    ]


def test_axes_are_in_order_of_first_appearance():
    later = Endpoint("alive", 1095.0)
    endpoints = (PR, ALIVE, CR, later)
    assert axes_of(endpoints) == (
        Axis("regression", None, (("pr",), ("cr",))),
        Axis("alive", 365.0, ((),)),
        Axis("alive", 1095.0, ((),)),
    )
    assert categories(endpoints) == ((0, 1), (1, 1), (0, 2), (2, 1))
    assert joint_counts(endpoints, (7, 21, 2, 4)) == ((7, 2), 21, 4)


def test_marginals_are_those_of_each_endpoint_alone(own_course):
    own, course = own_course
    endpoints = (ALIVE, PR, Endpoint("ps_improved"), CR)
    found = marginals(log_table(own, course, endpoints), endpoints)
    alone = [np.exp(log_table(own, course, [endpoint]))[1] for endpoint in endpoints]
    assert found == pytest.approx(np.array(alone), rel=1e-12)


@pytest.mark.parametrize("told", [(CR, CR), (WHOLE, PR), (ALIVE, ALIVE), (WHOLE, WHOLE)])
def test_endpoints_of_one_outcome_must_exclude_each_other(own_course, told):
    own, course = own_course
    with pytest.raises(InputError, match="must exclude each other"):
        log_table(own, course, told)


def test_counts_of_kinds_are_multinomial(own_course):
    """Exclusive endpoints of one arm: the exact likelihood is that of the categories."""
    own, course = own_course
    table = log_table(own, course, [CR, PR])
    assert log_joint_counts(table, ((2, 7),), 40) == pytest.approx(
        multinomial.logpmf([31, 2, 7], 40, np.exp(np.asarray(table))), rel=1e-10
    )


def test_log_survival_is_that_of_the_tables(own_course):
    own, course = own_course
    times = [365.0, 28.0]
    expected = [log_table(own, course, [Endpoint("alive", t)])[1] for t in times]
    assert log_alive(own, course, times) == pytest.approx(np.array(expected), rel=1e-10, abs=1e-14)
    assert log_alive(own, course, [0.0]).tolist() == [0.0]
    with pytest.raises(InputError, match="must be edges of the course"):
        log_alive(own, course, [28.5])


@pytest.mark.parametrize("scale", [1e-12, 30.0])
def test_log_survival_is_exact_where_nearly_all_or_none_live(own_course, scale):
    """With a shape of 1 and no effect the hazard is its scale, whose logarithm has a known slope."""
    own, course = own_course
    plain = own.replace({"survival.shape": 1.0, "survival.b_size": 0.0, "survival.b_effect": 0.0})
    rate = scale / 365.0

    def found(rate):
        return log_alive(plain.replace({"survival.scale": rate}), course, [365.0])[0]

    assert found(rate) == pytest.approx(-scale, rel=1e-9)
    assert jax.grad(found)(rate) == pytest.approx(-365.0, rel=1e-9)
