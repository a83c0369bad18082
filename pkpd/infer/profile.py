"""Profiles: the best that is possible where one parameter is held, of the posterior and the likelihood.

The maximum of the likelihood is looked for once. No profile of the likelihood exceeds it, so that a climb
that comes near it is over: of a parameter that the data do not inform most are, for others make up for it.
A climb that ends lower is begun again where the posterior's profile ended, and the higher end counts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from pkpd.infer.mode import Gradient

REACH = np.array([1.0, 2.0, 3.0])  # posterior standard deviations from the mode
FURTHER = 1.5  # times as far is the next place of a likelihood that has not fallen enough
BOX = 4.0  # prior standard deviations, within which the likelihood's profile stays
NEAR = 0.01  # a climb ends where no slope along the other parameters, in standard deviations, exceeds this,
GAIN, STEPS = 0.01, 2  # or where it has gained less in so many steps (the first climb in `FIRST`),
FIRST = 5
ENOUGH = 0.05  # or so far below the maximum of the likelihood
MOST = 300  # steps of a climb
DROP = 1.9207  # half the 95 % quantile of chi-square with one degree of freedom
FALLEN = 2.0 * DROP  # a curve is followed no further


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


class Top(NamedTuple):
    """Where a climb ended, how high, and whether that is a top."""

    point: Float[np.ndarray, " params"]
    value: float
    found: bool


class Profile(NamedTuple):
    """Of one parameter, on the scale on which its prior is standard normal."""

    posterior: Curve
    likelihood: Curve


def likeliest(
    density: Gradient, mode: Float[np.ndarray, " params"], curvature: Float[np.ndarray, "params params"]
) -> Top:
    """The maximum of the likelihood in the box, looked for from the mode; arguments as those of `profile`.

    The point is in the coordinates in which the box has no ends. Where the likelihood is flat it is not
    followed for the last hundredths, which lead to corners that later climbs would have to leave.
    """
    likelihood, every = _likelihood(_posterior(density)), np.ones(len(mode), bool)
    return _Climber(likelihood, every, _half_inverse(_flatter(curvature)), steps=FIRST).best(mode)


def profile(
    density: Gradient,
    mode: Float[np.ndarray, " params"],
    curvature: Float[np.ndarray, "params params"],
    place: int,
    top: Top,
) -> Profile:
    """Profiles of the parameter at a place.

    `density` gives the log posterior density on the prior's standard normal scale and its gradient,
    `curvature` minus its Hessian at the mode, `top` is what `likeliest` finds. The likelihood's profile lets
    the other parameters go as far as `BOX` prior standard deviations, because the data may leave some of them
    free; there it may be flat. It is looked at from its maximum until it has fallen on both sides, or to the
    end of the box. Where it is nearly level it may be a tenth or two too low.
    """
    variance = np.linalg.inv(curvature)[place, place]
    sd, middle = min(1.0, float(np.sqrt(max(variance, 1e-6)))), float(np.clip(mode[place], -BOX, BOX))
    others, posterior = np.arange(len(mode)) != place, _posterior(density)
    half, flat = (_half_inverse(m[np.ix_(others, others)]) for m in (curvature, _flatter(curvature)))
    ridge = -half @ half.T @ curvature[others, place]
    climber = _Climber(posterior, others, half)
    near = middle + sd * np.concatenate([-REACH, REACH])
    ends = _ends(climber, middle, climber.held(mode, middle), ridge, np.clip(near, -BOX, BOX))

    again = {at: np.where(others, _unpressed(end.point), at) for at, end in ends.items()}
    likelihood = _Climber(_likelihood(posterior, place), others, flat, top.value, again=again)
    far = REACH[-1] * FURTHER ** np.arange(1.0, np.log(2.0 * BOX / (REACH[-1] * sd)) / np.log(FURTHER) + 1.0)
    places = np.concatenate([near, [middle], middle - sd * far, middle + sd * far])
    level, begin = np.zeros_like(ridge), float(_pressed(top.point)[place])
    return Profile(_curve(ends), _curve(_ends(likelihood, begin, top, level, np.clip(places, -BOX, BOX))))


def _posterior(density: Gradient) -> Objective:
    def posterior(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = density(jnp.asarray(x))
        return float(value), np.asarray(slope)

    return posterior


def _likelihood(posterior: Objective, held: int | None = None) -> Objective:
    """The log likelihood of a point whose parameters, but for one that is held, are pressed into the box."""

    def likelihood(u: np.ndarray) -> tuple[float, np.ndarray]:
        pressed = np.array([place != held for place in range(len(u))])
        x = np.where(pressed, _pressed(u), u)
        value, slope = posterior(x)
        stretch = np.where(pressed, 1.0 - np.tanh(u / BOX) ** 2, 1.0)
        return value + 0.5 * float(x @ x), (slope + x) * stretch

    return likelihood


def _pressed(u: np.ndarray) -> np.ndarray:
    return BOX * np.tanh(u / BOX)


def _unpressed(x: np.ndarray) -> np.ndarray:
    inside = np.clip(x / BOX, -0.999, 0.999)
    return BOX * np.arctanh(inside)


@dataclass(frozen=True)
class _Climber:
    """Climbs a function along the parameters that are `free`, and no higher than `most`; a climb is over that
    gains less than `GAIN` in so many `steps`. Of what is held, `again` has other starts for some values.

    They move by `half @ w`, so that a normal density is as steep in all directions of `w`.
    """

    objective: Objective
    free: np.ndarray
    half: np.ndarray
    most: float = np.inf
    steps: int = STEPS
    again: Mapping[float, np.ndarray] = field(default_factory=dict)

    def held(self, start: np.ndarray, at: float) -> Top:
        """The best point of those in which the parameter that is not free is at a value."""
        first = self.best(np.where(self.free, start, at))
        if at not in self.again or first.value >= self.most - ENOUGH:
            return first
        return max(first, self.best(self.again[at]), key=lambda top: top.value)

    def best(self, start: np.ndarray) -> Top:
        """The best point by the free parameters."""
        from scipy.optimize import minimize

        def at(w: np.ndarray) -> np.ndarray:
            x = start.copy()
            x[self.free] += self.half @ w
            return x

        def negative(w: np.ndarray) -> tuple[float, np.ndarray]:
            value, slope = self.objective(at(w))
            return (-value, -slope[self.free] @ self.half) if np.isfinite(value) else (1e10, np.zeros(len(w)))

        origin = np.zeros(len(self.half))
        costs = [negative(origin)[0]]

        def over() -> bool:
            stalled = len(costs) > self.steps and costs[-1 - self.steps] - costs[-1] < GAIN
            return not len(origin) or -costs[-1] >= self.most - ENOUGH or stalled

        def step(intermediate_result: Any) -> None:
            costs.append(float(intermediate_result.fun))
            if over():
                raise StopIteration

        if over():
            return Top(start, -costs[0], True)
        options = {"gtol": NEAR, "ftol": 0.0, "maxcor": 20, "maxiter": MOST}
        done = minimize(negative, origin, jac=True, method="L-BFGS-B", callback=step, options=options)
        return Top(at(done.x), -float(done.fun), over() or bool(np.abs(done.jac).max() <= NEAR))


def _ends(
    climber: _Climber, begin: float, top: Top, slope: np.ndarray, places: np.ndarray
) -> dict[float, Top]:
    """Ends of climbs at places, outwards from where one is known and until the curve has fallen: each begins
    where a straight line leads, along a slope at first, then through the ends of the last two climbs."""
    known = {begin: top}
    for side in (1.0, -1.0):
        last, line = begin, slope
        for at in sorted({float(at) for at in places if side * (at - begin) > 0.0}, key=lambda at: side * at):
            start = known[last].point.copy()
            start[climber.free] += (at - last) * line
            known[at] = climber.held(start, at)
            if known[at].value < max(one.value for one in known.values()) - FALLEN:
                break
            line = (known[at].point - known[last].point)[climber.free] / (at - last)
            last = at
    return known


def _curve(known: Mapping[float, Top]) -> Curve:
    places = sorted(known)
    value = np.array([known[at].value for at in places])
    return Curve(np.array(places), value - value.max(), np.array([known[at].found for at in places]))


def _flatter(curvature: np.ndarray) -> np.ndarray:
    """The curvature of the likelihood, hardly any where the data say nothing."""
    return curvature - 0.95 * np.eye(len(curvature))


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
