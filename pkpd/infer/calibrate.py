"""Simulation-based calibration: whether posteriors of simulated data hold the truth as often as they say.

Truths are drawn from the prior and data from the model at each truth. If the posterior of the data is right,
the truth's rank among independent draws is uniform: for each parameter, for the log likelihood, and for each
probability that the model gives an arm. Draws that depend on each other are thinned to their effective
number, and a rank among so few is spread over its cell by chance, so that what is uniform is continuous.

References: Talts S, et al. arXiv:1804.06788; Modrak M, et al. Bayesian Anal 2025;20:461-488, doi
10.1214/23-BA1404 (why the likelihood's rank too); Saeilynoja T, Buerkner PC, Vehtari A. Stat Comput
2022;32:32, doi 10.1007/s11222-022-10090-6 (bands that hold for a whole curve).
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpyro.diagnostics import effective_sample_size
from scipy.stats import binom

from pkpd.checks import Findings, did_you_mean
from pkpd.infer.items import Item, drawn, log_likelihood_of, own_item
from pkpd.infer.problem import Problem

CURVES = 20_000  # simulated to find a band
GRID = 100  # places at which a curve of ranks is compared


def reduced(problem: Problem, free: Sequence[str], count: int, seed: int) -> Problem:
    """The problem with some free parameters and few patients: the others at the prior's centre, all studies
    alike, all arms in full. Raises `InputError` for a parameter that is not free in it."""
    findings = Findings()
    own = [path for path in problem.names if path in problem.model.declared]
    for path in free:
        if path not in own:
            findings.add("free", "must be a free parameter of the fit", path, did_you_mean(path, own))
    findings.raise_if_any()
    fixed = {path: p.natural(jnp.zeros(())) for path, p in problem.priors if path in own and path not in free}
    return dataclasses.replace(
        problem,
        model=problem.model.replace(fixed),
        arms=tuple(dataclasses.replace(arm, weight=1.0) for arm in problem.arms if arm.told),
        patients=problem.crowd(count, seed),
        priors=tuple((path, prior) for path, prior in problem.priors if path in free),
        levels=(),
    )


class Simulated(NamedTuple):
    """A truth, data drawn from the model there, and what the ranks are of: the truth's parameters, its log
    likelihood and what the model predicts there [quantities]."""

    truth: Array
    item: Item
    quantities: Array


def simulated(problem: Problem, key: Array) -> Simulated:
    """A data set of the prior predictive distribution."""
    first, second = jax.random.split(key)
    truth = jax.random.normal(first, (len(problem.priors),))
    seen = problem.seen(truth)
    item = dataclasses.replace(own_item(problem), counts=drawn(problem, seen, second))
    told = log_likelihood_of(problem, item, seen)[None]
    return Simulated(truth, item, jnp.concatenate([truth, told, *problem.predictions(seen)]))


def uniforms(
    truth: Float[np.ndarray, " quantities"],
    draws: Float[np.ndarray, "chains draws quantities"],
    random: np.random.Generator,
) -> Float[np.ndarray, " quantities"]:
    """Where the truth lies among the draws, from 0 to 1; uniform if they are of the right posterior."""
    total = draws.shape[0] * draws.shape[1]
    with np.errstate(invalid="ignore"):  # of numbers that are all the same
        sizes = effective_sample_size(draws)
    found = np.empty(len(truth))
    for k, size in enumerate(np.clip(np.nan_to_num(sizes, nan=total), 1, total).astype(int)):
        flat = draws[..., k].reshape(-1)
        few = flat[np.linspace(0, total - 1, size).round().astype(int)]
        below, equal = np.sum(few < truth[k]), np.sum(few == truth[k])
        found[k] = (below + (equal + 1) * random.uniform()) / (size + 1)
    return found


class Band(NamedTuple):
    """At places from 0 to 1, between which shares of numbers below them a curve of `items` uniform numbers
    lies, all of it, with a probability."""

    places: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def holds(self, numbers: Float[np.ndarray, " items"]) -> bool:
        """Whether the curve of some numbers lies in the band."""
        share = np.searchsorted(np.sort(numbers), self.places, side="right") / len(numbers)
        return bool(((share >= self.low) & (share <= self.high)).all())


def band(items: int, quantities: int, level: float = 0.99, seed: int = 0) -> Band:
    """The band that the curves of all `quantities` keep with probability `level` or more.

    Those of different quantities may depend on each other in any way (Bonferroni).
    """
    places = np.arange(1, GRID) / GRID
    counts, which = np.arange(items + 1)[:, None], np.arange(len(places))
    tails = 2 * np.minimum(binom.cdf(counts, items, places), binom.sf(counts - 1, items, places))
    random = np.random.default_rng(seed)
    rarest = np.empty(CURVES)
    for k in range(CURVES):
        below = np.searchsorted(np.sort(random.uniform(size=items)), places, side="right")
        rarest[k] = tails[below, which].min()
    each = np.quantile(rarest, (1.0 - level) / quantities)
    low, high = binom.ppf([[each / 2], [1 - each / 2]], items, places)
    return Band(places, low / items, high / items)
