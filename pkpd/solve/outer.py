"""Slow states over a cell, driven by the polynomials that have the moments of what drives them."""

from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.lax import optimization_barrier as barrier
from numpy.polynomial import legendre

from pkpd.component import Component
from pkpd.model import Model
from pkpd.parameters import Scalar
from pkpd.quadrature import NODES, STAGES
from pkpd.solve.collocation import State, collocate, column, contract, filter_of, rates_of
from pkpd.solve.inner import Moments, decays
from pkpd.solve.parts import Parts
from pkpd.solve.solver import clock

_ORDERS = np.arange(STAGES)
_SERIES = (2.0 * _ORDERS + 1.0) * legendre.legvander(2.0 * NODES - 1.0, STAGES - 1)


class Outer:
    """Slow states [groups, patients] of individualised patients, whose kinetics the groups repeat."""

    def __init__(self, model: Model, parts: Parts, since: State, shape: tuple[int, int]):
        self.parts, self.shape = parts, shape
        self.since = {d: v[None] for d, v in since.items()}
        self.model = _for_nodes(model, parts)
        self.decays = decays(self.model, parts.outer)
        self.initial = self.model.initial()
        still = {s: jnp.asarray(self.initial[s], float) for s in parts.at_rest}
        self.none = {s: jnp.zeros(()) for s in model.states} | still

    def start(self) -> State:
        """States before any dose."""
        return self._starts(s for block in self.parts.outer for s in block.states)

    def at_rest(self) -> State:
        """The states, inner ones too, that stay where they start."""
        return self._starts(sorted(self.parts.at_rest))

    def _starts(self, states: Iterable[str]) -> State:
        wide = (1, *self.shape)
        return {s: jnp.broadcast_to(jnp.asarray(self.initial[s], float), wide)[0] for s in states}

    def cell(self, y: State, moments: Moments, begin: Array, length: Array) -> State:
        """States at the nodes of a cell [nodes, groups, patients]."""
        signals = {s: contract(_SERIES[:, :, None], jnp.stack(v))[:, None] for s, v in moments.items()}
        stretch = jnp.broadcast_to(length, (1, 1))
        ticks = clock(begin + stretch[None] * column(NODES, stretch), self.since)
        nodes = dict(self.none)
        for block in self.parts.outer:
            start = {s: y[s] for s in block.states}
            filters = barrier({s: filter_of(_flat(self.decays[s]), stretch) for s in block.filters})
            guess = {s: jnp.broadcast_to(start[s], (STAGES, *self.shape)) for s in block.unknown}
            flow = rates_of(self.model, block, block.needs - self.parts.kinetics, nodes, ticks, {}, signals)
            nodes |= collocate(flow, block, start, stretch, filters, guess)
        return {s: jnp.broadcast_to(nodes[s], (STAGES, *self.shape)) for s in y}


def _flat(decay: Array) -> Array:
    """A decay rate [1, groups, patients] without the axis for nodes."""
    return decay[0] if decay.ndim else decay


def _for_nodes(model: Model, parts: Parts) -> Model:
    """Parameters [groups, patients] with an axis for nodes in front; groups repeat those of kinetics."""

    def shaped(name: str, part: Component) -> Component:
        def leaf(v: Scalar) -> Array:
            v = jnp.asarray(v)
            return v if v.ndim == 0 else v[None, :1] if name in parts.kinetics else v[None]

        return jax.tree.map(leaf, part)

    return model.with_components({name: shaped(name, part) for name, part in model.components.items()})
