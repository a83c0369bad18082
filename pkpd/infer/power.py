"""What an answer owes to each prior and to the likelihood: how it moves when either is made stronger.

Raising a factor of the posterior to a power near 1 is a reweighting of the draws. The distance between the
weighted and the plain distribution of each parameter, divided by the change of the power (in doublings), is
its sensitivity; above 0.05 it is worth a word.

References: Kallioinen N, Paananen T, Bürkner PC, Vehtari A. Stat Comput 2024;34:57,
doi 10.1007/s11222-023-10366-5.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

STEP = 1.01
WORTH = 0.05


def sensitivities(
    names: Sequence[str],
    points: Float[np.ndarray, "draws params"],
    log_likelihood: Float[np.ndarray, " draws"],
) -> dict[str, dict[str, Any]]:
    """Of each parameter: to its own prior, to the likelihood, and the other prior that moves it most.

    `points` are standard normal under the prior.
    """
    log_priors = -0.5 * points**2
    by_likelihood = _moved(points, log_likelihood)
    by_prior = np.array([_moved(points, column) for column in log_priors.T])
    found = {}
    for i, name in enumerate(names):
        others = np.where(np.arange(len(names)) == i, -1.0, by_prior[:, i])
        most = int(np.argmax(others))
        found[name] = {
            "prior": float(by_prior[i, i]),
            "likelihood": float(by_likelihood[i]),
            "other": names[most] if len(names) > 1 else "",
            "other_prior": float(max(others[most], 0.0)),
        }
    return found


def in_words(found: dict[str, dict[str, Any]]) -> list[str]:
    """Which parameters a stronger prior would move and stronger data hardly, and which both would."""
    alone = [n for n, s in found.items() if s["prior"] >= WORTH > s["likelihood"]]
    apart = [n for n, s in found.items() if s["prior"] >= WORTH <= s["likelihood"]]
    other = [f"{n} (of {s['other']})" for n, s in found.items() if s["other_prior"] >= WORTH]
    told = {
        "a stronger prior would move, stronger data hardly": alone,
        "a stronger prior and stronger data would both move": apart,
        "a stronger prior of another would move": other,
    }
    return [f"{words}: {', '.join(which)}" for words, which in told.items() if which]


def _moved(points: np.ndarray, log_factor: np.ndarray) -> np.ndarray:
    """Mean over both directions of the distance per doubling of the factor's power [params]."""
    found = []
    for power in (STEP, 1.0 / STEP):
        weights = np.exp((power - 1.0) * (log_factor - log_factor.max()))
        found.append([_distance(column, weights / weights.sum()) for column in points.T])
    return np.mean(found, axis=0) / np.log2(STEP)


def _distance(values: np.ndarray, weights: np.ndarray) -> float:
    """Cumulative Jensen-Shannon distance of weighted from plain values, between 0 and 1, from either end."""
    order = np.argsort(values)
    width = np.diff(values[order])
    plain = np.arange(1, len(values)) / len(values)
    weighted = np.clip(np.cumsum(weights[order])[:-1], 0.0, 1.0)
    return max(_divergence(plain, weighted, width), _divergence(1.0 - plain, 1.0 - weighted, width)) ** 0.5


def _divergence(p: np.ndarray, q: np.ndarray, width: np.ndarray) -> float:
    """Of two cumulative distributions in steps, as a share of the largest that there can be."""
    middle = np.where(p + q > 0.0, 0.5 * (p + q), 1.0)
    parts = (x * np.log2(np.where(x > 0.0, x, 1.0) / middle) for x in (p, q))
    return max(float(width @ sum(parts)), 0.0) / max(float(width @ (p + q)), 1e-300)
