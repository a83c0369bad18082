"""A solver for fits: the fast kinetics of a day are tabulated, the slow states step by days."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from pkpd.checks import fail
from pkpd.component import Component
from pkpd.dosing.events import Events, Jumps
from pkpd.model import Model
from pkpd.parameters import Scalar
from pkpd.population import Patients
from pkpd.solve.calendar import REST, Calendar, Past, calendar
from pkpd.solve.day_doses import DayDoses
from pkpd.solve.halves import Halves, halves
from pkpd.solve.solver import AbstractSolver, clock, earliest, first_dose, jumps_of
from pkpd.solve.stepper import NODES, Given, State, step
from pkpd.solve.structure import structure, system
from pkpd.solve.timeline import Panels, layout, panels

Moments = dict[str, tuple[Array, ...]]
COUNT = 3
GAUSS = (0.5 - math.sqrt(1.0 / 12.0), 0.5 + math.sqrt(1.0 / 12.0))
SHARES = tuple(sorted({*NODES, *GAUSS}))


# From moments in the first polynomials that are orthogonal on (0, 1) to powers.
_POWERS = np.array([[1.0, -1.0, 1.0], [0.0, 2.0, -6.0], [0.0, 0.0, 6.0]])


def _legendre(x: Array | float) -> tuple:
    """The first polynomials that are orthogonal on (0, 1)."""
    return 1.0, 2.0 * x - 1.0, 6.0 * x * (x - 1.0) + 1.0


class _Grid(NamedTuple):
    """Panels [panels, columns, 1, patients] of yesterday and of today, one column for each kind of day.

    `known` are the cascade's states at the shares `SHARES` of each panel, `slope` their slopes at its start;
    `today` [panels] tells the days apart, and `midnight` [panels] is the first panel of today.
    """

    start: Array
    length: Array
    amount: State
    rate: State
    known: list[State]
    slope: State
    today: np.ndarray
    midnight: np.ndarray

    def before(self, today: "_Grid") -> "_Grid":
        """These panels as those of yesterday."""
        eve = self._replace(today=~self.today, midnight=self.midnight & False)
        return jax.tree.map(lambda a, b: jnp.concatenate([a, b]), eve, today)


class Daily(AbstractSolver):
    """Slow states of patients on a daily calendar, for fits.

    Each kind of day is solved at a few levels of the pool that acts on the kinetics (`per_day` panels, after
    `coarse` panels of the day before); slow states step by days through what was tabulated, and by up to a
    week where no drug is left. Patients come in `groups` that repeat the kinetics of the first.

    Doses must be concrete; use `Multirate` or `ODE` for gradients in the schedule. What limits it is that
    days with the same yesterday share the days before it: at 3 MIU a day the worst of 32 patients is off by
    1e-3 in the effector and their mean by 1e-4; at 9 MIU twice a day 3e-3 and 5e-4.
    """

    per_day: float = eqx.field(static=True, default=16.0)
    inner: float = eqx.field(static=True, default=0.15)
    outer: float = eqx.field(static=True, default=6.0)
    coarse: float = eqx.field(static=True, default=6.0)
    groups: int = eqx.field(static=True, default=1)
    levels: tuple[float, ...] = eqx.field(static=True, default=(0.0, 0.25, 0.5, 0.75, 1.0))

    def check(self, patients: Patients) -> None:
        if patients.groups % self.groups:
            rule = f"must come in a multiple of {self.groups} groups, which repeat their kinetics"
            raise fail("patients.groups", rule, patients.groups)

    def states(self, model: Model, events: Events, times: Sequence[float], patients: int) -> State:
        parts = halves(model)
        day, few = model.units.day, patients // self.groups
        plan = calendar(events, times, day, dict(model.typical_lags))
        group = jax.tree.map(lambda v: v[:few] if jnp.ndim(v) == 1 else v, model)
        since = first_dose(group, jumps_of(group, events, few))
        table, upper = self._table(group, parts, events, plan, few)
        model = self._in_groups(model, parts, few)

        def change(values: State, time: Array, signals: State) -> State:
            found = model.derivative(values, clock(time, since), parts.slow, parts.slow, signals)
            return {s: jnp.asarray(found[s]) for s in values}

        def advance(y: State, run: State, origin: Array, start: Array, length: Array) -> State:
            level = parts.log_level(model, y) / upper if parts.coupled else jnp.zeros(())
            course = {s: [_horner(c, level) for c in v] for s, v in run.items()}

            def slope(values: State, share: float) -> State:
                time = start + share * length
                signals = {s: _horner(c, (time - origin) / day) for s, c in course.items()}
                return change(values, time, signals)

            return _runge_kutta(slope, y, length)

        def window(y: State, x: tuple) -> tuple[State, State]:
            return advance(y, *x), y

        initial = {s: jnp.asarray(v, float) for s, v in model.initial().items() if s in parts.slow_states}
        still = {s: jnp.zeros(few) for s in parts.boundary}
        first = _widened(initial, lambda y: change(y, jnp.zeros(()), still))
        windows = (
            _rows(table, plan.run),
            *map(jnp.asarray, (plan.origin[:-1], plan.start[:-1], np.diff(plan.start))),
        )
        last, path = jax.lax.scan(jax.checkpoint(window), first, windows)
        path = {s: jnp.concatenate([path[s], last[s][None]]) for s in path}
        wanted = np.asarray(times, float)
        at = np.searchsorted(plan.start, wanted + 1e-9 * day) - 1
        rest = wanted - plan.start[at]
        between = np.flatnonzero(np.abs(rest) > 1e-9 * day)
        if len(between):
            from_start = (plan.origin[at], plan.start[at], rest)
            moved = jax.vmap(advance)(
                _rows(path, at[between]),
                _rows(table, plan.run[at[between]]),
                *(jnp.asarray(v[between]) for v in from_start),
            )
            at[between] = len(plan.start) + np.arange(len(between))
            path = {s: jnp.concatenate([path[s], moved[s]]) for s in path}
        every = (len(wanted), self.groups, few)
        rows = {s: v.reshape(len(v), -1, few) for s, v in _rows(path, at).items()}
        return {s: jnp.broadcast_to(v, every).reshape(len(wanted), patients) for s, v in rows.items()}

    def _in_groups(self, model: Model, parts: Halves, few: int) -> Model:
        """Parameters as [few] where every group has the same, else as [groups, few]."""

        def shaped(name: str, part: Component) -> Component:
            def leaf(v: Scalar) -> Array:
                v = jnp.asarray(v)
                if v.ndim == 0:
                    return jnp.broadcast_to(v, (few,))
                return v[:few] if name in parts.kinetics else v.reshape(self.groups, few)

            return jax.tree.map(leaf, part)

        components = {name: shaped(name, part) for name, part in model.components.items()}
        return eqx.tree_at(lambda m: m.components, model, components)

    def _table(
        self, model: Model, parts: Halves, events: Events, plan: Calendar, patients: int
    ) -> tuple[State, Array]:
        """Signals by run as polynomials [runs, powers of time, powers of level, patients], and the log of the
        highest level: time is a share of the day, level the log of the pool as a share of the highest."""
        wide = jax.tree.map(lambda v: v[None, None, :] if jnp.ndim(v) == 1 else v, model)
        nodes = self.levels if parts.coupled else (0.0,)
        upper = jnp.ones(patients)
        found = {(REST, REST): self._at_rest(model, parts, (COUNT, len(nodes), patients))}
        columns = [(run, past) for run, past in zip(plan.runs, plan.past, strict=True) if run != (REST, REST)]
        if columns:
            doses = DayDoses(model, events, plan, patients)
            if parts.coupled:
                single = [(kind, ()) for kind in range(len(plan.kinds))]
                upper = self._highest(wide, parts, self._grid(model, doses, single, self.coarse))
            eves = self._grid(model, doses, [(run[0], past[1:]) for run, past in columns], self.coarse)
            days = self._grid(model, doses, [(run[1], past) for run, past in columns], self.per_day)
            moments = self._days(wide, parts, eves.before(days), jnp.asarray(nodes)[:, None] * upper)
            for i, (run, _) in enumerate(columns):
                found[run] = {s: jnp.stack([m[i] for m in v]) for s, v in moments.items()}
        powers = np.linalg.inv(np.vander(nodes, increasing=True))
        return {
            s: jnp.einsum(
                "tb,ki,rbin->rtkn", _POWERS, powers, jnp.stack([found[run][s] for run in plan.runs])
            )
            for s in parts.boundary
        }, upper

    def _at_rest(self, model: Model, parts: Halves, shape: tuple[int, int, int]) -> State:
        """Moments without any drug."""
        ticks = clock(jnp.zeros(()), {d.name: jnp.zeros(()) for d in model.drugs})
        states = {**model.initial(), **{s: jnp.zeros(()) for s in parts.fast_states}}
        signals = model.signals(states, ticks, parts.kinetics)
        only_mean = jnp.asarray([1.0] + [0.0] * (COUNT - 1))[:, None, None]
        return {
            s: jnp.broadcast_to(only_mean * jnp.reshape(signals[s], (1, 1, -1)), shape)
            for s in parts.boundary
        }

    def _highest(self, model: Model, parts: Halves, grid: _Grid) -> Array:
        """Log level at which the pool would stay if its drive did not fall."""
        found = self._days(model, parts, grid, jnp.zeros((1, grid.start.shape[-1])))
        drive = _highest(jnp.maximum(sum(found[s][0] for s in parts.pool_drive), 0.0))
        return jnp.where(drive > 0.0, jnp.log1p(drive), 1.0)

    def _grid(self, model: Model, doses: DayDoses, days: Sequence[tuple[int, Past]], per_day: float) -> _Grid:
        """A day of each kind, with its past."""
        made = {kind: self._panels(model, doses.jumps[kind], per_day, kind == REST) for kind, _ in days}
        width = max(len(panels.start) for panels in made.values())
        states = sorted({s for panels in made.values() for s in panels.amount} & doses.implicit)
        columns = [_column(doses, kind, past, made[kind], states, width) for kind, past in days]
        return jax.tree.map(
            lambda *v: jnp.concatenate(v, axis=1) if v[0].ndim > 1 else v[0], columns[0], *columns[1:]
        )

    def _panels(self, model: Model, jumps: Jumps, per_day: float, resting: bool) -> Panels:
        day = model.units.day
        hour = day / 24.0
        since = -day if resting else 0.0
        span = [0.0, day]
        cuts = layout(jumps, span, per_day, self.inner * hour, self.outer * hour, day, 3 * day, since)
        return panels(jumps, span, cuts)

    def _days(self, model: Model, parts: Halves, grid: _Grid, level: Array) -> Moments:
        """Moments [columns, levels, patients] of the signals over today, which starts at some log levels."""
        day = model.units.day
        blocks = structure(model)
        solved = system((*blocks.fast, *(b for b in blocks.slow if b.states == (parts.coupled,))))
        shape = (grid.start.shape[1], *level.shape[:-1], grid.start.shape[-1])
        model = jax.tree.map(lambda v: jnp.broadcast_to(v, shape), model)
        y = {s: jnp.zeros(shape) for s in solved.states}
        pool: State = {}
        if parts.coupled:
            base = jnp.asarray(model.get(f"{parts.pool}.base"))
            pool[parts.coupled] = jnp.broadcast_to(base * jnp.exp(level), shape)
        y |= pool
        fixed = {s: jnp.zeros(()) for s in parts.slow_states}
        still = clock(jnp.zeros(()), {d.name: jnp.zeros(()) for d in model.drugs})

        @jax.checkpoint
        def panel(carry: tuple[State, Moments], x: _Grid) -> tuple[tuple[State, Moments], None]:
            y, moments = carry
            x = jax.tree.map(lambda v: jnp.concatenate([v] * shape[1], axis=1) if v.ndim == 3 else v, x)
            y = y | {s: y[s] + x.amount[s] for s in x.amount}
            y |= {s: jnp.where(x.midnight, v, y[s]) for s, v in pool.items()}
            known = dict(zip(SHARES, x.known, strict=True))
            given = Given([known[node] for node in NODES], x.slope)
            found = step(model, solved, fixed | y, given, x.length, lambda offset: still, x.rate)
            for share in GAUSS:
                inside = fixed | known[share] | found.at(share)
                signals = model.signals(inside, still, parts.kinetics)
                scaled = jnp.where(x.today, x.length / (2 * day), 0.0)
                p = [
                    (2 * b + 1) * scaled * v
                    for b, v in enumerate(_legendre((x.start + share * x.length) / day))
                ]
                moments = {
                    s: tuple(m + q * signals[s] for m, q in zip(v, p, strict=True))
                    for s, v in moments.items()
                }
            return (found.end, moments), None

        moments = {s: tuple(jnp.zeros(shape) for _ in range(COUNT)) for s in parts.boundary}
        (_, moments), _ = jax.lax.scan(panel, (y, moments), grid)
        return moments


def _column(doses: DayDoses, kind: int, past: Past, grid: Panels, states: Sequence[str], width: int) -> _Grid:
    """One kind of day with its past, as panels [width, 1, 1, patients]."""
    missing = width - len(grid.start)

    def wide(v: Array) -> Array:
        return jnp.pad(v, ((0, missing), (0, 0)))[:, None, None]

    zero = jnp.zeros_like(grid.start)
    start, length = wide(grid.start), wide(grid.length)
    amount, rate = ({s: wide(v.get(s, zero)) for s in states} for v in (grid.amount, grid.rate))
    known = [doses.course(kind, past, start, length, share) for share in SHARES]
    slope = doses.cascade.slope(known[0], doses.inflow(kind, start))
    today = np.ones(width, bool)
    return _Grid(start, length, amount, rate, known, slope, today, np.arange(width) == 0)


def _rows(table: State, index: np.ndarray) -> State:
    """Rows of a table, by a product that is differentiated faster than a look-up."""
    return {s: jnp.tensordot(np.eye(len(v))[index], v, 1) for s, v in table.items()}


def _widened(y: State, slope: Callable[[State], State]) -> State:
    """States in the shape that their slopes give them; a chain of states passes it on one by one."""
    for _ in y:
        shapes = {s: v.shape for s, v in jax.eval_shape(slope, y).items()}
        y = {s: jnp.broadcast_to(v, jnp.broadcast_shapes(v.shape, shapes[s])) for s, v in y.items()}
    return y


def _horner(coefficients: Sequence[Array] | Array, x: Array) -> Array:
    """A polynomial in `x`, the constant first."""
    total = coefficients[-1]
    for c in reversed(coefficients[:-1]):
        total = total * x + c
    return total


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
