"""What papers print of survival: Kaplan-Meier points, medians and hazard ratios, against other software."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
import statsmodels.api as sm
from scipy.optimize import minimize
from statsmodels.duration.hazard_regression import PHReg

from pkpd.checks import InputError
from pkpd.likelihood import (
    cox_log_ratio,
    log_binomial,
    log_hazard_ratio,
    log_kaplan_meier,
    log_mean,
    log_median,
)

median = jax.jit(log_median, static_argnums=2)
median_slopes = jax.jit(jax.value_and_grad(log_median, argnums=(0, 1)), static_argnums=2)
cox = jax.jit(cox_log_ratio, static_argnums=2)
cox_slopes = jax.jit(jax.value_and_grad(cox_log_ratio, argnums=(0, 1)), static_argnums=2)
GRID = np.linspace(0.0, 3.0, 61)[1:]


def slope(function, point, step=1e-6):
    """Central differences along each entry of a point."""
    point = np.asarray(point, float)
    steps = step * np.eye(point.size)
    return np.array([(function(point + s) - function(point - s)) / (2.0 * step) for s in steps])


def test_without_censoring_it_is_the_multinomial_of_deaths() -> None:
    deaths, n = np.array([5, 0, 12, 20]), 52
    at_risk = n - deaths.cumsum()
    constant = []
    for alive in ([0.9, 0.8, 0.5, 0.2], [0.97, 0.9, 0.6, 0.01]):
        log_alive = jnp.log(jnp.array(alive))
        found = log_kaplan_meier(log_alive, at_risk / n, at_risk, n)
        p = -np.diff([1.0, *alive, 0.0])
        constant.append(scipy.stats.multinomial.logpmf([*deaths, at_risk[-1]], n, p) - float(found))
    assert constant[0] == pytest.approx(constant[1], abs=1e-11)


def test_censored_patients_count_while_they_are_at_risk() -> None:
    log_alive = jnp.log(jnp.array([0.7, 0.35]))
    found = log_kaplan_meier(log_alive, [0.8, 0.4], [30, 12], 50)
    expected = 10 * math.log(0.3) + 40 * math.log(0.7) + 15 * math.log(0.5) + 15 * math.log(0.5)
    assert float(found) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize(
    ("log_alive", "survival", "possible"),
    [
        ([-0.2, -0.9, -3.0], [0.6, 0.0, 0.0], True),
        ([-0.2, -0.9, -np.inf], [0.6, 0.2, 0.0], True),
        ([-0.2, -np.inf, -np.inf], [0.6, 0.2, 0.1], False),
        ([0.0, -0.9, -0.9], [1.0, 0.5, 0.5], True),
        ([0.0, -0.9, -1.9], [0.9, 0.5, 0.2], False),
        ([0.0, 0.0, 0.0], [1.0, 1.0, 1.0], True),
    ],
)
def test_survival_of_0_and_1_has_finite_slopes(log_alive, survival, possible) -> None:
    def value(x):
        return log_kaplan_meier(x, survival, [6.0, 2.0, 0.0], 10)

    found, slopes = jax.jit(jax.value_and_grad(value))(jnp.array(log_alive))
    assert bool(jnp.isfinite(found)) == possible
    assert bool(jnp.all(jnp.isfinite(slopes)))
    assert bool(jnp.all(jnp.isfinite(jax.jit(jax.hessian(value))(jnp.array(log_alive)))))


def test_gradient_of_kaplan_meier_equals_central_differences() -> None:
    point = np.array([-0.2, -0.9, -3.0])

    def value(x):
        return log_kaplan_meier(jnp.asarray(x), [0.6, 0.2, 0.0], [6, 2, 0], 10)

    assert np.asarray(jax.grad(value)(jnp.asarray(point))) == pytest.approx(slope(value, point), rel=1e-7)


def weibull_of_curve(times, survival, at_risk, n):
    """Scale and shape at the maximum of `log_kaplan_meier`."""

    def loss(x):
        return -log_kaplan_meier(-jnp.exp(jnp.exp(x[1]) * (jnp.log(times) - x[0])), survival, at_risk, n)

    found = minimize(jax.jit(jax.value_and_grad(loss)), np.zeros(2), jac=True, tol=1e-12)
    return np.exp(found.x)


@pytest.mark.parametrize("censored", [False, True])
def test_weibull_of_a_fine_curve_is_that_of_the_patients(censored: bool) -> None:
    rng, n = np.random.default_rng(2), 400
    lifetime = 2.0 * rng.weibull(1.4, n)
    end = rng.uniform(0.5, 6.0, n) if censored else np.full(n, 99.0)
    seen = lifetime <= end
    data = scipy.stats.CensoredData(lifetime[seen], right=end[~seen])
    times = np.linspace(0.0, np.max(np.minimum(lifetime, end)), 1001)[1:]
    survival = scipy.stats.ecdf(data).sf.evaluate(times)
    at_risk = (np.minimum(lifetime, end)[:, None] > times).sum(0)
    shape, _, scale = scipy.stats.weibull_min.fit(data, floc=0)
    found = weibull_of_curve(times, survival, at_risk, n)
    assert found == pytest.approx([scale, shape], rel=4e-3)


def test_logistic_dose_response_is_that_of_statsmodels() -> None:
    dose, n, events = (
        np.array([0.0, 1, 3, 9, 18]),
        np.array([48, 40, 52, 35, 30]),
        np.array([3, 5, 12, 16, 22]),
    )

    def loss(x):
        eta = x[0] + x[1] * dose
        return -jnp.sum(log_binomial(jax.nn.log_sigmoid(eta), jax.nn.log_sigmoid(-eta), events, n))

    found = minimize(jax.jit(jax.value_and_grad(loss)), np.zeros(2), jac=True, tol=1e-12)
    model = sm.GLM(np.stack([events, n - events], 1), sm.add_constant(dose), family=sm.families.Binomial())
    reference = model.fit(tol=1e-14)
    assert found.x == pytest.approx(reference.params, abs=1e-6)
    assert -found.fun == pytest.approx(reference.llf, rel=1e-10)
    covariance = np.linalg.inv(jax.hessian(loss)(jnp.asarray(found.x)))
    assert covariance == pytest.approx(reference.cov_params(), rel=1e-5)


@pytest.mark.parametrize("n", [1, 2, 3, 13, 52, 100, 320])
@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.45, 0.55), (0.05, 0.4), (0.6, 1.0), (0.0, 0.2)])
def test_median_equals_the_beta_distribution(n: int, low: float, high: float) -> None:
    """The arguments are chances of death; the beta distribution's difference is taken in its smaller tail."""
    k = (n + 1) // 2
    beta = scipy.stats.beta(k, n - k + 1)
    tails = beta.cdf(high) - beta.cdf(low), beta.sf(low) - beta.sf(high)
    expected = tails[0] if low + high < 1.0 else tails[1]
    with np.errstate(divide="ignore"):
        found = median(np.log1p(-low), np.log1p(-high), n)
    assert float(found) == pytest.approx(math.log(expected), abs=1e-10)


def test_median_far_in_a_tail() -> None:
    """F from 1 - 2e-40 to 1 - 1e-40 of 101 patients: the density is (1 - F)^50 times a constant."""
    found = float(median(math.log(2e-40), math.log(1e-40), 101))
    ways = math.lgamma(102) - 2 * math.lgamma(51)
    expected = ways + 51 * math.log(2e-40) + math.log1p(-(0.5**51)) - math.log(51)
    assert found == pytest.approx(expected, rel=1e-13)


def test_median_equals_simulation() -> None:
    n, draws = 20, 40_000
    lifetimes = np.sort(np.random.default_rng(1).exponential(size=(draws, n)), axis=1)[:, n // 2 - 1]
    seen = np.mean((lifetimes > 0.55) & (lifetimes <= 0.75))
    p = math.exp(median(-0.55, -0.75, n))
    assert abs(seen - p) < 4.0 * math.sqrt(p * (1.0 - p) / draws)


@pytest.mark.parametrize("n", [1, 2, 13, 320])
@pytest.mark.parametrize("point", [(-0.6, -0.8), (-0.01, -0.02), (-5.0, -6.0)])
def test_gradient_of_median_equals_central_differences(n: int, point: tuple) -> None:
    _, found = median_slopes(*point, n)
    assert np.array(found) == pytest.approx(slope(lambda x: median(*x, n), point), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("n", [1, 2, 52])
@pytest.mark.parametrize(
    ("low", "high", "possible"),
    [
        (0.0, -np.inf, True),
        (0.0, -0.5, True),
        (-0.5, -np.inf, True),
        (0.0, 0.0, False),
        (-0.5, -0.5, False),
        (-np.inf, -np.inf, False),
    ],
)
def test_median_at_the_ends_has_finite_slopes(n: int, low: float, high: float, possible: bool) -> None:
    found, slopes = median_slopes(low, high, n)
    assert bool(jnp.isfinite(found)) == possible
    assert np.all(np.isfinite(slopes))


def test_slope_of_a_single_lifetime_at_the_start() -> None:
    """log(S(low) - S(high)) of one patient, and 2 log of 1 - F of two, whose first dies before."""
    assert jax.grad(log_median)(0.0, math.log(0.25), 1) == pytest.approx(1.0 / 0.75, rel=1e-12)
    assert jax.grad(log_median)(0.0, math.log(0.25), 2) == pytest.approx(2.0 / (1.0 - 0.25**2), rel=1e-12)


@pytest.mark.parametrize("ratio", [0.05, 0.5, 1.0, 3.0])
@pytest.mark.parametrize(("share", "points"), [(0.2, 60), (0.52, 1), (0.52, 7)])
def test_proportional_hazards_give_their_ratio(ratio: float, share: float, points: int) -> None:
    control = -(np.linspace(0.0, 3.0, points + 1)[1:] ** 1.4)
    assert float(cox(ratio * control, control, share)) == pytest.approx(math.log(ratio), abs=1e-12)


def weibulls(x):
    """Log survival of a treated arm, whose hazards cross those of the other, and of this."""
    return -((GRID / x[0]) ** x[1]), -((GRID / x[2]) ** 0.8)


def test_cox_regression_of_crossing_hazards_is_that_of_statsmodels() -> None:
    """On patients who are placed evenly over the two distributions, so that chance plays no part."""
    share, m = 0.4, 5000
    arm = np.arange(m) < share * m
    times = np.empty(m)
    for who, scale, shape in ((arm, 2.0, 1.6), (~arm, 1.2, 0.8)):
        u = (np.arange(who.sum()) + 0.5) / who.sum()
        times[who] = scale * (-np.log(u)) ** (1.0 / shape)
    seen = times <= 3.0
    reference = PHReg(np.minimum(times, 3.0), arm.astype(float)[:, None], status=seen.astype(int)).fit()
    found = float(cox(*weibulls([2.0, 1.6, 1.2]), share))
    assert found == pytest.approx(float(reference.params[0]), abs=1e-3)
    assert abs(found) > 0.2


def test_gradient_and_curvature_of_cox_equal_central_differences() -> None:
    def value(x):
        return cox_log_ratio(*weibulls(x), 0.4)

    point = jnp.array([2.0, 1.6, 1.2])
    gradient = jax.jit(jax.grad(value))
    assert gradient(point) == pytest.approx(slope(jax.jit(value), point), rel=1e-6)
    curvature = slope(lambda x: np.asarray(gradient(jnp.asarray(x))), point)
    assert jax.jit(jax.hessian(value))(point) == pytest.approx(curvature, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize(
    ("treated", "control"),
    [
        ([0.0, 0.0], [0.0, 0.0]),
        ([-0.1, -0.5], [-0.1, -0.5]),
        ([-0.1, -np.inf], [-0.4, -np.inf]),
        ([-np.inf, -np.inf], [-0.4, -2.0]),
        ([-0.1, -900.0], [-0.4, -0.4]),
        ([0.0, 0.0], [-0.4, -0.5]),
    ],
)
def test_cox_at_the_ends_has_finite_slopes(treated, control) -> None:
    value, slopes = cox_slopes(jnp.array(treated), jnp.array(control), 0.5)
    assert np.all(np.isfinite([value, *slopes[0], *slopes[1]]))
    assert float(value) == 0.0 or treated != control


def test_printed_ratios_and_means_are_normal() -> None:
    expected = scipy.stats.norm.logpdf(math.log(0.6), -0.3, 0.2)
    assert float(log_hazard_ratio(jnp.array(-0.3), 0.6, 0.2)) == pytest.approx(expected, rel=1e-13)
    expected = scipy.stats.norm.logpdf([4.0, 5.0], [3.0, 5.5], 0.7)
    assert log_mean(jnp.array([2.0 + 1.0, 4.5]), 4.0, 0.7)[0] == pytest.approx(expected[0], rel=1e-13)
    slope_of_mean = jax.grad(lambda value: log_mean(value, 4.0, 0.7))(3.0)
    assert slope_of_mean == pytest.approx(1.0 / 0.7**2, rel=1e-13)


def test_faults_are_listed_together() -> None:
    with pytest.raises(InputError) as caught:
        log_kaplan_meier(jnp.zeros(2), [0.5, 0.6], [3, -1], 0)
    assert [fault.place for fault in caught.value.faults] == ["n", "survival", "at_risk"]
    with pytest.raises(InputError, match="survival: must have one number per time"):
        log_kaplan_meier(jnp.zeros(2), [0.5], [3, 1], 5)
    with pytest.raises(InputError, match="survival: must be between 0 and 1"):
        log_kaplan_meier(jnp.zeros(1), [float("nan")], [3], 5)
    with pytest.raises(InputError, match="n: must be at least 1"):
        log_median(-0.1, -0.2, 0)
    with pytest.raises(InputError, match="share: must be between 0 and 1"):
        cox_log_ratio(jnp.zeros(2), jnp.zeros(2), 1.0)
    with pytest.raises(InputError, match="se: must be positive"):
        log_hazard_ratio(jnp.zeros(()), 0.5, 0.0)
    with pytest.raises(InputError, match="printed: must be positive"):
        log_hazard_ratio(jnp.zeros(()), 0.0, 0.1)
