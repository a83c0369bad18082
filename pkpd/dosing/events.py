"""Doses bound to a model: fixed-shape arrays, differentiable in time, amount and duration."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from pkpd.checks import fail
from pkpd.parameters import Scalar

Times = Float[Array, " doses"]
Columns = Times | Float[Array, "doses patients"]


class Events(eqx.Module):
    """Doses of a course in the model's units.

    `time`, `amount`, `duration` [doses] are differentiable. `route` names drug and route of each
    dose; `lasting` and `nominal` are the durations and times that lay out a solver's grid, and stay
    as they are when `duration` and `time` are traced: 0 is a bolus, more an infusion. Each of the patients
    may have a `time` and an `amount` of his own [doses, patients]; a dose that is not `given` is none at all
    and has no amount. Times differ from the nominal ones by some hours; they may be later by up to `late`,
    which is part of a solver's grid too.
    """

    time: Columns
    amount: Columns
    duration: Times
    route: tuple[tuple[str, str], ...] = eqx.field(static=True)
    lasting: tuple[float, ...] = eqx.field(static=True)
    nominal: tuple[float, ...] = eqx.field(static=True)
    end: float = eqx.field(static=True, default=0.0)
    given: Bool[Array, " doses"] | Bool[Array, "doses patients"] | None = None
    late: float = eqx.field(static=True, default=0.0)

    def __len__(self) -> int:
        return len(self.route)

    def take(self, doses: Sequence[int], times: Sequence[float] | None = None) -> "Events":
        """Some of the doses, at other times where these are given."""
        index = np.array(doses, int)
        plan = tuple(self.nominal[i] for i in doses) if times is None else tuple(map(float, times))
        return Events(
            self.time[index] if times is None else jnp.asarray(times, float),
            self.amount[index],
            self.duration[index],
            tuple(self.route[i] for i in doses),
            tuple(self.lasting[i] for i in doses),
            plan,
            given=None if self.given is None else self.given[index],
            late=self.late,
        )

    def pad(self, size: int) -> "Events":
        """The same doses and `size - len` doses of nothing at the end, for one shape per bucket."""
        missing = size - len(self)
        if missing < 0 or not len(self):
            raise fail("size", f"must be at least {max(1, len(self))}, and there must be a dose", size)
        last = jnp.zeros(missing)
        return Events(
            jnp.concatenate([self.time, jnp.full((missing, *self.time.shape[1:]), self.nominal[-1])]),
            jnp.concatenate([self.amount, jnp.zeros((missing, *self.amount.shape[1:]))]),
            jnp.concatenate([self.duration, last]),
            self.route + self.route[-1:] * missing,
            self.lasting + (0.0,) * missing,
            self.nominal + self.nominal[-1:] * missing,
            self.end,
            None
            if self.given is None
            else jnp.concatenate([self.given, jnp.zeros((missing, *self.given.shape[1:]), bool)]),
            self.late,
        )

    @property
    def by_patient(self) -> dict[str, Array]:
        """The fields that differ between patients [doses, patients]."""
        fields = {"time": self.time, "amount": self.amount, "given": self.given}
        return {name: v for name, v in fields.items() if v is not None and v.ndim == 2}

    @property
    def fixed(self) -> bool:
        """Whether doses are given and last as planned: times and durations are numbers, the nominal ones."""
        try:
            time, duration = np.asarray(self.time), np.asarray(self.duration)
        except jax.errors.TracerArrayConversionError:
            return False
        plan = np.array(self.nominal).reshape(-1, *[1] * (time.ndim - 1))
        pairs = (time, plan), (duration, np.array(self.lasting))
        return all(np.allclose(found, told, rtol=1e-12, atol=1e-12) for found, told in pairs)

    def planned(self) -> "Events":
        """The same doses at the times and for the durations of the plan, which are never traced."""
        with jax.ensure_compile_time_eval():
            time, duration = jnp.asarray(self.nominal, float), jnp.asarray(self.lasting, float)
        return dataclasses.replace(self, time=time, duration=duration)


def aligned(courses: Sequence[Events]) -> list[Events]:
    """The same courses, each with places for the doses of all, so that they differ in numbers only.

    They must be `fixed` and end together, and all patients of one get the same amounts.
    """
    places = [_places(course) for course in courses]
    slots = sorted(set().union(*places))
    time, lasts = (np.array([slot[k] for slot in slots], float) for k in (0, 1))
    with jax.ensure_compile_time_eval():
        when, long = jnp.asarray(time), jnp.asarray(lasts)
    found = []
    for course, mine in zip(courses, places, strict=True):
        given = np.array([slot in mine for slot in slots], bool)
        index = np.array([mine.get(slot, -1) for slot in slots], int)
        amount = jnp.concatenate([course.amount, jnp.zeros(1)])[index]
        if course.given is not None:
            given = given & np.asarray(course.given)[index]
        found.append(
            Events(
                when,
                amount,
                long,
                tuple(slot[2] for slot in slots),
                tuple(lasts.tolist()),
                tuple(time.tolist()),
                course.end,
                jnp.asarray(given),
            )
        )
    return found


def _places(course: Events) -> dict[tuple[float, float, tuple[str, str], int], int]:
    """Where the dose of a time, duration and route stands, the first, second and further such dose."""
    seen = Counter()
    found = {}
    for i, what in enumerate(zip(course.nominal, course.lasting, course.route, strict=True)):
        found[*what, seen[what]] = i
        seen[what] += 1
    return found


class Jumps(eqx.Module):
    """What doses do to each patient: amounts that enter a state and input rates that change.

    `time`, `amount`, `rate` [jumps, patients]; an infusion is two jumps of the rate. At one time jumps of a
    smaller `order` come first, those of none last. What is `absent` [jumps, patients] is not a dose.
    `nominal` are the times of the typical patient, of which `delay` differs between patients: what the model
    adds to the time of the dose. Jumps of one `route` and delay keep their order in time. Without `infused`
    all rates are 0.
    """

    time: Float[Array, "jumps patients"]
    amount: Float[Array, "jumps patients"]
    rate: Float[Array, "jumps patients"]
    state: tuple[str, ...] = eqx.field(static=True)
    route: tuple[tuple[str, str], ...] = eqx.field(static=True, default=())
    nominal: tuple[float, ...] = eqx.field(static=True, default=())
    delay: tuple[float, ...] = eqx.field(static=True, default=())
    infused: bool = eqx.field(static=True, default=True)
    order: Float[Array, "jumps patients"] | None = None
    absent: Bool[Array, "jumps patients"] | None = None


def joined(parts: Sequence[Jumps]) -> Jumps:
    """Jumps of several groups of doses, none of which have an `order`."""
    columns = zip(*((j.time, j.amount, j.rate) for j in parts), strict=True)
    time, amount, rate = (jnp.concatenate(v) for v in columns)
    state = tuple(s for j in parts for s in j.state)
    route = tuple(r for j in parts for r in j.route)
    nominal = tuple(t for j in parts for t in j.nominal)
    delay = tuple(t for j in parts for t in j.delay)
    absent = None
    if any(j.absent is not None for j in parts):
        known = (jnp.zeros(j.time.shape, bool) if j.absent is None else j.absent for j in parts)
        absent = jnp.concatenate(list(known))
    infused = any(j.infused for j in parts)
    return Jumps(time, amount, rate, state, route, nominal, delay, infused, absent=absent)


Route = tuple[str, str]


class Entry(NamedTuple):
    """Where a `share` of a route's doses enters, `lag` after they are given, over a time that it `lasts`
    where that is stated and the dose does not say; and both numbers of the typical patient."""

    state: str
    share: Scalar
    lag: Scalar
    lasts: Scalar | None
    typical: tuple[float, float]


def _columns(v: Array) -> Array:
    """What belongs to doses as [doses, patients]."""
    return v if v.ndim == 2 else v[:, None]


def jumps_of(events: Events, entries: Mapping[Route, Sequence[Entry]], patients: int) -> Jumps:
    """What doses do by the entries of their routes; an infusion of given duration keeps its duration."""
    blocks: list[_Block] = []
    alike: dict[tuple[Route, bool], list[int]] = {}
    for i, route in enumerate(events.route):
        alike.setdefault((route, bool(events.lasting[i])), []).append(i)
    for (route, infused), doses in alike.items():
        for entry in entries[route]:
            blocks += _blocks(events, np.array(doses), route, entry, infused)
    shape = [(len(b.dose), patients) for b in blocks]
    empty = jnp.zeros((0, patients))
    columns = zip(*((b.time, b.amount, b.rate) for b in blocks), strict=True) if blocks else ((), (), ())
    time, amount, rate = (
        jnp.concatenate([empty, *map(jnp.broadcast_to, values, shape)]) for values in columns
    )
    absent = None
    if events.given is not None:
        places = np.concatenate([b.dose for b in blocks] or [np.zeros(0, int)])
        absent = jnp.broadcast_to(~_columns(events.given)[places], time.shape)
    each = [(b, float(n)) for b in blocks for n in b.nominal]
    state, route, delay = (tuple(getattr(b, name) for b, _ in each) for name in ("state", "route", "delay"))
    nominal = tuple(n for _, n in each)
    infused = any(b.infused for b in blocks)
    return Jumps(time, amount, rate, state, route, nominal, delay, infused, absent=absent)


class _Block(NamedTuple):
    """Jumps of some doses [doses, patients]."""

    time: Array
    amount: Scalar
    rate: Scalar
    dose: np.ndarray
    state: str
    route: Route
    nominal: np.ndarray
    delay: float
    infused: bool


def _blocks(events: Events, dose: np.ndarray, route: Route, entry: Entry, infused: bool) -> list[_Block]:
    """What doses that are alike do by one entry: an amount, or a rate that begins and ends."""
    late, share = (jnp.reshape(v, (1, -1)) for v in (entry.lag, entry.share))
    start, absorbed = _columns(events.time)[dose] + late, _columns(events.amount)[dose] * share
    lag, long = entry.typical
    plan = np.array(events.nominal)[dose] + lag
    if not infused and entry.lasts is None:
        return [_Block(start, absorbed, 0.0, dose, entry.state, route, plan, lag, False)]
    if infused:
        lasts, end = events.duration[dose, None], plan + np.array(events.lasting)[dose]
        long = 0.0
    else:
        lasts, end = jnp.reshape(jnp.asarray(entry.lasts), (1, -1)), plan + long
    return [
        _Block(start, 0.0, absorbed / lasts, dose, entry.state, route, plan, lag, True),
        _Block(start + lasts, 0.0, -absorbed / lasts, dose, entry.state, route, end, lag + long, True),
    ]
