"""Peak, area and time above a level of one cell, as exactly as its solver allows."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.lax import stop_gradient
from jaxtyping import Array, Float

from pkpd.exposures.courses import FEW, MANY, State
from pkpd.exposures.hermite import Pieces, halves, summit
from pkpd.model import Model
from pkpd.solve.cascade import Cascade

_ROUNDS = 7  # of Newton's method on the course itself, from the root of a polynomial close to it
_ORDER = 4  # numbers at each node that polynomials go through

Look = Callable[[Array, Pieces], tuple[Array, Array, Array]]


class Signal(NamedTuple):
    """One output of an individualised model; `since` is when the first dose of each drug was given."""

    model: Model
    output: str
    since: State

    def derivatives(self, y: State, time: Array, inflow: State, count: int) -> list[Array]:
        """Value and derivatives by time at states, at a time of the model's clock and under running rates."""
        y = {s: y[s] for s in self.model.states}
        function, found = self._value, []
        for k in range(count):
            function = self._rate(function, inflow) if k else function
            found.append(function(y, time))
        return found

    def _value(self, y: State, time: Array) -> Array:
        return jnp.broadcast_to(self.model.signals(y, self._clock(time))[self.output], time.shape)

    def _rate(
        self, function: Callable[[State, Array], Array], inflow: State
    ) -> Callable[[State, Array], Array]:
        def change(y: State, time: Array) -> Array:
            rates = self.model.derivative(y, self._clock(time))
            rates = {s: jnp.broadcast_to(rates[s] + inflow.get(s, 0.0), v.shape) for s, v in y.items()}
            return jax.jvp(function, (y, time), (rates, jnp.ones_like(time)))[1]

        return change

    def _clock(self, time: Array) -> State:
        """Not by `maximum`, which has half a slope where a cell begins with the first dose."""
        passed = {d: jnp.where(time >= first, time - first, 0.0) for d, first in self.since.items()}
        return {"time": time} | {f"{d}.since": v for d, v in passed.items()}


class Cell(NamedTuple):
    """When a cell begins and how long it takes [patients], and states and running rates from then on; or all
    these at its nodes [nodes, patients]."""

    begin: Float[Array, " patients"]
    length: Float[Array, " patients"]
    y: State
    inflow: State


class Course(NamedTuple):
    """An output in a cell: polynomials between nodes, and value, slope and curvature at times that lie in
    given pieces."""

    pieces: Pieces
    look: Look

    def facing(self, signs: Sequence[float]) -> "Course":
        """The course times each of some signs, as a new axis before that of patients."""
        sign = jnp.asarray(signs)[:, None]

        def look(time: Array, pieces: Pieces) -> tuple[Array, Array, Array]:
            value, slope, bend = self.look(time, pieces.times(sign))
            return sign * value, sign * slope, sign * bend

        wide = jax.tree.map(
            lambda v: jnp.broadcast_to(v[..., None, :], (*v.shape[:-1], *sign.shape[:1], v.shape[-1])),
            self.pieces,
        )
        return Course(wide.times(sign), look)


class Flowing(NamedTuple):
    """An output and the exact flow of the states behind it."""

    signal: Signal
    flow: Cascade

    def known(self, cell: Cell, time: Array, count: int) -> list[Array]:
        """Value and derivatives at a time since a cell began."""
        y = self.flow.flow(cell.y, time, cell.inflow)
        return self.signal.derivatives(y, cell.begin + time, cell.inflow, count)


def exact_course(live: Flowing, still: Flowing, close: bool, cell: Cell) -> Course:
    """The course of a cell with an exact flow: polynomials tell where to look, by a flow without gradients.

    They must come `close` to the course where its values are compared with a level.
    """
    nodes = jnp.asarray(MANY if close else FEW)[:, None] * cell.length
    known = still.known(stop_gradient(cell), stop_gradient(nodes), _ORDER if close else 2)

    def look(time: Array, _: Pieces) -> tuple[Array, Array, Array]:
        value, slope, bend = live.known(cell, time, 3)
        return value, slope, bend

    return Course(Pieces.through(nodes, known), look)


def sampled_course(signal: Signal, cell: Cell) -> Course:
    """The course of a cell whose states are known at its nodes."""
    count = len(next(iter(cell.y.values())))
    nodes = jnp.asarray(FEW if count == len(FEW) else MANY)[:, None] * cell.length
    known = signal.derivatives(cell.y, cell.begin + nodes, cell.inflow, _ORDER)
    return Course(Pieces.through(nodes, known), lambda time, pieces: pieces.look(time))


def peak(course: Course) -> tuple[Array, Array]:
    """When a cell is highest, since it began, and how high."""
    top = summit(course.pieces)
    span = top.piece.begin, top.piece.begin + top.piece.length
    low, high = (jnp.where(top.smooth, end, top.time) for end in span)

    def sought(time: Array) -> tuple[Array, Array, Array]:
        value, slope, bend = course.look(jnp.where(top.smooth, time, top.time), top.piece)
        return slope, jnp.where(top.smooth, bend, 0.0), value

    time, value = _root(sought, top.time[None], low, high, jnp.zeros_like(top.smooth)[None])
    time = jnp.where(top.smooth, time, top.time)
    return time[0], value[0]


def time_over(course: Course, level: Array) -> Array:
    """How long a cell lies above a level; its gradient moves the crossings."""
    part, pieces = halves(course.pieces, level), course.pieces.twice

    def sought(time: Array) -> tuple[Array, Array, Array]:
        value, slope, _ = course.look(time, pieces)
        return value - level, slope, value

    time, _ = _root(sought, part.crossing, part.begin, part.end, part.last)
    time = jnp.where(part.first != part.last, time, part.begin)
    begin, end = jnp.where(part.first, part.begin, time), jnp.where(part.last, part.end, time)
    return jnp.where(part.first | part.last, end - begin, 0.0).sum(0)


def _root(
    function: Callable[[Array], tuple[Array, Array, Array]],
    time: Array,
    low: Array,
    high: Array,
    rises: Array,
) -> tuple[Array, Array]:
    """Where a function between `low` and `high` is zero, and what it tells there beside value and slope.

    Newton's method, and bisection where that leaves the rest of the span. Only the last step has gradients,
    which makes them those of the root.
    """

    def closer(carry: tuple[Array, Array, Array], _: Any) -> tuple[tuple[Array, Array, Array], tuple]:
        time, low, high = stop_gradient(carry)
        value, slope, beside = function(time)
        flat = slope == 0.0
        newton = time - jnp.where(flat, 0.0, value) / jnp.where(flat, 1.0, slope)
        later = (value < 0.0) == rises
        low, high = jnp.where(later, time, low), jnp.where(later, high, time)
        good = ~flat & (newton >= low) & (newton <= high)
        return (jnp.where(good, newton, (low + high) / 2.0), low, high), (newton, beside)

    low, high = (jnp.broadcast_to(v, time.shape) for v in (low, high))
    _, rounds = jax.lax.scan(closer, (time, low, high), None, _ROUNDS)
    newton, beside = jax.tree.map(lambda v: v[-1], rounds)
    return newton, beside
