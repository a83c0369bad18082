"""Exact solutions of linear kinetics."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from pkpd.checks import fail
from pkpd.devices import in_chunks
from pkpd.dosing.events import Events
from pkpd.model import Model
from pkpd.solve.cascade import Cascade
from pkpd.solve.clock import by_clock
from pkpd.solve.solver import AbstractSolver, Repeated, first_dose, jumps_of, start_states, start_times
from pkpd.solve.steady import steady
from pkpd.solve.streams import streams_of
from pkpd.solve.structure import structure
from pkpd.solve.timeline import Timeline, merge

State = dict[str, Array]


class ClosedForm(AbstractSolver):
    """Sums of divided differences of exponentials from dose to dose: absorption and linear disposition.

    Exact to rounding at any rates, equal ones too, and differentiable in parameters and schedule. Where doses
    keep a clock whose times are not traced, what happens within a period is computed once for all periods.
    Patients are shared out to so many `cores`.
    """

    by_plan: ClassVar[bool] = True
    cores: int = eqx.field(static=True, default=1)
    own_times: ClassVar[bool] = True

    def states(self, model: Model, events: Events, times: Sequence[float], patients: int) -> State:
        _require_linear(model)
        own, shared = eqx.partition(model, jax.tree.map(lambda v: jnp.ndim(v) == 1, model))

        def run(columns: tuple[Array, Model, State]) -> State:
            count, own, doses = columns
            mine = dataclasses.replace(events, **doses)
            return self._states(eqx.combine(own, shared), mine, times, len(count))

        columns = jnp.zeros(patients), own, events.by_patient
        return in_chunks(run, columns, max(1, patients), self.cores)

    def _states(self, model: Model, events: Events, times: Sequence[float], patients: int) -> State:
        streams = streams_of(model, events, np.asarray(times, float))
        if streams is None:
            return self._by_scan(model, events, times, patients)
        found = by_clock(model, Cascade(model, structure(model).cascade), streams, events)
        shape = len(times), patients
        return {s: jnp.broadcast_to(found.get(s, jnp.zeros(())), shape) for s in model.states}

    def _by_scan(self, model: Model, events: Events, times: Sequence[float], patients: int) -> State:
        """From each time or dose to the next."""
        start, back = start_times(times)
        jumps = jumps_of(model, events, patients)
        wanted = jnp.broadcast_to(jnp.asarray(start)[:, None], (len(start), patients))
        clocks = first_dose(model, jumps), jnp.zeros(patients)
        return {s: v[back] for s, v in self.path(model, merge(jumps, wanted), *clocks).items()}

    def path(self, model: Model, timeline: Timeline, since: State, start: Array) -> State:
        _require_linear(model)
        breaks, amount, rate, place, (covariates, later) = timeline
        if later is not None:
            raise self._lacks("states while covariates change between records")
        inflow = {s: jnp.cumsum(r, axis=0)[:-1] for s, r in rate.items()}
        blocks = structure(model).cascade
        fixed = None if covariates else Cascade(model, blocks)

        def segment(y: State, x: tuple[Array, State, State, State]) -> tuple[State, State]:
            length, amount, rate, at = x
            y = y | {s: y[s] + amount[s] for s in amount}
            later = (fixed or Cascade(model.under(at), blocks)).flow(y, length, rate)
            return later, later

        first = start_states(model.under({c: v[0] for c, v in covariates.items()}), breaks.shape[1])
        steps = (jnp.diff(breaks, axis=0), {s: v[:-1] for s, v in amount.items()}, inflow, covariates)
        _, path = jax.lax.scan(segment, first, steps)
        whole = {s: jnp.concatenate([first[s][None], path[s]]) for s in first}
        return {s: jnp.take_along_axis(v, place, axis=0) for s, v in whole.items()}

    def flow(self, model: Model) -> Cascade:
        _require_linear(model)
        return Cascade(model, structure(model).cascade)

    def settle(self, model: Model, state: str, dose: Repeated) -> State:
        return steady(self.flow(model), state, dose)


def nonlinear(model: Model) -> list[str]:
    """States without a closed form: those that are not linear or depend on more than doses."""
    known = {s for block in structure(model).cascade for s in block.states}
    return [s for s in model.states if s not in known]


def _require_linear(model: Model) -> None:
    others = nonlinear(model)
    if others:
        rule = f"must not be ClosedForm: {', '.join(others)} must be linear and depend on doses alone"
        raise fail("solver", rule, hint="Use Multirate or ODE.")
