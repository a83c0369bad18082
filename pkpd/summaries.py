"""What the courses of very many patients come to, some patients at a time."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pkpd.checks import Findings, did_you_mean
from pkpd.devices import in_chunks, patients_at_once
from pkpd.dosing import Regimen
from pkpd.dosing.events import Events
from pkpd.individuals import individualise
from pkpd.model import Model
from pkpd.population import Patients
from pkpd.simulation import FEWEST, bind, chosen_solver, signals_along
from pkpd.solve import AbstractSolver

Outputs = dict[str, Float[Array, "times patients"]]
Summary = Callable[[Outputs], Any]


def summarised(
    model: Model,
    regimen: Regimen | Events | str,
    times: Sequence[float] | np.ndarray,
    patients: Patients,
    summary: Summary,
    *,
    outputs: Sequence[str] | None = None,
    solver: AbstractSolver | None = None,
) -> Any:
    """`summary` of outputs at `times` under a regimen, for some hundreds of patients at a time.

    It gets outputs by path [times, patients] of some of the patients and gives arrays of which these are the
    last axis, all in pure JAX; so a million patients need little more memory than what it gives. The solver
    is the one of `simulate`. Raises `InputError` where an output is not the model's, and for patients in
    groups or of several occasions.
    """
    findings, chosen = Findings(), tuple(model.outputs if outputs is None else outputs)
    for name in (name for name in chosen if name not in model.outputs):
        findings.add("outputs", "must be outputs of the model", name, did_you_mean(name, model.outputs))
    for name, count in (("groups", patients.groups), ("occasions", len(patients.starts))):
        if count > 1:
            findings.add("patients", f"must not have several {name}", count)
    findings.raise_if_any()
    events = regimen if isinstance(regimen, Events) else bind(model, regimen, patients.covariates)
    alone = solver or chosen_solver(model, dataclasses.replace(patients, count=1))
    alone.check(patients)
    cores = max(1, min(jax.local_device_count(), patients.count // FEWEST))
    plain = alone.by_plan and events.fixed
    wanted = tuple(np.asarray(times, float).tolist())
    return _run(model, events, patients, wanted, chosen, summary, alone, cores, plain)


@eqx.filter_jit
def _run(
    model: Model,
    events: Events,
    patients: Patients,
    wanted: tuple[float, ...],
    chosen: tuple[str, ...],
    summary: Summary,
    solver: AbstractSolver,
    cores: int,
    plain: bool,
) -> Any:
    events = events.planned() if plain else events

    def some(columns: tuple[Array, Patients, dict[str, Array]]) -> Any:
        each, mine, doses = columns
        count, given = len(each), dataclasses.replace(events, **doses)
        own = individualise(model, dataclasses.replace(mine, count=count))
        states = solver.states(own, given, wanted, count)
        signals = signals_along(own, given, np.asarray(wanted), states, count)
        return summary({name: jnp.broadcast_to(signals[name], (len(wanted), count)) for name in chosen})

    columns = (jnp.zeros(patients.count), patients, events.by_patient)
    return in_chunks(some, columns, patients_at_once(), cores)
