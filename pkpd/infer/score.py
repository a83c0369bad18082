"""How well arms that the fit has not seen are predicted, beside what counts alone would say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp
from scipy.stats import betabinom, binom

from pkpd.dosing.events import Events
from pkpd.infer.arm import Arm
from pkpd.infer.predict import Along
from pkpd.infer.problem import Problem

Masses = Float[np.ndarray, " counts"]  # probability of 0, 1, ... n events
_MEANS = np.linspace(0.005, 0.995, 100)
_SPREADS = np.linspace(0.01, 0.6, 30)  # rho of the beta distribution: variance over that of one patient
BOOTSTRAPS = 4000


def predictive(chances: Float[np.ndarray, " draws"], n: int) -> Masses:
    """Distribution of the events among `n` patients when their probability is uncertain."""
    return binom.pmf(np.arange(n + 1)[:, None], n, chances[None]).mean(axis=1)


def quantile(masses: Masses, level: float) -> int:
    """The least count whose cumulative probability reaches a level."""
    return int(np.searchsorted(np.cumsum(masses), level * (1.0 - 1e-12)))


@dataclass(frozen=True)
class Baseline:
    """A beta-binomial model of one endpoint for each class of treatment, which knows no dose.

    Arms of a class have probabilities from one beta distribution; its mean is uniform a priori and its
    spread rho, the correlation of two patients of an arm, is Beta(1, 9). What is not told stays at that.
    """

    arms: Mapping[tuple[str, str], Sequence[tuple[int, int, float]]]

    @classmethod
    def of(cls, problem: Problem) -> "Baseline":
        """Of the arms that were fitted: events, n and weight by endpoint and class."""
        found: dict[tuple[str, str], list[tuple[int, int, float]]] = {}
        for arm in problem.arms:
            for fact in problem.facts(arm):
                if fact.events is not None:
                    key = fact.label, class_of(arm.events)
                    found.setdefault(key, []).append((fact.events, arm.n, arm.weight))
        return cls(found)

    def predictive(self, endpoint: str, treatment: str, n: int) -> Masses:
        """Distribution of the events among `n` patients of a new arm."""
        rho, mean = _SPREADS[:, None], _MEANS[None]
        size = 1.0 / rho - 1.0
        logs = 8.0 * np.log1p(-rho) + np.zeros_like(mean)
        for events, of, weight in self.arms.get((endpoint, treatment), ()):
            logs = logs + weight * betabinom.logpmf(events, of, mean * size, (1.0 - mean) * size)
        shares = np.exp(logs - logsumexp(logs))
        counts = np.arange(n + 1)[:, None, None]
        return (betabinom.pmf(counts, n, mean * size, (1.0 - mean) * size) * shares).sum(axis=(1, 2))


def class_of(events: Events) -> str:
    """The drugs of an arm."""
    return " + ".join(sorted({drug for drug, _ in events.route})) or "none"


def rows_of(problem: Problem, found: Along, baseline: Baseline, seed: int = 0) -> list[dict[str, Any]]:
    """A row for each number of the arms of a problem: what is predicted, and the score where it is known.

    Intervals are those of the share of events among the arm's patients, or of what is expected of a report's
    number, without its sampling error.
    """
    rng = np.random.default_rng(seed)
    return [
        _row(arm, fact.label, fact.events, fact.value, draws[:, i], baseline, rng)
        for arm, draws in zip(problem.arms, found.predictions, strict=True)
        for i, fact in enumerate(problem.facts(arm))
    ]


def _row(
    arm: Arm,
    endpoint: str,
    events: int | None,
    value: float | None,
    draws: np.ndarray,
    baseline: Baseline,
    rng: np.random.Generator,
) -> dict[str, Any]:
    row = {"study": arm.study, "arm": arm.name, "endpoint": endpoint, "n": arm.n, "events": events}
    unscored = dict.fromkeys(("p_observed", "log_score", "pit", "baseline_log_score"))
    levels = {"lo50": 0.25, "hi50": 0.75, "lo95": 0.025, "hi95": 0.975}
    row["mean"] = float(draws.mean())
    if value is not None:
        spans = {key: float(np.quantile(draws, level)) for key, level in levels.items()}
        return row | spans | {"value": value, **unscored}
    masses = predictive(draws, arm.n)
    row |= {key: quantile(masses, level) / arm.n for key, level in levels.items()}
    if events is None:
        return row | unscored
    simple = baseline.predictive(endpoint, class_of(arm.events), arm.n)
    return row | {
        "p_observed": float(masses[events]),
        "log_score": float(np.log(masses[events])),
        "pit": float(masses[:events].sum() + rng.uniform() * masses[events]),
        "baseline_log_score": float(np.log(simple[events])),
    }


def joint_scores(problem: Problem, found: Along) -> dict[str, float]:
    """Log probability of all that each study reports, its arms and endpoints together."""
    studies = dict.fromkeys(arm.study for arm in problem.arms if arm.told)
    return {
        study: log_mean(found.by_arm[:, [arm.study == study for arm in problem.arms]].sum(1))
        for study in studies
    }


def log_mean(logs: Float[np.ndarray, " draws"]) -> float:
    """Log of the mean of numbers given by their logs."""
    return float(logsumexp(logs) - np.log(len(logs)))


def summary_of(rows: Sequence[Mapping[str, Any]], seed: int = 0) -> dict[str, Any]:
    """Over rows with a score: mean log score, its difference to the baseline's, coverage and widths.

    The interval of the difference is a bootstrap over studies, because rows of one share its patients; None
    where there is one study.
    """
    known = [row for row in rows if row["log_score"] is not None]
    if not known:
        return {"rows": 0}
    score, simple = (np.array([row[key] for row in known]) for key in ("log_score", "baseline_log_score"))
    shares = np.array([row["events"] / row["n"] for row in known])
    found: dict[str, Any] = {
        "rows": len(known),
        "log_score": float(score.mean()),
        "baseline_log_score": float(simple.mean()),
        "difference": float((score - simple).mean()),
        "difference_ci95": _bootstrap(score - simple, [row["study"] for row in known], seed),
    }
    for level in ("50", "95"):
        low, high = (np.array([row[f"{end}{level}"] for row in known]) for end in ("lo", "hi"))
        found[f"width{level}"] = float((high - low).mean())
        found[f"covered{level}"] = float(((low <= shares) & (shares <= high)).mean())
    return found


def _bootstrap(values: np.ndarray, studies: Sequence[str], seed: int) -> list[float] | None:
    names = list(dict.fromkeys(studies))
    if len(names) < 2:
        return None
    rng = np.random.default_rng(seed)
    sums = np.array([sum(v for v, s in zip(values, studies, strict=True) if s == name) for name in names])
    sizes = np.array([studies.count(name) for name in names])
    drawn = rng.integers(len(names), size=(BOOTSTRAPS, len(names)))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    return [float(v) for v in np.quantile(means, [0.025, 0.975])]
