"""Divided differences of exponentials, at rates that may coincide.

References: McCurdy A, Ng KC, Parlett BN. Math Comp 1984;43:501-528, doi 10.1090/S0025-5718-1984-0758198-0.
"""

import math
from itertools import pairwise

import jax
import jax.numpy as jnp
from jax import Array
from jax.lax import stop_gradient
from jax.scipy.special import gammaln

_NEAR, _TERMS = 1.0, 12  # the series is used up to this spread of rates times time; its rest is below 1e-15
_FEW, _MANY_NEAR, _MANY_TERMS = 6, 3.0, 28  # the same where more rates than a few go through a loop


def divided_difference(rates: tuple[Array, ...], time: Array) -> Array:
    """`g`, `(-1)^n` times the divided difference of `exp(-x time)` at `n + 1` rates.

    It is the amount in the last of `n + 1` first-order states at `time` after a unit amount entered the
    first, with all transfer coefficients one. Those of runs of ordered rates are found from shorter runs, or
    from a series where the rates hardly differ.
    """
    if len(rates) > _FEW:
        return _of_many(jnp.sort(jnp.stack(jnp.broadcast_arrays(*rates)), axis=0), time)
    low, *others = _in_order(rates)
    above = (jnp.zeros_like(low), *(r - low for r in others))
    found = [jnp.exp(-r * time) for r in above]
    for size in range(2, len(rates) + 1):
        runs = [above[i : i + size] for i in range(len(found) - 1)]
        found = [
            _run(run, first, last, time) for run, (first, last) in zip(runs, pairwise(found), strict=True)
        ]
    return jnp.exp(-low * time) * found[0]


def _of_many(rates: Array, time: Array) -> Array:
    """The same of ascending rates [rates, ...] by one loop, so that programs stay small: all runs of a length
    at once, each series about the highest rate of its run, where no term is negative."""
    above = rates - rates[0] + jnp.zeros_like(time)
    place = jnp.arange(len(rates)).reshape(-1, *(1,) * (above.ndim - 1))

    def longer(size: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        found, sums = carry
        gap = jnp.where(place >= size, above - jnp.roll(above, size, axis=0), 0.0)
        near = gap * time < _MANY_NEAR
        distance = jnp.where(near, gap * time, 0.0)

        def polynomial(below: Array, own: Array) -> tuple[Array, Array]:
            found = own + distance * below
            return found, found

        _, sums = jax.lax.scan(polynomial, jnp.zeros_like(gap), sums)
        factorials = jnp.exp(gammaln(jnp.arange(_MANY_TERMS) + size + 1.0))
        series = jnp.sum(sums / factorials.reshape(-1, *(1,) * gap.ndim), axis=0)
        close = time**size * jnp.exp(-above * time) * series
        far = (jnp.roll(found, 1, axis=0) - found) / jnp.where(near, 1.0, gap)
        return jnp.where(near, close, far), sums

    alone = jnp.exp(-above * time)
    none = jnp.zeros((_MANY_TERMS, *alone.shape))
    found, _ = jax.lax.fori_loop(1, len(rates), longer, (alone, none.at[0].set(1.0)))
    return jnp.exp(-rates[0] * time) * found[-1]


def _run(rates: tuple[Array, ...], first: Array, last: Array, time: Array) -> Array:
    """From the same without the last and without the first of some ordered rates."""
    gap = rates[-1] - rates[0]
    near = gap * time < _NEAR
    far = (first - last) / jnp.where(near, 1.0, gap)
    scale = stop_gradient(((rates[0] + rates[-1]) / 2.0, divisor(gap)))
    return jnp.where(near, _close(rates, scale, jnp.where(near, time, 0.0)), far)


@jax.custom_jvp
def _close(rates: tuple[Array, ...], scale: tuple[Array, Array], time: Array) -> Array:
    """By complete homogeneous symmetric polynomials of the distances from a middle, in a unit.

    Middle and unit are arbitrary, so that nothing depends on them.
    """
    middle, unit = scale
    sums: list[Array] = [jnp.ones(())] + [jnp.zeros(())] * _TERMS
    for rate in rates:
        distance = (middle - rate) / unit
        for k in range(1, _TERMS + 1):
            sums[k] = sums[k] + distance * sums[k - 1]
    order, series = len(rates) - 1, jnp.zeros(())
    for k, v in reversed(list(enumerate(sums))):
        series = series * (unit * time) + v / float(math.factorial(order + k))
    return time**order * jnp.exp(-middle * time) * series


@_close.defjvp
def _close_derivative(at: tuple, change: tuple) -> tuple[Array, Array]:
    """By a rate, it is the negative of the same with that rate twice."""
    rates, scale, time = at
    found = _close(rates, scale, time)
    entering = _close(rates[1:], scale, time) if len(rates) > 1 else jnp.zeros(())
    slope = (entering - rates[0] * found) * change[2]
    for rate, tangent in zip(rates, change[0], strict=True):
        slope = slope - _close((*rates, rate), scale, time) * tangent
    return found, slope


def _in_order(rates: tuple[Array, ...]) -> tuple[Array, ...]:
    """Sorted by comparisons of neighbours, elementwise."""
    found = list(rates)
    for end in range(len(found) - 1, 0, -1):
        for i in range(end):
            found[i], found[i + 1] = _sorted(found[i], found[i + 1])
    return tuple(found)


def _sorted(a: Array, b: Array) -> tuple[Array, Array]:
    return jnp.where(a < b, a, b), jnp.where(a < b, b, a)


def divisor(value: Array) -> Array:
    """One where it is not positive."""
    return jnp.where(value > 0.0, value, 1.0)
