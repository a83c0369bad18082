"""Peak, area and time above a level of one cell, as exactly as its solver allows."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.lax import stop_gradient
from jaxtyping import Array, Float

from pkpd.exposures.courses import FEW, MANY, State
from pkpd.exposures.hermite import Pieces, halves, summit
from pkpd.model import Model
from pkpd.solve.cascade import Cascade

_ROUNDS = 3  # of Newton's method on the course itself, from the root of a polynomial close to it
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

    @property
    def negative(self) -> "Course":
        """What is low where this is high."""

        def look(time: Array, pieces: Pieces) -> tuple[Array, Array, Array]:
            return jax.tree.map(jnp.negative, self.look(time, pieces.negative))

        return Course(self.pieces.negative, look)


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
    nodes = jnp.asarray(MANY)[:, None] * cell.length
    known = signal.derivatives(cell.y, cell.begin + nodes, cell.inflow, _ORDER)
    return Course(Pieces.through(nodes, known), lambda time, pieces: pieces.look(time))


def peak(course: Course) -> tuple[Array, Array]:
    """When a cell is highest, since it began, and how high."""
    top = summit(course.pieces)
    low, high = stop_gradient((top.piece.begin, top.piece.begin + top.piece.length))

    def closer(time: Array, _: Any) -> tuple[Array, tuple[Array, Array]]:
        time = jnp.where(top.smooth, jnp.clip(stop_gradient(time), low, high), top.time)
        value, slope, bend = course.look(time, top.piece)
        step = jnp.where(top.smooth, _to_summit(slope, bend), 0.0)
        return time + step, (time + step, value + step * slope / 2.0)

    _, (time, value) = jax.lax.scan(closer, top.time[None], None, _ROUNDS)
    return time[-1, 0], value[-1, 0]


def _to_summit(slope: Array, bend: Array) -> Array:
    """Newton's step, none where the course is not curved."""
    curved = bend < 0.0
    return jnp.where(curved, slope, 0.0) / jnp.where(curved, -bend, 1.0)


def time_over(course: Course, level: Array) -> Array:
    """How long a cell lies above a level; its gradient moves the crossings."""
    part, pieces = halves(course.pieces, level), course.pieces.twice

    def closer(time: Array, _: Any) -> tuple[Array, Array]:
        time = jnp.clip(stop_gradient(time), stop_gradient(part.begin), stop_gradient(part.end))
        value, slope, _ = course.look(time, pieces)
        time = time + _to_level(value - level, slope)
        return time, time

    _, rounds = jax.lax.scan(closer, part.crossing, None, _ROUNDS)
    crosses = part.first != part.last
    time = jnp.where(crosses, rounds[-1], part.begin)
    begin, end = jnp.where(part.first, part.begin, time), jnp.where(part.last, part.end, time)
    return jnp.where(part.first | part.last, end - begin, 0.0).sum(0)


def _to_level(excess: Array, slope: Array) -> Array:
    """Newton's step, none where the course is flat."""
    flat = slope == 0.0
    return -jnp.where(flat, 0.0, excess) / jnp.where(flat, 1.0, slope)
