"""What kinds of cell hold that no state changes: panels, and answers of the exact flow to unit doses."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.lax import stop_gradient

from pkpd.dosing.events import Jumps
from pkpd.model import Model
from pkpd.quadrature import NODES, gauss
from pkpd.solve.cascade import Cascade
from pkpd.solve.cells import NEAR, Grading, Layout
from pkpd.solve.parts import Parts, reached

STEPS = 6  # of Newton's method for the ends of panels
_POINTS, _WEIGHTS = gauss(10)
RISE, RISE_WEIGHTS = _POINTS**4, 4.0 * _POINTS**3 * _WEIGHTS  # crowded at the start
ByState = dict[str, dict[str, Array]]


class Answers(NamedTuple):
    """States of the cascade at some times.

    `carried[o][e]` [times..., patients] is o after a unit of e at the cell's start, `dosed[o][e]`
    [times..., slots, patients] after unit doses into e; those with `_rate` are after unit inflows.
    """

    carried: ByState
    dosed: ByState
    carried_rate: ByState
    dosed_rate: ByState


class Before(NamedTuple):
    """What a cell starts with and is given: states of the cascade and running rates [patients], amounts and
    changes of rate [slots, patients] by the state that they enter."""

    exact: dict[str, Array]
    running: dict[str, Array]
    amount: dict[str, Array]
    rate: dict[str, Array]


class Panels(NamedTuple):
    """Panels of cells, `start` and `length` [kinds, panels, patients].

    `known` are answers at the nodes. `enters[s]` and `flows[s]` [kinds, panels, slots, patients] tell in
    which panel a dose enters an inner state, and in which its inflow lasts.
    """

    start: Array
    length: Array
    known: Answers
    enters: dict[str, Array]
    flows: dict[str, Array]


class Rises(NamedTuple):
    """Panels in which signals alone follow a jump, at once: they may rise within minutes.

    `which` [kinds, panels, jumps, patients] is 1 for the panel of each jump, `start` and `length` are that
    panel's [kinds, jumps, patients], and `known` are answers at its start. `RISE` are points of it.
    """

    which: Array
    start: Array
    length: Array
    known: Answers


class Table(NamedTuple):
    """Panels of kinds of cell, rises in them, and answers at their ends for all states of the cascade."""

    panels: Panels
    rises: Rises
    ends: Answers


def table_of(model: Model, parts: Parts, jumps: Jumps, layout: Layout, grading: Grading) -> Table:
    """The table of some kinds, for individualised patients."""
    length, infused = layout.length[:, None, None], jumps.infused
    offset = {s: _offset(jumps, layout, index) for s, index in layout.jump.items()}
    begin, width = _panels(layout, offset, grading, jumps.time.shape[1])
    nodes = begin[:, :, None] + width[:, :, None] * NODES[:, None]
    cascade = Cascade(
        jax.tree.map(lambda v: v.reshape(1, 1, 1, 1, -1) if jnp.ndim(v) == 1 else v, model), parts.cascade
    )
    inside = [s for s in offset if s not in cascade.names]
    after = {s: begin[:, :, None] >= offset[s][:, None] for s in inside}
    first = {s: jnp.concatenate([v[:, :1], v[:, 1:] & ~v[:, :-1]], axis=1) for s, v in after.items()}
    enters = {s: jnp.where(v, 1.0, 0.0) for s, v in first.items()}
    flows = {s: jnp.where(v, 1.0, 0.0) for s, v in after.items()} if infused else {}
    known = _answers(cascade, parts.known, nodes, offset, begin, infused)
    last = jnp.broadcast_to(length[:, None], (len(length), 1, 1, jumps.time.shape[1]))
    ends = jax.tree.map(
        lambda v: v[:, 0, 0], _answers(cascade, tuple(cascade.names), last, offset, None, infused)
    )
    rises = _rises(cascade, parts, layout, offset, begin, width, infused)
    return Table(Panels(begin, width, known, enters, flows), rises, ends)


def _offset(jumps: Jumps, layout: Layout, index: np.ndarray) -> Array:
    """Times of jumps after the start of their cell [kinds, slots, patients]; an absent jump is at its end.

    A jump in a cell before or after is at the edge. One at the start itself, but for rounding, moves with its
    dose; one at the end does not, because it belongs to the next cell.
    """
    length = jnp.asarray(layout.length)[:, None, None]
    after = jumps.time[index] - layout.start[:, None, None]
    tie = NEAR * length
    after = after - stop_gradient(jnp.where(jnp.abs(after) <= tie, after, 0.0))
    inside = jnp.where(after < -tie, 0.0, jnp.where(after > length - tie, length, after))
    return jnp.where((index >= 0)[:, :, None], inside, length)


def _panels(layout: Layout, offset: dict[str, Array], grading: Grading, patients: int) -> tuple[Array, Array]:
    """Start and length of panels between a patient's own breaks in time order."""
    ends = np.broadcast_to(layout.length[:, None, None], (len(layout.length), 1, patients))
    doses = jnp.concatenate([jnp.zeros_like(ends), *offset.values()], axis=1)
    breaks = jnp.concatenate([jnp.sort(doses, axis=1), ends], axis=1)
    low = jnp.take_along_axis(breaks, layout.segment[:, :, None], axis=1)
    stretch = jnp.take_along_axis(breaks, layout.segment[:, :, None] + 1, axis=1) - low
    since = stop_gradient(_youngest(layout, offset, low))
    ends = _share(grading, since, stretch, layout.high[:, :, None])
    first = (layout.low <= 0.0)[:, :, None]
    starts = jnp.concatenate([jnp.zeros_like(ends[:, :1]), ends[:, :-1]], axis=1)
    starts = jnp.where(first, 0.0, jnp.where(layout.low[:, :, None] >= 1.0, 1.0, starts))
    return low + starts * stretch, (ends - starts) * stretch


def _rises(
    cascade: Cascade,
    parts: Parts,
    layout: Layout,
    offset: dict[str, Array],
    begin: Array,
    width: Array,
    infused: bool,
) -> Rises:
    """The panels of some length that begin at a jump which signals alone follow."""
    mild = [offset[s] for s in offset if s in parts.mild and np.any(layout.jump[s] >= 0)]
    given = jnp.concatenate([jnp.zeros((len(begin), 0, begin.shape[2])), *mild], axis=1)
    after = (begin[:, :, None] >= given[:, None]) & (width[:, :, None] > 0.0)
    which = jnp.where(_earliest(_earliest(after, 1), 2), 1.0, 0.0)
    start, length = ((which * v[:, :, None]).sum(1) for v in (begin, width))
    seen = [s for s in parts.shown if s in cascade.names]
    return Rises(which, start, length, _answers(cascade, seen, start[:, :, None], offset, start, infused))


def _earliest(found: Array, axis: int) -> Array:
    """The first place along an axis that is true."""
    return jnp.where(jnp.cumsum(found, axis=axis) == 1, found, False)


def _youngest(layout: Layout, offset: dict[str, Array], time: Array) -> Array:
    """Age at some times [kinds, panels, patients] of the youngest jump before or then."""
    found = jnp.asarray(layout.since)[:, None, None] + time
    for at in offset.values():
        passed = time[:, :, None] - at[:, None]
        found = jnp.minimum(found, jnp.where(passed >= 0.0, passed, jnp.inf).min(2, initial=jnp.inf))
    return found


def _share(grading: Grading, since: Array, length: Array, place: np.ndarray) -> Array:
    """Where in a stretch, that starts some time after a jump, a share of the panels ends.

    Newton's method on the integral of the density, which is convex in `grading.warped` time, from above; the
    last step is differentiated.
    """
    low, high = (grading.total(grading.warped(t)) for t in (since, since + length))
    u = wanted = low + place * (high - low)
    for _ in range(STEPS):
        u = stop_gradient(u)
        u = u - (grading.total(u) - wanted) / grading.slope(u)
    inside = (grading.unwarped(u) - since) / jnp.where(length > 0.0, length, 1.0)
    return jnp.where(place >= 1.0, 1.0, jnp.clip(inside, 0.0, 1.0))


def _answers(
    cascade: Cascade,
    wanted: Sequence[str],
    time: Array,
    offset: dict[str, Array],
    begin: Array | None,
    infused: bool,
) -> Answers:
    """Answers at times [kinds, panels, nodes, patients]; a dose acts in panels that begin at it or later."""
    one = jnp.ones(())
    time = time[:, :, :, None]
    entered = [s for s in offset if s in cascade.names]

    def picked(answers: dict[str, dict[str, Array]]) -> ByState:
        return {o: {e: v[o] for e, v in answers.items() if o in reach[e]} for o in wanted}

    reach = {e: reached(cascade.blocks, e) for e in cascade.names}

    def carried(e: str, amount: dict[str, Array], rate: dict[str, Array]) -> dict[str, Array]:
        found = cascade.flow(amount, time, rate)
        return {o: jnp.broadcast_to(v, time.shape)[:, :, :, 0] for o, v in found.items()}

    def dosed(e: str, amount: dict[str, Array], rate: dict[str, Array]) -> dict[str, Array]:
        late = time - offset[e][:, None, None]
        active = True if begin is None else begin[:, :, None, None] >= offset[e][:, None, None]
        found = cascade.flow(amount, jnp.maximum(late, 0.0), rate)
        return {o: jnp.where(active, jnp.broadcast_to(v, late.shape), 0.0) for o, v in found.items()}

    return Answers(
        picked({e: carried(e, {e: one}, {}) for e in cascade.names}),
        picked({e: dosed(e, {e: one}, {}) for e in entered}),
        picked({e: carried(e, {}, {e: one}) for e in entered} if infused else {}),
        picked({e: dosed(e, {}, {e: one}) for e in entered} if infused else {}),
    )


def answer(found: Answers, state: str, before: Before) -> Array:
    """A state of the cascade [times..., patients]."""

    def line(v: Array, like: Array) -> Array:
        return v.reshape((1,) * (like.ndim - v.ndim) + v.shape)

    terms = [v * line(before.exact[e], v) for e, v in found.carried[state].items()]
    terms += [(v * line(before.amount[e], v)).sum(-2) for e, v in found.dosed[state].items()]
    if before.running:
        terms += [v * line(before.running[e], v) for e, v in found.carried_rate[state].items()]
        terms += [(v * line(before.rate[e], v)).sum(-2) for e, v in found.dosed_rate[state].items()]
    return sum(terms[1:], terms[0])
