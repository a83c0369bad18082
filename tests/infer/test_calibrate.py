"""Calibration: right posteriors pass, a likelihood that counts twice does not, bands hold what they say."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import kstest, norm

from pkpd.checks import InputError
from pkpd.infer.batch import CONVERGED
from pkpd.infer.bulk import sample_many
from pkpd.infer.bulk_normal import approximate_many
from pkpd.infer.calibrate import band, reduced, simulated, uniforms
from pkpd.infer.diagnostics import smoothed
from pkpd.infer.emulated import taught_about
from pkpd.infer.keep import Nowhere
from pkpd.infer.problem import compiled
from tests.infer.test_emulated import problem_of

SETS = 120


@pytest.fixture(scope="module")
def sampled():
    """Of a likelihood to some power: truths, and where they lie in the posteriors of their data."""
    problem = reduced(problem_of(), ["survival.scale"], 16, 1)
    emulator = taught_about(problem, np.zeros(1), np.eye(1), 300, 1, Nowhere())

    keys = jax.random.split(jax.random.key(3), SETS)

    def run(problem, power):
        sets = jax.vmap(lambda key: simulated(problem, jax.random.fold_in(key, 0)))(keys)
        items = dataclasses.replace(sets.item, weights=power * sets.item.weights)
        later = jax.vmap(lambda key: jax.random.fold_in(key, 1))(keys)
        return sets, sample_many(problem, emulator, items, later, 2, 100, 100)

    def normally(problem, power):
        sets = jax.vmap(lambda key: simulated(problem, jax.random.fold_in(key, 0)))(keys)
        return sets, approximate_many(problem, emulator, sets.item, keys, 200, 8)

    programs = {"nuts": compiled(problem, run), "normal": compiled(problem, normally)}

    def posteriors(power, by="nuts"):
        sets, found = programs[by](problem.patients, power)
        told = np.concatenate([found.points, found.log_likelihood[..., None], found.predictions], axis=-1)
        random, pairs = np.random.default_rng(1), zip(np.asarray(sets.quantities), told, strict=True)
        return found, np.array([uniforms(t, d.reshape(-1, *d.shape[-2:]), random) for t, d in pairs])

    return posteriors


def test_posteriors_of_the_right_likelihood_are_calibrated(sampled):
    found, places = sampled(1.0)
    assert found.accepted.mean() > 0.9
    kept = band(SETS, places.shape[1])
    assert all(kept.holds(column) for column in places.T)


def test_normal_approximations_are_weighed_to_the_posterior(sampled):
    chains, _ = sampled(1.0)
    found, places = sampled(1.0, "normal")
    assert (found.status == CONVERGED).all()
    weights = np.array([smoothed(row) for row in np.asarray(found.log_weights)])
    exact, spread = chains.points.mean(axis=(1, 2))[:, 0], chains.points.std(axis=(1, 2))[:, 0]
    mean = np.sum(weights * found.points[..., 0], axis=1)
    error = np.sqrt(np.sum(weights**2, axis=1) + 1 / 50)
    assert np.abs((mean - exact) / spread / error).max() < 4.5
    assert np.mean((mean - exact) / spread) == pytest.approx(0.0, abs=0.05)
    assert band(SETS, 3).holds(places[:, 0])


def test_a_likelihood_that_counts_twice_is_found_out(sampled):
    _, places = sampled(3.0)
    kept = band(SETS, places.shape[1])
    assert not all(kept.holds(column) for column in places.T)
    assert np.mean(np.abs(places[:, 0] - 0.5) < 0.45) < 0.85


def test_the_band_holds_all_curves_as_often_as_it_says():
    kept = band(100, 4, level=0.9)
    random = np.random.default_rng(2)
    held = np.mean([all(kept.holds(random.uniform(size=100)) for _ in range(4)) for _ in range(1000)])
    assert held == pytest.approx(0.9, abs=4 * np.sqrt(0.09 / 1000))
    assert not kept.holds(random.uniform(size=100) ** 2)


def test_places_of_truths_among_dependent_draws_are_uniform():
    random, places = np.random.default_rng(4), []
    for _ in range(400):
        noise = random.standard_normal((2, 200, 1))
        draws = np.empty_like(noise)
        draws[:, 0] = noise[:, 0]
        for t in range(1, 200):
            draws[:, t] = 0.8 * draws[:, t - 1] + 0.6 * noise[:, t]
        places.append(uniforms(random.standard_normal(1), draws, random)[0])
    assert kstest(places, "uniform").pvalue > 1e-3


def test_a_place_among_equal_draws_is_anywhere():
    places = [uniforms(np.zeros(1), np.zeros((2, 50, 1)), np.random.default_rng(k))[0] for k in range(300)]
    assert kstest(places, "uniform").pvalue > 1e-3
    assert 0.0 < min(places) < max(places) < 1.0


def test_what_is_reduced_is_at_the_centre_of_its_prior():
    problem = problem_of(("one", "two"))
    assert reduced(problem, ["survival.scale"], 8, 1).patients.count == 8
    none = reduced(problem, [], 8, 1)
    assert none.names == ()
    assert none.model.get("survival.scale") == pytest.approx(0.004 * np.exp(0.7 * norm.ppf(0.5)))
    with pytest.raises(
        InputError, match=r"free: must be a free parameter of the fit, but is .survival.scael."
    ):
        reduced(problem, ["survival.scael"], 8, 1)


def test_simulated_data_are_of_their_truth():
    problem = reduced(problem_of(), ["survival.scale"], 16, 1)
    draw = compiled(problem, lambda problem, keys: jax.vmap(lambda key: simulated(problem, key))(keys))
    sets = draw(problem.patients, jax.random.split(jax.random.key(0), 2000))
    chances = sets.quantities[:, 2]
    noise = (sets.item.counts[0][:, 0] - 50 * chances) / jnp.sqrt(50 * chances * (1 - chances))
    assert float(noise.mean()) == pytest.approx(0.0, abs=4 / np.sqrt(2000))
    assert float(noise.std()) == pytest.approx(1.0, abs=4 / np.sqrt(1000))
    assert sets.quantities[:, 0] == pytest.approx(np.asarray(sets.truth[:, 0]))
