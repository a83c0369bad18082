"""Exposures as a function of the interval between doses, where all states that act on them are linear."""

import dataclasses
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jax import Array

from pkpd.devices import jitted
from pkpd.dosing.events import Events
from pkpd.explore.quantities import Quantity, last_interval
from pkpd.exposures.wiring import accumulating, area_of, doses_for, needed_for
from pkpd.individuals import individualise
from pkpd.model import Model
from pkpd.population import Patients
from pkpd.solve import ClosedForm
from pkpd.solve.closed_form import nonlinear
from pkpd.solve.solver import clock, first_dose, jumps_of
from pkpd.solve.timeline import merge

KNOWN = ("auc", "cavg", "ctrough", "total_auc")


def by_interval(
    model: Model,
    plan: Callable[[float], Events],
    span: tuple[float, float],
    quantity: Quantity,
    who: Patients,
) -> Callable[[float], float] | None:
    """The median over patients of an exposure as a compiled function of the interval that a `plan` takes.

    None where the quantity is another, a state has no closed form, or the times of doses are not straight
    lines over the `span` of intervals, as they are where the number of doses stays.
    """
    output = f"{quantity.drug}.central"
    own = accumulating(needed_for(individualise(model, who), output), output)
    if quantity.metric not in KNOWN or nonlinear(own):
        return None
    low, middle, high = span[0], 0.5 * (span[0] + span[1]), span[1]
    plans = [doses_for(own, plan(value)) for value in (low, middle, high)]
    ends = [last_interval(model, each, quantity.drug) for each in plans]
    if len({each.route for each in plans}) > 1 or not ends[0]:
        return None
    times, edges = _lines([each.nominal for each in plans]), _lines([(e[0], e[-2], e[-1]) for e in ends])
    if times is None or edges is None:
        return None

    def exposed(share: Array) -> Array:
        doses = dataclasses.replace(plans[0], time=_at(times, share))
        first, last, end = _at(edges, share)
        jumps = jumps_of(own, doses, who.count)
        wanted = jnp.stack([first if quantity.metric == "total_auc" else last, end])
        since = first_dose(own, jumps)
        timeline = merge(jumps, jnp.broadcast_to(wanted[:, None], (2, who.count)))
        states = ClosedForm().path(own, timeline, since, jnp.zeros(who.count))
        if quantity.metric == "ctrough":
            signals = own.signals(states, clock(wanted[:, None], since))
            return jnp.median(jnp.broadcast_to(signals[output], (2, who.count))[1])
        area = jnp.median(jnp.diff(states[area_of(output)], axis=0)[0])
        return area / (end - last) if quantity.metric == "cavg" else area

    program = jitted(exposed)
    return lambda value: float(program(jnp.asarray((value - low) / (high - low))))


def _lines(values: list[tuple[float, ...]]) -> tuple[np.ndarray, np.ndarray] | None:
    """Where numbers begin and how far they go, if they have gone half of it in the middle."""
    first, middle, last = map(np.asarray, values)
    straight = np.allclose(middle, 0.5 * (first + last), rtol=1e-12, atol=1e-9)
    return (first, last - first) if straight else None


def _at(line: tuple[np.ndarray, np.ndarray], share: Array) -> Array:
    return jnp.asarray(line[0]) + share * jnp.asarray(line[1])
