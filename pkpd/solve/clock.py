"""Linear states under doses that keep a clock: what happens within a period is computed once for all periods.

Doses that enter alike, by one inlet of one route, make a stream. Its clock ticks when a dose may come, later
by the patient's lag. With the flow `F` at the few distinct times `o` since the last tick `n`,

    y(t) = F(o) z(n),    z(n + 1) = F(period) z(n) + what is given,

and the states that streams bring about add up.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.lax import stop_gradient

from pkpd.dosing.events import Entry, Events
from pkpd.model import Model
from pkpd.parameters import Scalar
from pkpd.solve.cascade import Cascade, Matrix, State
from pkpd.solve.streams import SAME, Stream, is_zero

_BEFORE = 2  # ticks before the first dose, at which there is nothing
_EARLY, _LATE = "early", "late"  # rates in a period: until infusions of an earlier tick end, and from then on


class _Periods(NamedTuple):
    """A time as periods and a rest, each a number or by patient [1, patients]."""

    whole: int | Array
    rest: float | Array


def by_clock(model: Model, cascade: Cascade, streams: Sequence[Stream], events: Events) -> State:
    """States at the times of the streams [times, patients or 1] that doses reach."""
    found: State = {}
    for stream in streams:
        for s, v in _along(model, cascade, stream, events).items():
            found[s] = found[s] + v if s in found else v
    return found


def _along(model: Model, cascade: Cascade, stream: Stream, events: Events) -> State:
    """What the doses of one stream bring about."""
    entry = model.entries(*stream.route)[stream.inlet]
    lasts = stream.lasting or entry.lasts
    delay = _split(entry.lag, stream.period)
    running = None if lasts is None else _split(lasts, stream.period)
    since, after = _since(stream, delay.rest)
    since = jnp.concatenate([since, jnp.full_like(since[:1], stream.period)])
    flows = jax.lax.map(lambda t: _flow(cascade, entry.state, t, running), since)
    given = _given(stream, entry, events, delay, running)
    held = _held(cascade.reached(entry.state), {pair: v[-1] for pair, v in flows.items()}, given)
    return _product({pair: v[:-1] for pair, v in flows.items()}, held, after, stream)


def _split(time: Scalar, period: float) -> _Periods:
    """Numbers where it is one, else traced."""
    if is_zero(time) or isinstance(time, float):
        whole = int(float(time) // period)
        return _Periods(whole, float(time) - whole * period)
    time = jnp.reshape(time, (1, -1))
    whole = stop_gradient(jnp.floor(time / period))
    return _Periods(whole.astype(int), time - whole * period)


def _since(stream: Stream, lag: float | Array) -> tuple[Array, Array | None]:
    """Times since a tick [columns, patients or 1] that comes later by a lag, and whether it is the last tick
    before the wanted times, not the one before that; None where it always is."""
    since = jnp.asarray(stream.since)[:, None]
    if is_zero(lag):
        return since, None
    ahead = since - lag
    after = ahead > SAME * jnp.finfo(ahead.dtype).eps * stream.largest
    return jnp.where(after, ahead, ahead + stream.period), after


def _flow(cascade: Cascade, state: str, time: Array, running: _Periods | None) -> Matrix:
    """What there is `time` after a tick of a unit in each state; and of inflows of a unit a time into one."""
    names = cascade.reached(state)
    decayed, _ = cascade.matrices(names, (), time)
    if running is None:
        return decayed
    ends = jnp.reshape(running.rest, -1)
    begun = jnp.where(time < ends, time, ends)
    _, filled = cascade.matrices((), (state,), begun)
    later, fresh = cascade.matrices(names, (state,), time - begun)
    inside = {s: v for (s, _), v in filled.items()}
    early = {(t, _EARLY): v for t, v in _times(later, inside).items()}
    return decayed | early | {(target, _LATE): v for (target, _), v in fresh.items()}


def _times(matrix: Matrix, values: State) -> State:
    """The product of a matrix with a vector."""
    found: State = {}
    for (target, source), v in matrix.items():
        found[target] = found[target] + v * values[source] if target in found else v * values[source]
    return found


def _given(
    stream: Stream, entry: Entry, events: Events, delay: _Periods, running: _Periods | None
) -> dict[str, Array]:
    """What doses add at each tick [ticks, patients or 1]: to the state that they enter, or rates."""
    amount = events.amount[stream.dose]
    absorbed = (amount if amount.ndim == 2 else amount[:, None]) * jnp.reshape(entry.share, (1, -1))
    seen = stream.tick < stream.ticks
    at = jnp.zeros((stream.ticks + 1, absorbed.shape[1])).at[stream.tick[seen] + 1].add(absorbed[seen])
    if running is None:
        return {entry.state: _back(at, delay.whole)}
    total, lasts = jnp.cumsum(at, axis=0), running.whole * stream.period + running.rest
    begun, until = _back(total, delay.whole), delay.whole + running.whole
    return {
        _EARLY: (begun - _back(total, until + 1)) / lasts,
        _LATE: (begun - _back(total, until)) / lasts,
    }


def _back(values: Array, ticks: int | Array) -> Array:
    """Values of so many ticks before each [ticks, patients or 1], those in front of all ticks nothing."""
    each = np.arange(1 - _BEFORE, len(values))
    if isinstance(ticks, int):
        return values[np.maximum(each - ticks, 0)]
    values = jnp.broadcast_to(values, (len(values), max(values.shape[1], ticks.shape[1])))
    places = jnp.broadcast_to(jnp.maximum(each[:, None] - ticks, 0), (len(each), values.shape[1]))
    return jnp.take_along_axis(values, places, axis=0)


def _held(names: Sequence[str], across: Matrix, given: dict[str, Array]) -> State:
    """What there is right after each tick [ticks, patients or 1]."""
    shape = jnp.broadcast_shapes(*(v.shape for v in across.values()), *(v.shape[1:] for v in given.values()))

    def tick(y: State, given: State) -> tuple[State, State]:
        z = y | {s: y[s] + v if s in y else v for s, v in given.items()}
        return _times(across, z), z

    return jax.lax.scan(tick, {s: jnp.zeros(shape) for s in names}, given)[1]


def _product(flows: Matrix, held: State, after: Array | None, stream: Stream) -> State:
    """States at the wanted times, which are some of all times since all ticks."""
    first = int(stream.last.min())
    place = (stream.last - first) * len(stream.since) + stream.column
    ticks = slice(first + _BEFORE, stream.ticks + _BEFORE)
    ticks_before = slice(ticks.start - 1, ticks.stop - 1)

    def at(v: Array) -> Array:
        now, before = (v[part][:, None] for part in (ticks, ticks_before))
        return now if after is None else jnp.where(after, now, before)

    found = _times(flows, {s: at(v) for s, v in held.items()})
    return {s: _rows(v.reshape(-1, v.shape[-1]), place) for s, v in found.items()}


def _rows(values: Array, places: np.ndarray) -> Array:
    """Some rows; a slice where they follow each other."""
    first, count = int(places[0]), len(places)
    if np.array_equal(places, np.arange(first, first + count)):
        return values[first : first + count]
    return values[places]
