"""What a posterior predicts."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from pkpd.infer.problem import Arm, Point, Problem, compiled

Chances = Callable[[Point], list[jax.Array]]


class Predicted(NamedTuple):
    """Probability of each endpoint of one arm: at a point [endpoints], over draws [draws, endpoints]."""

    at_mode: np.ndarray
    draws: np.ndarray

    def interval(self, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """The central interval over the draws."""
        low, high = np.quantile(self.draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
        return low, high


def predict(chances: Chances, mode: np.ndarray, points: np.ndarray) -> list[Predicted]:
    """Arm probabilities at the mode and at `points` [draws, params].

    These are uncertainties of the arm's true proportion, not of a count in a trial of finite size.
    """
    rows = [chances(jnp.asarray(x)) for x in (mode, *points)]
    return [Predicted(np.asarray(first), np.array(rest)) for first, *rest in zip(*rows, strict=True)]


def chances_of(problem: Problem, arms: Sequence[Arm]) -> Chances:
    """A compiled function of a point: the endpoints' probabilities of some arms, over virtual patients."""
    return partial(compiled(problem, lambda p, x: p.probabilities(x, arms)), problem.patients)


def thin(points: np.ndarray, count: int) -> np.ndarray:
    """At most `count` evenly spaced points [draws, params] of all chains."""
    flat = points.reshape(-1, points.shape[-1])
    kept = min(count, len(flat))
    return flat[np.arange(kept) * len(flat) // max(kept, 1)]
