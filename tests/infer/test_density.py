"""The density that the sampler walks on: finite everywhere that the prior goes, its gradient exact."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pkpd.individuals import sample_patients
from pkpd.infer.mode import gradient_of
from pkpd.infer.problem import Problem
from pkpd.records import load_question, resolve


@pytest.fixture(scope="module")
def problem() -> Problem:
    """The question to the 1995 trial with few patients."""
    found = resolve(load_question("lissoni1995/joint")).problem
    return dataclasses.replace(found, patients=sample_patients(found.model, 16, 1, found.patients.groups))


@pytest.fixture(scope="module")
def gradient(problem):
    compiled = gradient_of(problem)
    return lambda x: compiled(problem.patients, x)


def finite(gradient, points) -> bool:
    return all(np.isfinite(float(v)) and np.isfinite(np.asarray(g)).all() for v, g in map(gradient, points))


def test_gradients_are_finite_on_draws_from_the_prior(problem, gradient):
    points = jax.random.normal(jax.random.key(5), (200, len(problem.priors)))
    assert finite(gradient, points)


@pytest.mark.slow
def test_gradients_are_finite_on_ten_thousand_draws_from_the_prior(problem, gradient):
    assert finite(gradient, jax.random.normal(jax.random.key(6), (10_000, len(problem.priors))))


def test_the_gradient_is_that_of_differences(problem, gradient):
    point = 0.3 * jax.random.normal(jax.random.key(7), (len(problem.priors),))
    slope = np.asarray(gradient(point)[1])
    for i in range(len(slope)):
        shift = jnp.asarray(np.eye(len(slope))[i] * 1e-4)
        difference = float(gradient(point + shift)[0] - gradient(point - shift)[0]) / 2e-4
        assert slope[i] == pytest.approx(difference, rel=1e-4, abs=1e-4 * np.abs(slope).max()), problem.names[
            i
        ]
