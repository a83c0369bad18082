"""A fit from question to answer: starts, mode, posterior, predictions, checks."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from pkpd.dosing.events import Events
from pkpd.infer import laplace, power
from pkpd.infer.arm import Arm
from pkpd.infer.crowd import patient_changes
from pkpd.infer.diagnostics import directions, in_words, only_together, summary
from pkpd.infer.emulated import sample_emulated
from pkpd.infer.gates import fit_checks, status_of
from pkpd.infer.keep import Keep, Nowhere
from pkpd.infer.mode import Climb, Mode
from pkpd.infer.nuts import sample
from pkpd.infer.predict import Predicted, along, chances_of, extended, predict, thin, typical, with_arms
from pkpd.infer.problem import Evaluate, Problem, evaluator
from pkpd.infer.search import search
from pkpd.infer.settings import DEFAULT, Settings

Progress = Callable[[str, float], None]  # a message, and the share of the work that is done


@dataclass(frozen=True)
class Fit:
    """An answer. Points are on the prior's standard normal scale, rows and estimates in model units.

    `estimates` hold standard deviations of the parameter itself, and `contraction` on the normal scale.
    `draws` [chains, draws, params] are the posterior sample; `points` [..., params] are the same, or points
    of the normal approximation, corrected by importance where that can be trusted (`diagnostics.pareto_k`
    below 0.7), where nothing was sampled.
    """

    status: str
    seconds: float
    problem: Problem
    mode: np.ndarray
    log_density: float
    log_likelihood: float
    gradient: float
    hessian: np.ndarray
    starts: dict[str, Any]
    draws: np.ndarray | None
    points: np.ndarray
    diagnostics: dict[str, Any]
    checks: dict[str, bool]
    arms: list[dict[str, Any]]
    predictions: list[dict[str, Any]]
    prior_predictive: list[dict[str, Any]]
    estimates: dict[str, dict[str, Any]]
    directions: list[str]
    words: list[str]


def fit_problem(
    problem: Problem,
    settings: Settings = DEFAULT,
    others: Sequence[Arm] = (),
    quick: bool = False,
    progress: Progress | None = None,
    keep: Keep | None = None,
) -> Fit:
    """Finds the mode from many starts, samples the posterior (unless `quick`) and predicts.

    `others` are arms to predict that the fit does not use; the search and the sampling go on from what
    `keep` holds.
    Non-convergence is a status, not an error.
    """
    say = progress or (lambda message, share: None)
    begin = time.perf_counter()
    evaluate, found, draws = evaluator(problem), dict[str, Any](), None
    keep = keep or Nowhere()
    climbed, mode, normal = search(problem, evaluate, settings, say, keep)
    if quick:
        say("weighing the normal approximation", 0.2)
        weighed = laplace.weigh(problem, evaluate, normal, 1000, settings.seed)
        points = weighed.resampled(1000, settings.seed)
    else:
        told = _within(say, 0.12, 0.92)
        if settings.emulate:
            chain, emulation = sample_emulated(problem, evaluate, normal, settings, told, keep)
            found["emulator"] = emulation._asdict()
        else:
            lengths = settings.chains, settings.warmup, settings.draws
            chain = sample(problem.log_density, normal, *lengths, settings.seed, told, keep)
        points = draws = chain.points
        found |= summary(chain, problem.names)
        found["laplace_gap"] = laplace.gap(normal, draws)
        weighed = laplace.weigh(problem, evaluate, normal, 400, settings.seed)
    say("checking the virtual patients and the priors", 0.94)
    some = thin(points, 400)
    first = along(evaluate, problem.patients, some)
    found["pareto_k"] = weighed.pareto_k
    found["patients"] = patient_changes(problem, evaluate, mode.point, some, first)
    found["sensitivity"] = power.sensitivities(problem.names, some, first.log_likelihood)
    say("predicting", 0.97)
    found["starts_agree"] = agreeing(climbed)
    at_mode = along(evaluate, problem.patients, mode.point[None]).predictions
    fitted = [Predicted(a[0], draws) for a, draws in zip(at_mode, first.predictions, strict=True)]
    predictions = _others(problem, others, mode.point, some, settings.seed)
    prior_predictive = _prior_predictive(problem, evaluate, settings.seed)
    checks = fit_checks(found, mode, settings, quick)
    contraction = _contraction(problem, points)
    return Fit(
        status=status_of(checks),
        seconds=time.perf_counter() - begin,
        problem=problem,
        mode=mode.point,
        log_density=mode.log_density,
        log_likelihood=mode.log_density + 0.5 * float(np.sum(mode.point**2)),
        gradient=mode.gradient,
        hessian=mode.hessian,
        starts={k: v.tolist() for k, v in climbed._asdict().items() if k != "points"},
        draws=draws,
        points=points,
        diagnostics=found,
        checks=checks,
        arms=[row for arm, p in zip(problem.arms, fitted, strict=True) for row in _rows(problem, arm, p)],
        predictions=predictions,
        prior_predictive=prior_predictive,
        estimates=_estimates(problem, mode, points),
        directions=directions(mode, problem.names),
        words=[
            *in_words(contraction),
            *only_together(mode, problem.priors, contraction),
            *power.in_words(found["sensitivity"]),
        ],
    )


def _within(say: Progress, start: float, end: float) -> Progress:
    """Tells a part of the work as its share of the whole."""
    return lambda message, share: say(message, start + (end - start) * share)


def agreeing(climbed: Climb, within: float = 0.01) -> int:
    """How many converged starts reached the log density of the best one."""
    below = np.nanmax(climbed.log_density) - climbed.log_density
    return int(np.sum(climbed.converged & (below < within)))


def _rows(problem: Problem, arm: Arm, p: Predicted) -> list[dict[str, Any]]:
    low, high = p.interval()
    rows = []
    for i, fact in enumerate(problem.facts(arm)):
        row = {
            "study": arm.study,
            "arm": arm.name,
            "endpoint": fact.label,
            "n": arm.n,
            "events": fact.events,
            "predicted": float(p.at_mode[i]),
            "posterior_mean": float(p.draws[:, i].mean()),
            "lo95": float(low[i]),
            "hi95": float(high[i]),
        }
        if fact.value is not None:
            row |= {"value": fact.value, "se": fact.se, "probability": fact.chance}
        rows.append(row | ({"weight": arm.weight} if arm.weight != 1.0 else {}))
    return rows


def _others(
    problem: Problem, others: Sequence[Arm], mode: np.ndarray, points: np.ndarray, seed: int
) -> list[dict[str, Any]]:
    """Rows of arms that are not fitted; their study is a new one."""
    if not others:
        return []
    untreated = [eqx.tree_at(lambda a: a.events, arm, _no_doses(arm.events)) for arm in others]
    new = with_arms(problem, [*others, *untreated])
    found = predict(chances_of(new), typical(new, mode), extended(new, points, seed))
    rows = []
    for arm, p, nothing in zip(others, found[: len(others)], found[len(others) :], strict=True):
        same = bool(np.max(np.abs(p.draws - nothing.draws)) < 1e-9)
        note = "equal to no treatment by construction: the model has no effect of this alone" if same else ""
        rows += [{**row, "n": None, "events": None, "note": note} for row in _rows(new, arm, p)]
    return rows


def _no_doses(events: Events) -> Events:
    """The same course without its doses, looked at at the same times."""
    none = jnp.zeros(0)
    return Events(none, none, none, (), (), (), events.end)


def _prior_predictive(
    problem: Problem, evaluate: Evaluate, seed: int, count: int = 200
) -> list[dict[str, Any]]:
    points = np.random.default_rng(seed).standard_normal((count, len(problem.priors)))
    found = along(evaluate, problem.patients, points).predictions
    rows = [
        row
        for arm, draws in zip(problem.arms, found, strict=True)
        for row in _rows(problem, arm, Predicted(draws[0], draws))
    ]
    return [
        {k: row[k] for k in ("study", "arm", "endpoint", "posterior_mean", "lo95", "hi95")} for row in rows
    ]


def _contraction(problem: Problem, points: np.ndarray) -> dict[str, float]:
    variance = points.reshape(-1, points.shape[-1]).var(axis=0)
    return {name: float(1.0 - v) for name, v in zip(problem.names, variance, strict=True)}


def _estimates(problem: Problem, mode: Mode, points: np.ndarray) -> dict[str, dict[str, Any]]:
    flat = points.reshape(-1, points.shape[-1])
    contraction, found = _contraction(problem, points), {}
    for i, (path, prior) in enumerate(problem.priors):
        values = np.asarray(prior.natural(jnp.asarray(flat[:, i])))
        found[path] = {
            "value": float(prior.natural(jnp.asarray(mode.point[i]))),
            "unit": problem.unit(path),
            "se": float(values.std(ddof=1)),
            "ci95": [float(v) for v in np.quantile(values, [0.025, 0.975])],
            "prior_sd": prior.sd(),
            "posterior_sd": float(values.std(ddof=1)),
            "contraction": contraction[path],
        }
    return found
