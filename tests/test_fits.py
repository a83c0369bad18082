"""Stored answers belong to today's questions, meet their gates and sit at zero gradient."""

import csv
import dataclasses
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from pkpd.catalogue import shipped
from pkpd.infer.laplace import TRUSTED
from pkpd.infer.leave_out import reweighted, studies_of
from pkpd.infer.problem import Evaluate, Problem, evaluator
from pkpd.infer.settings import GATES
from pkpd.likelihood.counts import clopper_pearson
from pkpd.records import fit, load_answer, load_question, question_names, resolve
from pkpd.records.answer import Answer

STORED = [name for name in question_names() if (shipped("fits") / f"{name}.json").is_file()]
OPEN = {
    f"lissoni1995/{name}"
    for name in (
        "block_mean",
        "cumulative",
        "exposure_linear_logit",
        "exposure_log_logit",
        "first_28_days",
        "peak",
    )
}

MISSED = {
    # What the direct contrast of melatonin says against a model in which it does not potentiate.
    "lissoni_network/no_potentiation": {("L1994_BJC", "IL-2 + melatonin", "regression")},
}


def test_every_question_has_an_answer_or_is_known_to_be_open():
    assert set(question_names()) == set(STORED) | OPEN
    assert not OPEN & set(STORED)


class Stored(NamedTuple):
    """A stored answer, and today's problem of its question."""

    problem: Problem
    answer: Answer


@pytest.fixture(scope="module", params=STORED)
def stored(request):
    question, answer = load_answer(request.param)
    return Stored(resolve(question).problem, answer)


def test_gates_are_met(stored):
    answer = stored.answer
    assert answer.content["status"] == "converged"
    assert all(answer.content["checks"].values())
    assert {*GATES, "hessian_positive"} == set(answer.content["checks"]) - {"emulator"}


def test_other_virtual_patients_would_answer_the_same(stored):
    answer = stored.answer
    changes = answer.content["diagnostics"]["patients"]
    assert changes["probability"] < 0.002
    assert changes["estimate"] < 0.05


def test_fitted_counts_are_reproduced_but_for_those_known_to_be_missed(stored):
    content = stored.answer.content
    rows = [row for row in content["arms"] if row.get("weight", 1.0) > 0.0]
    assert len(rows) == sum(len(arm.endpoints) for arm in stored.problem.arms if arm.told)
    missed = set()
    for row in rows:
        low, high = clopper_pearson(row["events"], row["n"])
        if not all(low <= row[key] <= high for key in ("predicted", "posterior_mean")):
            missed.add((row["study"], row["arm"], row["endpoint"]))
    assert missed == MISSED.get(content["problem"]["name"], set())


def test_melatonin_alone_is_told_to_equal_no_treatment(stored):
    """Where the model has no effect of melatonin alone, agreement with the control arm is no finding."""
    direct = any(name.endswith(".b_direct") for name in stored.answer.names)
    rows = stored.answer.content["predictions"]
    assert {row["arm"].partition("_")[0] for row in rows} == {"il2", "melatonin"}
    for row in rows:
        equal = row["note"].startswith("equal to no treatment by construction")
        assert equal == (row["arm"].startswith("melatonin") and not direct)


PROGRAMS: list[tuple[Problem, Evaluate]] = []


def asked(problem):
    """An evaluator, from that of a problem with other weights where there is one."""

    def in_full(problem):
        arms = (dataclasses.replace(arm, weight=1.0) for arm in problem.arms)
        return dataclasses.replace(problem, arms=tuple(arms))

    for known, evaluate in PROGRAMS:
        if eqx.tree_equal(in_full(known), in_full(problem)) and all(a.told for a in known.arms):
            return reweighted(problem, evaluate)
    PROGRAMS.append((problem, evaluator(problem)))
    return PROGRAMS[-1][1]


def test_the_mode_is_a_stationary_point_of_todays_density(stored):
    """A slope of any parameter shows along each of some ways that change all of them by the same."""
    problem, answer = stored
    evaluate, size = asked(problem), 1e-4

    def log_density(x):
        return float(evaluate(problem.patients, jnp.asarray(x)).log_likelihood) - 0.5 * x @ x

    point = np.array([answer.content["mode"][name] for name in problem.names])
    assert log_density(point) == pytest.approx(answer.content["log_density"], abs=1e-6)
    steps = size * np.random.default_rng(1).choice([-1.0, 1.0], (8, len(point)))
    slope = [(log_density(point + h) - log_density(point - h)) / (2.0 * size) for h in steps]
    assert np.max(np.abs(slope)) < 1e-3


def test_draws_are_those_of_the_summaries(stored):
    """Within four times what the variance of so many draws errs by chance; 85 parameters are compared."""
    answer = stored.answer
    contraction = [answer.content["estimates"][name]["contraction"] for name in answer.names]
    ratio = answer.draws.var(axis=0) / (1 - np.array(contraction))
    assert ratio == pytest.approx(np.ones(len(ratio)), abs=4 * np.sqrt(2 / len(answer.draws)))


@pytest.mark.slow
def test_a_weighed_normal_approximation_has_the_means_of_the_sample():
    """Within 0.15 posterior standard deviations, beyond what 500 stored draws leave open."""
    name = "lissoni_network/exposure"  # of the stored answers the one whose Pareto k is below 0.5
    _, answer = load_answer(name)
    found = fit(name, quick=True)
    assert found.diagnostics["pareto_k"] <= 0.5
    gap = (found.points.mean(axis=0) - answer.draws.mean(axis=0)) / answer.draws.std(axis=0)
    assert np.abs(gap).max() < 0.15 + 3.0 / np.sqrt(len(answer.draws))
    assert np.sqrt(np.mean(gap**2)) < 0.15


def test_scores_of_studies_left_out_are_of_todays_questions():
    """Each study of each variant once, by gates that were met."""
    with (shipped("fits") / "lissoni_network" / "leave_out.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    resolved = {
        name: resolve(load_question(f"lissoni_network/{name}")) for name in {r["variant"] for r in rows}
    }
    for row in rows:
        assert resolved[row["variant"]].digest.startswith(row["digest"])
        assert row["study"] in studies_of(resolved[row["variant"]].problem)
        assert row["status"] == "converged"
        assert float(row["k"]) < TRUSTED
        assert float(row["log_score"]) < 0.0
    pairs = {(row["variant"], row["study"]) for row in rows}
    assert pairs == {(name, study) for name in resolved for study in studies_of(resolved[name].problem)}
    assert len(pairs) == len(rows) == 12
