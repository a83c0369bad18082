"""A solver for fits: the fast kinetics of a day are tabulated, the slow states step by days."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from pkpd.checks import fail
from pkpd.dosing.events import Events
from pkpd.model import Model
from pkpd.solve.cascade import Cascade
from pkpd.solve.halves import Halves, halves
from pkpd.solve.solver import AbstractSolver, clock, first_dose, jumps_of, start_states
from pkpd.solve.stepper import NODES, WEIGHTS, State, step
from pkpd.solve.structure import structure
from pkpd.solve.timeline import Panels, layout, panels

_LEGENDRE = ((1.0, -1.0, 1.0), (1.0, 0.0, -0.5), (1.0, 1.0, 1.0))
Moments = dict[str, Array]


class _Plan(NamedTuple):
    """Concrete layout: which doses make up each kind of day, and which kind each window is.

    `patterns[k]` are indices of doses that stand for a kind of day; `runs` are pairs (yesterday,
    today) of kinds, -1 for none; `run` and `length`, `start` describe the windows.
    """

    patterns: list[tuple[int, ...]]
    offsets: list[float]
    runs: list[tuple[int, int]]
    run: np.ndarray
    start: np.ndarray
    length: np.ndarray


class Daily(AbstractSolver):
    """Slow states of patients on a daily calendar, good to about 1e-3.

    Yesterday's and today's doses decide a day's kinetics, up to one slow state that changes the
    clearance. For each kind of day the within-day course of the signals that drive the slow states
    is integrated on a graded mesh at three levels of that state and projected on a quadratic, so
    that a nonlinear stimulus is never computed from a mean concentration. The slow states then
    take one Runge-Kutta step a day, and a week once the drugs have gone.

    Applies when at most one slow state, a turnover pool, acts on the fast ones, and when the slow
    derivatives are affine in the signals; refuses otherwise. Doses must be concrete: use
    `FixedGrid` or `ODE` for gradients in the schedule. Returns slow states only.
    """

    per_day: float = eqx.field(static=True, default=16.0)
    inner: float = eqx.field(static=True, default=0.15)
    outer: float = eqx.field(static=True, default=6.0)
    newton: int = eqx.field(static=True, default=2)

    def states(self, model: Model, events: Events, times: Sequence[float], patients: int) -> State:
        parts = halves(model)
        day = model.units.day
        plan = _plan(events, max(times, default=0.0), day)
        since = first_dose(model, jumps_of(model, events, patients))
        table, upper = self._table(model, parts, events, plan, day, patients)
        first = {s: v for s, v in start_states(model, patients).items() if s in parts.slow_states}

        def signals(run: Array, y: State, x: int) -> State:
            weights = _interpolate(parts, model, y, upper)
            return {
                name: sum(
                    p * sum(w * c for w, c in zip(weights, jnp.unstack(coefficients[run], axis=1), strict=True))[b]
                    for b, p in enumerate(_LEGENDRE[x])
                )
                for name, coefficients in table.items()
            }

        def advance(y: State, run: Array, start: Array, length: Array) -> State:
            def slope(values: State, x: int) -> State:
                ticks = clock(start + x / 2 * length, since)
                known = signals(run, values, x)
                change = model.derivative(values, ticks, parts.slow, parts.slow, known)
                return {s: jnp.asarray(change[s]) for s in values}

            return _runge_kutta(slope, y, length)

        def window(y: State, x: tuple[Array, Array, Array]) -> tuple[State, State]:
            return advance(y, *x), y

        windows = (jnp.asarray(plan.run), jnp.asarray(plan.start), jnp.asarray(plan.length))
        _, starts = jax.lax.scan(window, first, windows)
        at = np.searchsorted(plan.start, np.asarray(times, float) + 1e-9) - 1
        rest = np.asarray(times, float) - plan.start[at]

        def finish(x: tuple[Array, Array, Array, State]) -> State:
            run, start, length, y = x
            return advance(y, run, start, length)

        picked = {s: v[at] for s, v in starts.items()}
        return jax.lax.map(finish, (jnp.asarray(plan.run[at]), jnp.asarray(plan.start[at]), jnp.asarray(rest), picked))

    def _table(
        self, model: Model, parts: Halves, events: Events, plan: _Plan, day: float, patients: int
    ) -> tuple[Moments, Array]:
        """Signals by run as [runs, 3 moments, levels, patients], and the log of the highest level."""
        if parts.coupled is None:
            return self._runs(model, parts, events, plan, day, patients, jnp.zeros((1, 1))), jnp.zeros(())
        pool = parts.pool
        assert pool is not None
        lowest = jnp.zeros((1, 1))
        base = self._runs(model, parts, events, plan, day, patients, lowest)
        driven = sum(jnp.max(base[s][:, 0, 0], axis=0) for s in parts.pool_drive)
        upper = jnp.log1p(jnp.maximum(driven, 0.0)) * 1.02
        levels = jnp.stack([upper / 2, upper])
        more = self._runs(model, parts, events, plan, day, patients, levels)
        return {s: jnp.concatenate([base[s], more[s]], axis=2) for s in base}, upper

    def _runs(
        self, model: Model, parts: Halves, events: Events, plan: _Plan, day: float, patients: int, level: Array
    ) -> Moments:
        """All kinds of day at log levels [levels, patients]: from nothing first, then after each other."""
        grids = [self._grid(model, events, plan, kind, day, patients) for kind in range(len(plan.patterns))]
        quiet = self._grid(model, events, plan, -1, day, patients)
        size = max(len(g.start) for g in [*grids, quiet])
        shape = (1, level.shape[0], patients)
        zero = {s: jnp.zeros(shape) for s in parts.fast_states}
        resting = self._window(model, parts, _joined([quiet], size), zero, level, day)[1]
        found: dict[tuple[int, int], Moments] = {(-1, -1): {s: v[0] for s, v in resting.items()}}
        if grids:
            many = {s: jnp.broadcast_to(v, (len(grids), *shape[1:])) for s, v in zero.items()}
            ends, alone = self._window(model, parts, _joined(grids, size), many, level, day)
            found |= {(-1, k): {s: v[k] for s, v in alone.items()} for k in range(len(grids))}
            after = [run for run in plan.runs if run[0] >= 0]
            before = np.array([run[0] for run in after])
            today = [grids[k] if k >= 0 else quiet for _, k in after]
            _, both = self._window(
                model, parts, _joined(today, size), {s: v[before] for s, v in ends.items()}, level, day
            )
            found |= {run: {s: v[i] for s, v in both.items()} for i, run in enumerate(after)}
        return {s: jnp.stack([found[run][s] for run in plan.runs]) for s in parts.boundary}

    def _grid(self, model: Model, events: Events, plan: _Plan, kind: int, day: float, patients: int) -> Panels:
        doses = plan.patterns[kind] if kind >= 0 else ()
        chosen = events.take(doses, [plan.offsets[i] for i in doses])
        jumps = jumps_of(model, chosen, patients)
        hour = day / 24.0
        cuts = layout(jumps, [0.0, day], self.per_day, self.inner * hour, self.outer * hour, day, 3 * day)
        return panels(jumps, [0.0, day], cuts)

    def _window(
        self, model: Model, parts: Halves, grid: Panels, y: State, level: Array, day: float
    ) -> tuple[State, Moments]:
        """Fast states after a window and the moments of the boundary signals over it."""
        blocks, cascade = structure(model).fast, Cascade(model, structure(model).cascade)
        fixed = parts.level(model, level)
        shape = jnp.broadcast_shapes(*(v.shape for v in y.values()))
        carry = (y, {s: jnp.zeros(shape) for b in blocks for s in b.states}, _no_moments(parts, shape))
        ticks = clock(jnp.zeros(()), {d.name: jnp.zeros(()) for d in model.drugs})

        @jax.checkpoint
        def panel(carry: tuple[State, State, Moments], x: tuple) -> tuple[tuple[State, State, Moments], None]:
            y, slope, moments = carry
            start, length, amount, rate = x
            y = y | {s: y[s] + amount[s] for s in amount}
            stages, slope = step(
                model,
                blocks,
                y | fixed,
                slope,
                length,
                lambda offset: ticks,
                lambda offset: cascade.flow(y, offset, rate),
                rate,
                self.newton,
            )
            for stage, node, weight in zip(stages, NODES, WEIGHTS, strict=True):
                found = model.signals(stage, ticks, parts.fast | {parts.pool or ""})
                x = (start + node * length) / day
                scaled = weight * length / day
                polynomials = (scaled, 3 * scaled * (2 * x - 1), 5 * scaled * (6 * x * x - 6 * x + 1))
                moments = {
                    s: v + jnp.stack([jnp.broadcast_to(p * found[s], shape) for p in polynomials], axis=1)
                    for s, v in moments.items()
                }
            return ({s: jnp.broadcast_to(stages[-1][s], y[s].shape) for s in y}, slope, moments), None

        (y, _, moments), _ = jax.lax.scan(panel, carry, (grid.start, grid.length, grid.amount, grid.rate))
        return y, moments


def _no_moments(parts: Halves, shape: tuple[int, ...]) -> Moments:
    return {s: jnp.zeros((shape[0], 3, *shape[1:])) for s in parts.boundary}


def _interpolate(parts: Halves, model: Model, y: State, upper: Array) -> tuple[Array, ...]:
    """Lagrange weights of the tabulated levels (0, 1/2, 1 of `upper`) at the pool's present level."""
    if parts.coupled is None:
        return (jnp.ones(()),)
    given = upper > 0.0
    u = jnp.where(given, parts.log_level(model, y) / jnp.where(given, upper, 1.0), 0.0)
    return (2 * u - 1) * (u - 1), 4 * u * (1 - u), u * (2 * u - 1)


def _runge_kutta(slope: Callable[[State, int], State], y: State, h: Array) -> State:
    def at(k: State, share: float) -> State:
        return {s: y[s] + share * h * k[s] for s in y}

    a = slope(y, 0)
    b = slope(at(a, 0.5), 1)
    c = slope(at(b, 0.5), 1)
    d = slope(at(c, 1.0), 2)
    return {s: y[s] + h / 6 * (a[s] + 2 * b[s] + 2 * c[s] + d[s]) for s in y}


def _joined(grids: Sequence[Panels], size: int) -> Panels:
    """Grids side by side as [panels, runs, 1, patients], the shorter ones ending in empty panels."""
    entries = sorted({s for g in grids for s in g.amount})

    def join(values: list[Array]) -> Array:
        padded = [jnp.pad(v, ((0, size - len(v)), (0, 0))) for v in values]
        return jnp.stack(padded, axis=1)[:, :, None, :]

    def by_entry(pick: str) -> dict[str, Array]:
        return {s: join([getattr(g, pick).get(s, jnp.zeros_like(g.start)) for g in grids]) for s in entries}

    return Panels(
        join([g.start for g in grids]),
        join([g.length for g in grids]),
        by_entry("amount"),
        by_entry("rate"),
        grids[0].last,
    )


def _plan(events: Events, horizon: float, day: float) -> _Plan:
    try:
        values = [np.asarray(v) for v in (events.time, events.amount, events.duration)]
    except jax.errors.TracerArrayConversionError as error:
        raise fail("solver", "must not be Daily for gradients in the schedule", hint="Use FixedGrid.") from error
    nominal = np.asarray(events.nominal)
    phase = _phase(nominal, day)
    index = np.floor((nominal - phase) / day + 1e-9).astype(int)
    offset = values[0] - (phase + index * day)
    keys: dict[int, list] = {}
    for i, d in enumerate(index):
        keys.setdefault(int(d), []).append((events.route[i], round(offset[i], 9), values[1][i], values[2][i], i))
    kinds: dict[tuple, tuple[int, ...]] = {}
    kind_of = {}
    for d, doses in keys.items():
        key = tuple(sorted(dose[:4] for dose in doses))
        kinds.setdefault(key, tuple(dose[4] for dose in doses))
        kind_of[d] = list(kinds).index(key)
    first, last = min(kind_of, default=0), max(kind_of, default=-1)
    starts, runs = [], []
    if phase > 0 or first > 0:
        starts, runs = _gap(0.0, phase + first * day, day)
    for d in range(first, last + 3 if kind_of else first):
        starts.append(phase + d * day)
        runs.append((kind_of.get(d - 1, -1), kind_of.get(d, -1)))
    tail = _gap(phase + (last + 3) * day if kind_of else 0.0, max(horizon, day) + 7 * day, day)
    starts, runs = starts + tail[0], runs + tail[1]
    unique = sorted(set(runs))
    length = np.append(np.diff(starts), 7 * day)
    run = np.array([unique.index(r) for r in runs])
    return _Plan(list(kinds.values()), offset.tolist(), unique, run, np.array(starts), length)


def _gap(start: float, end: float, day: float) -> tuple[list[float], list[tuple[int, int]]]:
    """Windows without doses, from a day to a week long."""
    starts, t, length = [], start, day
    while t < end - 1e-9:
        starts.append(t)
        t = min(t + length, end)
        length = min(length * 1.25, 7 * day)
    return starts, [(-1, -1)] * len(starts)


def _phase(nominal: np.ndarray, day: float) -> float:
    """Where windows start within the day: at the dose that follows the longest gap."""
    clock_times = np.unique(np.round(np.mod(nominal, day), 9))
    if not len(clock_times):
        return 0.0
    gaps = np.diff(np.concatenate([[clock_times[-1] - day], clock_times]))
    return float(clock_times[int(np.argmax(gaps))])

