"""What an arm reports besides counts, in a problem: values, predictions, and who is compared to whom."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import beta, multinomial, norm

from pkpd.infer.arm import Arm
from pkpd.infer.mode import gradient_of
from pkpd.infer.prior import Prior
from pkpd.infer.problem import Problem, evaluator
from pkpd.likelihood.reports import HazardRatio, KaplanMeier, Mean, MedianSurvival
from pkpd.model import wire
from pkpd.pd import Turnover
from pkpd.population import draw_patients
from pkpd.response import WeibullSurvival
from pkpd.response.joint import Endpoint
from pkpd.simulation import bind

N, SHAPE = 40, 1.2


def alive(t, scale=0.004):
    return np.exp(-((scale * np.asarray(t)) ** SHAPE))


def asked(reports, counts=None, **kwargs):
    survival = WeibullSurvival(scale=0.004, shape=SHAPE, freeze=84.0)
    model = wire({"pool": Turnover(kout=0.1)}, {}, outcomes={"survival": survival})
    endpoints = (Endpoint("alive", 365.0),) if counts else ()
    events = bind(model, "none")
    arms = [Arm(events, "study", "a", N, endpoints, counts, 1.0, tuple(reports))]
    arms += [Arm(events, "study", "b", N, (), None, 1.0, (), **kwargs)]
    priors = (("survival.scale", Prior("lognormal", 0.004, 0.5)),)
    return Problem(model, tuple(arms), draw_patients([], 2), priors=priors)


def found(problem, x=0.0):
    return evaluator(problem)(problem.patients, jnp.asarray([float(x)]))


def test_a_curve_without_censoring_is_a_multinomial():
    times, left = (90.0, 180.0, 365.0), (31, 22, 9)
    report = KaplanMeier(1.0, times, tuple(k / N for k in left), left)
    cells = -np.diff([N, *left, 0])
    falls = [
        multinomial.logpmf(cells, N, -np.diff([1.0, *alive(times, scale), 0.0])) for scale in (0.004, 0.006)
    ]
    x = np.log([1.0, 1.5]) / 0.5
    problem = asked([report])
    compiled = evaluator(problem)
    first, second = (compiled(problem.patients, jnp.asarray([v])) for v in x)
    gap = float(second.log_likelihood - first.log_likelihood)
    assert gap == pytest.approx(falls[1] - falls[0], rel=1e-9)
    assert np.asarray(first.predictions[0]) == pytest.approx(alive(times), rel=1e-9)
    labels = [fact.label for fact in problem.facts(problem.arms[0])]
    assert labels == ["alive(90 d), curve", "alive(180 d), curve", "alive(365 d), curve"]


def test_a_median_is_an_order_statistic():
    problem = asked([MedianSurvival(1.0, 170.0, 190.0)])
    k = N // 2
    expected = np.diff(beta.cdf(1.0 - alive([170.0, 190.0]), k, N - k + 1))
    assert float(found(problem).log_likelihood) == pytest.approx(np.log(expected[0]), rel=1e-8)
    (fact,) = problem.facts(problem.arms[0])
    assert fact.label == "alive(180 d), median (approximate)"
    assert np.asarray(found(problem).predictions[0]) == pytest.approx(alive([180.0]))


def test_a_hazard_ratio_compares_two_arms_of_a_study():
    times = tuple(np.linspace(10.0, 600.0, 60).tolist())
    problem = asked([HazardRatio(1.0, "b", 0.7, 0.2, 0.5, times)])
    assert problem.looks(problem.arms[1]) == times
    expected = norm.logpdf(np.log(0.7), 0.0, 0.2)
    seen = found(problem)
    assert float(seen.log_likelihood) == pytest.approx(expected, rel=1e-6)
    assert np.asarray(seen.predictions[0]) == pytest.approx([1.0])


def test_a_mean_is_normal():
    problem = asked([Mean(1.0, "pool.excess", 10.0, 0.3, 0.1)])
    assert float(found(problem).log_likelihood) == pytest.approx(norm.logpdf(0.3, 0.0, 0.1))


def test_counts_and_reports_of_an_arm_add_up_with_its_weight():
    report = Mean(1.0, "pool.excess", 10.0, 0.3, 0.1)
    both, alone, counted = (
        float(found(problem).log_likelihood)
        for problem in (asked([report], (9,)), asked([report]), asked([], (9,)))
    )
    assert both == pytest.approx(alone + counted)
    problem = asked([report], (9,))
    half = tuple(dataclasses.replace(arm, weight=0.5) for arm in problem.arms)
    assert float(found(dataclasses.replace(problem, arms=half)).log_likelihood) == pytest.approx(both / 2)


def test_gradients():
    times = tuple(np.linspace(10.0, 600.0, 60).tolist())
    reports = [
        KaplanMeier(1.0, (90.0, 180.0), (0.8, 0.5), (30, 18)),
        HazardRatio(1.0, "b", 0.7, 0.2, 0.5, times),
        Mean(1.0, "pool.excess", 10.0, 0.3, 0.1),
    ]
    problem, x, step = asked(reports), 0.3, 1e-4
    slope = float(gradient_of(problem)(problem.patients, jnp.asarray([x]))[1][0]) + x
    compiled = evaluator(problem)
    ahead, here, behind = (compiled(problem.patients, jnp.asarray([x + h])) for h in (step, 0.0, -step))
    numeric = float(ahead.log_likelihood - behind.log_likelihood) / (2 * step)
    assert slope == pytest.approx(numeric, rel=1e-5)
    assert [len(v) for v in here.predictions] == [4, 0]
