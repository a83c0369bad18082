"""What a posterior predicts."""

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from pkpd.devices import in_threads
from pkpd.infer.arm import Arm
from pkpd.infer.levels import STANDARD
from pkpd.infer.problem import Evaluate, Point, Problem, compiled
from pkpd.population import Patients

Chances = Callable[[Point], list[Array]]


class Predicted(NamedTuple):
    """What is predicted for the numbers of one arm: at a point [facts], over draws [draws, facts]."""

    at_mode: np.ndarray
    draws: np.ndarray

    def interval(self, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """The central interval over the draws."""
        low, high = np.quantile(self.draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
        return low, high


class Along(NamedTuple):
    """Along draws: log likelihood [draws], that of each arm without its weight [draws, arms], and what is
    predicted for the numbers of each arm, [draws, facts] by arm."""

    log_likelihood: np.ndarray
    by_arm: np.ndarray
    predictions: list[np.ndarray]


def along(evaluate: Evaluate, patients: Patients, points: Float[np.ndarray, "draws params"]) -> Along:
    """Evaluates a problem at points."""
    rows = in_threads(lambda x: evaluate(patients, jnp.asarray(x))[:3], points)
    totals, by_arm, predictions = zip(*rows, strict=True)
    return Along(np.array(totals), np.array(by_arm), [np.array(v) for v in zip(*predictions, strict=True)])


def predict(chances: Chances, mode: np.ndarray, points: np.ndarray) -> list[Predicted]:
    """What is predicted for arms at the mode and at `points` [draws, params].

    These are uncertainties of the arm's true proportion, not of a count in a trial of finite size.
    """
    rows = in_threads(lambda x: chances(jnp.asarray(x)), (mode, *points))
    return [Predicted(np.asarray(first), np.array(rest)) for first, *rest in zip(*rows, strict=True)]


def chances_of(problem: Problem) -> Chances:
    """A compiled function of a point: what is predicted for each arm."""
    return partial(compiled(problem, lambda p, x: p.predictions(p.seen(x))), problem.patients)


def with_arms(problem: Problem, arms: Sequence[Arm]) -> Problem:
    """The problem with other arms; the deviations of studies and histologies that are new come last."""
    groups = {"study": [arm.study for arm in arms], "histology": [arm.histology for arm in arms]}
    levels = tuple(level.with_groups(groups[level.by]) for level in problem.levels)
    names = [name for level in levels for name in level.effects if name not in problem.names]
    priors = problem.priors + tuple((name, STANDARD) for name in names)
    return dataclasses.replace(problem, arms=tuple(arms), levels=levels, priors=priors)


def extended(problem: Problem, points: Float[np.ndarray, "draws old"], seed: int) -> np.ndarray:
    """Points of a problem with what `with_arms` added: deviations drawn from between studies."""
    missing = len(problem.priors) - points.shape[1]
    drawn = np.random.default_rng(seed).standard_normal((len(points), missing))
    return np.concatenate([points, drawn], axis=1)


def typical(problem: Problem, point: Float[np.ndarray, " old"]) -> np.ndarray:
    """A point of a problem with what `with_arms` added: no deviation."""
    return np.concatenate([point, np.zeros(len(problem.priors) - len(point))])


def thin(points: np.ndarray, count: int) -> np.ndarray:
    """At most `count` evenly spaced points [draws, params] of all chains."""
    flat = points.reshape(-1, points.shape[-1])
    kept = min(count, len(flat))
    return flat[np.arange(kept) * len(flat) // max(kept, 1)]
