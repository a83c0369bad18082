"""How many panels a stretch has, by the density that the graded solver integrates."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from pkpd.solve.cells import Grading
from pkpd.solve.solver import earliest


@pytest.mark.parametrize("since", [0.0, 0.01, 0.7, 1000.0])
def test_panels_are_the_integral_of_their_density(since):
    grading = Grading.of(24.0, 1.0)

    def to(time):
        return float(grading.total(grading.warped(time)))

    for length in (0.02, 0.5, 1.0):
        share = 24.0 * (to(since + length) - to(since)) / to(1.0)
        assert grading.panels(since, length) == max(1, math.ceil(share - 1e-6))
    assert grading.panels(0.0, 1.0) == 24


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_the_earliest_of_some_times(count):
    times = np.random.default_rng(count).permutation(np.repeat(np.arange(4.0 * count), 3)).reshape(count, -1)
    times[0, 0] = np.inf
    assert np.array_equal(earliest(jnp.asarray(times)), times.min(axis=0))
