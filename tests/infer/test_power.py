"""Power-scaling finds what a normal posterior owes to prior and data."""

import numpy as np
import pytest

from pkpd.infer.power import WORTH, in_words, sensitivities

RNG = np.random.default_rng(5)
DRAWS = 20_000


def test_the_prior_alone():
    points = RNG.standard_normal((DRAWS, 2))
    found = sensitivities(("a", "b"), points, np.zeros(DRAWS))
    for name in ("a", "b"):
        assert found[name]["likelihood"] == pytest.approx(0.0, abs=1e-5)
        assert found[name]["prior"] > WORTH
        assert found[name]["other_prior"] < WORTH
    assert in_words(found) == ["a stronger prior would move, stronger data hardly: a, b"]


def test_data_that_decide():
    points = np.column_stack([0.05 * RNG.standard_normal(DRAWS), RNG.standard_normal(DRAWS)])
    found = sensitivities(("a", "b"), points, -0.5 * (points[:, 0] / 0.05) ** 2)
    assert found["a"]["likelihood"] > WORTH > found["a"]["prior"]
    assert found["b"]["prior"] > WORTH > found["b"]["likelihood"]


def test_two_that_are_known_only_together_answer_to_each_others_prior():
    total, rest = 0.05 * RNG.standard_normal(DRAWS), RNG.standard_normal(DRAWS)
    points = np.column_stack([total + rest, total - rest])
    found = sensitivities(("a", "b"), points, -0.5 * (points.sum(1) / 0.1) ** 2)
    assert found["a"]["other"] == "b"
    assert found["a"]["other_prior"] > WORTH
    assert any("a stronger prior of another would move: a (of b)" in line for line in in_words(found))


def test_the_size_is_the_published_one():
    """A normal whose scale alone changes: the distance by quadrature of its definition."""
    grid = np.linspace(-9.0, 9.0, 200_001)
    from scipy.stats import norm

    p, q = norm.cdf(grid), norm.cdf(grid * np.sqrt(1.01))
    middle = 0.5 * (p + q)

    def part(x):
        return np.where(x > 0, x * np.log2(np.where(x > 0, x, 1) / np.where(middle > 0, middle, 1)), 0)

    distance = np.sqrt(np.trapezoid(part(p) + part(q), grid) / np.trapezoid(p + q, grid))
    points = norm.ppf((np.arange(200_000) + 0.5) / 200_000)[:, None]
    found = sensitivities(("a",), points, np.zeros(len(points)))["a"]["prior"]
    span = np.trapezoid(p + q, grid) / np.trapezoid(
        np.where((grid > points.min()) & (grid < points.max()), p + q, 0.0), grid
    )
    assert found == pytest.approx(distance * np.sqrt(span) / np.log2(1.01), rel=0.02)
