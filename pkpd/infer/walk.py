"""Draws that were made with few virtual patients, turned into draws for all of them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from pkpd.infer.diagnostics import Draws, pareto_k, smoothed
from pkpd.infer.laplace import Normal, systematic
from pkpd.infer.predict import along
from pkpd.infer.problem import Evaluate, Problem


class Walk(NamedTuple):
    """How many patients the sampler walked with, the Pareto k of the weights that turn its draws into those
    of the problem, trusted below 0.7, and the share of independent draws that the weights leave."""

    patients: int
    pareto_k: float
    efficiency: float


def turned(
    problem: Problem, evaluate: Evaluate, normal: Normal, chain: Draws, patients: int, seed: int = 0
) -> tuple[Draws, Walk]:
    """Draws of the problem's posterior, from `chain`, which walked with other `patients`.

    Each draw is weighed by the ratio of the two densities, smoothed, and every chain resampled by its own
    weights. References: Vehtari A, et al. J Mach Learn Res 2024;25(72):1-58.
    """
    flat = chain.points.reshape(-1, chain.points.shape[-1])
    log_weights = _log_density(problem, evaluate, normal, flat) - chain.log_density.ravel()
    weights = smoothed(log_weights)
    by_chain = zip(chain.points, weights.reshape(chain.points.shape[:2]), strict=True)
    points = [systematic(own, w, len(own), seed + i) for i, (own, w) in enumerate(by_chain)]
    share = float(1.0 / (len(flat) * np.sum(weights**2)))
    return chain._replace(points=np.stack(points)), Walk(patients, pareto_k(log_weights), share)


def _log_density(
    problem: Problem, evaluate: Evaluate, normal: Normal, points: Float[np.ndarray, "draws params"]
) -> Float[np.ndarray, " draws"]:
    """Log density of the sampler's coordinates over all patients."""
    likely = along(evaluate, problem.patients, points).log_likelihood
    coordinates = jax.vmap(normal.coordinates.inverse)(jnp.asarray(points))
    jacobian = np.asarray(jax.vmap(normal.coordinates.log_jacobian)(coordinates))
    return likely - 0.5 * np.sum(points**2, axis=1) + jacobian
