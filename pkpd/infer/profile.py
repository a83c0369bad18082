"""Profiles: the best that is possible where one parameter is held, of the posterior and the likelihood."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from pkpd.infer.mode import Gradient

REACH = (1.0, 2.0, 3.0)  # posterior standard deviations from the mode
FURTHER = 1.5  # times as far is the next place of a likelihood that has not fallen enough
BOX = 4.0  # prior standard deviations, within which the likelihood's profile stays
NEAR = 0.03  # slope, per standard deviation of the other parameters, where a climb ends
DROP = 1.9207  # half the 95 % quantile of chi-square with one degree of freedom


class Curve(NamedTuple):
    """Largest log density, or log likelihood, at places of one parameter [places], less its maximum; and
    whether each was found."""

    places: Float[np.ndarray, " places"]
    drop: Float[np.ndarray, " places"]
    found: np.ndarray

    def interval(self) -> tuple[float | None, float | None]:
        """Where the curve has fallen by 1.92, the 95 % interval of a likelihood; None where it has not."""
        top = int(np.argmax(self.drop))
        return _crossing(self, range(top, -1, -1)), _crossing(self, range(top, len(self.places)))


Objective = Callable[[np.ndarray], tuple[float, np.ndarray]]


class Profile(NamedTuple):
    """Of one parameter, on the scale on which its prior is standard normal."""

    posterior: Curve
    likelihood: Curve


def profile(
    density: Gradient,
    mode: Float[np.ndarray, " params"],
    curvature: Float[np.ndarray, "params params"],
    place: int,
) -> Profile:
    """Profiles of the parameter at a place.

    `density` gives the log posterior density on the prior's standard normal scale and its gradient,
    `curvature` minus its Hessian at the mode. The likelihood's profile lets the other parameters go as far
    as `BOX` prior standard deviations, because the data may leave some of them free; there it may be flat. It
    is looked at until it has fallen by `DROP` on both sides, or to the end of the box.
    """
    inverse = np.linalg.inv(curvature)
    sd = min(1.0, float(np.sqrt(max(inverse[place, place], 1e-6))))
    posterior, flatter = _posterior(density), curvature - 0.95 * np.eye(len(mode))
    further = itertools.chain(REACH, (REACH[-1] * FURTHER**k for k in itertools.count(1)))
    return Profile(
        _curve(posterior, mode, curvature, place, sd, REACH),
        _curve(_likelihood(posterior, place), mode, flatter, place, sd, further),
    )


def _posterior(density: Gradient) -> Objective:
    def posterior(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = density(jnp.asarray(x))
        return float(value), np.asarray(slope)

    return posterior


def _likelihood(posterior: Objective, place: int) -> Objective:
    """The log likelihood of a point whose other parameters are pressed into the box."""

    def likelihood(u: np.ndarray) -> tuple[float, np.ndarray]:
        others = np.arange(len(u)) != place
        x = np.where(others, BOX * np.tanh(u / BOX), u)
        value, slope = posterior(x)
        stretch = np.where(others, 1.0 - np.tanh(u / BOX) ** 2, 1.0)
        return value + 0.5 * float(x @ x), (slope + x) * stretch

    return likelihood


def _curve(
    objective: Objective, mode: np.ndarray, metric: np.ndarray, place: int, sd: float, reach: Iterable[float]
) -> Curve:
    """Climbs at places so many `sd` from the mode, outwards, from where a straight line leads: along the
    ridge by the metric at first, then through the ends of the last two climbs."""
    others = np.arange(len(mode)) != place
    half = _half_inverse(metric[np.ix_(others, others)])
    ridge = -half @ half.T @ metric[others, place]

    def climbed(point: np.ndarray, slope: np.ndarray, at: float) -> tuple[np.ndarray, float, bool]:
        start = np.where(others, point, at)
        start[others] += (at - point[place]) * slope
        return _best(objective, start, others, half)

    middle = float(np.clip(mode[place], -BOX, BOX))
    top, *told = climbed(mode, ridge, middle)
    known = {middle: told}
    for side, distances in zip((sd, -sd), itertools.tee(reach), strict=True):
        point, slope = top, ridge
        for distance in distances:
            at = float(np.clip(mode[place] + side * distance, -BOX, BOX))
            fallen = known[float(point[place])][0] < max(value for value, _ in known.values()) - DROP
            if at in known or (fallen and distance > REACH[-1]):
                break
            end, *known[at] = climbed(point, slope, at)
            point, slope = end, (end - point)[others] / (at - point[place])
    places = sorted(known)
    value, found = (np.array(v) for v in zip(*(known[at] for at in places), strict=True))
    return Curve(np.array(places), value - value.max(), found)


def _best(
    objective: Objective, point: np.ndarray, others: np.ndarray, half: np.ndarray
) -> tuple[np.ndarray, float, bool]:
    """The best point by the other parameters, its value, and whether it is one.

    The other parameters move by `half @ w`, so that a normal density is as steep in all directions of `w`.
    """
    from scipy.optimize import minimize

    def at(w: np.ndarray) -> np.ndarray:
        x = point.copy()
        x[others] += half @ w
        return x

    def negative(w: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = objective(at(w))
        return (-value, -slope[others] @ half) if np.isfinite(value) else (1e10, np.zeros(len(w)))

    start = np.zeros(len(half))
    if not len(half):
        return point, -negative(start)[0], True
    options = {"gtol": NEAR, "norm": 2.0, "maxiter": 300}
    done = minimize(negative, start, jac=True, method="BFGS", options=options)
    return at(done.x), -float(done.fun), bool(np.linalg.norm(done.jac) <= NEAR)


def _half_inverse(matrix: np.ndarray) -> np.ndarray:
    """What times its transpose is the inverse of a matrix, whose eigenvalues are made positive."""
    values, vectors = np.linalg.eigh(matrix)
    return vectors / np.sqrt(np.maximum(values, 0.05))


def _crossing(curve: Curve, order: Sequence[int]) -> float | None:
    for inner, outer in pairwise(order):
        low, high = curve.drop[inner], curve.drop[outer]
        if high <= -DROP:
            # A parabola falls with the square of the distance: between places its root is nearly straight.
            share = (DROP**0.5 - (-low) ** 0.5) / ((-high) ** 0.5 - (-low) ** 0.5)
            return float(curve.places[inner] + share * (curve.places[outer] - curve.places[inner]))
    return None
