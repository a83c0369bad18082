"""The amount or interval at which an exposure has a wanted value."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy.optimize import brentq

from pkpd.checks import Findings, InputError, fail
from pkpd.devices import jitted
from pkpd.dosing import Regimen
from pkpd.dosing.events import Events
from pkpd.explore.limits import TOLERANCE, Limit, read_limit, read_relation
from pkpd.explore.quantities import Quantity, last_interval, of_amounts
from pkpd.explore.space import Space, space_of
from pkpd.explore.stretched import by_interval
from pkpd.exposures import exposure
from pkpd.model import Model
from pkpd.population import Patients
from pkpd.simulation import bind

PLACE = "--target"
XTOL, RTOL = 1e-12, 1e-13
_RULE = 'must be DRUG.EXPOSURE = VALUE UNIT, such as "melatonin.auc = 80 ng*h/mL"'


class Target(NamedTuple):
    """A quantity that is to have a value, in its unit, and what varies for that."""

    quantity: Quantity
    value: float
    space: Space
    limits: tuple[Limit, ...]
    stepped: bool


def read_target(
    model: Model, regimen: str, vary: Sequence[str], text: str, limits: Sequence[str], caps: Sequence[Limit]
) -> Target:
    """The target that texts spell; raises `InputError` with every fault."""
    found, base = Findings(), None
    try:
        base = Regimen.parse(regimen)
        bind(model, base)
    except InputError as error:
        found.adopt(error)
    told = read_relation(model, text, ("=",), PLACE, _RULE, found)
    if told is not None and told[0].kind != "exposure":
        found.add(PLACE, "must be of an exposure", told[0].name)
    kept = [read_limit(model, limit, found) for limit in limits]
    if any(limit is not None and limit.quantity.kind == "outcome" for limit in kept):
        found.add("--subject-to", "must not be an outcome where there is a target")
    space = None if base is None else space_of(model, base, vary, found)
    if space is not None and (len(space.low) != 1 or space.variables[0].field not in ("amount", "interval")):
        names = ", ".join(v.name for v in space.variables)
        found.add("--vary", "must be one amount or one interval where there is a target", names)
    found.raise_if_any()
    assert told is not None
    assert space is not None
    all_limits = (*(limit for limit in kept if limit is not None), *caps)
    stepped = " step " in f" {vary[0]} "
    return Target(told[0], told[2], space, all_limits, stepped)


def solve_target(model: Model, target: Target, patients: Patients) -> dict[str, Any]:
    """The value of what varies at which the median patient's exposure is as wanted, in plain JSON.

    Between the ends of the range the exposure must cross the wanted value; bisection and secants (Brent 1973)
    find where. Where it has a step, the nearest. Raises `InputError` where the range does not reach it, or a
    limit forbids it.
    """
    space, at = target.space, _exposure_of(model, target, patients)
    low, high = float(space.low[0]), float(space.high[0])
    ends = [at(v) - target.value for v in (low, high)]
    if ends[0] * ends[1] > 0.0:
        unit = target.quantity.unit
        span = f"{ends[0] + target.value:.4g} to {ends[1] + target.value:.4g} {unit}"
        hint = f"Between the ends of {space.variables[0].name} it goes from {span}."
        raise fail(PLACE, "must be reached within what varies", target.value, hint)
    solved = _root(lambda v: at(v) - target.value, low, high, ends)
    point = space.snapped(np.array([solved])) if target.stepped else np.array([solved])
    regimen = space.regimen(point)
    constraints = [_constraint(model, limit, bind(model, regimen), patients) for limit in target.limits]
    broken = [c for c in constraints if not c["kept"]]
    if broken:
        found = Findings()
        for c in broken:
            hint = f"The target needs {regimen}, which has {c['value']:.4g} {c['unit']}."
            found.add("--subject-to", "must allow the target", c["limit"], hint)
        found.raise_if_any()
    return {
        "status": "converged",
        "regimen": str(regimen),
        "value": at(float(point[0])),
        "unit": target.quantity.unit,
        "target": target.value,
        "quantity": target.quantity.name,
        "varied": {k: {"value": v} for k, v in space.said(point).items()},
        "constraints": constraints,
        "pareto": [],
        "patients": patients.count,
    }


def _root(function: Callable[[float], float], low: float, high: float, ends: Sequence[float]) -> float:
    for value, end in zip((low, high), ends, strict=True):
        if end == 0.0:
            return value
    found: Any = brentq(function, low, high, xtol=XTOL * max(high, 1.0), rtol=np.float64(RTOL))
    return float(found)


def _exposure_of(model: Model, target: Target, patients: Patients) -> Callable[[float], float]:
    """The median patient's exposure in its unit, at a value of what varies."""
    space, known = target.space, dict[float, float]()

    def at(value: float) -> float:
        if value not in known:
            known[value] = float(found(value)) / target.quantity.factor
        return known[value]

    def plan(value: float) -> Events:
        return bind(model, space.regimen(np.array([value])))

    if space.variables[0].field == "interval":
        span = float(space.low[0]), float(space.high[0])
        stretched = by_interval(model, plan, span, target.quantity, patients)
        found = stretched or (lambda value: median(model, plan(value), target.quantity, patients))
    else:
        found = _by_amount(model, target, patients)
    return at


def _by_amount(model: Model, target: Target, patients: Patients) -> Callable[[float], Any]:
    """The exposure as a compiled function of the amount of each dose of a line."""
    space = target.space
    full = bind(model, space.regimen(space.high))
    mine = np.array([drug == space.variables[0].drug for drug, _ in full.route], bool)

    def value(amount: Array) -> Array:
        given = jnp.where(mine, amount * space.shares[0], full.amount)
        return median(model, dataclasses.replace(full, amount=given), target.quantity, patients)

    program = jitted(value)
    return lambda amount: program(jnp.asarray(amount))


def median(model: Model, doses: Events, quantity: Quantity, patients: Patients) -> Array:
    """The median over patients of an exposure in the model's units."""
    name = quantity.metric.removeprefix("total_")
    edges = last_interval(model, doses, quantity.drug)
    if not edges:
        return jnp.zeros(())
    whole = name != quantity.metric
    output = f"{quantity.drug}.central"
    found = exposure(model, doses, output, patients, quantities=(name,), edges=edges if whole else edges[-2:])
    return jnp.median(found.total[name] if whole else found.values[name][-1])


def _constraint(model: Model, limit: Limit, events: Events, patients: Patients) -> dict[str, Any]:
    quantity = limit.quantity
    if quantity.kind == "exposure":
        value = float(median(model, events, quantity, patients)) / quantity.factor
    else:
        value = of_amounts(model, quantity, events)
    return {
        "limit": str(limit),
        "value": value,
        "unit": quantity.unit,
        "kept": limit.slack(value) >= -TOLERANCE,
        "binds": limit.binds(value),
        "cap": bool(limit.source),
        "source": limit.source,
    }
