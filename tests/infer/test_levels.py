"""Studies that differ: what is shared, what a new one may be, and what holds where nothing is known."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import binom, halfnorm, norm

from pkpd.infer.arm import Arm
from pkpd.infer.levels import Level
from pkpd.infer.mode import gradient_of
from pkpd.infer.predict import along, chances_of, extended, typical, with_arms
from pkpd.infer.prior import Prior
from pkpd.infer.problem import Problem, evaluator, free
from pkpd.model import wire
from pkpd.pd import Turnover
from pkpd.population import draw_patients
from pkpd.response import WeibullSurvival
from pkpd.response.joint import Endpoint
from pkpd.simulation import bind

SPREAD = 0.3
LEVEL = Level("survival.scale", "study", ("one", "two"), SPREAD)


def alive(scale):
    return np.exp(-((scale * 365) ** 1.2))


def made(levels=(LEVEL,), weights=(1.0, 1.0)):
    survival = WeibullSurvival(scale=0.004, shape=1.2, freeze=84.0)
    model = wire({"pool": Turnover(kout=0.1)}, {}, outcomes={"survival": survival})
    events, endpoints = bind(model, "none"), (Endpoint("alive", 365.0),)
    arms = tuple(
        Arm(events, study, "arm", 50, endpoints, (count,), weight, (), histology)
        for study, count, weight, histology in zip(
            ("one", "two"), (12, 25), weights, ("lung", "kidney"), strict=True
        )
    )
    priors = free({"survival.scale": Prior("lognormal", 0.004, 0.7)}, levels)
    return Problem(model, arms, draw_patients([], 4), priors=priors, levels=levels)


def log_likelihood(problem, x):
    return float(evaluator(problem)(problem.patients, jnp.asarray(x)).log_likelihood)


def test_half_normal():
    prior, x = Prior("halfnormal", SPREAD), np.linspace(-6.0, 6.0, 25)
    assert np.asarray(prior.natural(jnp.asarray(x))) == pytest.approx(
        halfnorm.isf(norm.sf(x), scale=SPREAD), rel=1e-9
    )
    assert np.isfinite(jax.vmap(jax.grad(prior.natural))(jnp.asarray(x))).all()
    assert prior.sd() == pytest.approx(halfnorm.std(scale=SPREAD), rel=1e-3)


def test_names_of_a_level_follow_those_of_parameters():
    problem = made()
    assert problem.names == (
        "survival.scale",
        "survival.scale.study_sd",
        "survival.scale[one]",
        "survival.scale[two]",
    )
    assert [problem.unit(name) for name in problem.names] == ["1/day", "1", "1", "1"]


def test_the_density_is_that_of_the_hierarchy():
    problem, x = made(), np.array([0.2, 0.4, -1.0, 0.7])
    sd = halfnorm.isf(norm.sf(0.4), scale=SPREAD)
    typical_scale = 0.004 * np.exp(0.7 * 0.2)
    scales = typical_scale * np.exp(sd * x[2:])
    expected = binom.logpmf([12, 25], 50, alive(scales)).sum() - 0.5 * x @ x
    density = partial(gradient_of(problem), problem.patients)
    value, slope = density(jnp.asarray(x))
    assert float(value) == pytest.approx(expected, rel=1e-10)
    step = 1e-5 * np.eye(4)
    numeric = [float(density(jnp.asarray(x + h))[0] - density(jnp.asarray(x - h))[0]) / 2e-5 for h in step]
    assert np.asarray(slope) == pytest.approx(np.array(numeric), abs=1e-6)


@pytest.mark.parametrize(
    ("scale", "value", "expected"),
    [("log", 2.0, 2.0 * np.exp(0.5)), ("own", -1.0, -0.5), ("logit", 0.5, 1.0 / (1.0 + np.exp(-0.5)))],
)
def test_deviations_keep_to_their_scale(scale, value, expected):
    level = Level("p", "study", ("a",), 0.5, pooled=False, scale=scale)
    assert float(level.shifted(value, {"p[a]": jnp.asarray(1.0)}, "a")) == pytest.approx(expected)


def test_groups_that_are_not_pooled_share_nothing():
    level = Level("survival.scale", "study", ("one", "two"), 10.0, pooled=False)
    problem = made((level,))
    assert "survival.scale.study_sd" not in problem.names
    x = jnp.asarray([0.0, 0.03, -0.02])
    scales = 0.004 * np.exp(10.0 * np.array([0.03, -0.02]))
    assert log_likelihood(problem, x) == pytest.approx(
        binom.logpmf([12, 25], 50, alive(scales)).sum(), rel=1e-9
    )


def test_a_reference_histology_does_not_deviate():
    level = Level("survival.scale", "histology", ("lung", "kidney"), 0.5, pooled=False, reference="lung")
    problem = made((level,))
    assert problem.names == ("survival.scale", "survival.scale[kidney]")
    scales = 0.004 * np.exp([0.0, 0.5 * 0.8])
    assert log_likelihood(problem, [0.0, 0.8]) == pytest.approx(
        binom.logpmf([12, 25], 50, alive(scales)).sum(), rel=1e-9
    )


def test_a_weight_is_a_power_of_the_likelihood():
    x = jnp.asarray([0.2, 0.4, -1.0, 0.7])
    each = evaluator(made())(made().patients, x)
    half = log_likelihood(made(weights=(1.0, 0.5)), x)
    assert half == pytest.approx(float(each.by_arm[0] + 0.5 * each.by_arm[1]), rel=1e-12)
    assert log_likelihood(made(weights=(1.0, 0.0)), x) == pytest.approx(float(each.by_arm[0]), rel=1e-12)


def test_a_new_study_has_the_spread_between_studies():
    problem = made()
    new = with_arms(problem, [dataclasses.replace(problem.arms[0], study="three")])
    assert new.names == (*problem.names, "survival.scale[three]")
    at = np.array([0.0, norm.ppf(0.9), 0.3, -0.3])
    points = extended(new, np.tile(at, (2000, 1)), seed=1)
    sd = halfnorm.ppf(0.9, scale=SPREAD)
    found = along(evaluator(new), new.patients, points[:200]).predictions[0][:, 0]
    assert found == pytest.approx(alive(0.004 * np.exp(sd * points[:200, -1])), rel=1e-9)
    assert points[:, -1].std() == pytest.approx(1.0, abs=0.05)
    assert typical(new, at)[-1] == 0.0


def test_a_known_study_keeps_its_deviation():
    problem = made()
    again = with_arms(problem, problem.arms[:1])
    assert again.names == problem.names
    x = jnp.asarray([0.2, 0.4, -1.0, 0.7])
    assert chances_of(again)(x)[0] == pytest.approx(chances_of(problem)(x)[0])
