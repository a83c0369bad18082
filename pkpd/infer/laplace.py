"""The normal approximation: a quick look, never the answer; the sampler's starting point."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from pkpd.infer.coordinates import Coordinates
from pkpd.infer.diagnostics import pareto_k
from pkpd.infer.mode import Gradient, Mode, ascend, polish
from pkpd.infer.problem import Evaluate, Problem


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


def trust(problem: Problem, evaluate: Evaluate, normal: Normal, count: int = 400, seed: int = 0) -> float:
    """Pareto k of the importance weights from the approximation to the posterior."""
    drawn = normal.draw(count, seed)
    points = normal.points(drawn)
    likely = np.array([float(evaluate(problem.patients, jnp.asarray(x))[0]) for x in points])
    found = likely - 0.5 * np.sum(points**2, axis=1)
    found = found + np.asarray(jax.vmap(normal.coordinates.log_jacobian)(jnp.asarray(drawn)))
    centred = drawn - normal.top.point
    weights = found + 0.5 * np.einsum("ij,jk,ik->i", centred, normal.top.hessian, centred)
    return pareto_k(weights[np.isfinite(weights)])


def gap(normal: Normal, points: np.ndarray, count: int = 4000) -> float:
    """Largest distance between the means of the approximation and of a sample, in the sample's SDs."""
    flat = points.reshape(-1, points.shape[-1])
    means = normal.points(normal.draw(count)).mean(0)
    return float(np.max(np.abs(means - flat.mean(0)) / flat.std(0)))
