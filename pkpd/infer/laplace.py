"""The normal approximation: a quick look, never the answer; the sampler's starting point."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from pkpd.devices import in_threads
from pkpd.infer.coordinates import Coordinates
from pkpd.infer.diagnostics import pareto_k, smoothed
from pkpd.infer.mode import Gradient, Mode, ascend, polish
from pkpd.infer.problem import Evaluate, Problem

TRUSTED = 0.7


class Normal(NamedTuple):
    """A normal distribution of the coordinates: its top, which is not the mode of the point."""

    coordinates: Coordinates
    top: Mode

    def spread(self) -> np.ndarray:
        """A matrix whose product with standard normal numbers has the covariance.

        Where the curvature is not that of a top, a gentle one stands for it, so that there is an answer whose
        status says what is wrong.
        """
        values, vectors = np.linalg.eigh(self.top.hessian)
        if values[0] > 0.0:
            return np.linalg.cholesky(np.linalg.inv(self.top.hessian))
        return vectors / np.sqrt(np.maximum(values, 1e-2))

    def draw(self, count: int, seed: int = 0) -> np.ndarray:
        """Coordinates [draws, params]."""
        numbers = np.random.default_rng(seed).standard_normal((count, len(self.top.point)))
        return self.top.point + numbers @ self.spread().T

    def points(self, coordinates: np.ndarray) -> np.ndarray:
        """The points [..., params] of coordinates."""
        flat = jnp.asarray(coordinates.reshape(-1, coordinates.shape[-1]))
        return np.asarray(jax.vmap(self.coordinates.point)(flat)).reshape(coordinates.shape)


def approximate(gradient: Gradient, mode: Mode, coordinates: Coordinates) -> Normal:
    """The normal approximation at the top of the coordinates' density, climbed to from the mode."""
    pulled = coordinates.gradient(gradient)
    start = np.asarray(coordinates.inverse(jnp.asarray(mode.point)))
    return Normal(coordinates, polish(pulled, ascend(pulled, start)[0]))


class Weighed(NamedTuple):
    """Points drawn from the approximation [draws, params] with normalised importance weights, smoothed, and
    the Pareto k that says whether they can be trusted: below 0.7."""

    points: np.ndarray
    weights: np.ndarray
    pareto_k: float

    @property
    def trusted(self) -> bool:
        """Whether the weights turn the approximation into the posterior."""
        return self.pareto_k < TRUSTED

    def resampled(self, count: int, seed: int = 0) -> np.ndarray:
        """Points of the posterior by systematic resampling, as they are where the weights fail."""
        return systematic(self.points, self.weights, count, seed) if self.trusted else self.points


def systematic(points: np.ndarray, weights: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """`count` of some points [points, params], each about as often as its share of the weights, in order."""
    places = (np.arange(count) + np.random.default_rng(seed).uniform()) / count
    return points[np.searchsorted(np.cumsum(weights / weights.sum()), places).clip(0, len(points) - 1)]


def weigh(problem: Problem, evaluate: Evaluate, normal: Normal, count: int = 400, seed: int = 0) -> Weighed:
    """Draws from the approximation, weighed by the posterior."""
    drawn = normal.draw(count, seed)
    points = normal.points(drawn)
    likely = in_threads(lambda x: float(evaluate(problem.patients, jnp.asarray(x)).log_likelihood), points)
    found = np.array(likely) - 0.5 * np.sum(points**2, axis=1)
    found = found + np.asarray(jax.vmap(normal.coordinates.log_jacobian)(jnp.asarray(drawn)))
    white = np.linalg.solve(normal.spread(), (drawn - normal.top.point).T)
    log_weights = found + 0.5 * np.sum(white**2, axis=0)
    log_weights = np.where(np.isfinite(log_weights), log_weights, -np.inf)
    known = np.isfinite(log_weights)
    weights = np.zeros(count)
    weights[known] = smoothed(log_weights[known])
    return Weighed(points, weights, pareto_k(log_weights[known]))


def gap(normal: Normal, points: np.ndarray, count: int = 4000) -> float:
    """Largest distance between the means of the approximation and of a sample, in the sample's SDs."""
    flat = points.reshape(-1, points.shape[-1])
    means = normal.points(normal.draw(count)).mean(0)
    return float(np.max(np.abs(means - flat.mean(0)) / flat.std(0)))
