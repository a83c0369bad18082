"""Quantities of every interval from cells, in pure JAX and for a chunk of patients."""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from pkpd.dosing.events import Events
from pkpd.exposures.cells import Cell, Course, Flowing, Signal, exact_course, peak, sampled_course, time_over
from pkpd.exposures.courses import Cells, common_cells, exact_cells, own_cells
from pkpd.exposures.hermite import largest
from pkpd.exposures.wiring import accumulating, area_of, doses_for, needed_for
from pkpd.model import Model
from pkpd.parameters import Scalar
from pkpd.solve import AbstractSolver
from pkpd.solve.cascade import Cascade
from pkpd.solve.solver import first_dose, jumps_of
from pkpd.solve.structure import structure

QUANTITIES = ("auc", "cavg", "cmax", "cmin", "ctrough", "thalf", "time_above", "tmax", "tmin")
_INSIDE = frozenset(QUANTITIES) - {"ctrough", "thalf"}
_OVER = frozenset({"time_above"})
_AREAS = frozenset({"auc", "cavg"})
_SUMS = frozenset({"auc", "time_above"})
_PEAKS = {("cmax", "tmax"): 1.0, ("cmin", "tmin"): -1.0}


class Asked(NamedTuple):
    """What is to be found of an output between edges in time."""

    output: str
    quantities: tuple[str, ...]
    edges: tuple[float, ...]

    def any(self, quantities: frozenset[str]) -> bool:
        """Whether one of some quantities is asked."""
        return bool(quantities & set(self.quantities))


Found = dict[str, Array]


def measure(
    model: Model, events: Events, solver: AbstractSolver, asked: Asked, above: Scalar, patients: int
) -> tuple[Found, Found]:
    """Quantities of each interval [intervals, patients] and of all together [patients], of individualised
    patients; times of peaks count from the beginning."""
    model = needed_for(model, asked.output)
    doses = doses_for(model, events)
    jumps = jumps_of(model, doses, patients)
    signal = Signal(model, asked.output, first_dose(model, jumps))
    summed = accumulating(model, asked.output) if asked.any(_AREAS) else model
    exact = solver.flow(summed)
    if exact is not None:
        cells = exact_cells(solver, model, jumps, asked.edges, patients)
    elif solver.own_times:
        cells = own_cells(solver, summed, jumps, asked.edges, patients)
    else:
        cells = common_cells(solver, summed, doses, jumps, asked.edges, patients)
    view = _View(signal, solver, exact, asked, above)
    found = view.inside(cells)
    total = _together(found, asked.edges)
    ends = view.at_ends(cells, frozenset(jumps.state))
    found |= ends
    total |= {name: v[-1] for name, v in ends.items()}
    for values, lasts in ((found, np.diff(asked.edges)[:, None]), (total, np.ptp(asked.edges))):
        if "auc" in values:
            values["cavg"] = values["auc"] / lasts
    return {q: found[q] for q in asked.quantities}, {q: total[q] for q in asked.quantities}


class _View(NamedTuple):
    """What is asked of a signal; `exact` is the flow of its states and its area, where there is one."""

    signal: Signal
    solver: AbstractSolver
    exact: Cascade | None
    asked: Asked
    above: Scalar

    def inside(self, cells: Cells) -> Found:
        """`auc`, `time_above`, `cmax` with `tmax` and the like of each interval [intervals, patients]."""
        if not self.asked.any(_INSIDE):
            return {}
        course = self._courses() if self.asked.any(_INSIDE - _AREAS) else None
        start = jnp.asarray(self.asked.edges[:-1])[:, None]
        place = jnp.arange(len(start))[:, None]

        def told(cell: Cell, nodes: Cell | None) -> Found:
            found = {"auc": self._area(cell, nodes)} if self.asked.any(_AREAS) else {}
            if course is not None:
                found |= self._shape(course(cell if nodes is None else nodes))
            return found

        def step(found: Found, x: tuple[Array, Cell, Cell | None]) -> tuple[Found, None]:
            interval, cell, nodes = x
            here = (interval == place) & (cell.length > 0.0)

            def more(found: Found) -> Found:
                return _added(found, told(cell, nodes), cell.begin - start, here)

            return jax.lax.cond(jnp.any(here), more, lambda found: found, found), None

        each = Cell(cells.begin, cells.length, cells.after, cells.inflow)
        nodes = None
        if cells.inside is not None and cells.inflow_inside is not None:
            nodes = each._replace(y=cells.inside, inflow=cells.inflow_inside)
        none = jnp.zeros((len(start), cells.begin.shape[1]))
        begun = {"auc": none, "time_above": none} | {s: none for high in _PEAKS for s in high}
        begun |= {high: none - sign * jnp.inf for (high, _), sign in _PEAKS.items()}
        wanted = jax.eval_shape(lambda x: told(*x), jax.tree.map(lambda v: v[0], (each, nodes)))
        xs = (cells.interval, each, nodes)
        return jax.lax.scan(step, {name: begun[name] for name in wanted}, xs)[0]

    def _courses(self) -> Callable[[Cell], Course]:
        """How to see the course of a cell."""
        live = self.solver.flow(self.signal.model)
        if live is None:
            return partial(sampled_course, self.signal)
        model, since = jax.tree.map(jax.lax.stop_gradient, (self.signal.model, self.signal.since))
        still = self.solver.flow(model)
        assert still is not None
        fixed = Flowing(Signal(model, self.signal.output, since), still)
        return partial(exact_course, Flowing(self.signal, live), fixed, self.asked.any(_OVER))

    def _area(self, cell: Cell, nodes: Cell | None) -> Array:
        area = area_of(self.asked.output)
        if nodes is not None:
            return nodes.y[area][-1] - nodes.y[area][0]
        assert self.exact is not None
        return self.exact.flow(cell.y, cell.length, cell.inflow)[area]

    def _shape(self, course: Course) -> Found:
        found = {}
        peaks = {names: sign for names, sign in _PEAKS.items() if self.asked.any(frozenset(names))}
        if peaks:
            times, values = peak(course.facing(list(peaks.values())))
            for ((high, when), sign), time, value in zip(peaks.items(), times, values, strict=True):
                found |= {high: sign * value, when: time}
        if self.asked.any(_OVER):
            found["time_above"] = time_over(course, jnp.asarray(self.above))
        return found

    def at_ends(self, cells: Cells, entered: frozenset[str]) -> Found:
        """Troughs and half-lives [intervals, patients]: these by the slope at the end of an interval, or by
        the smallest rate at which doses that `entered` some states leave."""
        y = {s: v[1:] for s, v in cells.at_edges.items()}
        inflow = {s: v[1:] for s, v in cells.inflow_at_edges.items()}
        time = jnp.broadcast_to(jnp.asarray(self.asked.edges[1:])[:, None], next(iter(y.values())).shape)
        value, slope = self.signal.derivatives(y, time, inflow, 2)
        found = {"ctrough": value}
        if "thalf" in self.asked.quantities:
            falls = slope < 0.0
            rate = jnp.where(falls, -slope / jnp.where(value > 0.0, value, 1.0), jnp.nan)
            if self.exact is not None:
                sources = structure(self.signal.model).sources
                seen = [s for output, s in sources if output == self.asked.output]
                rate = self.exact.slowest(seen, entered)
            found["thalf"] = jnp.broadcast_to(math.log(2.0) / rate, value.shape)
        return found


def _added(found: Found, cell: Found, since: Array, here: Array) -> Found:
    """Quantities of intervals with what a cell tells that lies `here` and begins `since` then."""
    after = {name: found[name] + jnp.where(here, cell[name], 0.0) for name in found.keys() & _SUMS}
    for (high, when), sign in _PEAKS.items():
        if high in found:
            better = here & (sign * cell[high] > sign * found[high])
            after[high] = jnp.where(better, cell[high], found[high])
            after[when] = jnp.where(better, since + cell[when], found[when])
    return after


def _together(found: Found, edges: tuple[float, ...]) -> Found:
    """The same of all intervals as one [patients]."""
    total = {name: found[name].sum(0) for name in found.keys() & _SUMS}
    since = jnp.asarray(edges[:-1])[:, None] - edges[0]
    for (high, when), sign in _PEAKS.items():
        if high in found:
            value, total[when] = largest(sign * found[high], found[when] + since)
            total[high] = sign * value
    return total
