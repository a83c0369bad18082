"""Climbs from many starts."""

import jax.numpy as jnp
import numpy as np
import pytest

from pkpd.infer.batch import CONVERGED
from pkpd.infer.starts import climbs
from tests.infer.test_bootstrap import large, mode_of


def test_climbs_from_the_prior_end_at_the_mode_whatever_the_others_are():
    problem = large((1.0, 0.5))
    mode = mode_of(problem)
    climb = climbs(problem, mode, 5)
    found = climb(jnp.arange(8))
    assert (found.status == CONVERGED).all()
    assert found.points[:, 0] == pytest.approx(np.full(8, mode.point[0]), abs=1e-4)
    assert found.log_density == pytest.approx(np.full(8, mode.log_density), abs=1e-6)
    assert len(set(np.asarray(found.asked))) > 1
    again = climb(jnp.arange(7, -1, -1))
    assert np.array_equal(again.points[::-1], found.points)
