"""How much data that are yet to be seen would tell, from draws of what is known and their likelihoods.

Draws theta_1 ... theta_J say what is known. Data y would leave them weights w_j = p(y | theta_j) / sum. The
expected information gain is the mutual information of parameters and data, in nats:

    EIG = E_y E_j|y log(p(y | theta_j) / p(y)) = E_y sum_j w_j log(J w_j),   p(y) = mean_j p(y | theta_j).

With the draw itself among those that make up p(y) the estimate is too low by chi / 2J on average, without it
too high by as much (chi: variance of p(y | theta) / p(y)); the one is a lower bound and the other an upper
bound in expectation, and their mean is off by terms of 1 / J^2 only. The same holds of the variance that y
leaves: a draw's squared distance from the weighted mean with and without it.

About a quantity, p(y | theta_j) gives way to its mean among draws that agree in the quantity (a kernel over
its normal scores, because information does not depend on the scale), corrected in the same way. A kernel of
width h loses terms of h^4 only, because the information is at its largest where the mean is right.

A new study deviates from the typical one by what nobody wants to know: each draw has several `deviations`,
and their mean likelihood is the draw's. Few of them tell draws apart too well, in inverse proportion to their
number, so all estimates are extrapolated from those of all deviations and of either half: 2 I - I(half).

Errors: the estimates are functions of the draws' distribution, whose influence functions tell each draw's
part. Batches of consecutive draws allow for what a sampler leaves of correlation; data that are sampled,
instead of summed over, add theirs.

References: Lindley DV. Ann Math Stat 1956;27:986-1005, doi 10.1214/aoms/1177728069 (information gain).
Rainforth T, Cornish R, Yang H, Warrington A, Wood F. On nesting Monte Carlo estimators. ICML 2018. Foster A,
Jankowiak M, O'Meara M, Teh YW, Rainforth T. AISTATS 2020 (the bounds).
"""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.special import ndtri
from scipy.stats import rankdata

_AT_ONCE = 2_000_000  # weights in memory
_LEAST = 1e-12  # that other draws have of the weight

Inside = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray | float]]


class Outlook(NamedTuple):
    """Data that a design may give: log likelihoods, up to a constant for each of the data, and how probable
    each is. Where data were drawn, all are as probable, and `drawn` are the deviations from which each came;
    otherwise they are all data that there may be, of which `log_p` has no constant left out.
    """

    log_p: Float[np.ndarray, "draws deviations data"]
    mass: Float[np.ndarray, " data"]
    drawn: Int[np.ndarray, " data"] | None = None

    def part(self, first: int, last: int) -> "Outlook":
        """What some of the deviations alone would say."""
        log_p = self.log_p[:, first:last]
        if self.drawn is None:
            return Outlook(log_p, np.exp(log_p).mean(axis=(0, 1)))
        kept = (self.drawn >= first) & (self.drawn < last)
        return Outlook(log_p[..., kept], np.full(kept.sum(), 1.0 / kept.sum()), self.drawn[kept] - first)

    def weights(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Blocks of data: the weights that they leave the draws [draws, block], and their mass [block]."""
        draws, deviations, size = self.log_p.shape
        step = max(1, _AT_ONCE // (draws * deviations))
        for start in range(0, size, step):
            part = self.log_p[..., start : start + step]
            shares = np.exp(part - part.max(axis=(0, 1))).sum(axis=1)
            yield shares / shares.sum(axis=0), self.mass[start : start + step]


class Estimate(NamedTuple):
    """A number, each draw's part in it, and the variance that it owes to sampled data."""

    value: float
    by_draw: Float[np.ndarray, " draws"]
    noise: float

    @property
    def mcse(self) -> float:
        """Its Monte-Carlo standard error."""
        return float(np.sqrt(batched(self.by_draw) + self.noise))

    def less(self, other: "Estimate") -> tuple[float, float]:
        """By how much it is larger than another from the same draws, and the error of that."""
        if other is self:
            return 0.0, 0.0
        error = np.sqrt(batched(self.by_draw - other.by_draw) + self.noise + other.noise)
        return self.value - other.value, float(error)


class Gain(NamedTuple):
    """Expected information gain, and what it would be with each draw among the others and without it."""

    estimate: Estimate
    lower: float
    upper: float


class Left(NamedTuple):
    """Of some quantities: their variance, the expected variance that data leave, and the expected
    contraction 1 - left / now."""

    now: Float[np.ndarray, " quantities"]
    left: Float[np.ndarray, " quantities"]
    contraction: tuple[Estimate, ...]


def batched(parts: Float[np.ndarray, " draws"]) -> float:
    """The variance of a mean of parts of consecutive draws, by the means of batches."""
    batches = max(2, int(np.sqrt(len(parts))))
    means = np.array([part.mean() for part in np.array_split(parts, batches)])
    return float(means.var(ddof=1) / batches)


def gain(outlook: Outlook) -> Gain:
    """Expected information gain about all in which draws differ, but for their deviations."""
    draws = len(outlook.log_p)

    def inside(whole: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        own = _log(draws * whole)
        return own, own, 0.5

    return _gain(outlook, inside)


def gain_about(outlook: Outlook, values: Float[np.ndarray, " draws"]) -> Gain:
    """Expected information gain about a quantity that has these values in the draws."""
    draws = len(values)
    scores = ndtri((rankdata(values) - 0.5) / draws)
    width = draws**-0.2  # standard deviations of the scores
    kernel = np.exp(-0.5 * ((scores[:, None] - scores) / width) ** 2)
    total = kernel.sum(axis=1, keepdims=True)
    others = np.maximum(total - 1.0, 1e-9)
    noise = ((kernel**2).sum(axis=1, keepdims=True) - 1.0) / others**2
    share = np.minimum(0.5 * noise * total, 1.0)  # of the own draw, at which the error cancels

    def inside(whole: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        near = kernel @ whole
        return _log(draws * near / total), _log(draws * (near - whole) / others), share

    return _gain(outlook, inside)


def left_by(outlook: Outlook, values: Float[np.ndarray, "draws quantities"]) -> Left:
    """What data leave of the variance of quantities that have these values in the draws.

    A quantity that is the same in all draws contracts by 0.
    """
    told, *halves = [_left_by(each, values) for each in _halves(outlook)]
    if not halves:
        return told
    shares = zip(told.contraction, *(half.contraction for half in halves), strict=True)
    left = 2.0 * told.left - np.mean([half.left for half in halves], axis=0)
    return Left(told.now, left, tuple(_extrapolated(*each) for each in shares))


def _left_by(outlook: Outlook, values: Float[np.ndarray, "draws quantities"]) -> Left:
    draws = len(values)
    scale = np.maximum(values.std(axis=0), 1e-300)
    centred = (values - values.mean(axis=0)) / scale
    now_by_draw = _both(np.full((draws, 1), 1.0 / draws)) * centred**2
    parts, known, each_data, masses = np.zeros_like(centred), np.zeros(draws), [], []
    for whole, mass in outlook.weights():
        mean = whole.T @ centred
        weight = whole * _both(whole)
        each_data.append(weight.T @ centred**2 - 2.0 * mean * (weight.T @ centred))
        each_data[-1] += mean**2 * weight.sum(axis=0)[:, None]
        weight = weight * mass
        parts += centred**2 * weight.sum(axis=1)[:, None] - 2.0 * centred * (weight @ mean) + weight @ mean**2
        known += whole @ mass
        masses.append(mass)
    left, now = parts.sum(axis=0), now_by_draw.mean(axis=0)
    by_draw = parts / known[:, None]
    safe = np.where(now > 0.0, now, 1.0)
    influence = -(by_draw - left / safe * now_by_draw) / safe
    noise = _noise(outlook, np.concatenate(each_data), np.concatenate(masses)) / safe**2
    share = np.where(now > 0.0, 1.0 - left / safe, 0.0)
    found = [Estimate(float(v), influence[:, i], float(noise[i])) for i, v in enumerate(share)]
    return Left(now * scale**2, left * scale**2, tuple(found))


def gaussian_gain(
    slopes: Float[np.ndarray, "data params"],
    noise: Float[np.ndarray, "data data"],
    covariance: Float[np.ndarray, "params params"],
) -> float:
    """The gain of data that are linear in normal parameters, with normal noise.

    `0.5 log det(1 + F V)` with `F = slopes' noise^-1 slopes`, from whichever of both sides is regular.
    """
    scale = np.sqrt(np.diag(noise))
    told = slopes / scale[:, None]
    within = noise / np.outer(scale, scale)
    both = within + told @ covariance @ told.T
    return float(0.5 * (np.linalg.slogdet(both)[1] - np.linalg.slogdet(within)[1]))


def _halves(outlook: Outlook) -> list[Outlook]:
    """The outlook and, where there are several deviations, what either half of them says."""
    several = outlook.log_p.shape[1]
    cuts = (0, several // 2, several)
    return [outlook, *(outlook.part(*cut) for cut in pairwise(cuts) if several > 1)]


def _extrapolated(told: Estimate, *halves: Estimate) -> Estimate:
    """From all deviations and halves of them to many."""
    value = 2.0 * told.value - float(np.mean([half.value for half in halves]))
    return Estimate(
        value, 2.0 * told.by_draw - np.mean([half.by_draw for half in halves], axis=0), told.noise
    )


def _gain(outlook: Outlook, inside: Inside) -> Gain:
    told, *halves = [_gain_of(each, inside) for each in _halves(outlook)]
    if not halves:
        return told
    lower = 2.0 * told.lower - float(np.mean([half.lower for half in halves]))
    upper = 2.0 * told.upper - float(np.mean([half.upper for half in halves]))
    return Gain(_extrapolated(told.estimate, *(half.estimate for half in halves)), lower, upper)


def _gain_of(outlook: Outlook, inside: Inside) -> Gain:
    """A gain from the log likelihood about what is asked over that of all draws (`inside`, with the own draw
    and without, and the share of the former at which errors cancel)."""
    draws = len(outlook.log_p)
    parts, known, bounds = np.zeros(draws), np.zeros(draws), np.zeros(2)
    each_data, masses = [], []
    for whole, mass in outlook.weights():
        with_own, without, share = inside(whole)
        others = _log(np.maximum(1.0 - whole, _LEAST) * draws / (draws - 1.0))
        term = whole * (without + share * (with_own - without) - 0.5 * others)
        parts += term @ mass
        known += whole @ mass
        bounds += [(whole * without).sum(axis=0) @ mass, (whole * (with_own - others)).sum(axis=0) @ mass]
        each_data.append(term.sum(axis=0))
        masses.append(mass)
    noise = _noise(outlook, np.concatenate(each_data)[:, None], np.concatenate(masses))
    return Gain(
        Estimate(float(parts.sum()), parts / known, float(noise[0])), float(bounds[0]), float(bounds[1])
    )


def _both(share: np.ndarray) -> np.ndarray:
    """A squared distance from a mean, with the own draw and without it, in units of the former."""
    return 0.5 * (1.0 + 1.0 / np.maximum(1.0 - share, _LEAST) ** 2)


def _noise(outlook: Outlook, values: Float[np.ndarray, "data numbers"], mass: np.ndarray) -> np.ndarray:
    """The variance of means over sampled data."""
    if outlook.drawn is None:
        return np.zeros(values.shape[1])
    return mass @ (values - mass @ values) ** 2 / len(mass)


def _log(x: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(x, 1e-300))
