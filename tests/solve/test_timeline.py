"""The order of breaks, counted where they are few and sorted where they are many."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import rankdata

from pkpd.solve.timeline import MOST_COUNTED, ranks


@pytest.mark.parametrize("count", [1, 7, MOST_COUNTED, MOST_COUNTED + 1, 5000])
def test_ranks_with_ties_in_the_given_order(count):
    """Five thousand breaks of three hundred patients would not fit into memory if they were counted."""
    breaks = jnp.asarray(np.random.default_rng(count).integers(0, 1 + count // 2, (count, 300)), float)
    assert np.array_equal(ranks(breaks) + 1, rankdata(breaks, "ordinal", axis=0))
