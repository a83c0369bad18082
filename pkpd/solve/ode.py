"""The reference: adaptive, stiff, restarted at every event."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from pkpd.dosing.events import Events
from pkpd.model import Model
from pkpd.solve.solver import AbstractSolver, clock, first_dose, jumps_of, start_times
from pkpd.solve.timeline import merge

State = dict[str, Array]


class ODE(AbstractSolver):
    """diffrax (Kvaerno 5) between breaks, one patient after the other.

    A break is a jump or a wanted time, so no step crosses a discontinuity. Slow and trusted: every
    other solver is measured against it.
    """

    rtol: float = eqx.field(static=True, default=1e-8)
    atol: float = eqx.field(static=True, default=1e-10)
    max_steps: int = eqx.field(static=True, default=4096)

    def finer(self) -> "ODE":
        return dataclasses.replace(self, rtol=0.1 * self.rtol, atol=0.1 * self.atol)

    def states(self, model: Model, events: Events, times: Sequence[float], patients: int) -> State:
        jumps = jumps_of(model, events, patients)
        start, back = start_times(times)
        breaks, amount, rate, place = merge(jumps, start)
        inflow = {s: jnp.cumsum(r, axis=0) for s, r in rate.items()}
        leaves, tree = jax.tree.flatten(model)
        leaves = [jnp.broadcast_to(jnp.asarray(v, float), (patients,)) for v in leaves]
        columns = (leaves, breaks.T, *(jax.tree.map(jnp.transpose, d) for d in (amount, inflow)), place.T)
        since = first_dose(model, jumps)

        def one(column: tuple) -> State:
            own, breaks, amount, inflow, place, since = column
            path = self._patient(jax.tree.unflatten(tree, own), breaks, amount, inflow, since)
            return {s: v[place] for s, v in path.items()}

        found = jax.lax.map(one, (*columns, since))
        return {s: v.T[back] for s, v in found.items()}

    def _patient(self, model: Model, breaks: Array, amount: State, inflow: State, since: State) -> State:
        """States just before each break."""
        controller = diffrax.PIDController(self.rtol, self.atol)

        def field(t: Any, y: Any, flow: Any) -> State:
            change = model.derivative(y, clock(t, since))
            return {s: jnp.asarray(change[s]) + flow.get(s, 0.0) for s in y}

        def segment(y: State, x: tuple) -> tuple[State, State]:
            begin, end, amount, flow = x
            after = y | {s: y[s] + amount[s] for s in amount}
            span = jnp.maximum(end - begin, 1e-14)
            solution = diffrax.diffeqsolve(
                diffrax.ODETerm(field),
                diffrax.Kvaerno5(),
                t0=begin,
                t1=begin + span,
                dt0=None,
                y0=after,
                args=flow,
                stepsize_controller=controller,
                max_steps=self.max_steps,
            )
            assert solution.ys is not None
            last = jax.tree.map(lambda v, a: jnp.where(end > begin, v[-1], a), solution.ys, after)
            return last, last

        first = {s: jnp.asarray(v, float) for s, v in model.initial().items()}
        steps = (breaks[:-1], breaks[1:], *(jax.tree.map(lambda v: v[:-1], d) for d in (amount, inflow)))
        _, path = jax.lax.scan(segment, first, steps)
        return {s: jnp.concatenate([first[s][None], path[s]]) for s in first}
