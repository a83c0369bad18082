"""What a posterior predicts."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from pkpd.infer.problem import Arm, Point, Problem, compiled


class Predicted(NamedTuple):
    """Probability of each endpoint of one arm: at a point [endpoints], over draws [draws, endpoints]."""

    at_mode: np.ndarray
    draws: np.ndarray

    def interval(self, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """The central interval over the draws."""
        low, high = np.quantile(self.draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
        return low, high


def predict(problem: Problem, arms: Sequence[Arm], mode: np.ndarray, points: np.ndarray) -> list[Predicted]:
    """Arm probabilities at the mode and at `points` [draws, params], averaged over virtual patients.

    These are uncertainties of the arm's true proportion, not of a count in a trial of finite size.
    """

    def run(problem: Problem, x: jax.Array) -> list[jax.Array]:
        def one(point: Point) -> list[jax.Array]:
            return problem.probabilities(point, arms)

        return jax.lax.map(one, x)

    found = compiled(problem, run)(problem.patients, jnp.asarray(np.vstack([mode, points])))
    return [Predicted(np.asarray(v)[0], np.asarray(v)[1:]) for v in found]


def thin(points: np.ndarray, count: int) -> np.ndarray:
    """At most `count` evenly spaced points [draws, params] of all chains."""
    flat = points.reshape(-1, points.shape[-1])
    kept = min(count, len(flat))
    return flat[np.arange(kept) * len(flat) // max(kept, 1)]
