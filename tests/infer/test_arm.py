"""Arms that one program computes: what the model says of each is what it says of it alone."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pkpd.catalogue import load_model
from pkpd.dosing.events import aligned
from pkpd.individuals import sample_patients
from pkpd.infer.arm import Arm, apart, in_one_crowd, side_by_side, together
from pkpd.infer.levels import Level
from pkpd.infer.mode import gradient_of
from pkpd.infer.prior import Prior
from pkpd.infer.problem import Problem, evaluator, free
from pkpd.population import Patients
from pkpd.response import Course
from pkpd.response.joint import Endpoint
from pkpd.simulation import bind
from pkpd.solve import Multirate
from pkpd.solve.solver import first_dose, jumps_of

BOTH = "rest 1 d then drugx 1 mg sc q24h x7 + drugy 20 mg po q24h x7"
LEAD_IN = "drugy 40 mg po q24h x1 then drugx 2 mg sc q24h for 7 d on days 1-6 of 7 + drugy 40 mg po q24h x7"
ALONE = "rest 1 d then drugx 1 mg sc q24h for 7 d on days 1-6 of 7"
REGIMENS = (BOTH, LEAD_IN, ALONE, "none")


@pytest.fixture
def model(folder):
    return load_model("illness.toml")


def arms_of(model, regimens, counts=(3, 5, 0, 1)):
    endpoints = [(Endpoint("regression"), Endpoint("alive", 24.0 * 90 * (1 + i))) for i in range(4)]
    return tuple(
        Arm(bind(model, regimen), f"study {i % 2}", f"arm {i}", 20, endpoints[i], (counts[i], 9))
        for i, regimen in enumerate(regimens)
    )


def problem_of(model, arms):
    levels = (Level("tumour.kkill", "study", ("study 0", "study 1"), 0.3),)
    priors = {name: Prior("lognormal", float(model.get(name)), 0.5) for name in ("drugx.cl", "tumour.kg")}
    patients, solver = sample_patients(model, 6, 2, groups=2), Multirate(groups=2)
    return Problem(model, arms, patients, solver, priors=free(priors, levels), levels=levels)


def test_arms_that_are_alike_are_computed_together(model):
    arms = arms_of(model, REGIMENS)
    assert together(arms, [True] * 4) == [[0, 1, 2], [3]]
    assert together(arms, [True, False, True, True]) == [[0, 2], [1], [3]]
    longer, denser = BOTH.replace("x7", "x8"), BOTH.replace("q24h x7", "q8h x21")
    assert together(arms_of(model, (BOTH, longer, denser)), [True] * 3) == [[0], [1], [2]]


def test_amounts_of_their_own_keep_an_arm_apart(model):
    arms = arms_of(model, (BOTH, ALONE))
    wide = jnp.tile(arms[1].events.amount[:, None], (1, 4))
    own = dataclasses.replace(arms[1], events=dataclasses.replace(arms[1].events, amount=wide))
    assert together((arms[0], own), [True] * 2) == [[0], [1]]


def test_a_traced_time_keeps_an_arm_apart(model):
    arms = arms_of(model, (BOTH, ALONE))

    def places(shift):
        moved = dataclasses.replace(arms[1].events, time=arms[1].events.time + shift)
        found.append(together((arms[0], dataclasses.replace(arms[1], events=moved)), [True] * 2))
        return shift

    found = []
    jax.jit(places)(0.0)
    assert found == [[[0], [1]]]


def test_aligned_doses_are_those_of_each_course(model):
    twice = "drugx 1 mg sc q24h x2 + drugx 3 mg sc q24h x2 + drugy 10 mg po q24h x2"
    courses = [bind(model, regimen) for regimen in (twice, "drugx 2 mg sc q24h x2")]
    same = aligned(courses)
    assert same[0].route == same[1].route
    assert same[0].nominal == same[1].nominal
    assert [len(e) for e in same] == [6, 6]
    for before, after in zip(courses, same, strict=True):
        assert after.given is not None
        kept = np.asarray(after.given)
        assert not np.asarray(after.amount)[~kept].any()
        told = zip(after.nominal, np.asarray(after.amount), after.route, kept, strict=True)
        mine = sorted((t, float(a), route) for t, a, route, k in told if k)
        amounts = np.asarray(before.amount).tolist()
        assert mine == sorted(zip(before.nominal, amounts, before.route, strict=True))
        first, own = (first_dose(model, jumps_of(model, e, 1)) for e in (after, before))
        assert {d: float(t[0]) for d, t in first.items()} == {d: float(t[0]) for d, t in own.items()}


def test_one_crowd_and_back():
    values = [jnp.arange(12.0).reshape(2, 6) + 100.0 * arm for arm in range(3)]
    crowd = side_by_side(values, groups=2)
    assert crowd[0].tolist()[:9] == [0, 1, 2, 100, 101, 102, 200, 201, 202]
    for arm, back in enumerate(apart(crowd, 3, groups=2)):
        assert back.tolist() == values[arm].tolist()


def test_patients_keep_their_covariates_and_occasions_in_the_crowd(model):
    events = [bind(model, regimen) for regimen in (BOTH, ALONE)]
    patients = Patients(
        {"drugx.cl": jnp.arange(4.0)},
        4,
        2,
        covariates={"wt": jnp.arange(4.0) + 10.0},
        kappa={"drugx.cl": jnp.arange(8.0).reshape(2, 4)},
        starts=(0.0, 1.0),
    )

    def courses(values, crowd, doses):
        assert (crowd.count, crowd.groups, crowd.starts) == (8, 2, (0.0, 1.0))
        own = {"eta": crowd.eta["drugx.cl"][None], "wt": crowd.covariates["wt"][None]}
        return Course(np.array([0.0]), own | {"kappa": crowd.kappa["drugx.cl"]}, 0.0)

    for course in in_one_crowd(courses, patients, [{}, {}], events):
        assert course.paths["eta"].tolist() == [[0.0, 1.0, 2.0, 3.0]]
        assert course.paths["wt"].tolist() == [[10.0, 11.0, 12.0, 13.0]]
        assert course.paths["kappa"].tolist() == [[0.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0]]


def test_together_as_alone(model):
    arms = arms_of(model, REGIMENS)
    problem, x = problem_of(model, arms), jnp.asarray([0.3, -0.4, 0.5, 1.0, -0.7])
    found = evaluator(problem)(problem.patients, x)
    for i in (1, 2):  # one with a lead-in, one without the second drug
        one = dataclasses.replace(problem, arms=(arms[i],))
        alone = evaluator(one)(problem.patients, x)
        assert found.by_arm[i] == pytest.approx(float(alone.by_arm[0]), rel=2e-6)
        assert found.predictions[i] == pytest.approx(np.asarray(alone.predictions[0]), rel=1e-5, abs=1e-12)


def test_gradient_of_arms_together(model):
    problem, x = problem_of(model, arms_of(model, REGIMENS)), np.array([0.3, -0.4, 0.5, 1.0, -0.7])
    evaluate = gradient_of(problem)
    slope = np.asarray(evaluate(problem.patients, jnp.asarray(x))[1])
    for i in range(len(x)):
        up, down = (
            float(evaluate(problem.patients, jnp.asarray(x + h * np.eye(5)[i]))[0]) for h in (1e-4, -1e-4)
        )
        assert slope[i] == pytest.approx((up - down) / 2e-4, rel=1e-6, abs=1e-7)
