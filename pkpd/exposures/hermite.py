"""Polynomials through values and three derivatives at both ends of a piece: where they peak and cross a level.

Their error is `(h / 2)^8 / 8!` times the eighth derivative over a piece of length `h`.

References: Stoer J, Bulirsch R. Introduction to Numerical Analysis. Springer 2002, section 2.1.5 (Hermite).
"""

import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.lax import fori_loop, stop_gradient
from jaxtyping import Array, Bool, Float

ORDER = 4  # numbers that are known at each end
_STEPS = 20  # of the search for a root; bisections would leave a millionth


def _matrix() -> np.ndarray:
    """Powers from derivatives at 0 and at 1."""
    power = np.arange(2 * ORDER)
    falling = np.array([[math.perm(k, j) for k in power] for j in range(ORDER)], float)
    at_zero = np.where(power == np.arange(ORDER)[:, None], falling, 0.0)
    return np.linalg.inv(np.concatenate([at_zero, falling]))


_POWERS = _matrix()


class Pieces(NamedTuple):
    """Stretches of a course: when each begins, its length, and the `powers` of the share that has passed."""

    begin: Float[Array, "pieces ..."]
    length: Float[Array, "pieces ..."]
    powers: Float[Array, "powers pieces ..."]

    @classmethod
    def through(cls, nodes: Array, left: Array, right: Array) -> "Pieces":
        """From value and derivatives by time [4, pieces, ...] at the beginning and the end of each piece."""
        length = jnp.diff(nodes, axis=0)
        scale = length ** np.arange(ORDER).reshape(-1, *(1,) * length.ndim)
        return cls(
            nodes[:-1], length, jnp.tensordot(_POWERS, jnp.concatenate([left * scale, right * scale]), 1)
        )

    def of(self, piece: Array) -> "Pieces":
        """One piece [...] of each column, as the only one."""
        begin, length = (jnp.take_along_axis(v, piece[None], axis=0) for v in (self.begin, self.length))
        return Pieces(begin, length, jnp.take_along_axis(self.powers, piece[None, None], axis=1))

    @property
    def twice(self) -> "Pieces":
        """All pieces, and all again."""
        begin, length = (jnp.concatenate([v, v]) for v in (self.begin, self.length))
        return Pieces(begin, length, jnp.concatenate([self.powers, self.powers], axis=1))

    @property
    def negative(self) -> "Pieces":
        """Pieces that are low where these are high."""
        return self._replace(powers=-self.powers)

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
    inner = jnp.maximum(horner(powers, share), jnp.maximum(first, last))
    candidates = [jnp.where(turns, inner, -jnp.inf), first, last[-1:]]
    count = len(first)
    place = jnp.argmax(jnp.concatenate(candidates), axis=0)
    smooth, node = place < count, place - count
    one = pieces.of(jnp.where(smooth, place, jnp.minimum(node, count - 1)))
    slope = rate(stop_gradient(one.powers))
    at = root(slope, jnp.zeros_like(one.length), jnp.ones_like(one.length))[0]
    begin, length = one.begin[0], one.length[0]
    edge = jnp.where(node < count, begin, begin + length)
    return Summit(one, jnp.where(smooth, stop_gradient(begin + length * at), edge), smooth)


class Halves(NamedTuple):
    """Each piece in two that rise or fall only [2 pieces, ...]: when they begin and end, whether they lie above
    a level then, and where they cross it, which means something where those differ."""

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

    def step(_: int, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
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
