"""Whether a sample can be trusted, and what the data say."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpyro.diagnostics import effective_sample_size, split_gelman_rubin

from pkpd.infer.mode import Mode
from pkpd.infer.prior import Prior


class Draws(NamedTuple):
    """Points [chains, draws, params]; [chains, draws] log densities of the coordinates the sampler used,
    whether it diverged (the share of its iterations where a draw takes several), leapfrog steps, energies."""

    points: np.ndarray
    log_density: np.ndarray
    diverging: np.ndarray
    steps: np.ndarray
    energy: np.ndarray


def summary(draws: Draws, names: Sequence[str]) -> dict[str, Any]:
    """R-hat and effective sample sizes (bulk on ranks, tail on the 5 and 95 % indicators) by parameter.

    References: Vehtari A, Gelman A, Simpson D, Carpenter B, Bürkner PC. Bayesian Anal 2021;16:667-718,
    doi 10.1214/20-BA1221.
    """
    ranked = np.stack([_normal_ranks(draws.points[..., i]) for i in range(len(names))], axis=-1)
    folded = np.abs(draws.points - np.median(draws.points, axis=(0, 1)))
    folded = np.stack([_normal_ranks(folded[..., i]) for i in range(len(names))], axis=-1)
    rhat = np.maximum(split_gelman_rubin(ranked), split_gelman_rubin(folded))
    bulk = effective_sample_size(_halves(ranked))
    low, high = np.quantile(draws.points, [0.05, 0.95], axis=(0, 1))
    tail = np.minimum(
        effective_sample_size(_halves((draws.points <= low).astype(float))),
        effective_sample_size(_halves((draws.points <= high).astype(float))),
    )
    energy = draws.energy
    moved, spread = np.mean(np.diff(energy, axis=1) ** 2, axis=1), np.var(energy, axis=1, ddof=1)
    return {
        "rhat": dict(zip(names, map(float, rhat), strict=True)),
        "ess_bulk": dict(zip(names, map(float, bulk), strict=True)),
        "ess_tail": dict(zip(names, map(float, tail), strict=True)),
        "rhat_max": float(rhat.max()),
        "ess_bulk_min": float(bulk.min()),
        "ess_tail_min": float(tail.min()),
        "divergent": float(draws.diverging.mean()),
        "divergent_where": where_divergent(draws, names),
        "steps_mean": float(draws.steps.mean()),
        "ebfmi_min": float(np.min(moved / spread)),
    }


def where_divergent(draws: Draws, names: Sequence[str]) -> str:
    """Of which parameter the divergent iterations have other values than the rest, in words.

    The one whose mean differs most, where that is by three standard errors and more.
    """
    points, diverging = draws.points.reshape(-1, len(names)), draws.diverging.reshape(-1).astype(bool)
    if not diverging.any():
        return ""
    shift = (points[diverging].mean(axis=0) - points.mean(axis=0)) / points.std(axis=0)
    top = int(np.argmax(np.abs(shift)))
    if abs(shift[top]) * np.sqrt(diverging.sum()) < 3.0:
        return "anywhere"
    return f"where {names[top]} is {'large' if shift[top] > 0.0 else 'small'}"


def _halves(values: np.ndarray) -> np.ndarray:
    """The halves of chains [chains, draws, ...] as chains: one that drifts disagrees with itself."""
    half = values.shape[1] // 2
    return np.concatenate([values[:, :half], values[:, -half:]])


def _normal_ranks(values: np.ndarray) -> np.ndarray:
    """Rank-normalised values."""
    from scipy.special import ndtri
    from scipy.stats import rankdata

    ranks = rankdata(values, axis=None).reshape(values.shape)
    return ndtri((ranks - 0.375) / (values.size + 0.25))


class Tail(NamedTuple):
    """A generalised Pareto distribution of what exceeds a weight: where it stands among the sorted weights,
    its shape k and its scale."""

    first: int
    shape: float
    scale: float


def pareto_k(log_weights: np.ndarray) -> float:
    """Shape of the generalised Pareto tail of importance weights; above 0.7 they cannot be trusted.

    References: Vehtari A, et al. J Mach Learn Res 2024;25(72):1-58; Zhang J, Stephens MA.
    Technometrics 2009;51:316-325, doi 10.1198/tech.2009.08017.
    """
    return _tail(np.sort(np.exp(log_weights - log_weights.max()))).shape


def smoothed(log_weights: np.ndarray) -> np.ndarray:
    """Normalised importance weights whose largest are replaced by quantiles of their Pareto tail.

    References: as for `pareto_k`.
    """
    order = np.argsort(log_weights)
    weights = np.exp(log_weights[order] - log_weights.max())
    tail = _tail(weights)
    if np.isfinite(tail.shape):
        count = len(weights) - tail.first
        share = (np.arange(count) + 0.5) / count
        k = tail.shape if abs(tail.shape) > 1e-6 else 1e-6
        excess = tail.scale * np.expm1(-k * np.log1p(-share)) / k
        weights[tail.first :] = np.minimum(weights[tail.first - 1] + excess, 1.0)
    found = np.empty_like(weights)
    found[order] = weights / weights.sum()
    return found


def _tail(ordered: np.ndarray) -> Tail:
    """The tail of sorted weights by the estimator of Zhang and Stephens, its shape drawn towards 0.5."""
    count = int(min(np.ceil(ordered.size / 5), np.ceil(3 * np.sqrt(ordered.size))))
    first = ordered.size - count
    excess = ordered[first:] - ordered[first - 1]
    excess = excess[excess > 0]
    n = len(excess)
    if n < 5:
        return Tail(first, float("inf") if n else 0.0, 0.0)
    grid = 30 + int(np.sqrt(n))
    quartile = excess[int(n / 4 + 0.5) - 1]
    b = (1 - np.sqrt(grid / (np.arange(1, grid + 1) - 0.5))) / (3 * quartile) + 1 / excess[-1]
    k = np.mean(np.log1p(-b[:, None] * excess), axis=1)
    profile = n * (np.log(-b / k) - k - 1)
    share = 1 / np.sum(np.exp(profile - profile[:, None]), axis=1)
    best = np.sum(b * share) / np.sum(share)
    shape = float(np.mean(np.log1p(-best * excess)))
    return Tail(first, (n * shape + 10 * 0.5) / (n + 10), -shape / float(best))


def _sharper(mode: Mode) -> Iterator[tuple[float, np.ndarray]]:
    """Directions in which the likelihood is sharper than the prior, and how many times, sharpest first."""
    values, vectors = np.linalg.eigh(mode.hessian - np.eye(len(mode.point)))
    for i in np.argsort(values)[::-1]:
        if values[i] > 1.0:
            yield float(values[i]), vectors[:, i]


def directions(mode: Mode, names: Sequence[str]) -> list[str]:
    """Directions in which the likelihood is sharper than the prior, in words.

    Eigenvectors of minus the Hessian of the log likelihood on the prior's standard normal scale; an
    eigenvalue above 1 means that the data say more than the prior.
    """
    found = []
    for value, vector in _sharper(mode):
        heavy = [j for j in np.argsort(-np.abs(vector)) if abs(vector[j]) > 0.25][:5]
        sign = np.sign(vector[heavy[0]])
        words = " ".join(
            f"{'+' if sign * vector[j] > 0 else '-'} {abs(vector[j]):.2f} {names[j]}" for j in heavy
        )
        found.append(f"{words.removeprefix('+ ')} (the data say {value:.1f} times what the prior says)")
    return found


def only_together(
    mode: Mode, priors: Sequence[tuple[str, Prior]], contraction: Mapping[str, float]
) -> list[str]:
    """What the data fix of several parameters together and of none alone, in words.

    Told for each direction in which the likelihood is sharper than the prior and whose parameters all have a
    contraction below a half; as a product of powers where they are log-normal.
    """
    found = []
    for _, vector in _sharper(mode):
        heavy = [int(j) for j in np.argsort(-np.abs(vector)) if abs(vector[j]) > 0.25]
        if len(heavy) > 1 and all(contraction[priors[j][0]] < 0.5 for j in heavy):
            found.append(f"only {_combined(vector, heavy, priors)} is identified, not each")
    return found


def _combined(vector: np.ndarray, heavy: Sequence[int], priors: Sequence[tuple[str, Prior]]) -> str:
    if any(priors[j][1].family != "lognormal" for j in heavy):
        return f"a combination of {', '.join(priors[j][0] for j in heavy)}"
    power = {j: vector[j] / priors[j][1].spread for j in heavy}
    first, *rest = heavy
    return " x ".join([priors[first][0], *(f"{priors[j][0]}^{power[j] / power[first]:.1f}" for j in rest)])


def in_words(contraction: dict[str, float], informed: float = 0.5, partly: float = 0.2) -> list[str]:
    """Which parameters the data inform, partly inform, and leave to the prior."""
    groups: dict[str, list[str]] = {"data": [], "partly": [], "prior": []}
    for name, c in sorted(contraction.items(), key=lambda item: -item[1]):
        key = "data" if c >= informed else "partly" if c >= partly else "prior"
        groups[key].append(f"{name} ({c:.2f})")
    words = {"data": "the data inform", "partly": "the data partly inform", "prior": "the prior decides"}
    return [f"{words[key]}: {', '.join(names)}" for key, names in groups.items() if names]
