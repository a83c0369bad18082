"""Coordinates of many items, each standard about a point of its own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pkpd.infer.lanes import standard


@pytest.mark.parametrize("size", [1, 5, 30])
def test_spreads_have_the_covariance_of_the_curvature(size):
    random = np.random.default_rng(size)
    roots = random.standard_normal((4, size, 2 * size))
    curved = roots @ roots.transpose(0, 2, 1) + np.eye(size)
    spread = np.asarray(jax.vmap(standard)(jnp.asarray(curved)))
    assert spread @ spread.transpose(0, 2, 1) == pytest.approx(np.linalg.inv(curved), rel=1e-9, abs=1e-12)


def test_no_direction_is_wider_than_the_flattest_allows():
    flat, saddle = np.diag([4.0, 1e-9]), np.array([[1.0, 0.0], [0.0, -3.0]])
    for matrix in (flat, saddle):
        spread = np.asarray(standard(jnp.asarray(matrix), 0.1))
        assert np.diag(spread @ spread.T) == pytest.approx([1 / matrix[0, 0], 10.0])


def test_many_matrices_take_no_call_of_a_library_that_waits_for_threads():
    """With LAPACK two programs at once waited for each other for ever: each held a thread of the same two."""
    text = jax.jit(jax.vmap(standard)).lower(jnp.ones((3, 4, 4))).as_text()
    assert "custom_call" not in text
