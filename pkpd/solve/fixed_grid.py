"""A fixed-grid solver for whole batches of patients."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from pkpd.dosing.events import Events
from pkpd.model import Model
from pkpd.solve.cascade import Cascade
from pkpd.solve.solver import AbstractSolver, clock, first_dose, jumps_of, start_states, start_times
from pkpd.solve.stepper import NODES, Given, State, step
from pkpd.solve.structure import structure, system
from pkpd.solve.timeline import layout, panels


class FixedGrid(AbstractSolver):
    """A linearly implicit method of order 4 on panels graded after each dose; no adaptive step.

    States with an exact flow follow it; all others are solved together. Patients are the trailing
    axis, doses may fall in a different order for each, and the result is differentiable in
    parameters, amounts, times, lags and durations.

    `per_day` panels cover a day that starts with a dose; `inner` and `outer` (hours) grade them;
    after `quiet` days without a dose a panel lasts two days.
    """

    per_day: float = eqx.field(static=True, default=16.0)
    inner: float = eqx.field(static=True, default=0.15)
    outer: float = eqx.field(static=True, default=6.0)
    quiet: float = eqx.field(static=True, default=3.0)

    def states(self, model: Model, events: Events, times: Sequence[float], patients: int) -> State:
        jumps = jumps_of(model, events, patients)
        day = model.units.day
        hour = day / 24.0
        start, back = start_times(times)
        cuts = layout(jumps, start, self.per_day, self.inner * hour, self.outer * hour, day, self.quiet * day)
        grid = panels(jumps, start, cuts)
        first = start_states(model, patients)
        since = first_dose(model, jumps)
        parts = structure(model)
        solved = system((*parts.fast, *parts.slow))
        cascade = Cascade(model, parts.cascade)

        @jax.checkpoint
        def panel(y: State, x: tuple) -> tuple[State, State]:
            begin, length, amount, rate = x
            y = y | {s: y[s] + amount[s] for s in amount}
            start = {s: y[s] for s in cascade.names}
            stages = [cascade.flow(start, node * length, rate) if node else start for node in NODES]
            given = Given(stages, cascade.slope(start, rate))
            found = step(model, solved, y, given, length, lambda offset: clock(begin + offset, since), rate)
            end = found.end | stages[-1]
            return end, end

        _, path = jax.lax.scan(panel, first, (grid.start, grid.length, grid.amount, grid.rate))

        def pick(initial: Array, values: Array) -> Array:
            whole = jnp.concatenate([values, initial[None]])
            return jnp.take_along_axis(whole, grid.last, axis=0)[back]

        return {s: pick(first[s], path[s]) for s in first}
