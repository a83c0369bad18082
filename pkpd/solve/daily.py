"""A solver for fits: the fast kinetics of a day are tabulated, the slow states step by days."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from pkpd.dosing.events import Events, Jumps
from pkpd.model import Model
from pkpd.solve.calendar import REST, Calendar, Past, calendar
from pkpd.solve.day_doses import DayDoses
from pkpd.solve.halves import Halves, halves
from pkpd.solve.solver import AbstractSolver, clock, earliest, first_dose, jumps_of, start_states
from pkpd.solve.stepper import NODES, WEIGHTS, State, step
from pkpd.solve.structure import structure
from pkpd.solve.timeline import Panels, layout, panels

Moments = dict[str, tuple[Array, ...]]
COUNT = 3


def _legendre(x: Array | float) -> tuple:
    """The first polynomials that are orthogonal on (0, 1)."""
    return 1.0, 2.0 * x - 1.0, 6.0 * x * (x - 1.0) + 1.0


class _Grid(NamedTuple):
    """Panels of kinds of day [panels, kinds, 1, patients], and the cascade's states at each stage."""

    start: Array
    length: Array
    amount: State
    rate: State
    known: list[State]

    def widen(self, size: int) -> "_Grid":
        """With empty panels at the end."""
        missing = size - len(self.start)
        return jax.tree.map(lambda v: jnp.pad(v, ((0, missing), *(((0, 0),) * (v.ndim - 1)))), self)


class Daily(AbstractSolver):
    """Slow states of patients on a daily calendar: kinds of day tabulated at three levels of the pool.

    Doses must be concrete; use `FixedGrid` or `ODE` for gradients in the schedule. Errors at 3 MIU a day
    are up to 7e-3 in the pool and 3e-3 in the effector (worst of 8 patients), larger at higher doses.
    """

    per_day: float = eqx.field(static=True, default=16.0)
    inner: float = eqx.field(static=True, default=0.15)
    outer: float = eqx.field(static=True, default=6.0)
    newton: int = eqx.field(static=True, default=2)
    probe: float = eqx.field(static=True, default=6.0)
    levels: tuple[float, ...] = eqx.field(static=True, default=(0.0, 0.5, 1.0))

    def states(self, model: Model, events: Events, times: Sequence[float], patients: int) -> State:
        parts = halves(model)
        day = model.units.day
        plan = calendar(events, times, day)
        since = first_dose(model, jumps_of(model, events, patients))
        table, levels = self._table(model, parts, events, plan, patients)
        first = {s: v for s, v in start_states(model, patients).items() if s in parts.slow_states}

        def advance(y: State, course: State, origin: Array, start: Array, length: Array) -> State:
            weights = _lagrange(parts.log_level(model, y), levels) if parts.coupled else (jnp.ones(()),)
            known = {
                s: [sum(w * c[b, i] for i, w in enumerate(weights)) for b in range(COUNT)]
                for s, c in course.items()
            }

            def slope(values: State, share: float) -> State:
                time = start + share * length
                ticks = clock(time, since)
                polynomials = _legendre((time - origin) / day)
                signals = {
                    s: sum(p * c for p, c in zip(polynomials, v, strict=True)) for s, v in known.items()
                }
                change = model.derivative(values, ticks, parts.slow, parts.slow, signals)
                return {s: jnp.asarray(change[s]) for s in values}

            return _runge_kutta(slope, y, length)

        def window(y: State, x: tuple) -> tuple[State, State]:
            return advance(y, *x), y

        length = np.diff(plan.start)
        chosen = np.eye(len(plan.runs))[plan.run]
        course = {s: jnp.tensordot(chosen, v, 1) for s, v in table.items()}
        last, path = jax.lax.scan(
            window,
            first,
            (course, jnp.asarray(plan.origin[:-1]), jnp.asarray(plan.start[:-1]), jnp.asarray(length)),
        )
        path = {s: jnp.concatenate([path[s], last[s][None]]) for s in path}
        wanted = np.asarray(times, float)
        at = np.searchsorted(plan.start, wanted + 1e-9 * day) - 1
        rest = wanted - plan.start[at]
        found = {s: v[at] for s, v in path.items()}
        between = np.flatnonzero(np.abs(rest) > 1e-9 * day)
        if len(between):
            at = at[between]
            some = {s: v[at] for s, v in path.items()}
            own = {s: v[at] for s, v in course.items()}
            moved = jax.vmap(advance)(
                some,
                own,
                jnp.asarray(plan.origin[at]),
                jnp.asarray(plan.start[at]),
                jnp.asarray(rest[between]),
            )
            found = {s: v.at[between].set(moved[s]) for s, v in found.items()}
        return found

    def _table(
        self, model: Model, parts: Halves, events: Events, plan: Calendar, patients: int
    ) -> tuple[State, Array]:
        """Signals by run as [runs, moments, levels, patients], and the log levels [levels, patients]."""
        wide = jax.tree.map(lambda v: v[None, None, :] if jnp.ndim(v) == 1 else v, model)
        ticks = clock(jnp.zeros(()), {d.name: jnp.zeros(()) for d in model.drugs})
        rest = model.signals(
            {**model.initial(), **{s: jnp.zeros(()) for s in parts.fast_states}},
            ticks,
            parts.fast | {parts.pool or ""},
        )
        levels = jnp.zeros((1, 1))
        found = {}
        if len(plan.kinds):
            first, second, before = _passes(plan)
            if parts.coupled is not None:
                coarse = self._grid(model, events, plan, first, patients, self.probe)
                levels = self._levels(wide, parts, coarse, patients)
            size = max(len(first), len(second))
            grids = [
                self._grid(model, events, plan, x + x[:1] * (size - len(x)), patients, self.per_day)
                for x in (first, second)
            ]
            width = max(len(g.start) for g in grids)
            grid = jax.tree.map(lambda *v: jnp.stack(v), *(g.widen(width) for g in grids))
            links = np.zeros((2, size, size))
            links[1, np.arange(len(before)), before] = 1.0
            zero = {
                s: jnp.zeros((size, len(levels), patients)) for b in structure(model).fast for s in b.states
            }

            def phase(ends: State, x: tuple) -> tuple[State, Moments]:
                grid, link = x
                return self._days(
                    wide, parts, grid, {s: jnp.tensordot(link, v, 1) for s, v in ends.items()}, levels
                )

            _, moments = jax.lax.scan(phase, zero, (grid, jnp.asarray(links)))
            for i, run in enumerate(plan.runs):
                if run != (REST, REST):
                    entry = (run[1], plan.past[i])
                    k = (0, first.index(entry)) if run[0] == REST else (1, second.index(entry))
                    found[run] = {s: jnp.stack([m[k] for m in v]) for s, v in moments.items()}
        size = (COUNT, len(levels), patients)
        flat = jnp.asarray([1.0] + [0.0] * (COUNT - 1))[:, None, None]
        found[REST, REST] = {
            s: jnp.broadcast_to(flat * jnp.reshape(jnp.asarray(rest[s]), (1, 1, -1)), size)
            for s in parts.boundary
        }
        return {s: jnp.stack([found[run][s] for run in plan.runs]) for s in parts.boundary}, levels

    def _levels(self, model: Model, parts: Halves, grid: _Grid, patients: int) -> Array:
        """Log levels [levels, patients] from rest to where the pool would stay under the heaviest day.

        The drive is taken to fall exponentially with the log level, between two levels that are tried.
        """
        kinds = grid.start.shape[1]
        blocks = structure(model).fast

        def drive(level: Array) -> Array:
            zero = {s: jnp.zeros((kinds, 1, patients)) for b in blocks for s in b.states}
            _, found = self._days(model, parts, grid, zero, level[None])
            return _highest(jnp.maximum(sum(found[s][0] for s in parts.pool_drive), 0.0))

        none = jnp.zeros(patients)
        low = drive(none)
        bound = jnp.log1p(low)
        high = drive(bound)
        given = (low > 0.0) & (high > 0.0)
        fall = jnp.where(
            given, jnp.log(jnp.where(given, low / high, 1.0)) / jnp.where(given, bound, 1.0), 0.0
        )
        upper = bound
        for _ in range(4):
            still = low * jnp.exp(-fall * upper)
            upper = upper - (upper - jnp.log1p(still)) / (1.0 + fall * still / (1.0 + still))
        upper = jnp.where(given, upper, 1.0)
        return jnp.asarray(self.levels)[:, None] * upper

    def _grid(
        self,
        model: Model,
        events: Events,
        plan: Calendar,
        entries: Sequence[tuple[int, Past]],
        patients: int,
        per_day: float,
    ) -> _Grid:
        kinds = {kind for kind, _ in entries}
        doses = DayDoses(model, events, plan, kinds | {k for _, past in entries for k in past}, patients)
        made = {kind: self._panels(model, doses.jumps[kind], per_day, kind == REST) for kind in kinds}
        states = sorted({s for j in doses.jumps.values() for s in j.state} & doses.implicit)
        rows = [_row(doses, kind, past, made[kind], states) for kind, past in entries]
        width = max(len(r.start) for r in rows)
        return jax.tree.map(lambda *v: jnp.concatenate(v, axis=1), *(r.widen(width) for r in rows))

    def _panels(self, model: Model, jumps: Jumps, per_day: float, resting: bool) -> Panels:
        day = model.units.day
        hour = day / 24.0
        since = -day if resting else 0.0
        span = [0.0, day]
        cuts = layout(jumps, span, per_day, self.inner * hour, self.outer * hour, day, 3 * day, since)
        return panels(jumps, span, cuts)

    def _days(
        self, model: Model, parts: Halves, grid: _Grid, y: State, level: Array
    ) -> tuple[State, Moments]:
        """Fast states after days of several kinds from `y`, and the moments of the signals over them."""
        day = model.units.day
        pool = tuple(b for b in structure(model).slow if b.states == (parts.coupled,))
        blocks = (*structure(model).fast, *pool)
        fixed = {s: jnp.zeros(()) for s in parts.slow_states}
        shape = jnp.broadcast_shapes(*(v.shape for v in y.values()))
        own = dict(y)
        if parts.coupled:
            own[parts.coupled] = jnp.broadcast_to(
                jnp.asarray(model.get(f"{parts.pool}.base")) * jnp.exp(level), shape
            )
        ticks = clock(jnp.zeros(()), {d.name: jnp.zeros(()) for d in model.drugs})
        still = {s: jnp.zeros(shape) for s in own}
        moments = {s: tuple(jnp.zeros(shape) for _ in range(COUNT)) for s in parts.boundary}

        @jax.checkpoint
        def panel(carry: tuple[State, State, Moments], x: _Grid) -> tuple[tuple[State, State, Moments], None]:
            y, slope, moments = carry
            y = y | {s: y[s] + x.amount[s] for s in x.amount}
            stages, slope = step(
                model, blocks, fixed | y, slope, x.length, lambda offset: ticks, x.known, x.rate, self.newton
            )
            for stage, node, weight in zip(stages, NODES, WEIGHTS, strict=True):
                found = model.signals(stage, ticks, parts.fast | {parts.pool or ""})
                scaled = weight * x.length / day
                p = [
                    (2 * b + 1) * scaled * v
                    for b, v in enumerate(_legendre((x.start + node * x.length) / day))
                ]
                moments = {
                    s: tuple(m + q * found[s] for m, q in zip(v, p, strict=True)) for s, v in moments.items()
                }
            return ({s: stages[-1][s] for s in y}, slope, moments), None

        (own, _, moments), _ = jax.lax.scan(panel, (own, still, moments), grid)
        return {s: own[s] for s in y}, moments


def _row(doses: DayDoses, kind: int, past: Past, grid: Panels, states: Sequence[str]) -> _Grid:
    """One kind of day with its past, as panels [panels, 1, 1, patients]."""

    def wide(v: Array) -> Array:
        return v[:, None, None]

    zero = jnp.zeros_like(grid.start)
    return _Grid(
        wide(grid.start),
        wide(grid.length),
        {s: wide(grid.amount.get(s, zero)) for s in states},
        {s: wide(grid.rate.get(s, zero)) for s in states},
        doses.course(kind, past, wide(grid.start), wide(grid.length)),
    )


def _passes(plan: Calendar) -> tuple[list, list, list[int]]:
    first, second = [], []
    for run, past in zip(plan.runs, plan.past, strict=True):
        if run == (REST, REST):
            continue
        if run[0] == REST:
            first.append((run[1], past))
        else:
            second.append((run[1], past))
    first = list(dict.fromkeys(first + [(past[0], past[1:]) for _, past in second]))
    return first, second, [first.index((past[0], past[1:])) for _, past in second]


def _lagrange(x: Array, nodes: Array) -> list[Array]:
    """Weights at `x` of values at the nodes [nodes, patients]."""
    found = []
    for i in range(len(nodes)):
        others = [k for k in range(len(nodes)) if k != i]
        found.append(math.prod((x - nodes[k]) / (nodes[i] - nodes[k]) for k in others))
    return found


def _highest(values: Array) -> Array:
    """The largest over the leading axes [..., patients]; its gradient does not rest on equality."""
    rows = values.reshape(-1, values.shape[-1])
    return -earliest([-row for row in rows])


def _runge_kutta(slope: Callable[[State, float], State], y: State, h: Array) -> State:
    def at(k: State, share: float) -> State:
        return {s: y[s] + share * h * k[s] for s in y}

    a = slope(y, 0.0)
    b = slope(at(a, 0.5), 0.5)
    c = slope(at(b, 0.5), 0.5)
    d = slope(at(c, 1.0), 1.0)
    return {s: y[s] + h / 6 * (a[s] + 2 * b[s] + 2 * c[s] + d[s]) for s in y}
