"""A course as cells, smooth stretches between what jumps and the edges of intervals."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from pkpd.dosing.events import Events, Jumps
from pkpd.model import Model
from pkpd.solve import AbstractSolver
from pkpd.solve.cells import NEAR
from pkpd.solve.solver import first_dose
from pkpd.solve.timeline import Timeline, merge

State = dict[str, Array]

_GRADE = 7.0  # the last piece is `e^7` times as long as one at the start would be


def shares(pieces: int) -> Float[np.ndarray, " nodes"]:
    """Nodes that cut a cell of length 1 into pieces, the shortest first."""
    return np.expm1(_GRADE * np.linspace(0.0, 1.0, pieces + 1)) / np.expm1(_GRADE)


FEW, MANY = shares(12), shares(24)
_PIECES = len(MANY) - 1


class Cells(NamedTuple):
    """When cells begin and how long they take [cells, patients], and in which interval each lies, -1 before
    the first; states and running rates just after each begins, and at its nodes if the solver gives those.

    At the edges of the intervals, states and running rates just before what jumps there [edges, patients].
    """

    begin: Float[Array, "cells patients"]
    length: Float[Array, "cells patients"]
    interval: Int[Array, "cells patients"]
    after: State
    inflow: State
    at_edges: State
    inflow_at_edges: State
    inside: State | None = None
    inflow_inside: State | None = None


def exact_cells(
    solver: AbstractSolver, model: Model, jumps: Jumps, edges: tuple[float, ...], patients: int
) -> Cells:
    """Cells between each patient's own jumps, for a solver with a path and an exact flow inside them."""
    coarse = _coarse(jumps, edges, patients)
    path = solver.path(model, _everywhere(coarse), first_dose(model, jumps), jnp.zeros(patients))
    after = {s: v[:-1] + coarse.amount[s][:-1] if s in coarse.amount else v[:-1] for s, v in path.items()}
    return _cells(coarse, after, path, 1)


def own_cells(
    solver: AbstractSolver, model: Model, jumps: Jumps, edges: tuple[float, ...], patients: int
) -> Cells:
    """Cells between each patient's own jumps, with nodes in them."""
    coarse = _coarse(jumps, edges, patients)
    begin, length = coarse.breaks[:-1], jnp.diff(coarse.breaks, axis=0)
    nodes = begin[:, None] + length[:, None] * MANY[:-1, None]
    breaks = jnp.concatenate([nodes.reshape(-1, patients), coarse.breaks[-1:]])
    amount, rate = (
        {s: _spread(v, len(breaks)) for s, v in numbers.items()} for numbers in (coarse.amount, coarse.rate)
    )
    fine = _everywhere(coarse._replace(breaks=breaks, amount=amount, rate=rate))
    path = solver.path(model, fine, first_dose(model, jumps), jnp.zeros(patients))
    inside = {s: _with_ends(v, _PIECES) for s, v in path.items()}
    inside |= {s: inside[s].at[:, 0].add(v[:-1]) for s, v in coarse.amount.items()}
    cells = _cells(coarse, {s: v[:, 0] for s, v in inside.items()}, path, _PIECES)
    shape = next(iter(inside.values())).shape
    steady = {s: jnp.broadcast_to(v[:, None], shape) for s, v in cells.inflow.items()}
    return cells._replace(inside=inside, inflow_inside=steady)


def common_cells(
    solver: AbstractSolver,
    model: Model,
    events: Events,
    jumps: Jumps,
    edges: tuple[float, ...],
    patients: int,
) -> Cells:
    """Cells between the jumps of the typical patient, for a solver with the same times for all.

    What jumps at another time in a patient, jumps within a piece, whose polynomial does not know of it.
    """
    near = NEAR * model.units.day
    told = np.array([0.0, *edges, *(t for t in jumps.nominal if 0.0 <= t < edges[-1])])
    breaks = np.unique(np.round(told / near) * near)
    breaks = np.array([told[np.argmin(np.abs(told - t))] for t in breaks])
    nodes = breaks[:-1, None] + np.diff(breaks)[:, None] * FEW
    nodes[:, -1] = breaks[1:]
    wanted = np.append(nodes[:, :-1].ravel(), breaks[-1])
    path = solver.states(model, events, wanted.tolist(), patients)
    inside = {s: _with_ends(v, len(FEW) - 1) for s, v in path.items()}
    late = jumps.time[None] > breaks[:-1, None, None] + near
    early = jumps.time[None] < breaks[:-1, None, None] - near
    for s in sorted(set(jumps.state)):
        mine = np.array([state == s for state in jumps.state])[:, None]
        entered = jnp.where(mine & ~late & ~early, jumps.amount, 0.0).sum(1)
        inside[s] = inside[s].at[:, 0].add(entered)
    limits = np.concatenate([nodes[:, :-1] + near, nodes[:, -1:] - near], axis=1)
    inflow_inside = _running(jumps, limits)
    place = np.searchsorted(breaks, np.asarray(edges) - near)
    shape = (len(breaks) - 1, patients)
    return Cells(
        jnp.broadcast_to(jnp.asarray(breaks[:-1])[:, None], shape),
        jnp.broadcast_to(jnp.asarray(np.diff(breaks))[:, None], shape),
        jnp.broadcast_to(
            jnp.asarray(np.searchsorted(place, np.arange(shape[0]), "right") - 1)[:, None], shape
        ),
        {s: v[:, 0] for s, v in inside.items()},
        {s: v[:, 0] for s, v in inflow_inside.items()},
        {s: v[place * (len(FEW) - 1)] for s, v in path.items()},
        {s: v[0] for s, v in _running(jumps, np.asarray(edges)[None] - near).items()},
        inside,
        inflow_inside,
    )


def _coarse(jumps: Jumps, edges: tuple[float, ...], patients: int) -> Timeline:
    wanted = jnp.asarray([0.0, *edges])
    return merge(jumps, jnp.broadcast_to(wanted[:, None], (len(wanted), patients)))


def _cells(coarse: Timeline, after: State, path: State, pieces: int) -> Cells:
    """The cells of a timeline, of which `path` knows the states before each jump, every `pieces` rows."""
    count = len(coarse.breaks) - 1
    edge = coarse.place[1:]
    passed = edge[None] <= jnp.arange(count)[:, None, None]
    running = {s: jnp.cumsum(v, axis=0) for s, v in coarse.rate.items()}
    return Cells(
        coarse.breaks[:-1],
        jnp.diff(coarse.breaks, axis=0),
        jnp.sum(passed, axis=1) - 1,
        after,
        {s: v[:-1] for s, v in running.items()},
        {s: jnp.take_along_axis(v, edge * pieces, axis=0) for s, v in path.items()},
        {s: jnp.take_along_axis(v - coarse.rate[s], edge, axis=0) for s, v in running.items()},
    )


def _everywhere(timeline: Timeline) -> Timeline:
    """The same with all breaks wanted."""
    count, patients = timeline.breaks.shape
    return timeline._replace(place=jnp.broadcast_to(jnp.arange(count)[:, None], (count, patients)))


def _spread(numbers: Array, count: int) -> Array:
    """What happens at breaks, at every so many rows of a finer timeline."""
    return jnp.zeros((count, numbers.shape[1])).at[::_PIECES].set(numbers)


def _with_ends(rows: Array, pieces: int) -> Array:
    """Nodes one after the other [rows, patients] by cell, the end of each too [cells, nodes, patients]."""
    inner = rows[:-1].reshape(-1, pieces, rows.shape[-1])
    return jnp.concatenate([inner, rows[pieces::pieces, None]], axis=1)


def _running(jumps: Jumps, until: np.ndarray) -> State:
    """Rates that run at some times [cells, nodes, patients], by state."""
    found = {}
    if jumps.infused:
        begun = jumps.time <= until[:, :, None, None]
        for s in sorted(set(jumps.state)):
            mine = np.array([state == s for state in jumps.state])[:, None]
            found[s] = jnp.where(begun & mine, jumps.rate, 0.0).sum(2)
    return found
