"""The production solver: fast kinetics on panels between individual event times, slow states by cells."""

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.ad_checkpoint import checkpoint_policies

from pkpd.checks import fail
from pkpd.devices import in_chunks, patients_at_once
from pkpd.dosing.events import Events, Jumps
from pkpd.model import Model
from pkpd.population import Patients
from pkpd.quadrature import STAGES
from pkpd.solve.cells import NEAR, Grading, Plan, buckets, layout_of, plan_of
from pkpd.solve.collocation import KEPT, State
from pkpd.solve.inner import Inner, Inside
from pkpd.solve.outer import Outer
from pkpd.solve.parts import Parts, parts_of
from pkpd.solve.solver import AbstractSolver, Along, first_dose, jumps_of
from pkpd.solve.tables import Before, Table, answer, table_of


class Multirate(AbstractSolver):
    """Collocation of order 7 on panels that are dense after each patient's own dose times.

    States with an exact flow follow it. Slow states step by cells, about a day long and cut at wanted times,
    through the moments of what drives them. `per_day` panels cover the day after a dose, the knob of
    accuracy: 12 aim at errors of 1e-4 in states of the shipped models, 48 at 1e-6, of their size or a
    thousandth of the largest; `benchmarks.accuracy` measures what they reach. Patients come in `groups` that
    repeat kinetics and doses of the first; at most `chunk` of each are solved at a time, by default as many
    as the device is fast with, on `cores` devices.
    """

    per_day: float = eqx.field(static=True, default=12.0)
    groups: int = eqx.field(static=True, default=1)
    chunk: int | None = eqx.field(static=True, default=None)
    cores: int = eqx.field(static=True, default=1)

    def check(self, patients: Patients) -> None:
        if patients.groups % self.groups:
            rule = f"must come in a multiple of {self.groups} groups, which repeat their kinetics"
            raise fail("patients.groups", rule, patients.groups)

    def finer(self) -> "Multirate":
        """Twice as many panels, and cells for the slow states: both parts of the error fall."""
        return dataclasses.replace(self, per_day=2.0 * self.per_day)

    def states(self, model: Model, events: Events, times: Sequence[float], patients: int) -> State:
        plan = self._plan(model, events, times, patients)
        at = np.searchsorted(plan.start, np.asarray(times, float) + NEAR * model.units.day, side="right") - 1
        at_edges, _ = self._run(model, events, plan, patients)
        return {s: v[at] for s, v in at_edges.items()}

    def along(self, model: Model, events: Events, times: Sequence[float], patients: int) -> Along:
        plan = self._plan(model, events, times, patients)
        first = np.searchsorted(plan.start, min(times) - NEAR * model.units.day)
        at, inside = self._run(model, events, plan, patients)
        return Along(
            plan.start[first:],
            {s: v[first:] for s, v in at.items()},
            {s: v[first:] for s, v in inside.items()},
        )

    def _plan(self, model: Model, events: Events, times: Sequence[float], patients: int) -> Plan:
        jumps = jumps_of(model, events, patients)
        return plan_of(events, jumps, times, self._grading(model))

    def _grading(self, model: Model) -> Grading:
        return Grading.of(self.per_day, model.units.day)

    def _run(self, model: Model, events: Events, plan: Plan, patients: int) -> tuple[State, State]:
        """States at the cells' edges [edges, patients], and outer ones inside [cells, nodes, patients]."""
        own, shared = eqx.partition(model, jax.tree.map(lambda v: jnp.ndim(v) == 1, model))

        def run(columns: tuple[Array, Model, State]) -> tuple[State, State]:
            count, own, doses = columns
            first = dataclasses.replace(events, **{name: v[:, 0] for name, v in doses.items()})
            return self._chunk(eqx.combine(own, shared), first, plan, (self.groups, count.shape[-1]))

        columns = (jnp.zeros(patients), own, events.by_patient)
        each = self.groups, patients // self.groups
        columns = jax.tree.map(lambda v: v.reshape(*v.shape[:-1], *each), columns)
        found = in_chunks(run, columns, self.chunk or patients_at_once(), self.cores)
        return jax.tree.map(lambda v: v.reshape(*v.shape[:-2], patients), found)

    def _chunk(self, model: Model, events: Events, plan: Plan, shape: tuple[int, int]) -> tuple[State, State]:
        """The same [..., groups, patients] of a model whose patients are [groups, patients]."""
        first = jax.tree.map(lambda v: v[0] if jnp.ndim(v) else v, model)
        jumps, grade = jumps_of(first, events, shape[1]), self._grading(model)
        parts = parts_of(model, jumps.state)
        since = {d: v[None] for d, v in first_dose(first, jumps).items()}
        inner, outer = Inner(first, parts, since, shape[1]), Outer(model, parts, since, shape)
        tables = _tables(first, parts, jumps, plan, grade)
        at, inside = _march(inner, outer, tables, plan, _given(jumps, plan, grade))
        still, edges = outer.at_rest(), len(plan.start)
        wide = {s: v.reshape(len(v), -1, shape[1]) for s, v in at.items()} | still
        inside |= {s: jnp.broadcast_to(v, (edges - 1, STAGES, *shape)) for s, v in still.items()}
        return {s: jnp.broadcast_to(v, (edges, *shape)) for s, v in wide.items()}, inside


class _Tables(NamedTuple):
    """Tables of kinds with about as many panels, and for each cell the table and the row of its kind."""

    tables: tuple[Table, ...]
    table: np.ndarray
    row: np.ndarray


class _Given(NamedTuple):
    """Amounts and changes of rate [cells, slots, patients] by the state that they enter."""

    amount: State
    rate: State


class _Carry(NamedTuple):
    """What a cell hands on to the next: states, and running rates by the state that they enter."""

    exact: State
    running: State
    inside: Inside
    outer: State


def _slots(jumps: Jumps, plan: Plan) -> dict[str, int]:
    """Most jumps into a state that a cell holds."""
    entered = sorted(set(jumps.state))
    return {s: max(sum(jumps.state[j] == s for j in held) for held in plan.jumps) for s in entered}


def _tables(model: Model, parts: Parts, jumps: Jumps, plan: Plan, grade: Grading) -> _Tables:
    tables, slots = [], _slots(jumps, plan)
    table, row = np.zeros_like(plan.kind), np.zeros_like(plan.kind)
    for i, mine in enumerate(buckets(plan)):
        tables.append(table_of(model, parts, jumps, layout_of(plan, mine, slots, jumps.state), grade))
        for k, kind in enumerate(mine):
            table[plan.kind == kind], row[plan.kind == kind] = i, k
    return _Tables(tuple(tables), table, row)


def _given(jumps: Jumps, plan: Plan, grade: Grading) -> _Given:
    """What each cell's slots hold. A jump acts in one of the cells in which it stands; beyond them its amount
    is not a number, because it must not be lost unsaid."""
    amount, rate = {}, {}
    low, high = (v[:, None, None] - NEAR * grade.day for v in (plan.start[:-1], plan.start[1:]))
    cells = range(len(plan.jumps))
    first, final = (
        {j: cell for cell in order for j in plan.jumps[cell]} for order in (reversed(cells), cells)
    )
    for s, count in _slots(jumps, plan).items():
        mine = [[j for j in held if jumps.state[j] == s] for held in plan.jumps]
        index = np.array([m + [-1] * (count - len(m)) for m in mine]).reshape(len(mine), count)
        opens = np.array([[first.get(j) == cell for j in m] for cell, m in enumerate(index)])[:, :, None]
        shuts = np.array([[final.get(j) == cell < cells[-1] for j in m] for cell, m in enumerate(index)])
        time = jumps.time[index]
        here = (time >= low) & (time < high) & (index >= 0)[:, :, None]
        lost = ((time >= high) & shuts[:, :, None]) | ((time < low) & opens)
        unit = jnp.where(lost, jnp.nan, jnp.where(here, 1.0, 0.0))
        amount[s] = unit * jumps.amount[index]
        rate |= {s: unit * jumps.rate[index]} if jumps.infused else {}
    return _Given(amount, rate)


def _march(inner: Inner, outer: Outer, found: _Tables, plan: Plan, given: _Given) -> tuple[State, State]:
    """States at the end of each cell, the start in front [cells + 1, ...]; outer ones at its nodes."""
    zero = jnp.zeros(inner.patients)
    exact = {s: zero for block in inner.parts.cascade for s in block.states}
    first = _Carry(exact, dict.fromkeys(given.rate, zero), inner.start(), outer.start())

    def cell(carry: _Carry, x: tuple) -> tuple[_Carry, tuple[State, State]]:
        begin, length, which, row, given = x

        def through(carry: _Carry, table: Table) -> tuple[_Carry, State]:
            panels, rises, ends = jax.tree.map(lambda v: v[row if len(v) > 1 else 0], table)
            before = Before(carry.exact, carry.running, *given)
            inside, moments = inner.cell(carry.inside, before, panels, rises, begin, length)
            exact = {s: answer(ends, s, before) for s in carry.exact}
            running = {s: v + given.rate[s].sum(0) for s, v in carry.running.items()}
            nodes = outer.cell(carry.outer, moments, begin, length)
            return _Carry(exact, running, inside, {s: v[-1] for s, v in nodes.items()}), nodes

        branches = [partial(through, table=table) for table in found.tables]
        carry, nodes = jax.lax.switch(which, branches, carry) if len(branches) > 1 else branches[0](carry)
        return carry, ({**carry.exact, **carry.inside.y}, nodes)

    start = {**first.exact, **first.inside.y, **first.outer}
    if not len(plan.kind):
        none = {s: jnp.zeros((0, STAGES, *v.shape)) for s, v in first.outer.items()}
        return {s: v[None] for s, v in start.items()}, none
    edges = jnp.asarray(plan.start[:-1]), jnp.asarray(np.diff(plan.start))
    cells = (*edges, jnp.asarray(found.table), jnp.asarray(found.row), given)
    kept = jax.checkpoint(cell, policy=checkpoint_policies.save_only_these_names(KEPT))
    _, (path, inside) = jax.lax.scan(kept, first, cells)
    path |= {s: v[:, -1] for s, v in inside.items()}
    return {s: jnp.concatenate([start[s][None], path[s]]) for s in start}, inside
