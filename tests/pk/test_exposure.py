"""Exposure metrics against profiles whose exposures are known in closed form."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from pkpd.card import QUANTITIES
from pkpd.pk import exposure

KA, K = 1.3, 0.2
GRID = np.linspace(0.0, 24.0, 2001)
PEAK = math.log(KA / K) / (KA - K)


def oral(times: np.ndarray) -> np.ndarray:
    """Bateman function with unit dose over volume; its integral to infinity is `1 / K`."""
    return KA / (KA - K) * (np.exp(-K * times) - np.exp(-KA * times))


def area(until: float) -> float:
    return KA / (KA - K) * ((1 - math.exp(-K * until)) / K - (1 - math.exp(-KA * until)) / KA)


def test_every_quantity_of_a_fact_is_a_function() -> None:
    for name in QUANTITIES:
        assert jax.jit(getattr(exposure, name))(GRID, oral(GRID) + 1.0).shape == ()


def test_area_of_a_dense_profile() -> None:
    assert float(exposure.auc(GRID, oral(GRID))) == pytest.approx(area(24.0), rel=1e-5)
    assert float(exposure.cavg(GRID, oral(GRID))) == pytest.approx(area(24.0) / 24.0, rel=1e-5)


@pytest.mark.parametrize("k", [1e-9, 1e-4, 0.3, 3.0])
def test_area_of_an_exponential_is_exact_from_few_samples(k: float) -> None:
    times = np.array([0.0, 1.0, 5.0, 12.0])
    assert float(exposure.auc(times, np.exp(-k * times))) == pytest.approx(
        -math.expm1(-12.0 * k) / k, rel=1e-12
    )


def test_area_of_rises_zeros_and_plateaus_is_linear() -> None:
    times = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    assert float(exposure.auc(times, np.array([0.0, 2.0, 2.0, 0.0, 0.0]))) == pytest.approx(1.0 + 2.0 + 1.0)


def test_area_ignores_a_jump_at_one_time() -> None:
    assert float(
        exposure.auc(np.array([0.0, 1.0, 1.0, 2.0]), np.array([1.0, 1.0, 5.0, 5.0]))
    ) == pytest.approx(6.0)


def test_peak_of_a_dense_and_of_a_sparse_profile() -> None:
    height = float(oral(np.array(PEAK)))
    assert float(exposure.tmax(GRID, oral(GRID))) == pytest.approx(PEAK, rel=1e-4)
    assert float(exposure.cmax(GRID, oral(GRID))) == pytest.approx(height, rel=1e-7)
    sparse = PEAK + np.array([-0.8, -0.2, 0.15, 0.4, 2.0])  # unevenly about the peak
    nearest = float(oral(sparse).max())
    assert abs(float(exposure.cmax(sparse, oral(sparse))) - height) < 0.3 * abs(nearest - height)
    assert abs(float(exposure.tmax(sparse, oral(sparse))) - PEAK) < 0.1


def test_peak_of_a_parabola_is_exact() -> None:
    times = np.array([0.0, 0.7, 2.5, 3.0])
    profile = 5.0 - 0.4 * (times - 1.9) ** 2
    assert float(exposure.tmax(times, profile)) == pytest.approx(1.9, rel=1e-12)
    assert float(exposure.cmax(times, profile)) == pytest.approx(5.0, rel=1e-12)


@pytest.mark.parametrize(
    ("times", "profile", "peak"),
    [
        ([0.0, 1.0, 2.0], [3.0, 2.0, 1.0], (0.0, 3.0)),  # after an injection
        ([0.0, 1.0, 2.0], [1.0, 2.0, 3.0], (2.0, 3.0)),  # still rising
        ([0.0, 1.0, 1.0, 2.0], [1.0, 0.5, 3.0, 1.0], (1.0, 3.0)),  # a jump
        ([0.0, 1.0, 2.0, 3.0], [1.0, 1.0, 1.0, 1.0], (0.0, 1.0)),
        ([0.0, 1.0], [1.0, 2.0], (1.0, 2.0)),
    ],
)
def test_peak_at_an_edge_is_the_sample(times: list, profile: list, peak: tuple) -> None:
    at, c = np.array(times), np.array(profile)
    assert (float(exposure.tmax(at, c)), float(exposure.cmax(at, c))) == peak


def test_time_above_a_level() -> None:
    """Linear from 1 to 3, exponential down to 1, a jump to 4; a level that is only reached is not passed."""
    times, c = np.array([0.0, 1.0, 2.0, 2.0, 3.0]), np.array([1.0, 3.0, 1.0, 4.0, 2.0])
    half = math.log(1.5) / math.log(3.0)  # of the fall, above 2
    for level, lasts in ((0.5, 3.0), (1.0, 3.0), (2.0, 0.5 + half + 1.0), (4.0, 0.0), (5.0, 0.0)):
        assert float(exposure.time_above(times, c, level)) == pytest.approx(lasts, abs=1e-14)
    fall = np.exp(-0.3 * GRID)
    assert float(exposure.time_above(GRID, fall, 0.1)) == pytest.approx(math.log(10.0) / 0.3, rel=1e-12)
    rise = np.array([-1.0, 1.0, -1.0])
    assert float(exposure.time_above(np.arange(3.0), rise, 0.0)) == pytest.approx(1.0)


def test_gradient_of_the_time_above_a_level() -> None:
    def value(k: jax.Array, level: jax.Array) -> jax.Array:
        return exposure.time_above(GRID[::50], jnp.exp(-k * GRID[::50]), level)

    by_k, by_level = jax.grad(value, argnums=(0, 1))(0.3, 0.1)
    assert float(by_k) == pytest.approx(-math.log(10.0) / 0.09, rel=1e-10)
    assert float(by_level) == pytest.approx(-1.0 / (0.3 * 0.1), rel=1e-10)


def test_half_life_trough_and_least_value() -> None:
    late = GRID[1500:]
    assert float(exposure.thalf(late, oral(late))) == pytest.approx(math.log(2.0) / K, rel=1e-6)
    c = np.array([2.0, 1.0, 4.0, 3.0])
    assert float(exposure.ctrough(GRID[:4], c)) == 3.0
    assert float(exposure.cmin(GRID[:4], c)) == 1.0
    assert float(
        exposure.tmin(np.array([0.0, 0.7, 2.5, 3.0]), (np.array([0.0, 0.7, 2.5, 3.0]) - 1.9) ** 2)
    ) == pytest.approx(1.9)
    assert float(exposure.css(GRID[:4], np.full(4, 7.0))) == pytest.approx(7.0, rel=1e-12)


@pytest.mark.parametrize("name", QUANTITIES)
def test_patients_are_further_axes(name: str) -> None:
    metric = jax.jit(getattr(exposure, name))
    profiles = (oral(GRID)[:, None, None] + 0.1) * np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    found = metric(GRID, profiles)
    assert found.shape == (2, 3)
    assert float(found[1, 0]) == pytest.approx(float(metric(GRID, profiles[:, 1, 0])), rel=1e-12)


@pytest.mark.parametrize("name", QUANTITIES)
def test_gradients_are_finite_differences(name: str) -> None:
    times = jnp.array([0.1, 0.6, 1.4, 1.9, 3.2, 5.0, 9.0])

    def value(ka: jax.Array, k: jax.Array, shift: jax.Array) -> jax.Array:
        profile = ka / (ka - k) * (jnp.exp(-k * times) - jnp.exp(-ka * times))
        return getattr(exposure, name)(times + shift * times**2, profile)

    check_grads(
        value, (jnp.array(KA), jnp.array(K), jnp.array(0.01)), order=1, modes=["fwd", "rev"], rtol=1e-5
    )


def test_gradients_are_finite_where_the_profile_is_zero() -> None:
    """Before a lag has passed nothing is there."""
    times, c = jnp.arange(5.0), jnp.array([0.0, 0.0, 2.0, 1.0, 0.0])
    for metric in (exposure.auc, exposure.cmax, exposure.tmax, exposure.cavg):
        assert np.isfinite(np.asarray(jax.jit(jax.grad(metric, argnums=1))(times, c))).all()
