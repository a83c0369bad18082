"""The reference: adaptive, stiff, restarted at every event."""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from pkpd.dosing.events import Events
from pkpd.model import Model
from pkpd.solve.cycle import Tolerance, settled
from pkpd.solve.solver import AbstractSolver, Repeated, clock, first_dose, jumps_of, start_times
from pkpd.solve.timeline import Timeline, merge

State = dict[str, Array]


class ODE(AbstractSolver):
    """diffrax (Kvaerno 5) between breaks, one patient after the other.

    A break is a jump or a wanted time, so no step crosses a discontinuity. Slow and trusted: every
    other solver is measured against it.
    """

    own_times: ClassVar[bool] = True
    rtol: float = eqx.field(static=True, default=1e-8)
    atol: float = eqx.field(static=True, default=1e-10)
    max_steps: int = eqx.field(static=True, default=4096)

    def finer(self) -> "ODE":
        return dataclasses.replace(self, rtol=0.1 * self.rtol, atol=0.1 * self.atol)

    def states(self, model: Model, events: Events, times: Sequence[float], patients: int) -> State:
        start, back = start_times(times)
        jumps = jumps_of(model, events, patients)
        wanted = jnp.broadcast_to(jnp.asarray(start)[:, None], (len(start), patients))
        found = self.path(model, merge(jumps, wanted), first_dose(model, jumps), jnp.zeros(patients))
        return {s: v[back] for s, v in found.items()}

    def path(self, model: Model, timeline: Timeline, since: State, start: Array) -> State:
        patients = timeline.breaks.shape[1]
        leaves, tree = jax.tree.flatten(model)
        own = [jnp.broadcast_to(jnp.asarray(v, float), (patients,)) for v in leaves]
        inflow = {s: jnp.cumsum(r, axis=0) for s, r in timeline.rate.items()}
        columns = jax.tree.map(jnp.transpose, timeline._replace(rate=inflow))

        def one(column: tuple) -> State:
            own, timeline, since, start = column
            path = self._patient(jax.tree.unflatten(tree, own), timeline, since, start)
            return {s: v[timeline.place] for s, v in path.items()}

        found = jax.lax.map(one, (own, columns, since, start))
        return {s: v.T for s, v in found.items()}

    def _patient(self, model: Model, timeline: Timeline, since: State, start: Array) -> State:
        """States just before each break, with the running `rate` at each; the clock shows `start` at 0."""
        controller = diffrax.PIDController(self.rtol, self.atol)
        breaks, amount, rate, _, (early, late) = timeline

        def field(t: Any, y: Any, given: Any) -> State:
            (begin, end), flow, first, last = given
            share = (t - begin) / (end - begin)
            at = {c: v + share * ((last or first)[c] - v) for c, v in first.items()}
            change = model.under(at).derivative(y, clock(t + start, since))
            return {s: jnp.asarray(change[s]) + flow.get(s, 0.0) for s in y}

        def segment(y: State, x: tuple) -> tuple[State, State]:
            begin, end, amount, flow, first, last = x
            after = y | {s: y[s] + amount[s] for s in amount}
            known = jnp.isfinite(jnp.stack(list(after.values()))).all()
            span = jnp.maximum(end - begin, 1e-14)
            solution = diffrax.diffeqsolve(
                diffrax.ODETerm(field),
                diffrax.Kvaerno5(),
                t0=begin,
                t1=begin + span,
                dt0=None,
                y0={s: jnp.where(known, v, 0.0) for s, v in after.items()},
                args=((begin, begin + span), flow, first, last),
                stepsize_controller=controller,
                max_steps=self.max_steps,
            )
            assert solution.ys is not None
            last = {s: jnp.where(known & (end > begin), v[-1], after[s]) for s, v in solution.ys.items()}
            return last, last

        initial = model.under({c: v[0] for c, v in early.items()}).initial()
        first = {s: jnp.asarray(v, float) for s, v in initial.items()}
        given = (jax.tree.map(lambda v: v[:-1], d) for d in (amount, rate))
        _, path = jax.lax.scan(segment, first, (breaks[:-1], breaks[1:], *given, early, late))
        return {s: jnp.concatenate([first[s][None], path[s]]) for s in first}

    def settle(self, model: Model, state: str, dose: Repeated) -> State:
        return settled(model, state, dose, Tolerance(self.rtol, self.atol, self.max_steps))
