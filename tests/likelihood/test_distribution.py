"""Probabilities of all counts, against those of who has what."""

import itertools

import numpy as np
import pytest
from scipy.stats import binom, multinomial

from pkpd.likelihood.distribution import (
    all_counts,
    chances,
    counted,
    covariances,
    grid_size,
    some_counts,
)

RNG = np.random.default_rng(11)


def tables(*shape: int, count: int = 2) -> np.ndarray:
    return RNG.dirichlet(np.ones(np.prod(shape)), size=count).reshape(count, *shape)


@pytest.mark.parametrize(("shape", "n"), [((2,), 12), ((2, 2), 7), ((2, 2, 2), 4), ((2, 3), 5)], ids=str)
def test_all_counts_are_as_probable_as_who_has_what(shape, n):
    """The sum over all ways in which n patients fall into the cells of the table."""
    both, size = tables(*shape), int(np.prod(shape))
    ways = np.array([way for way in itertools.product(range(n + 1), repeat=size) if sum(way) == n])
    cells = np.unravel_index(np.arange(size), shape)
    counts = np.stack([ways[:, cells[axis] == k].sum(axis=1) for axis, k in counted(shape)])
    for table, found in zip(both, all_counts(both, n), strict=True):
        expected = np.zeros(found.shape)
        np.add.at(expected, tuple(counts), multinomial.pmf(ways, n, table.ravel()))
        assert found == pytest.approx(expected, abs=1e-14)


def test_of_no_patients_nothing_is_counted():
    assert all_counts(tables(2, 2), 0) == pytest.approx(np.ones((2, 1, 1)))


def test_a_short_grid_tells_the_same():
    """Of rare events: the counts lie close together, and the grid covers them only."""
    rare = 0.1 * tables(2, 2) + 0.9 * np.array([[1.0, 0.0], [0.0, 0.0]])
    n, axes = 150, np.arange(151)
    grid = np.stack(np.meshgrid(axes, axes, indexing="ij"), axis=-1).reshape(-1, 2)
    assert grid_size(rare, n) < 151**2 / 2
    whole = all_counts(rare, n).reshape(2, -1)
    assert some_counts(rare, n, grid) == pytest.approx(whole, abs=1e-13)
    assert whole.sum(axis=1) == pytest.approx(1.0)


def test_a_long_arm_of_one_endpoint_is_binomial():
    p, n = np.array([0.02, 0.5, 0.97]), 3000
    counts = np.array([[40], [60], [1500], [1400], [2910], [3000]])
    found = some_counts(np.stack([1.0 - p, p], axis=1), n, counts)
    assert found == pytest.approx(binom.pmf(counts.T, n, p[:, None]), abs=1e-13)


def test_moments_are_those_of_one_patient():
    """Of kinds that exclude each other: those of a multinomial of one."""
    shape = (3,)
    told = tables(*shape)
    assert counted(shape) == [(0, 1), (0, 2)]
    assert chances(told) == pytest.approx(told[:, 1:])
    for table, found in zip(told, covariances(told), strict=True):
        assert found == pytest.approx(np.asarray(multinomial.cov(1, table))[1:, 1:])
