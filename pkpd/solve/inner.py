"""What happens within a cell: inner states on panels, and the moments of what they send to slow states."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.ad_checkpoint import checkpoint_policies
from jax.lax import optimization_barrier as barrier
from jax.lax import stop_gradient

from pkpd.model import Model
from pkpd.quadrature import NODES, STAGES, WEIGHTS
from pkpd.solve.collocation import (
    KEPT,
    State,
    collocate,
    column,
    extrapolated,
    filter_of,
    rates_of,
)
from pkpd.solve.parts import Parts
from pkpd.solve.solver import clock
from pkpd.solve.structure import Block
from pkpd.solve.tables import Before, Panels, answer

Moments = dict[str, tuple[Array, ...]]


class Inside(NamedTuple):
    """Inner states [patients], and the last panel: its length, and the unknown states at its nodes."""

    y: State
    nodes: State
    length: Array


class Inner:
    """Inner states of individualised patients."""

    def __init__(self, model: Model, parts: Parts, since: State, patients: int):
        self.parts, self.since, self.patients = parts, since, patients
        self.decays = decays(model, parts.inner)
        self.model = jax.tree.map(lambda v: v[None] if jnp.ndim(v) else v, model)
        self.none = {s: jnp.zeros(()) for s in model.states}
        self.initial = model.initial()

    def start(self) -> Inside:
        """What is inside before any dose."""

        def wide(s: str, *shape: int) -> Array:
            return jnp.broadcast_to(jnp.asarray(self.initial[s], float), (*shape, self.patients))

        y = {s: wide(s) for block in self.parts.inner for s in block.states}
        nodes = {s: wide(s, STAGES) for block in self.parts.inner for s in block.unknown}
        return Inside(y, nodes, jnp.zeros(self.patients))

    def cell(
        self, inside: Inside, before: Before, panels: Panels, begin: Array, length: Array
    ) -> tuple[Inside, Moments]:
        """What is inside at the end of a cell, and moments over it."""
        moments: Moments = {s: (jnp.zeros(self.patients),) * STAGES for s in self.parts.boundary}
        if not (self.parts.inner or moments):
            return inside, moments

        def panel(carry: tuple[Inside, Moments], x: Panels) -> tuple[tuple[Inside, Moments], None]:
            inside, signals = self._panel(carry[0], before, x, begin)
            return (inside, _with_panel(carry[1], signals, x, length)), None

        kept = jax.checkpoint(panel, policy=checkpoint_policies.save_only_these_names(KEPT))
        return jax.lax.scan(kept, (inside, moments), panels)[0]

    def _panel(self, inside: Inside, before: Before, x: Panels, begin: Array) -> tuple[Inside, State]:
        """Inner states over a panel, and the boundary's signals at its nodes [nodes, patients]."""
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
        signals = self.model.signals(nodes, ticks, self.parts.kinetics)
        last = Inside({s: nodes[s][-1] for s in y}, {s: nodes[s] for s in inside.nodes}, x.length)
        return last, {s: signals[s] for s in self.parts.boundary}

    def _guess(self, inside: Inside, length: Array, s: str, start: Array, jump: Array | None) -> Array:
        """Where Newton's method starts: the last panel goes on, not below 0 where the start is not."""
        past = inside.length
        short = (past > 0.0) & (length < 4.0 * past)
        ratio = jnp.where(short, length / jnp.where(short, past, 1.0), 0.0)
        value = stop_gradient(extrapolated(inside.nodes[s], ratio))
        value = value if jump is None else value + jump[None]
        return jnp.where((start >= 0.0)[None], jnp.maximum(value, 0.0), value)


def _with_panel(moments: Moments, signals: State, x: Panels, length: Array) -> Moments:
    """Adds a panel's part of the moments of signals over the cell."""
    share = 1.0 / length
    at = 2.0 * share * (x.start[None] + x.length[None] * column(NODES, x.start)) - 1.0
    weights = share * x.length[None] * column(WEIGHTS, x.start)
    shares = [weights * p for p in _legendre(at)]

    def added(moment: Array, share: Array, signal: Array) -> Array:
        parts = share * signal
        return moment + sum(parts[1:], parts[0])

    return {
        s: tuple(added(m, w, signals[s]) for m, w in zip(v, shares, strict=True)) for s, v in moments.items()
    }


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
