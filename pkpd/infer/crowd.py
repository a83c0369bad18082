"""Whether there are enough virtual patients: what an answer would be with others."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from pkpd.infer.predict import Along, along
from pkpd.infer.problem import Evaluate, Problem

SCRAMBLES = 16


def patient_changes(
    problem: Problem,
    evaluate: Evaluate,
    mode: Float[np.ndarray, " params"],
    points: Float[np.ndarray, "draws params"],
    first: Along,
    seed: int = 10_000,
) -> dict[str, float]:
    """How an answer changes with twice the virtual patients, and with as many others.

    `noise` is the standard deviation of the log density at the mode over `SCRAMBLES` sets of patients.
    The posterior under other patients is the sample under the fit's, which found `first`, reweighted by the
    ratio of the likelihoods: `probability` is the largest change of an arm's mean probability, `estimate`
    that of a parameter's mean in posterior standard deviations.
    """
    count = problem.patients.count
    crowds = [problem.crowd(count, seed + k) for k in range(SCRAMBLES)]
    values = [float(evaluate(crowd, jnp.asarray(mode)).log_likelihood) for crowd in crowds]
    others = [along(evaluate, crowd, points) for crowd in (crowds[0], problem.crowd(2 * count, seed))]
    chances = np.array([fact.chance for arm in problem.arms for fact in problem.facts(arm)], bool)
    changes = [_change(points, chances, first, other) for other in others]
    return {
        "noise": float(np.std(values, ddof=1)),
        "probability": max(probability for probability, _ in changes),
        "estimate": max(estimate for _, estimate in changes),
    }


def _change(points: np.ndarray, chances: np.ndarray, before: Along, after: Along) -> tuple[float, float]:
    ratio = after.log_likelihood - before.log_likelihood
    weights = np.exp(ratio - ratio.max())
    weights /= weights.sum()
    moved = weights @ points - points.mean(axis=0)
    was, now = (np.concatenate(each.predictions, axis=1)[:, chances] for each in (before, after))
    probability = np.abs(weights @ now - was.mean(axis=0))
    return float(probability.max(initial=0.0)), float(np.max(np.abs(moved) / points.std(axis=0)))
