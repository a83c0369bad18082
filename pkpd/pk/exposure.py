"""What is read off a sampled profile: areas, peaks, averages, half-lives.

Every function takes `times` [times], ascending (twice the same time where the profile jumps), and
`c` [times, ...], and gives one value per profile [...] in the units of its arguments. All are
differentiable in both.

References: Gabrielsson J, Weiner D. Methods Mol Biol 2012;929:377-389, doi 10.1007/978-1-62703-050-2_16.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pkpd.parameters import Scalar

Times = Float[Array | np.ndarray, " times"]
Profiles = Float[Array | np.ndarray, "times ..."]
Values = Float[Array, "..."]

_STEEPEST = 1e30  # a sharper fall between two samples has no logarithmic mean in single precision
_FLAT = 1e-4


def auc(times: Times, c: Profiles) -> Values:
    """Area under the curve: linear where `c` rises, logarithmic where it falls.

    Between `c1 > c2 > 0` it is `(c1 - c2) / ln(c1 / c2)` times the interval, exact for an exponential.
    """
    interval = _beside(jnp.diff(jnp.asarray(times)), c)
    return jnp.sum(interval * _means(jnp.asarray(c)), axis=0)


def cmax(times: Times, c: Profiles) -> Values:
    """Largest value: the vertex of the parabola through the largest sample and its neighbours.

    The sample itself where it is the first or the last, or where the profile jumps.
    """
    return _peak(jnp.asarray(times), jnp.asarray(c))[1]


def tmax(times: Times, c: Profiles) -> Values:
    """Time of the largest value, by the same parabola as `cmax`."""
    return _peak(jnp.asarray(times), jnp.asarray(c))[0]


def tmin(times: Times, c: Profiles) -> Values:
    """Time of the smallest value, by a parabola as in `cmax`."""
    return _peak(jnp.asarray(times), -jnp.asarray(c))[0]


def cavg(times: Times, c: Profiles) -> Values:
    """Average over the times: the area over the time that it takes."""
    return auc(times, c) / jnp.asarray(times[-1] - times[0])


def ctrough(times: Times, c: Profiles) -> Values:
    """Value at the last time, just before the next dose."""
    return jnp.asarray(c)[-1]


def cmin(times: Times, c: Profiles) -> Values:
    """Smallest sample."""
    return jnp.min(jnp.asarray(c), axis=0)


def css(times: Times, c: Profiles) -> Values:
    """Steady level: the average over times at which the level does not change any more."""
    return cavg(times, c)


def time_above(times: Times, c: Profiles, level: Scalar) -> Values:
    """How long `c` is above a level, between samples linear where it rises and exponential where it falls.

    A level that `c` only reaches is not passed.
    """
    c, level = jnp.asarray(c), jnp.asarray(level)
    interval = _beside(jnp.diff(jnp.asarray(times)), c)
    first, last = c[:-1], c[1:]
    crosses = (first > level) != (last > level)
    share = (first - level) / jnp.where(crosses, first - last, 1.0)
    curved = crosses & (first > last) & (last * _STEEPEST > first) & (level > 0.0)
    fall = jnp.where(curved, first, 2.0) / jnp.where(curved, last, 1.0)
    part = jnp.where(curved, first, 1.0) / jnp.where(curved, level, 1.0)
    share = jnp.where(curved, jnp.log(part) / jnp.log(fall), share)
    above = jnp.where(crosses, jnp.where(first > last, share, 1.0 - share), (first > level).astype(c.dtype))
    return jnp.sum(interval * above, axis=0)


def thalf(times: Times, c: Profiles) -> Values:
    """Half-life `ln 2 / lambda`, with `-lambda` the least-squares slope of `ln c`, which must be positive.

    Every sample weighs the same.
    """
    from_middle = _beside(jnp.asarray(times) - jnp.mean(jnp.asarray(times)), c)
    slope = jnp.sum(from_middle * jnp.log(jnp.asarray(c)), axis=0) / jnp.sum(from_middle**2)
    return -jnp.log(2.0) / slope


def _beside(times: Array, c: Profiles) -> Array:
    """Times as a column that multiplies profiles."""
    return times.reshape((-1,) + (1,) * (c.ndim - 1))


def _means(c: Array) -> Array:
    """Mean of each interval."""
    first, last = c[:-1], c[1:]
    falls = (first > last) & (last * _STEEPEST > first)
    fall = jnp.where(falls, first / jnp.where(falls, last, 1.0) - 1.0, 0.0)
    flat = fall < _FLAT
    curved = jnp.where(flat, 1.0, fall)
    ratio = jnp.where(flat, 1.0 + fall / 2.0 - fall**2 / 12.0, curved / jnp.log1p(curved))
    return jnp.where(falls, last * ratio, (first + last) / 2.0)


def _peak(times: Array, c: Array) -> tuple[Array, Array]:
    """Time and value of the vertex through the largest sample."""
    count = len(times)
    place = jnp.argmax(c, axis=0)
    time, value = times[place], _at(c, place)
    before, after = jnp.maximum(place - 1, 0), jnp.minimum(place + 1, count - 1)
    rise, fall = time - times[before], times[after] - time
    inner = (rise > 0.0) & (fall > 0.0)
    rise, fall = jnp.where(inner, rise, 1.0), jnp.where(inner, fall, 1.0)
    left, right = (value - _at(c, before)) / rise, (_at(c, after) - value) / fall
    slope, bend = (left * fall + right * rise) / (rise + fall), (left - right) / (rise + fall)
    curved = inner & (bend > 0.0)
    half = jnp.where(curved, slope, 0.0) / (2.0 * jnp.where(curved, bend, 1.0))
    return time + half, value + half * jnp.where(curved, slope, 0.0) / 2.0


def _at(c: Array, place: Array) -> Array:
    return jnp.take_along_axis(c, place[None], axis=0)[0]
