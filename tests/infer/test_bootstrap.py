"""Refits to redrawn data: what is redrawn, and the spread of their modes against the posterior's."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import binom

from pkpd.checks import InputError
from pkpd.infer.batch import CONVERGED
from pkpd.infer.bootstrap import replicates
from pkpd.infer.emulated import taught_about
from pkpd.infer.items import check_redrawable, drawn, log_density_of, own_item
from pkpd.infer.keep import Nowhere
from pkpd.infer.mode import ascend, gradient_of, polish
from pkpd.infer.problem import compiled
from pkpd.likelihood.reports import Mean
from tests.infer.test_levels import alive, made

REPLICATES = 1500
GRID = np.linspace(-5, 4, 9001)


def large(weights):
    """Enough patients for a posterior that is nearly normal."""
    small = made(levels=(), weights=weights)
    arms = (
        dataclasses.replace(arm, n=500, counts=(k,)) for arm, k in zip(small.arms, (120, 130), strict=True)
    )
    return dataclasses.replace(small, arms=tuple(arms))


def mode_of(problem):
    gradient = partial(gradient_of(problem), problem.patients)
    return polish(gradient, ascend(gradient, np.zeros(len(problem.priors)))[0])


@pytest.fixture(scope="module", params=[(1.0, 1.0), (0.5, 1.0), (0.2, 0.0)], ids=str)
def refitted(request):
    problem = large(request.param)
    mode = mode_of(problem)
    return problem, mode, replicates(problem, mode, 7)


def test_the_modes_of_replicates_spread_like_the_posterior(refitted):
    _, mode, refit = refitted
    found = refit(jnp.arange(REPLICATES))
    assert (found.status == CONVERGED).all()
    spread, noise = mode.hessian[0, 0] ** -0.5, 1.0 / np.sqrt(2 * REPLICATES)
    assert found.points.std() == pytest.approx(spread, rel=4 * noise + 0.02)
    assert found.points.mean() == pytest.approx(mode.point[0], abs=0.15 * spread)


def test_an_emulator_leads_to_the_same_modes(refitted):
    problem, mode, refit = refitted
    emulator = taught_about(problem, mode.point, 0.2 * np.eye(1), 200, 2, Nowhere())
    alone, led = refit(jnp.arange(300)), replicates(problem, mode, 7, emulator)(jnp.arange(300))
    assert (led.status == CONVERGED).all()
    spread = mode.hessian[0, 0] ** -0.5
    assert np.abs(led.points - alone.points).max() < 5e-4 * spread
    assert np.abs(led.log_density - alone.log_density).max() < 1e-6


def test_a_replicate_is_the_same_in_any_company(refitted):
    refit = refitted[2]
    first, second = refit(jnp.arange(REPLICATES)), refit(jnp.arange(REPLICATES)[::-1])
    for a, b in zip(first, second, strict=True):
        assert np.array_equal(a, b[::-1])


def test_an_item_has_the_density_of_its_data():
    problem, x = large((0.5, 1.0)), jnp.array([0.3])
    item = own_item(problem)
    density = compiled(problem, lambda problem, x: log_density_of(problem)(item, x))
    expected = compiled(problem, lambda problem, x: problem.log_density(x))
    same = density(problem.patients, x), expected(problem.patients, x)
    assert same[0] == pytest.approx(float(same[1]), rel=1e-12)
    item = dataclasses.replace(own_item(problem), centre=jnp.array([1.0]))
    moved = compiled(problem, lambda problem, x: log_density_of(problem)(item, x))(problem.patients, x)
    assert moved - same[0] == pytest.approx(0.5 * 0.3**2 - 0.5 * 0.7**2, rel=1e-10)


def test_the_replicates_of_a_single_arm_are_the_modes_that_a_scan_finds():
    problem = made(levels=(), weights=(1.0, 0.0))
    mode = mode_of(problem)
    refit = replicates(problem, mode, 3)
    points = np.asarray(refit(jnp.arange(200)).points)[:, 0]

    def best(count, centre):
        def cost(x):
            return 0.5 * (x - centre) ** 2 - binom.logpmf(count, 50, alive(0.004 * np.exp(0.7 * x)))

        return GRID[np.argmin(cost(GRID))]

    chance = alive(0.004 * np.exp(0.7 * mode.point[0]))
    random = np.random.default_rng(1)
    pairs = zip(random.binomial(50, chance, 4000), random.normal(mode.point[0], 1.0, 4000), strict=True)
    expected = np.array([best(count, centre) for count, centre in pairs])
    error = np.hypot(expected.std() / np.sqrt(200), expected.std() / np.sqrt(4000))
    assert points.mean() == pytest.approx(expected.mean(), abs=4 * error)
    assert points.std() == pytest.approx(expected.std(), rel=4 / np.sqrt(400))


def test_counts_are_drawn_as_the_model_says():
    problem = made(levels=())
    seen = compiled(problem, lambda problem, x: problem.seen(x))(problem.patients, jnp.zeros(1))
    keys = jax.random.split(jax.random.key(0), 2000)
    first, second = jax.vmap(lambda key: drawn(problem, seen, key))(keys)
    chance = alive(0.004)
    assert first.mean() == pytest.approx(50 * chance, abs=4 * np.sqrt(50 * chance / 2000))
    assert abs(np.corrcoef(first[:, 0], second[:, 0])[0, 1]) < 4 / np.sqrt(2000)


def test_what_cannot_be_redrawn_is_told():
    problem = made(levels=())
    report = Mean(day=1.0, output="pool.amount", time=7.0, value=1.0, se=0.1)
    arms = dataclasses.replace(problem.arms[0], reports=(report,)), problem.arms[1]
    with pytest.raises(InputError, match=r"one/arm: must report counts only.*mean pool.amount\(7 d\)"):
        check_redrawable(dataclasses.replace(problem, arms=arms))
