"""Peak, area and time above a level of one cell, as exactly as its solver allows."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.lax import fori_loop, stop_gradient
from jaxtyping import Array, Float

from pkpd.exposures.courses import FEW, MANY, State
from pkpd.exposures.hermite import ORDER, Pieces, halves, summit
from pkpd.model import Model
from pkpd.solve.cascade import Cascade

_ROUNDS = 2  # of Newton's method on the course itself, from the root of a polynomial close to it

Look = Callable[[Array, Pieces], tuple[Array, Array, Array]]


class Signal(NamedTuple):
    """One output of an individualised model; `since` is when the first dose of each drug was given."""

    model: Model
    output: str
    since: State

    def derivatives(self, y: State, time: Array, inflow: State, count: int) -> list[Array]:
        """Value and derivatives by time at states, at a time of the model's clock and under running rates."""
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
    """An output in a cell: polynomials between nodes, value, slope and curvature at times that lie in given
    pieces, and the same without gradients."""

    pieces: Pieces
    look: Look
    glance: Look

    @property
    def negative(self) -> "Course":
        """What is low where this is high."""

        def turned(look: Look) -> Look:
            return lambda time, pieces: jax.tree.map(jnp.negative, look(time, pieces.negative))

        return Course(self.pieces.negative, turned(self.look), turned(self.glance))


class Flowing(NamedTuple):
    """An output and the exact flow of the states behind it."""

    signal: Signal
    flow: Cascade

    def known(self, cell: Cell, time: Array, count: int) -> list[Array]:
        """Value and derivatives at a time since a cell began."""
        y = self.flow.flow(cell.y, time, cell.inflow)
        return self.signal.derivatives(y, cell.begin + time, cell.inflow, count)


def exact_course(live: Flowing, still: Flowing, cell: Cell) -> Course:
    """The course of a cell with an exact flow: polynomials tell where to look, by a flow without gradients."""
    fixed = stop_gradient(cell)

    def look(time: Array, _: Pieces) -> tuple[Array, Array, Array]:
        value, slope, bend = live.known(cell, time, 3)
        return value, slope, bend

    def glance(time: Array, _: Pieces) -> tuple[Array, Array, Array]:
        value, slope, bend = still.known(fixed, stop_gradient(time), 3)
        return value, slope, bend

    nodes = FEW[:, None] * cell.length
    at_nodes = jnp.stack(still.known(fixed, stop_gradient(nodes), ORDER))
    return Course(Pieces.through(nodes, at_nodes[:, :-1], at_nodes[:, 1:]), look, glance)


def sampled_course(signal: Signal, cell: Cell) -> Course:
    """The course of a cell whose states are known at its nodes."""
    nodes = MANY[:, None] * cell.length
    at_nodes = jnp.stack(signal.derivatives(cell.y, cell.begin + nodes, cell.inflow, ORDER))
    pieces = Pieces.through(nodes, at_nodes[:, :-1], at_nodes[:, 1:])

    def look(time: Array, pieces: Pieces) -> tuple[Array, Array, Array]:
        return pieces.look(time)

    return Course(pieces, look, lambda time, pieces: stop_gradient(pieces.look(time)))


def peak(course: Course) -> tuple[Array, Array]:
    """When a cell is highest, since it began, and how high."""
    top = summit(course.pieces)
    one, time = top.piece, top.time[None]
    low, high = stop_gradient((one.begin, one.begin + one.length))

    def closer(_: int, time: Array) -> Array:
        _, slope, bend = course.glance(time, one)
        return stop_gradient(jnp.clip(time + _to_summit(slope, bend), low, high))

    time = jnp.where(top.smooth, fori_loop(0, _ROUNDS, closer, stop_gradient(time)), time)
    value, slope, bend = course.look(time, one)
    step = jnp.where(top.smooth, _to_summit(slope, bend), 0.0)
    return (time + step)[0], (value + step * slope / 2.0)[0]


def _to_summit(slope: Array, bend: Array) -> Array:
    """Newton's step, none where the course is not curved."""
    curved = bend < 0.0
    return jnp.where(curved, slope, 0.0) / jnp.where(curved, -bend, 1.0)


def time_over(course: Course, level: Array) -> Array:
    """How long a cell lies above a level; its gradient moves the crossings."""
    part, pieces = halves(course.pieces, level), course.pieces.twice
    crosses = part.first != part.last

    def closer(_: int, time: Array) -> Array:
        value, slope, _ = course.glance(time, pieces)
        step = _to_level(value - stop_gradient(level), slope)
        return stop_gradient(jnp.clip(time + step, part.begin, part.end))

    time = fori_loop(0, _ROUNDS, closer, part.crossing)
    value, slope, _ = course.look(time, pieces)
    time = jnp.where(crosses, time + _to_level(value - level, slope), time)
    begin, end = jnp.where(part.first, part.begin, time), jnp.where(part.last, part.end, time)
    return jnp.where(part.first | part.last, end - begin, 0.0).sum(0)


def _to_level(excess: Array, slope: Array) -> Array:
    """Newton's step, none where the course is flat."""
    flat = slope == 0.0
    return -jnp.where(flat, 0.0, excess) / jnp.where(flat, 1.0, slope)
