"""Expected information gain where it is known: linear normal data, and counts with a conjugate prior."""

import numpy as np
import pytest
from scipy.special import betaln, digamma, ndtri
from scipy.stats import beta, betabinom, binom, qmc

from pkpd.explore.information import Outlook, batched, gain, gain_about, gaussian_gain, left_by

SLOPES = np.array([[1.2, 0.5, 0.0], [0.0, 1.0, -0.8]])
COVARIANCE = np.array([[1.0, 0.3, 0.0], [0.3, 1.0, 0.2], [0.0, 0.2, 1.0]])
NOISE = 0.7
AFTER = COVARIANCE - COVARIANCE @ SLOPES.T @ np.linalg.solve(
    SLOPES @ COVARIANCE @ SLOPES.T + NOISE**2 * np.eye(2), SLOPES @ COVARIANCE
)
GAIN = 0.5 * np.log(np.linalg.det(COVARIANCE) / np.linalg.det(AFTER))


def known(draws, seed, even=False):
    """Draws of normal parameters; `even` ones fill the space."""
    rng = np.random.default_rng(seed)
    normal = ndtri(qmc.Sobol(3, rng=rng).random(draws)) if even else rng.standard_normal((draws, 3))
    return normal @ np.linalg.cholesky(COVARIANCE).T


def outlook(points, repeats, seed):
    """Normal data that are linear in the parameters."""
    rng = np.random.default_rng([seed, 1])
    mean = points @ SLOPES.T
    data = np.repeat(mean, repeats, axis=0)
    data = data + NOISE * rng.standard_normal(data.shape)
    log_p = -0.5 * (((data - mean[:, None]) / NOISE) ** 2).sum(axis=-1)
    return Outlook(log_p[:, None], np.full(len(data), 1.0 / len(data)), np.zeros(len(data), int))


def test_linear_normal_data():
    """Determinants of the variance before and after, and each parameter's share."""
    points = known(2048, 3, even=True)
    seen = outlook(points, 2, 3)
    assert gain(seen).estimate.value == pytest.approx(GAIN, rel=0.01)
    assert gaussian_gain(SLOPES, NOISE**2 * np.eye(2), COVARIANCE) == pytest.approx(GAIN, rel=1e-12)
    left = left_by(seen, points)
    shares = np.array([share.value for share in left.contraction])
    assert shares == pytest.approx(1.0 - np.diag(AFTER) / np.diag(COVARIANCE), abs=0.01)
    assert left.left == pytest.approx(np.diag(AFTER), rel=0.03)
    about = gain_about(seen, np.exp(points[:, 0]))  # of a parameter on any scale
    assert about.estimate.value == pytest.approx(-0.5 * np.log(AFTER[0, 0]), rel=0.02)


def test_few_draws_are_not_biased_and_know_their_error():
    """One bound is too low and the other too high; what is told is neither, and spreads as it says."""
    runs = []
    for seed in range(120):
        points = known(250, seed)
        seen = outlook(points, 4, seed)
        told, left = gain(seen), left_by(seen, points[:, :1]).contraction[0]
        runs.append([told.estimate.value, told.lower, told.upper, told.estimate.mcse, left.value, left.mcse])
    mean, spread = np.mean(runs, axis=0), np.std(runs, axis=0, ddof=1)
    error = spread / np.sqrt(len(runs))
    assert mean[0] == pytest.approx(GAIN, abs=3 * error[0])
    assert mean[1] < GAIN - 2 * error[1]
    assert mean[2] > GAIN + 2 * error[2]
    assert mean[4] == pytest.approx(1.0 - AFTER[0, 0], abs=3 * error[4])
    assert mean[[3, 5]] == pytest.approx(spread[[0, 4]], rel=0.35)


A, B, N = 3.0, 5.0, 20
COUNTS = np.arange(N + 1)


def relative(a, b):
    """Kullback-Leibler divergence of Beta(a, b) from the prior."""
    slopes = (a - A) * digamma(a) + (b - B) * digamma(b) + (A - a + B - b) * digamma(a + b)
    return betaln(A, B) - betaln(a, b) + slopes


def counts_of(p):
    log_p = binom.logpmf(COUNTS, N, p[:, None])
    return Outlook(log_p[:, None], np.exp(log_p).mean(axis=0))


def test_counts_with_a_conjugate_prior():
    mass = betabinom.pmf(COUNTS, N, A, B)
    expected = mass @ relative(A + COUNTS, B + N - COUNTS)
    left = mass @ beta.var(A + COUNTS, B + N - COUNTS)
    p = beta.ppf((np.arange(1000) + 0.5) / 1000, A, B)
    assert gain(counts_of(p)).estimate.value == pytest.approx(expected, rel=0.005)
    assert left_by(counts_of(p), p[:, None]).left[0] == pytest.approx(left, rel=0.005)
    p = np.asarray(beta.rvs(A, B, size=500, random_state=1))
    for told in (gain(counts_of(p)), gain_about(counts_of(p), p)):
        assert told.estimate.value == pytest.approx(expected, abs=3 * told.estimate.mcse + 0.01)
        assert told.estimate.mcse < 0.05


def test_data_that_say_nothing():
    for drawn in (np.arange(50) % 2, None):
        nothing = Outlook(np.full((300, 2, 50), np.log(0.02)), np.full(50, 0.02), drawn)
        values: np.ndarray = np.random.default_rng(0).standard_normal((300, 2))
        values[:, 1] = 1.0  # the same in all draws
        assert gain(nothing).estimate.value == pytest.approx(0.0, abs=1e-9)
        assert gain_about(nothing, values[:, 0]).estimate.value == pytest.approx(0.0, abs=2e-3)
        assert [share.value for share in left_by(nothing, values).contraction] == pytest.approx([0.0, 0.0])


def test_a_quantity_that_is_the_same_in_all_draws_cannot_be_told():
    told = gain_about(counts_of(beta.ppf((np.arange(500) + 0.5) / 500, A, B)), np.ones(500))
    assert told.estimate.value == pytest.approx(0.0, abs=0.01)


def test_draws_that_stand_twice_change_little():
    p = np.asarray(beta.rvs(A, B, size=400, random_state=2))
    once, twice = gain(counts_of(p)).estimate, gain(counts_of(np.repeat(p, 2))).estimate
    assert twice.value == pytest.approx(once.value, abs=once.mcse)
    assert twice.mcse == pytest.approx(once.mcse, rel=0.5)  # what stands twice counts once


def test_deviations_are_nothing_to_learn_about():
    """y = theta + deviation + noise: of theta it tells what the variance of the rest allows."""
    rng = np.random.default_rng(4)
    draws, several = 400, 16
    theta = ndtri((rng.permutation(draws) + 0.5) / draws)
    mean = theta[:, None] + 0.8 * rng.standard_normal((draws, several))
    data = (mean + 0.5 * rng.standard_normal((draws, several))).ravel()
    log_p = -0.5 * ((data - mean[..., None]) / 0.5) ** 2
    seen = Outlook(log_p, np.full(data.size, 1.0 / data.size), np.tile(np.arange(several), draws))
    rest = 0.8**2 + 0.5**2
    told = gain(seen)
    assert told.estimate.value == pytest.approx(0.5 * np.log(1.0 + 1.0 / rest), abs=3 * told.estimate.mcse)
    assert told.lower < told.estimate.value < told.upper
    (share,) = left_by(seen, theta[:, None]).contraction
    assert share.value == pytest.approx(1.0 / (1.0 + rest), abs=3 * share.mcse)


def test_batches_allow_for_draws_that_resemble_the_one_before():
    rng = np.random.default_rng(6)
    steps, values = rng.standard_normal(40_000), np.zeros(40_000)
    for i in range(1, len(values)):
        values[i] = 0.8 * values[i - 1] + steps[i]
    assert batched(values) == pytest.approx(25.0 / 40_000, rel=0.35)  # (1 / (1 - 0.8))^2
