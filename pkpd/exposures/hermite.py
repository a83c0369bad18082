"""Polynomials through values and derivatives at both ends of a piece: where they peak and cross a level.

With `n` numbers at each end the error over a piece of length `h` is at most `(h / 2)^(2 n) / (2 n)!` times
the derivative of that order.

References: Stoer J, Bulirsch R. Introduction to Numerical Analysis. Springer 2002, section 2.1.5 (Hermite).
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.lax import fori_loop, stop_gradient
from jaxtyping import Array, Bool, Float

_STEPS = 10  # of the search for a root; bisections would leave a thousandth


@lru_cache(maxsize=8)
def _matrix(order: int) -> np.ndarray:
    """Powers from value and derivatives at 0 and at 1."""
    power = np.arange(2 * order)
    falling = np.array([[math.perm(k, j) for k in power] for j in range(order)], float)
    at_zero = np.where(power == np.arange(order)[:, None], falling, 0.0)
    return np.linalg.inv(np.concatenate([at_zero, falling]))


class Pieces(NamedTuple):
    """Stretches of a course: when each begins, its length, and the `powers` of the share that has passed."""

    begin: Float[Array, "pieces ..."]
    length: Float[Array, "pieces ..."]
    powers: Float[Array, "powers pieces ..."]

    @classmethod
    def through(cls, nodes: Array, known: Sequence[Array]) -> "Pieces":
        """From value and derivatives by time at the nodes [nodes, ...]."""
        length, scale, left, right = jnp.diff(nodes, axis=0), jnp.ones(()), [], []
        for v in known:
            left, right = [*left, v[:-1] * scale], [*right, v[1:] * scale]
            scale = scale * length
        powers = jnp.tensordot(_matrix(len(known)), jnp.stack([*left, *right]), 1)
        return cls(nodes[:-1], length, powers)

    @property
    def twice(self) -> "Pieces":
        """All pieces, and all again."""
        begin, length = (jnp.concatenate([v, v]) for v in (self.begin, self.length))
        return Pieces(begin, length, jnp.concatenate([self.powers, self.powers], axis=1))

    def times(self, sign: Array) -> "Pieces":
        """The same with another sign; low where these are high."""
        return self._replace(powers=self.powers * sign)

    def look(self, time: Float[Array, "pieces ..."]) -> tuple[Array, Array, Array]:
        """Value, slope and curvature at a time within each piece."""
        length = jnp.where(self.length > 0.0, self.length, 1.0)
        share, first = (time - self.begin) / length, rate(self.powers)
        bend = horner(rate(first), share) / length**2
        return horner(self.powers, share), horner(first, share) / length, bend


class Summit(NamedTuple):
    """The largest value of each column: the only `piece` with it, the `time` [...], and whether the slope is
    zero there (`smooth`) or it stands at an end of the piece."""

    piece: Pieces
    time: Float[Array, "..."]
    smooth: Bool[Array, "..."]


def summit(pieces: Pieces) -> Summit:
    """Where columns of pieces are largest, the earliest place of those that are equal."""
    powers = stop_gradient(pieces.powers)
    first, last = powers[0], powers.sum(0)
    begin, end = powers[1], rate(powers).sum(0)
    turns = (begin >= 0.0) & (end < 0.0)
    share = jnp.where(turns, begin / jnp.where(turns, begin - end, 1.0), 0.0)
    inner = jnp.where(turns, jnp.maximum(horner(powers, share), jnp.maximum(first, last)), first)
    at_end = jnp.zeros_like(turns)
    rows = (pieces.begin, pieces.length, jnp.moveaxis(pieces.powers, 0, 1), turns, at_end)
    ending = jax.tree.map(lambda v: v[-1:], (last, rows))
    ending = (ending[0], (*ending[1][:3], at_end[-1:], ~at_end[-1:]))
    both = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), (inner, rows), ending)
    _, (begin, length, powers, smooth, late) = largest(*both)
    edge = jnp.where(late, begin + length, begin)
    one = Pieces(begin[None], length[None], powers[:, None])
    zero = jnp.zeros_like(one.length)
    at = root(rate(stop_gradient(one.powers)), zero, zero + 1.0)[0]
    return Summit(one, jnp.where(smooth, stop_gradient(begin + length * at), edge), smooth)


def largest(values: Array, rows: Any) -> tuple[Array, Any]:
    """The largest along the first axis, the earliest of those that are equal, and what stands beside it.

    By comparisons one after the other, because a reduction to a place is slow and by equality is not safe
    where a compiler computes a value twice.
    """

    def step(best: tuple[Array, Any], other: tuple[Array, Any]) -> tuple[tuple[Array, Any], None]:
        better = other[0] > best[0]
        return jax.tree.map(lambda new, old: jnp.where(better, new, old), other, best), None

    first, rest = (jax.tree.map(lambda v, cut=cut: v[cut], (values, rows)) for cut in (0, slice(1, None)))
    return jax.lax.scan(step, first, rest)[0]


class Halves(NamedTuple):
    """Each piece in two that rise or fall only [2 pieces, ...]: when they begin and end, whether they lie
    above a level then, and where they cross it, which means something where those differ."""

    begin: Array
    end: Array
    first: Bool[Array, "..."]
    last: Bool[Array, "..."]
    crossing: Array


def halves(pieces: Pieces, level: Array) -> Halves:
    """Cuts pieces where they turn and looks for a level in each part; only the ends have gradients."""
    powers = stop_gradient(pieces.powers)
    slope = rate(powers)
    zero, one = jnp.zeros_like(powers[0]), jnp.ones_like(powers[0])
    turns = slope[0] * slope.sum(0) < 0.0
    cut = jnp.where(turns, root(slope, zero, one), 0.5)
    low, high = jnp.concatenate([zero, cut]), jnp.concatenate([cut, one])
    both = pieces.twice
    above = stop_gradient(both.powers).at[0].add(-stop_gradient(level))
    crossing = stop_gradient(both.begin + both.length * root(above, low, high))
    return Halves(
        both.begin + both.length * low,
        both.begin + both.length * high,
        horner(above, low) > 0.0,
        horner(above, high) > 0.0,
        crossing,
    )


def root(powers: Array, low: Array, high: Array) -> Array:
    """Where a polynomial that changes its sign between `low` and `high` does so: Newton's method, and
    bisection where that leaves the rest of the span."""
    slope = rate(powers)
    rises = horner(powers, high) > horner(powers, low)

    def step(_: Any, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        x, low, high = carry
        value, change = horner(powers, x), horner(slope, x)
        later = (value < 0.0) == rises
        low, high = jnp.where(later, x, low), jnp.where(later, high, x)
        next_ = x - value / jnp.where(change == 0.0, 1.0, change)
        good = (change != 0.0) & (next_ >= low) & (next_ <= high)
        return jnp.where(good, next_, (low + high) / 2.0), low, high

    return fori_loop(0, _STEPS, step, ((low + high) / 2.0, low, high))[0]


def rate(powers: Array) -> Array:
    """The powers of the derivative."""
    return powers[1:] * np.arange(1, len(powers)).reshape(-1, *(1,) * (powers.ndim - 1))


def horner(powers: Array, at: Array) -> Array:
    """A polynomial at a place."""
    total = powers[-1]
    for p in powers[-2::-1]:
        total = total * at + p
    return total
