"""What happens within a cell: inner states on panels, and the moments of what they send to slow states."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.ad_checkpoint import checkpoint_policies
from jax.lax import optimization_barrier as barrier
from jax.lax import stop_gradient

from pkpd.model import Model
from pkpd.quadrature import NODES, STAGES, WEIGHTS
from pkpd.solve.collocation import (
    KEPT,
    State,
    between,
    collocate,
    column,
    extrapolated,
    filter_of,
    rates_of,
)
from pkpd.solve.parts import Parts
from pkpd.solve.solver import clock
from pkpd.solve.structure import Block
from pkpd.solve.tables import RISE, RISE_WEIGHTS, Before, Panels, Rises, answer

Moments = dict[str, tuple[Array, ...]]


class Inside(NamedTuple):
    """Inner states [patients], and the last panel: its length, and the unknown states at its nodes."""

    y: State
    nodes: State
    length: Array


class _Sums(NamedTuple):
    """Sums over panels: moments, and what signals see of inner states in the panels of rises, at the start
    and the nodes [1 + nodes, jumps, patients]."""

    moments: Moments
    caught: State


class Inner:
    """Inner states of individualised patients."""

    def __init__(self, model: Model, parts: Parts, since: State, patients: int):
        self.parts, self.since, self.patients = parts, since, patients
        self.decays = decays(model, parts.inner)
        self.model = jax.tree.map(lambda v: v[None] if jnp.ndim(v) else v, model)
        self.initial = model.initial()
        still = {s: jnp.asarray(self.initial[s], float) for s in parts.at_rest}
        self.none = {s: jnp.zeros(()) for s in model.states} | still

    def start(self) -> Inside:
        """What is inside before any dose."""

        def wide(s: str, *shape: int) -> Array:
            return jnp.broadcast_to(jnp.asarray(self.initial[s], float), (*shape, self.patients))

        y = {s: wide(s) for block in self.parts.inner for s in block.states}
        nodes = {s: wide(s, STAGES) for block in self.parts.inner for s in block.unknown}
        return Inside(y, nodes, jnp.zeros(self.patients))

    def cell(
        self, inside: Inside, before: Before, panels: Panels, rises: Rises, begin: Array, length: Array
    ) -> tuple[Inside, Moments]:
        """What is inside at the end of a cell, and moments over it."""
        if not (self.parts.inner or self.parts.boundary):
            return inside, {}

        def panel(inside: Inside, x: tuple[Panels, Array]) -> tuple[Inside, _Sums]:
            one, which = x
            inside, signals, path = self._panel(inside, before, one, begin)
            moments = _moments(signals, one.start, one.length, length, NODES, WEIGHTS)
            return inside, _Sums(moments, {s: which[None] * v[:, None] for s, v in path.items()})

        inside, sums = self._over(panel, inside, (panels, rises.which))
        return inside, _sum(sums.moments, self._rises(sums.caught, before, rises, begin, length))

    def _over(
        self,
        panel: Callable[[Inside, tuple[Panels, Array]], tuple[Inside, _Sums]],
        inside: Inside,
        x: tuple[Panels, Array],
    ) -> tuple[Inside, _Sums]:
        """What is inside after some panels and the sums over them, all at once where nothing is inside."""
        if not self.parts.inner:
            each = jax.vmap(lambda x: panel(inside, x)[1])(x)
            return inside, jax.tree.map(lambda v: v.sum(0), each)

        def step(carry: tuple[Inside, _Sums], x: tuple[Panels, Array]) -> tuple[tuple[Inside, _Sums], None]:
            inside, added = panel(carry[0], x)
            return (inside, jax.tree.map(jnp.add, carry[1], added)), None

        zero = {s: (jnp.zeros(self.patients),) * STAGES for s in self.parts.boundary}
        jumps = x[1].shape[1:]
        caught = {s: jnp.zeros((STAGES + (s in inside.y), *jumps)) for s in self.parts.shown}
        kept = jax.checkpoint(step, policy=checkpoint_policies.save_only_these_names(KEPT))
        return jax.lax.scan(kept, (inside, _Sums(zero, caught)), x)[0]

    def _panel(self, inside: Inside, before: Before, x: Panels, begin: Array) -> tuple[Inside, State, State]:
        """Inner states over a panel, the boundary's signals at its nodes, and what those see there.

        Of inner states they see the value at the start too, in front.
        """
        jump = {s: (v * before.amount[s]).sum(0) for s, v in x.enters.items()}
        inflow = {s: (before.running[s] + (v * before.rate[s]).sum(0))[None] for s, v in x.flows.items()}
        y = {s: v + jump[s] if s in jump else v for s, v in inside.y.items()}
        ticks = clock(begin + x.start[None] + x.length[None] * column(NODES, x.length), self.since)
        nodes = self.none | {s: answer(x.known, s, before) for s in self.parts.known}
        filters = barrier(
            {s: filter_of(jnp.broadcast_to(k, x.length.shape), x.length) for s, k in self.decays.items()}
        )
        for block in self.parts.inner:
            start = {s: y[s] for s in block.states}
            guess = {s: self._guess(inside, x.length, s, start[s], jump.get(s)) for s in block.unknown}
            flow = rates_of(self.model, block, block.needs, nodes, ticks, inflow)
            nodes |= collocate(flow, block, start, x.length, filters, guess)
        last = Inside({s: nodes[s][-1] for s in y}, {s: nodes[s] for s in inside.nodes}, x.length)
        signals = self.model.signals(nodes, ticks, self.parts.kinetics)
        path = {s: jnp.concatenate([y[s][None], nodes[s]]) if s in y else nodes[s] for s in self.parts.shown}
        return last, {s: signals[s] for s in self.parts.boundary}, path

    def _rises(self, path: State, before: Before, rises: Rises, begin: Array, length: Array) -> Moments:
        """What the moments miss where signals rise at once: Gauss's rule less that of the nodes."""
        points, weights = np.append(RISE, NODES), np.append(RISE_WEIGHTS, -WEIGHTS)
        start = {s: answer(rises.known, s, before)[:, 0] for s in path if s in rises.known.carried}
        whole = {s: (start[s], v) if s in start else (v[0], v[1:]) for s, v in path.items()}
        states = barrier({s: between(*v, points) for s, v in whole.items()})
        ticks = clock(
            begin + rises.start[None] + rises.length[None] * column(points, rises.length), self.since
        )
        signals = self.model.signals(self.none | states, ticks, self.parts.kinetics)
        signals = barrier({s: signals[s] for s in self.parts.boundary})
        found = _moments(signals, rises.start, rises.length, length, points, weights)
        return {s: tuple(m.sum(0) for m in v) for s, v in found.items()}

    def _guess(self, inside: Inside, length: Array, s: str, start: Array, jump: Array | None) -> Array:
        """Where Newton's method starts: the last panel goes on, not below 0 where the start is not."""
        past = inside.length
        short = (past > 0.0) & (length < 4.0 * past)
        ratio = jnp.where(short, length / jnp.where(short, past, 1.0), 0.0)
        value = stop_gradient(extrapolated(inside.nodes[s], ratio))
        value = value if jump is None else value + jump[None]
        return jnp.where((start >= 0.0)[None], jnp.maximum(value, 0.0), value)


def _moments(
    signals: State, start: Array, width: Array, length: Array, points: np.ndarray, weights: np.ndarray
) -> Moments:
    """A panel's part of the moments over a cell of signals that are known at points of the panel."""
    share = 1.0 / length
    at = 2.0 * share * (start[None] + width[None] * column(points, start)) - 1.0
    shares = [share * width[None] * column(weights, start) * p for p in _legendre(at)]

    def moment(share: Array, signal: Array) -> Array:
        parts = share * signal
        return sum(parts[1:], parts[0])

    return {s: tuple(moment(w, v) for w in shares) for s, v in signals.items()}


def _sum(a: Moments, b: Moments) -> Moments:
    return {s: tuple(x + y for x, y in zip(v, b[s], strict=True)) for s, v in a.items()}


def _legendre(x: Array) -> list[Array]:
    """The first polynomials that are orthogonal on (-1, 1)."""
    found = [jnp.ones_like(x), x]
    for n in range(1, STAGES - 1):
        found.append(((2 * n + 1) * x * found[n] - n * found[n - 1]) / (n + 1))
    return found


def decays(model: Model, blocks: Sequence[Block]) -> State:
    """Rates at which filters decay, in the shape of the model's parameters."""
    y = {s: jnp.asarray(v, float) for s, v in model.initial().items()}
    ticks = clock(jnp.zeros(()), {d.name: jnp.zeros(()) for d in model.drugs})

    def decay(s: str, block: Block) -> Array:
        def rate(v: Array) -> Array:
            return jnp.asarray(model.derivative({**y, s: v}, ticks, block.owners)[s])

        return -jax.jvp(rate, (jnp.zeros(()),), (jnp.ones(()),))[1]

    return {s: decay(s, block) for block in blocks for s in block.filters}
