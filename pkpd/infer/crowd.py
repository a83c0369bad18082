"""Whether there are enough virtual patients: what an answer would be with others."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from pkpd.infer.problem import Evaluate, Problem
from pkpd.population import Patients

SCRAMBLES = 16


def patient_changes(
    problem: Problem,
    evaluate: Evaluate,
    mode: Float[np.ndarray, " params"],
    points: Float[np.ndarray, "draws params"],
    seed: int = 10_000,
) -> dict[str, float]:
    """How an answer changes with twice the virtual patients, and with as many others.

    `noise` is the standard deviation of the log density at the mode over `SCRAMBLES` sets of patients.
    The posterior under other patients is the sample under the fit's, reweighted by the ratio of the
    likelihoods: `probability` is the largest change of an arm's mean probability, `estimate` that of a
    parameter's mean in posterior standard deviations.
    """

    count = problem.patients.count
    crowds = [problem.crowd(count, seed + k) for k in range(SCRAMBLES)]
    values = [float(evaluate(crowd, jnp.asarray(mode))[0]) for crowd in crowds]
    first = _along(evaluate, problem.patients, points)
    others = [_along(evaluate, crowd, points) for crowd in (crowds[0], problem.crowd(2 * count, seed))]
    changes = [_change(points, first, other) for other in others]
    return {
        "noise": float(np.std(values, ddof=1)),
        "probability": max(probability for probability, _ in changes),
        "estimate": max(estimate for _, estimate in changes),
    }


def _along(evaluate: Evaluate, patients: Patients, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log likelihood [draws] and probabilities of all endpoints [draws, endpoints] with some patients."""
    values, chances = zip(*(evaluate(patients, jnp.asarray(x)) for x in points), strict=True)
    return np.array(values), np.array([np.concatenate(row) for row in chances])


def _change(
    points: np.ndarray, before: tuple[np.ndarray, np.ndarray], after: tuple[np.ndarray, np.ndarray]
) -> tuple[float, float]:
    ratio = after[0] - before[0]
    weights = np.exp(ratio - ratio.max())
    weights /= weights.sum()
    moved = weights @ points - points.mean(axis=0)
    probability = weights @ after[1] - before[1].mean(axis=0)
    return float(np.max(np.abs(probability))), float(np.max(np.abs(moved) / points.std(axis=0)))
