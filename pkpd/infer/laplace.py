"""The normal approximation at the mode: a quick look, never the answer."""

import jax
import jax.numpy as jnp
import numpy as np

from pkpd.infer.diagnostics import pareto_k
from pkpd.infer.mode import Mode
from pkpd.infer.problem import Problem, compiled


def draw(mode: Mode, count: int, seed: int = 0) -> np.ndarray:
    """Points [draws, params] from the normal approximation."""
    spread = np.linalg.cholesky(np.linalg.inv(mode.hessian))
    return mode.point + np.random.default_rng(seed).standard_normal((count, len(mode.point))) @ spread.T


def trust(problem: Problem, mode: Mode, count: int = 400, seed: int = 0) -> float:
    """Pareto k of the importance weights from the approximation to the posterior."""
    points = draw(mode, count, seed)
    exact = np.asarray(
        compiled(problem, lambda p, x: jax.lax.map(p.log_density, x))(problem.patients, jnp.asarray(points))
    )
    centred = points - mode.point
    normal = -0.5 * np.einsum("ij,jk,ik->i", centred, mode.hessian, centred)
    weights = exact - normal
    return pareto_k(weights[np.isfinite(weights)])


def gap(mode: Mode, points: np.ndarray) -> float:
    """Largest distance between the mode and a sample's mean, in the sample's standard deviations."""
    flat = points.reshape(-1, points.shape[-1])
    return float(np.max(np.abs(mode.point - flat.mean(0)) / flat.std(0)))
