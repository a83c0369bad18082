"""Variants of a question compared by what each says of a study that it has not seen."""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from pkpd.checks import fail
from pkpd.infer.predict import along, extended, with_arms
from pkpd.infer.problem import Problem, evaluator
from pkpd.infer.score import log_mean


def studies_of(problem: Problem) -> tuple[str, ...]:
    """The studies whose evidence counts."""
    return tuple(dict.fromkeys(arm.study for arm in problem.arms if arm.told))


def without(problem: Problem, study: str) -> Problem:
    """The problem without a study and its deviations."""
    arms = tuple(arm for arm in problem.arms if arm.study != study)
    kept = {"study": {arm.study for arm in arms}, "histology": {arm.histology for arm in arms}}
    levels = tuple(
        dataclasses.replace(level, groups=tuple(g for g in level.groups if g in kept[level.by]))
        for level in problem.levels
    )
    gone = {n for level in problem.levels for n in level.effects}
    gone -= {n for level in levels for n in level.effects}
    priors = tuple(item for item in problem.priors if item[0] not in gone)
    return dataclasses.replace(problem, arms=arms, levels=levels, priors=priors)


class Left(NamedTuple):
    """Log probability of a study that was left out, and its Monte Carlo standard error."""

    log_score: float
    error: float


def score_left_out(
    problem: Problem, study: str, draws: Float[np.ndarray, "draws params"], seed: int = 0
) -> Left:
    """Of a study, under `draws` of the posterior of `without(problem, study)`; its deviations are new."""
    arms = [dataclasses.replace(arm, weight=1.0) for arm in problem.arms if arm.study == study and arm.told]
    new = with_arms(without(problem, study), arms)
    logs = along(evaluator(new), new.patients, extended(new, draws, seed)).by_arm.sum(axis=1)
    score = log_mean(logs)
    relative = np.exp(logs - score)
    return Left(score, float(relative.std(ddof=1) / np.sqrt(len(logs))))


class Compared(NamedTuple):
    """Difference of two variants' log scores over studies, its standard error, and what may be said."""

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
    if abs(total) < 2.0 * error:
        return Compared(total, error, f"{names[0]} and {names[1]}: no preference, {told}")
    better = names[0] if total > 0.0 else names[1]
    return Compared(total, error, f"{better} predicts studies that it has not seen better: {told}")
