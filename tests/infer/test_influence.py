"""Refits to other evidence and other priors."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from pkpd.infer.batch import CONVERGED
from pkpd.infer.influence import alternatives, influences
from tests.infer.test_bootstrap import large, mode_of


@pytest.fixture(scope="module")
def problem():
    return large((1.0, 0.5))


def test_each_part_of_the_evidence_is_left_out_once(problem):
    labels, items = alternatives(problem)
    first, second = (f"{arm.study}/{arm.name}" for arm in problem.arms)
    studies = [arm.study for arm in problem.arms]
    assert len(set(studies)) == 2  # each has one arm, which is the same as the study
    assert labels[:2] == [f"without {study}" for study in studies]
    assert np.asarray(items.weights[:2]).tolist() == [[0.0, 0.5], [1.0, 0.0]]
    assert {first, second}.isdisjoint(labels)
    assert labels[2:] == [f"{problem.names[0]} {way}" for way in ("higher", "lower")]
    assert np.asarray(items.centre).tolist() == [[0.0], [0.0], [1.0], [-1.0]]


def test_modes_are_those_of_the_problems_alone(problem):
    found = influences(problem, mode_of(problem), 1)(jnp.arange(4))
    assert (found.status == CONVERGED).all()
    for place in range(2):
        arms = tuple(
            dataclasses.replace(arm, weight=0.0 if i == place else arm.weight)
            for i, arm in enumerate(problem.arms)
        )
        alone = mode_of(dataclasses.replace(problem, arms=arms))
        assert found.points[place] == pytest.approx(alone.point, abs=1e-4)
        assert found.log_density[place] == pytest.approx(alone.log_density, abs=1e-6)
    assert found.points[3] < mode_of(problem).point < found.points[2]
