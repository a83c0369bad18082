"""Individuals whose records differ: doses and observations at their own times, a weight that changes."""

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.integrate import solve_ivp

from pkpd.dosing import Records
from pkpd.model import Drug, Model, wire
from pkpd.observed import Trial, bind_records
from pkpd.pk import FirstOrder, TwoCompartment
from pkpd.population import CovariateEffect
from pkpd.solve import AbstractSolver

TITLE = "dose records: two compartments, 14 doses and 20 observations at individual times, changing weight"
DOSES, LOOKS, OUTPUT = 14, 20, "drug.central"
SLOPES = ("drug.cl", "drug.vc", "drug.po.ka", "drug.e_wt_cl")


def model() -> Model:
    """Two compartments with a lagged depot; clearance by the power 0.75 of the weight."""
    parts = {
        "drug.po": FirstOrder(ka=0.9, bioav=0.8, tlag=0.3),
        "drug": TwoCompartment(cl=5.0, vc=30.0, q=4.0, vp=60.0),
    }
    effects = {CovariateEffect("drug.cl", "wt", "power", 70.0): 0.75}
    return wire(parts, {}, drugs=[Drug("drug", ("po",))], effects=effects)


def records(count: int) -> Records:
    """The same for the first individuals however many there are."""
    rows = []
    for who in range(count):
        rng = np.random.default_rng([20261126, who])
        given = 12.0 * np.arange(DOSES) + rng.uniform(0.0, 2.0, DOSES)
        looks = rng.uniform(0.0, 12.0 * DOSES, LOOKS)
        told = [{"time": t, "amt": 100.0, "evid": 1, "cmt": "depot"} for t in given.tolist()]
        told += [{"time": t, "evid": 0} for t in looks.tolist()]
        told = [{"time": 0.0, "evid": 2}, *sorted(told, key=lambda row: row["time"])]
        weight = 70.0 * np.exp(0.2 * rng.standard_normal()) * (1.0 - 0.003 * np.arange(len(told)))
        rows += [{**row, "id": who, "wt": w} for row, w in zip(told, weight.tolist(), strict=True)]
    return Records.of(rows)


def observed(solver: AbstractSolver, count: int) -> tuple[Trial, Callable[[Trial, jax.Array], jax.Array]]:
    """Records laid out; outputs [1, observations, individuals] of them and of log changes of parameters."""
    typical, told = model(), records(count)
    trial, row = bind_records(typical, told, solver=solver), np.flatnonzero(told.evid == 0)

    def found(trial: Trial, x: jax.Array) -> jax.Array:
        changed = typical.replace({n: typical.get(n) * jnp.exp(x[i]) for i, n in enumerate(SLOPES)})
        return trial.outputs(changed, [OUTPUT])[OUTPUT][row].reshape(count, LOOKS).T[None]

    return trial, found


def by_lsoda(count: int, rtol: float) -> tuple[np.ndarray, float]:
    """The same by scipy, one individual after the other, restarted at each record and dose; the seconds."""
    typical, told = model(), records(count)

    @jax.jit
    def field(y: jax.Array, weight: jax.Array) -> jax.Array:
        clock = {"time": jnp.zeros(()), "drug.since": jnp.zeros(())}
        state = dict(zip(typical.states, y, strict=True))
        change = typical.under({"wt": weight}).derivative(state, clock)
        return jnp.stack([jnp.asarray(change[s], float) for s in typical.states])

    field(jnp.zeros(3), jnp.ones(())).block_until_ready()
    begin = time.perf_counter()
    found = [_individual(field, told, told.id == str(who), rtol) for who in range(count)]
    return np.array(found).T[None], time.perf_counter() - begin


def _individual(field: Any, told: Records, mine: np.ndarray, rtol: float) -> list[float]:
    times, amounts, weight, evid = (
        told.time[mine],
        told.amt[mine],
        told.covariates["wt"][mine],
        told.evid[mine],
    )
    felt = times + 0.3
    marks = np.unique(np.concatenate([times, felt[(amounts > 0.0) & (felt < times[-1])]]))
    y, found = np.zeros(3), {float(times[0]): 0.0}
    for start, end in pairwise(marks):
        y[0] += 0.8 * amounts[(felt == start) & (amounts > 0.0)].sum()
        now = jnp.asarray(weight[np.searchsorted(times, end)])
        y = solve_ivp(
            lambda t, y, now=now: field(y, now), (start, end), y, "LSODA", rtol=rtol, atol=rtol * 1e-3
        ).y[:, -1]
        found[float(end)] = y[1] / 30.0
    return [found[t] for t in times[evid == 0].tolist()]
