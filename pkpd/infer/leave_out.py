"""Variants of a question compared by what each says of a study that it has not seen.

Not seen is what counts for the study. Where the evidence does not exclude that patients are in two studies,
some may be in one that was seen.
"""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from numpyro.diagnostics import effective_sample_size
from scipy.stats import norm, t

from pkpd.checks import fail
from pkpd.infer.diagnostics import pareto_k, smoothed
from pkpd.infer.predict import along
from pkpd.infer.problem import Evaluate, Evaluated, Point, Problem
from pkpd.infer.score import log_mean
from pkpd.population import Patients


def studies_of(problem: Problem) -> tuple[str, ...]:
    """The studies whose evidence counts."""
    return tuple(dict.fromkeys(arm.study for arm in problem.arms if arm.told))


def without(problem: Problem, study: str) -> Problem:
    """The problem whose likelihood leaves a study out: its deviations are those of a study not seen."""
    arms = (dataclasses.replace(a, weight=0.0) if a.study == study else a for a in problem.arms)
    return dataclasses.replace(problem, arms=tuple(arms))


def reweighted(problem: Problem, evaluate: Evaluate) -> Evaluate:
    """An evaluator, from that of a problem which differs in the weights of its arms only."""

    def found(patients: Patients, x: Point) -> Evaluated:
        seen = evaluate(patients, x)
        told = [arm.weight * v for arm, v in zip(problem.arms, seen.by_arm, strict=True) if arm.told]
        return seen._replace(log_likelihood=sum(told, jnp.zeros(())))

    return found


class Left(NamedTuple):
    """Log probability of a study that was left out, and its Monte Carlo standard error."""

    log_score: float
    error: float


def score_left_out(
    problem: Problem, evaluate: Evaluate, study: str, draws: Float[np.ndarray, "chains draws params"]
) -> Left:
    """Of a study, by the problem's evaluator, under `draws` of the posterior of `without(problem, study)`."""
    mine = [arm.study == study and arm.told for arm in problem.arms]
    flat = draws.reshape(-1, draws.shape[-1])
    logs = along(evaluate, problem.patients, flat).by_arm[:, mine].sum(axis=1)
    score = log_mean(logs)
    relative = np.exp(logs - score)
    size = float(effective_sample_size(relative.reshape(draws.shape[:2])))
    return Left(score, float(relative.std(ddof=1) / np.sqrt(min(size, len(logs)))))


class Weighed(NamedTuple):
    """The same from the posterior of all studies, weighed by one over the likelihood of the one left out.

    The Pareto k of the weights says whether they can be trusted (below 0.7), `size` how many draws they are
    worth.
    """

    left: Left
    pareto_k: float
    size: float


def weigh_left_out(problem: Problem, study: str, by_arm: Float[np.ndarray, "draws arms"]) -> Weighed:
    """Of a study, from the log probability of each arm at draws of the posterior of all.

    References: Vehtari A, Gelman A, Gabry J. Stat Comput 2017;27:1413-1432, doi 10.1007/s11222-016-9696-4.
    """
    mine = np.array([arm.study == study and arm.told for arm in problem.arms])
    power = np.array([arm.weight for arm in problem.arms])
    log_weights = -by_arm[:, mine] @ power[mine]
    weights, logs = smoothed(log_weights), by_arm[:, mine].sum(axis=1)
    chance = np.exp(logs - logs.max())
    mean = weights @ chance
    error = np.sqrt(np.sum((weights * (chance - mean)) ** 2)) / mean
    left = Left(float(np.log(mean) + logs.max()), float(error))
    return Weighed(left, pareto_k(log_weights), float(1.0 / np.sum(weights**2)))


class Compared(NamedTuple):
    """Difference of two variants' log scores over studies, its standard error, and what may be said.

    A preference takes what two standard errors are where there are many studies: with few of them the
    standard error is itself uncertain, and more is needed (Student's t).
    """

    difference: float
    error: float
    words: str


def compare(names: tuple[str, str], first: Mapping[str, Left], second: Mapping[str, Left]) -> Compared:
    """Compares two variants over the same studies; raises `InputError` where they were asked of others."""
    if apart := sorted(set(first) ^ set(second)):
        rule = "must be left out of both variants: fits of other data are not compared"
        raise fail("studies", rule, ", ".join(apart))
    gaps = np.array([first[study].log_score - second[study].log_score for study in sorted(first)])
    total = float(gaps.sum())
    error = float(np.sqrt(len(gaps)) * gaps.std(ddof=1)) if len(gaps) > 1 else float("inf")
    told = f"{total:+.1f} (standard error {error:.1f}, {len(gaps)} studies)"
    if not abs(total) > (_enough(len(gaps)) * error if len(gaps) > 1 else np.inf):
        return Compared(total, error, f"{names[0]} and {names[1]}: no preference, {told}")
    better = names[0] if total > 0.0 else names[1]
    return Compared(total, error, f"{better} predicts studies that it has not seen better: {told}")


def _enough(studies: int) -> float:
    """How many standard errors a sum over studies is from zero as rarely as a normal number is two."""
    return float(t.ppf(norm.cdf(2.0), studies - 1))
