"""Exact propagation of linear states that depend on nothing but themselves and the doses.

A block of states that exchange amounts has real loss rates `l_1 >= l_2 >= l_3`, at most three. Newton's form

    exp(A t) = I g(l_1) + (l_1 + A) g(l_1, l_2) + (l_1 + A)(l_2 + A) g(l_1, l_2, l_3)

holds, with `g` the divided differences of `pkpd.solve.divided`. In this order no matrix has a negative entry.
Where a block feeds another, matrices are multiplied and lists of rates joined. So all terms are positive,
small amounts are as exact as large ones, and rates may coincide, in value and in gradient.

References: Higham NJ. Functions of Matrices. SIAM 2008, doi 10.1137/1.9780898717778 (Newton's form).
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.lax import fori_loop, stop_gradient

from pkpd.model import Model
from pkpd.solve.divided import divided_difference, divisor
from pkpd.solve.structure import Block

State = dict[str, Array]
Matrix = dict[tuple[str, str], Array]
Path = tuple[int, ...]

_ROUNDS = 32  # of the search for a rate; it needs 17 where rates spread over seven decades


class Way(NamedTuple):
    """A way of an amount that enters once, or at a constant rate: from then on it has one rate more, zero."""

    path: Path
    constant: bool

    @property
    def rates(self) -> Path:
        """Places among all rates, the last of which is zero."""
        return (-1, *self.path) if self.constant else self.path


class Cascade:
    """The exact flow of the blocks, for one individualised model."""

    def __init__(self, model: Model, blocks: tuple[Block, ...]):
        self.blocks = blocks
        self.names = [s for block in blocks for s in block.states]
        self._jacobian, losses = _linear(model, blocks)
        self._rates: list[Array] = []
        self._ways: dict[str, dict[str, dict[Path, Array]]] = {}
        for block in blocks:
            self._add(block, losses)
        self._all_rates = jnp.stack(jnp.broadcast_arrays(*self._rates, jnp.zeros(())))

    def _add(self, block: Block, losses: State) -> None:
        """`_ways[target][source]` has for each way the indices of its rates, and the share that takes it."""
        rates, matrices = _newton(block, self._jacobian, losses)
        added = tuple(range(len(self._rates), len(self._rates) + len(rates)))
        self._rates += rates
        begun = [(s, s, (), jnp.ones(())) for s in block.states]
        for entry, giver in sorted(block.inflows):
            if giver not in block.states:
                for source, ways in self._ways[giver].items():
                    begun += [(source, entry, p, w * self._jacobian[entry, giver]) for p, w in ways.items()]
        found: dict[str, dict[str, dict[Path, Array]]] = {s: {} for s in block.states}
        for source, entry, before, share in begun:
            for k, matrix in enumerate(matrices):
                for target in (s for s in block.states if (s, entry) in matrix):
                    ways, path = found[target].setdefault(source, {}), before + added[: k + 1]
                    ways[path] = ways.get(path, 0.0) + share * matrix[target, entry]
        self._ways |= found

    def slope(self, y: State, rate: State) -> State:
        """Time derivative at `y` with a constant inflow `rate` into some."""
        found = {s: rate.get(s, jnp.zeros(())) for s in self.names}
        for (target, source), coefficient in self._jacobian.items():
            found[target] = found[target] + coefficient * y[source]
        return found

    def flow(self, y: State, time: Array, rate: State) -> State:
        """States after `time` from `y` (missing ones are zero), with a constant inflow `rate` into some."""
        found: State = {}
        for given, matrix in zip((y, rate), self.matrices(y, rate, time), strict=True):
            for (target, source), share in matrix.items():
                amount = given[source] * share
                found[target] = found[target] + amount if target in found else amount
        return {s: found.get(s, jnp.zeros(())) for s in self.names}

    def matrices(
        self, amounts: Collection[str], inflows: Collection[str], time: Array
    ) -> tuple[Matrix, Matrix]:
        """What each target holds after `time` of a unit that was in one of `amounts`, and of a unit a time
        that flowed into one of `inflows`."""
        entering = [
            (constant, (target, source), Way(path, constant), share)
            for constant, given in ((False, amounts), (True, inflows))
            for target in self.names
            for source, ways in self._ways[target].items()
            if source in given
            for path, share in ways.items()
        ]
        after = self._after(sorted({way for _, _, way, _ in entering}), time)
        found: tuple[Matrix, Matrix] = ({}, {})
        for constant, pair, way, share in entering:
            matrix, part = found[constant], share * after[way]
            matrix[pair] = matrix[pair] + part if pair in matrix else part
        return found

    def reached(self, state: str) -> list[str]:
        """The states into which an amount in `state` gets, in the order of the cascade."""
        return [s for s in self.names if state in self._ways[s]]

    def slowest(self, targets: Collection[str], sources: Collection[str]) -> Array:
        """The smallest loss rate on the ways of amounts from some states to others."""
        found = jnp.full((), jnp.inf)
        ways = (way for t in targets for s in sources for way in self._ways[t].get(s, {}).items())
        for path, share in ways:
            for rate in (self._rates[i] for i in path):
                found = jnp.where((share > 0.0) & (rate < found), rate, found)
        return found

    def _after(self, ways: Sequence[Way], time: Array) -> dict[Way, Array]:
        """The divided difference along each way; one loop for those of a length keeps programs small."""
        rates, found = self._all_rates, {}
        rates = rates.reshape(len(rates), *(1,) * (jnp.ndim(time) - rates.ndim + 1), *rates.shape[1:])
        for length in sorted({len(way.rates) for way in ways}):
            alike = [way for way in ways if len(way.rates) == length]
            columns = (jnp.array(column) for column in zip(*(way.rates for way in alike), strict=True))
            some = tuple(rates[c] for c in columns)
            found |= zip(alike, jax.lax.map(lambda r: divided_difference(r, time), some), strict=True)
        return found


def _linear(model: Model, blocks: tuple[Block, ...]) -> tuple[Matrix, State]:
    """The derivative's coefficients, and the rate at which each state's amount leaves its whole block.

    Those rates are derivatives of the block's total, taken backwards: what one state loses to another cancels
    before it is multiplied by any number, and slow elimination is not the difference of fast exchanges.
    """
    names = [s for block in blocks for s in block.states]
    owners = frozenset().union(*(b.owners for b in blocks))
    needs = frozenset().union(*(b.needs for b in blocks))
    zero = {s: jnp.zeros(()) for s in model.states}
    ticks = {"time": jnp.zeros(())} | {f"{d.name}.since": jnp.zeros(()) for d in model.drugs}

    def rates(values: State) -> State:
        change = model.derivative(zero | values, ticks, owners, needs)
        return {s: jnp.asarray(change[s], float) for s in names}

    entries: Matrix = {}
    at = {s: jnp.zeros(()) for s in names}
    coupled = {pair for block in blocks for pair in block.inflows | block.coupled}
    for source in names:
        tangent = {s: jnp.ones(()) if s == source else jnp.zeros(()) for s in names}
        _, column = jax.jvp(rates, (at,), (tangent,))
        entries |= {(t, source): column[t] for t in names if (t, source) in coupled or t == source}
    shape = jnp.broadcast_shapes(*(jnp.shape(v) for v in entries.values()))
    change, pull = jax.vjp(rates, {s: jnp.zeros(shape) for s in names})
    losses: State = {}
    for block in blocks:
        total = {s: jnp.full(jnp.shape(v), -1.0 if s in block.states else 0.0) for s, v in change.items()}
        (lost,) = pull(total)
        losses |= {s: lost[s] for s in block.states}
    return entries, losses


class _Leaf(NamedTuple):
    """A state that exchanges with the hub alone: rates out of the block, from the hub and to the hub."""

    loss: Array
    filled: Array
    back: Array

    @property
    def rate(self) -> Array:
        """Rate at which an amount leaves the state."""
        return self.loss + self.back

    @property
    def coupling(self) -> Array:
        """Product of the rates to and fro."""
        return self.filled * self.back


def _newton(block: Block, jacobian: Matrix, losses: State) -> tuple[list[Array], list[Matrix]]:
    """Loss rates of a block, from the largest on, and the matrices of Newton's form."""
    pairs = [(t, s) for t, s in sorted(block.coupled) if t != s]
    hub = max(block.states, key=[t for t, _ in pairs].count)
    leaves = {s: _Leaf(losses[s], jacobian[s, hub], jacobian[hub, s]) for s in block.states if s != hub}
    unit = {(s, s): jnp.ones(()) for s in block.states}
    exchange = {pair: jacobian[pair] for pair in pairs}
    if not leaves:
        return [-jacobian[hub, hub]], [unit]
    find = _one_leaf if len(leaves) == 1 else _two_leaves
    rates, diagonal, *last = find(hub, losses[hub], leaves)
    return rates, [unit, exchange | {(s, s): v for s, v in diagonal.items()}, *last]


def _one_leaf(hub: str, loss: Array, leaves: dict[str, _Leaf]) -> tuple[list[Array], State]:
    ((name, leaf),) = leaves.items()
    offset = loss + leaf.filled - leaf.rate
    below, above = _roots(offset, leaf.coupling)
    first = leaf.rate + above
    return [first, (loss * leaf.rate + leaf.filled * leaf.loss) / first], {hub: below, name: above}


def _two_leaves(hub: str, loss: Array, leaves: dict[str, _Leaf]) -> tuple[list[Array], State, Matrix]:
    (a, p), (b, q) = leaves.items()
    top, bottom = _edge(-1.0, loss, p, q), _edge(1.0, loss, p, q)
    below_p, below_q = bottom.gaps
    column = (below_p * below_q, p.filled * below_q, q.filled * below_p)
    slowest = jnp.where(bottom.gap > bottom.rate, _mean_loss(column, (loss, p.loss, q.loss)), bottom.rate)
    second = (
        (loss + q.filled) * p.rate
        + p.filled * p.loss
        + (loss + p.filled) * q.rate
        + q.filled * q.loss
        + p.rate * q.rate
    )
    middle = (second - top.rate * slowest) / (top.rate + slowest)
    diagonal = {hub: top.pulls[0] + top.pulls[1], a: top.gaps[0], b: top.gaps[1]}
    last = {
        (hub, hub): column[0],
        (a, hub): column[1],
        (b, hub): column[2],
        (hub, a): p.back * below_q,
        (hub, b): q.back * below_p,
        (a, b): p.filled * q.back,
        (b, a): q.filled * p.back,
        (a, a): bottom.pulls[0] * below_q,
        (b, b): bottom.pulls[1] * below_p,
    }
    return [top.rate, middle, slowest], diagonal, last


def _mean_loss(amounts: tuple[Array, ...], losses: tuple[Array, ...]) -> Array:
    """The rate at which amounts leave that keep their proportions."""
    total = sum(amounts[1:], amounts[0])
    lost = sum(v * loss for v, loss in zip(amounts, losses, strict=True))
    return lost / divisor(total)


class _Edge(NamedTuple):
    """The largest or the smallest loss rate of a hub with two leaves.

    `gaps` are its distances from the rates of the leaves, `gap` the smaller one. `pulls` are the couplings
    divided by them; their sum is the distance from the rate of the hub.
    """

    rate: Array
    gap: Array
    gaps: tuple[Array, Array]
    pulls: tuple[Array, Array]


def _edge(side: float, loss: Array, p: _Leaf, q: _Leaf) -> _Edge:
    """The loss rate below (`side` 1) or above (-1) all others, by its distance from the nearest leaf's rate.

    The steps to that distance fall and converge quadratically. Two more are differentiated, which makes the
    second derivatives exact too.
    """
    first = side * (p.rate - q.rate) <= 0.0
    near, far = (jax.tree.map(lambda a, b: jnp.where(first, a, b), *pair) for pair in ((p, q), (q, p)))
    given = _Search(side, loss, near, far)
    fixed = stop_gradient(given)
    z = fori_loop(0, _ROUNDS, lambda _, z: fixed.step(z)[0], fixed.start())
    z, *_ = given.step(z)
    z, away, coupling = given.step(z)
    share = jnp.where(coupling > 0.0, near.coupling / divisor(coupling), 1.0)
    gaps, pulls = (z, z + given.apart), (away * share, far.coupling / divisor(z + given.apart))
    by_leaf = [(jnp.where(first, a, b), jnp.where(first, b, a)) for a, b in (gaps, pulls)]
    return _Edge(near.rate - side * z, z, *by_leaf)


class _Search(NamedTuple):
    """Where `z + offset = coupling / z`, with an `offset` and a `coupling` that depend on `z` for the farther
    leaf's sake: its pull `c / (z + apart)` stands as `c1 + c2 / z`, the tangent in `1 / z`. Slow rates enter
    as they are and not as differences of fast ones.

    References: Bunch JR, Nielsen CP, Sorensen DC. Numer Math 1978;31:31-48, doi 10.1007/BF01396012.
    """

    side: float
    loss: Array
    near: _Leaf
    far: _Leaf

    @property
    def apart(self) -> Array:
        """Distance of the leaves' rates."""
        return self.side * (self.far.rate - self.near.rate)

    def start(self) -> Array:
        """The smaller of two upper bounds, the tangents at zero and at infinity."""
        none, all_ = (_roots(*self._tangent(w, divisor(self.apart)))[0] for w in (0.0, 1.0))
        return jnp.where((self.apart > 0.0) & (none < all_), none, all_)

    def step(self, z: Array) -> tuple[Array, Array, Array]:
        """The next `z`, then `z + offset` and `coupling`."""
        whole = divisor(z + self.apart)
        offset, coupling = self._tangent(z / whole, whole)
        return *_roots(offset, coupling), coupling

    def _tangent(self, share: Array | float, whole: Array) -> tuple[Array, Array]:
        """Offset and coupling at `z = share whole`."""
        near, far, rest = self.near, self.far, 1.0 - share
        offset = self.loss + near.filled - near.rate + far.filled * share * (1.0 + rest)
        slow = far.filled * (far.loss - near.rate) * rest / whole
        return self.side * offset + slow, near.coupling + far.coupling * share**2


def _roots(offset: Array, coupling: Array) -> tuple[Array, Array]:
    """The positive `z` with `z (z + offset) = coupling`, and `z + offset`."""
    square = offset**2 + 4.0 * coupling
    root = jnp.where(square > 0.0, jnp.sqrt(divisor(square)), 0.0)
    larger = (jnp.where(offset > 0.0, offset, -offset) + root) / 2.0
    smaller = coupling / divisor(larger)
    return jnp.where(offset > 0.0, smaller, larger), jnp.where(offset > 0.0, larger, smaller)
