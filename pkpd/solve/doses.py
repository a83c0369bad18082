"""What the doses of records do to each span: lag, bioavailability, rates and durations, steady states."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from pkpd.dosing.events import Entry, Jumps
from pkpd.dosing.slots import KINDS, Group, Layout
from pkpd.model import Model
from pkpd.parameters import Scalar
from pkpd.solve.solver import Repeated

State = dict[str, Array]
Settle = Callable[[Model, str, Repeated], State]
_ALONE = -1.0  # the order of what happens by itself, before the records of that time


class Told(eqx.Module):
    """The numbers of records that solvers see, differentiable: of all [all], or by span [records, spans]."""

    time: Float[Array, "..."]
    amt: Float[Array, "..."]
    rate: Float[Array, "..."]
    dur: Float[Array, "..."]
    ii: Float[Array, "..."]

    def at(self, place: Array) -> "Told":
        """The numbers of some records of each span [slots, spans]."""
        return jax.tree.map(lambda v: jnp.take_along_axis(v, place, 0), self)


class Target(NamedTuple):
    """By which states doses enter, and the rate and the duration that they may leave to the model."""

    entries: tuple[Entry, ...]
    rate: Scalar = np.inf
    duration: Scalar = 0.0


class _Block(NamedTuple):
    """Jumps of one state [slots, spans]."""

    state: str
    time: Array
    amount: Array
    rate: Array
    order: Array
    absent: Array


def target_of(model: Model, name: str) -> Target:
    """What a route, `drug.route`, or a state says of doses."""
    if name in model.states:
        return Target((Entry(name, 1.0, 0.0, None, (0.0, 0.0)),))
    drug, _, route = name.rpartition(".")
    part, _ = model.route(drug, route)
    return Target(model.entries(drug, route), part.rate, part.duration)


def jumps_of_records(
    model: Model, layout: Layout, told: Told, covariates: Mapping[str, Array], settle: Settle
) -> Jumps:
    """The jumps of all spans, in time since the first record of each.

    `model` holds parameters for all or for each span [spans]; `told` and `covariates` [records, spans] are
    what the records say. `settle` finds the states to which a dose that is repeated for ever has led.
    """
    blocks = [block for g in layout.groups for block in _of_group(model, g, told, covariates, settle)]
    spans = told.time.shape[1]
    empty = [jnp.zeros((0, spans))] * 4 + [jnp.zeros((0, spans), bool)]
    columns = [jnp.concatenate(v) for v in zip(*(b[1:] for b in blocks), strict=True)] if blocks else empty
    time, amount, rate, order, absent = columns
    state = tuple(block.state for block in blocks for _ in range(len(block.time)))
    return Jumps(time, amount, rate, state, order=order, absent=absent)


def _of_group(
    model: Model, group: Group, told: Told, covariates: Mapping[str, Array], settle: Settle
) -> list[_Block]:
    place, absent = jnp.asarray(group.place), jnp.asarray(group.absent)
    rows = jax.tree.map(lambda v: jnp.asarray(v)[None] if jnp.ndim(v) else v, model)
    own = rows.under({c: jnp.take_along_axis(v, place, 0) for c, v in covariates.items()})
    target, at = target_of(own, group.target), told.at(place)
    shares = [entry.share for entry in target.entries]
    each = [1.0] if len(shares) == 1 else [share / sum(shares) for share in shares]
    slots = _Slots(at, at.time - told.time[:1], jnp.asarray(place, float), absent)
    return [
        block
        for entry, part in zip(target.entries, each, strict=True)
        for block in _by_entry(own, group, slots, entry, _dose(target, entry, part, group, at), settle)
    ]


class _Slots(NamedTuple):
    """What the records of a group's slots say [slots, spans]: numbers, the time in the span, the order."""

    told: Told
    now: Array
    order: Array
    absent: Array


def _by_entry(
    own: Model, group: Group, slots: _Slots, entry: Entry, dose: Repeated, settle: Settle
) -> list[_Block]:
    at, now, order, absent = slots
    zero = jnp.zeros_like(now)
    if group.role == "steady":
        found = settle(own, entry.state, dose)
        return [_Block(s, now, jnp.where(absent, 0.0, v), zero, order, absent) for s, v in found.items()]
    begin = now + jnp.asarray(group.copy) * at.ii + dose.lag
    alone = jnp.where((dose.lag > 0.0) | (jnp.asarray(group.copy) > 0), _ALONE, order)
    past = (begin <= now) if group.role == "earlier" else jnp.zeros_like(absent)
    blocks = []
    if "bolus" in group.kinds and entry.lasts is None:
        amount = jnp.where(absent | past, 0.0, dose.amount)
        blocks.append(_Block(entry.state, begin, amount, zero, alone, absent))
    if group.kinds != ("bolus",) or entry.lasts is not None:
        felt, rate = jnp.where(past, now, begin), jnp.where(absent, 0.0, dose.rate)
        end = begin + dose.duration
        end = jnp.where(
            end < felt, felt, end
        )  # not `maximum`, which halves the slope of a dose without duration
        blocks.append(_Block(entry.state, felt, zero, rate, jnp.where(past, order, alone), absent))
        blocks.append(_Block(entry.state, end, zero, -rate, jnp.full_like(zero, _ALONE), absent))
    return blocks


def _dose(target: Target, entry: Entry, part: Scalar, group: Group, at: Told) -> Repeated:
    """The numbers of a group's doses by an entry [slots, spans]: an amount, or a rate for a duration; `part`
    of a rate takes this entry."""
    one = jnp.ones_like(at.amt)
    kind = {name: jnp.asarray(group.kind) == KINDS.index(name) for name in group.kinds}
    amount, lag, interval = at.amt * entry.share, one * entry.lag, jnp.where(at.ii > 0.0, at.ii, 1.0)
    found = {"bolus": 0.0 * one, "rate": 0.0 * one, "duration": 0.0 * one}

    def add(name: str, **values: Array) -> None:
        for key, value in values.items():
            found[key] = jnp.where(kind[name], value, found[key])

    for name in group.kinds:
        mine = kind[name]
        if name == "bolus" and entry.lasts is None:
            add(name, bolus=amount)
        elif name == "bolus":
            lasts = jnp.where(mine, jnp.asarray(entry.lasts), 1.0)
            add(name, rate=amount / lasts, duration=lasts)
        elif name == "constant":
            add(name, rate=part * at.rate)
            lag = jnp.where(mine, 0.0, lag)
        elif name.endswith("rate"):
            rate = jnp.where(mine, part * (at.rate if name == "rate" else one * target.rate), 1.0)
            add(name, rate=rate, duration=amount / rate)
        else:
            lasts = jnp.where(mine, at.dur if name == "duration" else one * target.duration, 1.0)
            add(name, rate=amount / lasts, duration=lasts)
    endless = kind.get("constant")
    return Repeated(interval, lag, found["bolus"], found["rate"], found["duration"], group.earlier, endless)
