"""Whether there are enough virtual patients: what an answer would be with others."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pkpd.infer.problem import Point, Problem, compiled, marginals
from pkpd.population import Patients


def patient_changes(
    problem: Problem, points: Float[np.ndarray, "draws params"], seed: int = 10_000
) -> dict[str, dict[str, float]]:
    """How an answer changes with twice the virtual patients, and with as many others.

    The posterior under other patients is the sample under the fit's, reweighted by the ratio of the
    likelihoods. `log_density` is the spread of that ratio, `probability` the largest change of an arm's
    mean probability, `estimate` that of a parameter's mean in posterior standard deviations.
    """
    count = problem.patients.count
    crowds = {"doubled": problem.crowd(2 * count, seed), "others": problem.crowd(count, seed + 1)}
    log_likelihood, chances = _evaluate(problem, problem.patients, points)
    found = {}
    for name, crowd in crowds.items():
        new_log_likelihood, new_chances = _evaluate(problem, crowd, points)
        ratio = new_log_likelihood - log_likelihood
        weights = np.exp(ratio - ratio.max())
        weights /= weights.sum()
        moved = weights @ points - points.mean(axis=0)
        found[name] = {
            "log_density": float(ratio.std()),
            "probability": float(np.max(np.abs(weights @ new_chances - chances.mean(axis=0)))),
            "estimate": float(np.max(np.abs(moved) / points.std(axis=0))),
        }
    return found


def _evaluate(problem: Problem, patients: Patients, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log likelihood [draws] and probabilities of all endpoints [draws, endpoints] with some patients."""

    def one(problem: Problem, x: Point) -> tuple[Array, Array]:
        tables = problem.log_tables(x)
        return problem.log_likelihood_of(tables), jnp.concatenate([marginals(table) for table in tables])

    run = compiled(problem, lambda p, xs: jax.lax.map(lambda x: one(p, x), xs))
    values, chances = run(patients, jnp.asarray(points))
    return np.asarray(values), np.asarray(chances)
