"""What the doses of each kind of day do to the states that have an exact flow."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from pkpd.dosing.events import Events, Jumps
from pkpd.model import Model
from pkpd.solve.calendar import REST, Calendar, Past
from pkpd.solve.cascade import Cascade
from pkpd.solve.solver import jumps_of
from pkpd.solve.stepper import State
from pkpd.solve.structure import structure


class DayDoses:
    """Jumps of each kind of day, and the cascade states that follow from them.

    A dose acts from its time on, whatever day it is, so the states of a day are those of its own doses
    plus what the days before have left.
    """

    def __init__(self, model: Model, events: Events, plan: Calendar, patients: int):
        wide = jax.tree.map(lambda v: v[None, None, :] if jnp.ndim(v) == 1 else v, model)
        parts = structure(model)
        self.day = model.units.day
        self.patients = patients
        self.cascade = Cascade(wide, parts.cascade)
        self.implicit = {s for block in parts.fast for s in block.states}
        self.infused = any(events.lasting)
        self.jumps: dict[int, Jumps] = {}
        for kind in (REST, *range(len(plan.kinds))):
            doses = plan.kinds[kind] if kind != REST else ()
            jumps = jumps_of(model, events.take(doses, [plan.offset[i] for i in doses]), patients)
            self.jumps[kind] = eqx.tree_at(lambda j: j.time, jumps, jnp.minimum(jumps.time, self.day))

    def given(self, kind: int, time: Array, begin: Array) -> State:
        """States at `time` from the doses of a kind of day that were given by `begin`."""
        total: State = {s: jnp.zeros(jnp.shape(time)) for s in self.cascade.names}
        jumps = self.jumps[kind]
        for i, state in enumerate(jumps.state):
            if state in self.implicit:
                continue
            at = jumps.time[i][None, None]
            rate = {state: jumps.rate[i][None, None]} if self.infused else {}
            part = self.cascade.flow({state: jumps.amount[i][None, None]}, jnp.maximum(time - at, 0.0), rate)
            total |= {s: total[s] + jnp.where(begin >= at, v, 0.0) for s, v in part.items()}
        return total

    def left_by(self, past: Past) -> State:
        """States at midnight from the doses of the days before, yesterday first."""
        start: State = {s: jnp.zeros((1, 1, self.patients)) for s in self.cascade.names}
        for i, kind in enumerate(past):
            time = jnp.full((1, 1, 1), (i + 1) * self.day)
            start = {s: start[s] + v for s, v in self.given(kind, time, time).items()}
        return start

    def course(self, kind: int, past: Past, begin: Array, length: Array, share: float) -> State:
        """States at a share of the panels [panels, 1, 1, patients] of a day."""
        start = self.left_by(past) if past else {}

        def panel(begin: Array, length: Array) -> State:
            time = begin + share * length
            carried = self.cascade.flow(start, time, {}) if start else {}
            return {s: v + carried.get(s, 0.0) for s, v in self.given(kind, time, begin).items()}

        return jax.vmap(panel)(begin, length)

    def inflow(self, kind: int, begin: Array) -> State:
        """Infusion rates into the cascade during panels [panels, 1, 1, patients] of a day."""
        found: State = {}
        jumps = self.jumps[kind]
        for i, state in enumerate(jumps.state if self.infused else ()):
            if state not in self.implicit:
                flows = jnp.where(begin >= jumps.time[i], jumps.rate[i], 0.0)
                found[state] = found.get(state, 0.0) + flows
        return found
