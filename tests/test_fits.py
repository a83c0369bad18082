"""Stored answers belong to today's questions, meet their gates and sit at zero gradient."""

import jax.numpy as jnp
import numpy as np
import pytest

from pkpd.catalogue import shipped
from pkpd.infer.mode import gradient_of
from pkpd.infer.settings import GATES
from pkpd.likelihood.counts import clopper_pearson
from pkpd.records import load_answer, question_names, resolve

STORED = [name for name in question_names() if (shipped("fits") / f"{name}.json").is_file()]
OPEN = {
    f"lissoni_network/{name}"
    for name in ("joint", "no_potentiation", "exposure", "series", "weight_0", "weight_1")
}


def test_every_question_has_an_answer_or_is_known_to_be_open():
    assert set(question_names()) == set(STORED) | OPEN
    assert not OPEN & set(STORED)


@pytest.fixture(scope="module", params=STORED)
def stored(request):
    return load_answer(request.param)


def test_gates_are_met(stored):
    _, answer = stored
    assert answer.content["status"] == "converged"
    assert all(answer.content["checks"].values())
    assert {*GATES, "hessian_positive"} == set(answer.content["checks"])


def test_other_virtual_patients_would_answer_the_same(stored):
    _, answer = stored
    changes = answer.content["diagnostics"]["patients"]
    assert changes["probability"] < 0.002
    assert changes["estimate"] < 0.05


def test_fitted_counts_are_reproduced(stored):
    _, answer = stored
    assert len(answer.content["arms"]) == 6
    for row in answer.content["arms"]:
        low, high = clopper_pearson(row["events"], row["n"])
        assert low <= row["predicted"] <= high
        assert low <= row["posterior_mean"] <= high


def test_melatonin_alone_is_told_to_equal_no_treatment(stored):
    """Where the model has no effect of melatonin alone, agreement with the control arm is no finding."""
    _, answer = stored
    notes = {row["arm"]: row["note"] for row in answer.content["predictions"]}
    assert notes["melatonin_alone"].startswith("equal to no treatment by construction")
    assert notes["il2_alone"] == ""


def test_the_mode_is_a_stationary_point_of_todays_density(stored):
    question, answer = stored
    problem = resolve(question).problem
    point = jnp.asarray([answer.content["mode"][name] for name in problem.names])
    value, slope = gradient_of(problem)(problem.patients, point)
    assert float(value) == pytest.approx(answer.content["log_density"], abs=1e-6)
    assert float(jnp.max(jnp.abs(slope))) < 1e-3


def test_draws_are_those_of_the_summaries(stored):
    """Within four times what the variance of so many draws errs by chance; 85 parameters are compared."""
    _, answer = stored
    contraction = [answer.content["estimates"][name]["contraction"] for name in answer.names]
    ratio = answer.draws.var(axis=0) / (1 - np.array(contraction))
    assert ratio == pytest.approx(np.ones(len(ratio)), abs=4 * np.sqrt(2 / len(answer.draws)))
