"""Exact propagation of linear states that depend on nothing but themselves and the doses.

Absorption chains and linear disposition are sums, over the paths that an amount takes through the
states, of divided differences of `exp(-x t)` at the loss rates along the path. That form is safe
where rates coincide, in value and in gradient.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from pkpd.model import Model
from pkpd.solve.structure import Block

State = dict[str, Array]


def divided_difference(rates: tuple[Array, ...], time: Array) -> Array:
    """`(-1)^n` times the divided difference of `exp(-x time)` at `n + 1` rates (n at most 3).

    It is the amount in the last of `n + 1` first-order states at `time` after a unit amount
    entered the first, with all transfer coefficients one.
    """
    if len(rates) == 1:
        return jnp.exp(-rates[0] * time)
    if len(rates) == 2:
        low, high = _sorted(*rates)
        return time * jnp.exp(-low * time) * _mean_decay((high - low) * time)
    ordered = _in_order(rates)
    near = (ordered[-1] - ordered[0]) * time < 0.02
    gap = jnp.where(near, 1.0, ordered[-1] - ordered[0])
    far = (divided_difference(ordered[:-1], time) - divided_difference(ordered[1:], time)) / gap
    return jnp.where(near, _close(rates, time), far)


def _close(rates: tuple[Array, ...], time: Array) -> Array:
    """The same for rates that hardly differ, by the moments of their deviations from the mean."""
    count = len(rates)
    centre = sum(rates[1:], rates[0]) / count
    second = sum((r - centre) ** 2 for r in rates) * time**2 / (2 * count * (count + 1))
    third = sum((r - centre) ** 3 for r in rates) * time**3 / (3 * count * (count + 1) * (count + 2))
    return time ** (count - 1) / math.factorial(count - 1) * jnp.exp(-centre * time) * (1.0 + second - third)


def _in_order(rates: tuple[Array, ...]) -> tuple[Array, ...]:
    """Sorted by comparisons of neighbours, elementwise."""
    found = list(rates)
    for end in range(len(found) - 1, 0, -1):
        for i in range(end):
            found[i], found[i + 1] = _sorted(found[i], found[i + 1])
    return tuple(found)


def _sorted(a: Array, b: Array) -> tuple[Array, Array]:
    return jnp.where(a < b, a, b), jnp.where(a < b, b, a)


def _mean_decay(z: Array) -> Array:
    """`(1 - exp(-z)) / z` for `z >= 0`."""
    small = z < 1e-4
    safe = jnp.where(small, 1.0, z)
    return jnp.where(small, 1.0 - z / 2.0 + z * z / 6.0, -jnp.expm1(-safe) / safe)


class _Mode(NamedTuple):
    """A decoupled direction: its loss rate, what each earlier mode feeds into it, its left vector."""

    rate: Array
    feeds: dict[int, Array]
    left: State


class Cascade:
    """The exact flow of the blocks, for one individualised model."""

    def __init__(self, model: Model, blocks: tuple[Block, ...]):
        self.blocks = blocks
        self.names = [s for block in blocks for s in block.states]
        self._jacobian = _jacobian(model, blocks)
        self._modes: list[_Mode] = []
        self._from_modes: dict[str, dict[int, Array]] = {}
        for block in blocks:
            self._add(block)

    def _add(self, block: Block) -> None:
        shares: dict[str, dict[int, Array]] = {s: {} for s in block.states}
        for rate, left, right in _diagonalise(block, self._jacobian):
            index = len(self._modes)
            feeds: dict[int, Array] = {}
            for target, source in block.inflows:
                if source not in block.states:
                    for k, share in self._from_modes[source].items():
                        feeds[k] = feeds.get(k, 0.0) + left[target] * self._jacobian[target, source] * share
            self._modes.append(_Mode(rate, feeds, left))
            for state, weight in right.items():
                shares[state][index] = weight
        self._from_modes |= shares

    def slope(self, y: State, rate: State) -> State:
        """Time derivative at `y` with a constant inflow `rate` into some."""
        found = {s: rate.get(s, jnp.zeros(())) for s in self.names}
        for (target, source), coefficient in self._jacobian.items():
            found[target] = found[target] + coefficient * y[source]
        return found

    def flow(self, y: State, time: Array, rate: State) -> State:
        """States after `time` from `y` (missing ones are zero), with a constant inflow `rate` into some."""
        later = [self._mode(i, y, time, rate) for i in range(len(self._modes))]
        found = {s: [w * v for i, w in self._from_modes[s].items() for v in later[i]] for s in self.names}
        return {s: sum(v[1:], v[0]) if v else jnp.zeros(()) for s, v in found.items()}

    def _mode(self, index: int, y: State, time: Array, rate: State) -> list[Array]:
        terms = []
        for path, weight in self._paths(index):
            rates = tuple(self._modes[i].rate for i in path)
            for entering, between in ((y, rates), (rate, (jnp.zeros(()), *rates))):
                given = [w * entering[s] for s, w in self._modes[path[0]].left.items() if s in entering]
                if given:
                    terms.append(weight * sum(given) * divided_difference(between, time))
        return terms

    def _paths(self, index: int) -> list[tuple[tuple[int, ...], Array | float]]:
        found: list[tuple[tuple[int, ...], Array | float]] = [((index,), 1.0)]
        for source, weight in self._modes[index].feeds.items():
            found += [((*path, index), factor * weight) for path, factor in self._paths(source)]
        return found


def _jacobian(model: Model, blocks: tuple[Block, ...]) -> dict[tuple[str, str], Array]:
    names = [s for block in blocks for s in block.states]
    owners = frozenset().union(*(b.owners for b in blocks))
    needs = frozenset().union(*(b.needs for b in blocks))
    zero = {s: jnp.zeros(()) for s in model.states}
    ticks = {"time": jnp.zeros(())} | {f"{d.name}.since": jnp.zeros(()) for d in model.drugs}

    def rates(values: State) -> State:
        change = model.derivative(zero | values, ticks, owners, needs)
        return {s: jnp.asarray(change[s], float) for s in names}

    entries = {}
    at = {s: jnp.zeros(()) for s in names}
    for source in names:
        tangent = {s: jnp.ones(()) if s == source else jnp.zeros(()) for s in names}
        _, column = jax.jvp(rates, (at,), (tangent,))
        coupled = {pair for block in blocks for pair in block.inflows | block.coupled}
        entries |= {(t, source): column[t] for t in names if (t, source) in coupled or t == source}
    return entries


def _diagonalise(
    block: Block, jacobian: dict[tuple[str, str], Array]
) -> list[tuple[Array, dict[str, Array], dict[str, Array]]]:
    """Modes of a block: loss rate, left vector (states to mode) and right vector (mode to states)."""
    one = jnp.ones(())
    if len(block.states) == 1:
        (s,) = block.states
        return [(-jacobian[s, s], {s: one}, {s: one})]
    p, q = block.states
    a, d, b, c = jacobian[p, p], jacobian[q, q], jacobian[p, q], jacobian[q, p]
    half, mean = (a - d) / 2.0, (a + d) / 2.0
    root = jnp.where(half < 0.0, -1.0, 1.0) * jnp.sqrt(half**2 + b * c)
    pivot = half + root
    share = pivot / (2.0 * root)
    first = (-(mean + root), {p: one, q: b / pivot}, {p: share, q: c / (2.0 * root)})
    second = (root - mean, {p: -c / pivot, q: one}, {p: -b / (2.0 * root), q: share})
    return [first, second]
