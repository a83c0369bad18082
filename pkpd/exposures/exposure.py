"""What the course of an output comes to between doses: area, peak, trough, half-life, time above a level."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pkpd.checks import Findings, InputError, did_you_mean
from pkpd.devices import in_chunks, patients_at_once
from pkpd.dosing import Regimen
from pkpd.dosing.events import Events
from pkpd.exposures.measures import QUANTITIES, Asked, measure
from pkpd.exposures.wiring import accumulating, needed_for
from pkpd.individuals import individualise
from pkpd.labels import interval_dataset
from pkpd.model import Model
from pkpd.parameters import Scalar
from pkpd.population import Patients, typical_patient
from pkpd.simulation import FEWEST, bind, units_of
from pkpd.solve import AbstractSolver, ClosedForm, Multirate
from pkpd.solve.cells import NEAR
from pkpd.solve.closed_form import nonlinear

DEFAULT = ("auc", "cmax", "tmax", "cavg", "ctrough")
_TIMES = frozenset({"tmax", "tmin", "thalf", "time_above"})


class Exposure(eqx.Module):
    """Quantities of an `output` of patients, in model units: of each interval between `edges`, and in `total`
    of all of them together.

    `tmax` and `tmin` count from the beginning of the interval, in `total` from the first edge.
    """

    values: dict[str, Float[Array, "intervals patients"]]
    total: dict[str, Float[Array, " patients"]]
    output: str = eqx.field(static=True)
    edges: tuple[float, ...] = eqx.field(static=True)
    units: tuple[tuple[str, str], ...] = eqx.field(static=True)
    time_unit: str = eqx.field(static=True)

    def to_xarray(self) -> Any:
        """A labelled xarray Dataset with units, over `intervals` and `patients`; `total_auc` and the like
        over `patients`."""
        return interval_dataset(
            self.output, self.edges, self.values, self.total, dict(self.units), self.time_unit
        )


def exposure(
    model: Model,
    regimen: Regimen | Events | str,
    output: str,
    patients: Patients | None = None,
    *,
    quantities: Sequence[str] = DEFAULT,
    edges: Sequence[float] | np.ndarray | None = None,
    above: Scalar | None = None,
    solver: AbstractSolver | None = None,
) -> Exposure:
    """Exposure metrics of an output, of patients (default: the typical one) under a regimen.

    `edges` bound the intervals, in the model's unit of time; by default they are the times at which the drug
    of the output is given (any drug for another output), and the last interval is as long as the one before;
    that of a single dose is a day, or longer if the regimen is. Of the `quantities`

    - `auc` is the area under the output, `cavg` that area over the length of the interval;
    - `cmax` and `cmin` are the largest and the smallest value, after what is given at the beginning and
      before what is given at the end, `tmax` and `tmin` the time since the beginning at which they are;
    - `ctrough` is the value at the end, before what is given then;
    - `thalf` is the terminal half-life: with `ClosedForm` by the smallest rate of what was given, otherwise
      by the slope at the end of the interval, and not a number where that does not fall;
    - `time_above` is how long the output is above the level `above`, in the output's unit; to give that is to
      ask.

    The solver is by default `ClosedForm` where all states that act on the output have one, else `Multirate`.
    `ClosedForm` is exact: areas in closed form, peaks and crossings to rounding. `ODE` and `Multirate` are as
    exact as their states, but `Multirate` misses part of a peak where a patient's lag or infusion differs
    from the typical one, or his dose is late. For the area to infinity give a last edge at which nothing is
    left.

    Patients are taken some hundreds at a time, so that a million need little more than their result. Pure JAX
    in parameters, in `above` and, with `Events`, in the schedule; edges stay where they are.
    Raises `InputError` with all faults of the arguments.
    """
    findings, patients = Findings(), patients or typical_patient()
    events = _events(model, regimen, patients, findings)
    asked = (*quantities, *(("time_above",) if above is not None and "time_above" not in quantities else ()))
    _check(model, output, asked, above, findings)
    bounds = _edges(model, events, output, edges, findings)
    findings.raise_if_any()
    cores = 1
    if solver is None:
        solver = chosen(model, output, asked)
        cores = max(1, min(jax.local_device_count(), patients.count // FEWEST))
    solver.check(patients)
    assert events is not None
    level = jnp.asarray(0.0 if above is None else above, float)
    found, total = _run(model, events, patients, solver, Asked(output, asked, bounds), level, cores)
    return Exposure(found, total, output, bounds, _units(model, output, asked), model.units.time)


def chosen(model: Model, output: str, quantities: Sequence[str]) -> AbstractSolver:
    """The solver that is exact for some quantities of an output, or the fastest."""
    needed = needed_for(model, output)
    summed = accumulating(needed, output) if {"auc", "cavg"} & set(quantities) else needed
    return Multirate() if nonlinear(summed) else ClosedForm()


@eqx.filter_jit
def _run(
    model: Model,
    events: Events,
    patients: Patients,
    solver: AbstractSolver,
    asked: Asked,
    above: Array,
    cores: int,
) -> tuple[dict[str, Array], dict[str, Array]]:
    own = needed_for(individualise(model, patients), asked.output)
    mine, shared = eqx.partition(own, jax.tree.map(lambda v: jnp.ndim(v) == 1, own))
    groups = patients.groups, patients.count // patients.groups

    def run(columns: tuple[Array, Model, dict[str, Array]]) -> tuple[dict[str, Array], dict[str, Array]]:
        count, width = columns[0].size, columns[0].shape[-1]
        _, mine, doses = jax.tree.map(lambda v: v.reshape(*v.shape[:-2], count), columns)
        some = dataclasses.replace(events, **doses)
        found = measure(eqx.combine(mine, shared), some, solver, asked, above, count)
        return jax.tree.map(lambda v: v.reshape(*v.shape[:-1], groups[0], width), found)

    columns = (jnp.zeros(patients.count), mine, events.by_patient)
    columns = jax.tree.map(lambda v: v.reshape(*v.shape[:-1], *groups), columns)
    size = max(1, patients_at_once() // groups[0])
    found = in_chunks(partial(_in_place, run, size), columns, -(-groups[1] // cores), cores)
    return jax.tree.map(lambda v: v.reshape(*v.shape[:-2], patients.count), found)


def _in_place(function: Callable[[Any], Any], size: int, arrays: Any) -> Any:
    """`function` of so many patients after the other, some again where there is a rest: results are written
    where they stay, so that memory holds them once."""
    count = jax.tree.leaves(arrays)[0].shape[-1]
    width = min(size, count)

    def part(start: Any) -> Any:
        return jax.tree.map(lambda v: jax.lax.dynamic_slice_in_dim(v, start, width, axis=-1), arrays)

    def turn(i: Any, found: Any) -> Any:
        start = jnp.minimum(i * width, count - width)
        write = partial(jax.lax.dynamic_update_slice_in_dim, start_index=start, axis=-1)
        return jax.tree.map(write, found, function(part(start)))

    if width == count:
        return function(arrays)
    shapes = jax.eval_shape(function, part(0))
    begun = jax.tree.map(lambda v: jnp.zeros((*v.shape[:-1], count), v.dtype), shapes)
    return jax.lax.fori_loop(0, -(-count // width), turn, begun)


def _events(
    model: Model, regimen: Regimen | Events | str, patients: Patients, findings: Findings
) -> Events | None:
    """The doses, or none with the faults of the text."""
    if len(patients.starts) > 1:
        findings.add("patients", "must have one occasion", len(patients.starts))
    if isinstance(regimen, Events):
        return regimen
    try:
        return bind(model, regimen, patients.covariates)
    except InputError as error:
        findings.adopt(error)
        return None


def _check(
    model: Model, output: str, quantities: Sequence[str], above: Scalar | None, findings: Findings
) -> None:
    if output not in model.outputs:
        findings.add("output", "must be an output of the model", output, did_you_mean(output, model.outputs))
    for name in quantities:
        if name not in QUANTITIES:
            findings.add("quantities", "must be exposure metrics", name, did_you_mean(name, QUANTITIES))
    if not quantities:
        findings.add("quantities", "must name at least one")
    if above is None and "time_above" in quantities:
        findings.add("above", "must be given for time_above")
    if isinstance(above, (int, float)) and not math.isfinite(above):
        findings.add("above", "must be a finite number", above)


def _edges(
    model: Model,
    events: Events | None,
    output: str,
    edges: Sequence[float] | np.ndarray | None,
    findings: Findings,
) -> tuple[float, ...]:
    """The edges; one that rounding keeps apart from a dose is at its time."""
    if events is None:
        return ()
    nominal = np.asarray(events.nominal, float)
    if edges is None:
        return _between_doses(model, events, output, findings)
    found = np.asarray(edges, float)
    if found.ndim != 1 or len(found) < 2:
        findings.add("edges", "must be at least two times", found.tolist())
        return ()
    if not np.isfinite(found).all() or found.min() < 0.0:
        findings.add("edges", "must be finite numbers and not negative", found.tolist())
    if not np.all(np.diff(found) > 0.0):
        findings.add("edges", "must be ascending", found.tolist())
    for i, edge in enumerate(found):
        near = nominal[np.abs(nominal - edge) < NEAR * model.units.day]
        found[i] = near[0] if len(near) else edge
    return tuple(found.tolist())


def _between_doses(model: Model, events: Events, output: str, findings: Findings) -> tuple[float, ...]:
    """From each dose of the drug of the output, or of all drugs, to the next."""
    drug = next((drug.name for drug in model.drugs if output.startswith(f"{drug.name}.")), None)
    doses = zip(events.route, events.nominal, strict=True)
    times = sorted({time for (name, _), time in doses if drug in (None, name)})
    if not times:
        findings.add("regimen", f"must give {drug or 'a drug'}", hint="Or give the edges of intervals.")
        return ()
    last = times[-1] - times[-2] if len(times) > 1 else max(model.units.day, events.end - times[0])
    return (*times, times[-1] + last)


def _units(model: Model, output: str, quantities: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """The unit of each quantity."""
    time, unit = model.units.time, dict(units_of(model))[output]
    area = f"{unit}*{time}" if unit not in ("", "1") else time if unit else ""
    names = dict.fromkeys(quantities, unit) | {"auc": area}
    return tuple((q, time if q in _TIMES else names[q]) for q in quantities)
