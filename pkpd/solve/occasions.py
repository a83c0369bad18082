"""Courses of patients whose parameters change from one occasion to the next."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from pkpd.checks import Findings
from pkpd.dosing.events import Events, Jumps, joined
from pkpd.model import Model
from pkpd.population import Patients
from pkpd.solve.solver import AbstractSolver, clock, first_dose, jumps_of
from pkpd.solve.timeline import Covariates, merge


class Changing(NamedTuple):
    """States and clocks [times, patients] at wanted times, and the model as it is at each of them."""

    states: dict[str, Array]
    clock: dict[str, Array]
    model: Model


def changing(
    model: Model, events: Events, times: Sequence[float], patients: Patients, solver: AbstractSolver
) -> Changing:
    """Solves from occasion to occasion an individualised model in which all have had the effects between
    patients only; from the time at which an occasion begins its parameters hold.

    Lag, bioavailability and the like of a dose are those of the occasion in which it is given. Raises
    `InputError` where no dose is given in an occasion, or where the solver has no such course.
    """
    starts = np.array(patients.starts)
    jumps = _jumps(model, events, patients)
    unique, back = np.unique([0.0, *times, *starts], return_inverse=True)
    wide = jnp.broadcast_to(jnp.asarray(unique)[:, None], (len(unique), patients.count))
    timeline = merge(jumps, wide)
    begun = timeline.breaks[:-1, None] >= starts[1:, None]
    timeline = timeline._replace(covariates=Covariates(_effects(patients, jnp.sum(begun, axis=1))))
    since = first_dose(model, jumps)
    states = solver.path(model, timeline, since, jnp.zeros(patients.count))
    rows = back[1 : 1 + len(times)]
    wanted = np.asarray(times, float)
    place = np.searchsorted(starts, wanted, side="right") - 1
    column = jax.tree.map(lambda v: jnp.asarray(v)[None] if jnp.ndim(v) else v, model)
    own = column.under({name: v[place] for name, v in _by_parameter(patients).items()})
    return Changing({s: v[rows] for s, v in states.items()}, clock(jnp.asarray(wanted)[:, None], since), own)


def _by_parameter(patients: Patients) -> dict[str, Array]:
    return {f"{path}.kappa": v for path, v in patients.kappa.items()}


def _effects(patients: Patients, occasion: Array) -> dict[str, Array]:
    """Effects of the occasion at each break [breaks, patients]."""
    return {name: jnp.take_along_axis(v, occasion, axis=0) for name, v in _by_parameter(patients).items()}


def _jumps(model: Model, events: Events, patients: Patients) -> Jumps:
    place = np.searchsorted(patients.starts, np.array(events.nominal), side="right") - 1
    findings, found = Findings(), []
    for k, start in enumerate(patients.starts):
        doses = np.flatnonzero(place == k).tolist()
        if not doses:
            findings.add(f"occasion {k + 1}, from {start:g} {model.units.time}", "must hold a dose")
            continue
        own = model.under({name: v[k] for name, v in _by_parameter(patients).items()})
        found.append(jumps_of(own, events.take(doses), patients.count))
    findings.raise_if_any()
    return joined(found)
