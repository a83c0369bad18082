"""What doses that have been repeated for ever leave in linear states."""

from collections.abc import Mapping, Sequence

import jax.numpy as jnp
from jax import Array

from pkpd.solve.cascade import Cascade
from pkpd.solve.solver import Repeated

State = dict[str, Array]


def steady(cascade: Cascade, state: str, dose: Repeated) -> State:
    """States just before the last dose of an endless series into `state`; without what is still to be felt.

    With the flow `F` over an interval, the last dose but `k` is felt `k interval - lag` before, and the
    series of the doses that have ended is `(1 - F)^-1` of its last. NaN where more than `earlier` run.
    """
    interval, lag, amount, rate, duration, earlier, endless = dose
    since = jnp.maximum(jnp.ceil(lag / interval), 1.0) * interval - lag
    running = jnp.maximum(jnp.ceil((duration - since) / interval), 0.0)
    names = cascade.reached(state)
    ended = cascade.flow({}, duration, {state: rate})
    ended = {s: ended[s] + amount if s == state else ended[s] for s in names}
    ended = cascade.flow(ended, since + running * interval - duration, {})
    found = _series(cascade, {s: ended[s] for s in names}, interval)
    if earlier:
        before = jnp.arange(earlier)[:, None, None]
        partial = cascade.flow({}, since + before * interval, {state: rate})
        found = {s: v + jnp.where(before < running, partial[s], 0.0).sum(0) for s, v in found.items()}
    found = {s: jnp.where(running > earlier, jnp.nan, v) for s, v in found.items()}
    if endless is None:
        return found
    filled = _filled(cascade, state, rate)
    return {s: jnp.where(endless, filled[s], v) for s, v in found.items()}


def _filled(cascade: Cascade, state: str, rate: Array) -> State:
    """States under an endless infusion into `state`."""
    names = cascade.reached(state)
    columns = [cascade.slope({s: _unit(s == source) for s in cascade.names}, {}) for source in names]
    loss = [[-column[target] for column in columns] for target in names]
    return _solved(names, loss, {state: rate})


def _series(cascade: Cascade, last: State, interval: Array) -> State:
    """Sum of the flows of a state over 0, 1, 2, ... intervals."""
    names = list(last)
    units = jnp.eye(len(names))[:, :, None, None] * jnp.ones_like(interval)
    later = cascade.flow(dict(zip(names, units, strict=True)), interval, {})
    rest = [[units[j, i] - later[t][j] for j in range(len(names))] for i, t in enumerate(names)]
    return _solved(names, rest, last)


def _unit(same: bool) -> Array:
    return jnp.ones(()) if same else jnp.zeros(())


def _solved(names: Sequence[str], matrix: list[list[Array]], right: Mapping[str, Array]) -> State:
    """Linear equations by elimination; no pivots are sought: amounts only leave, so the diagonal dominates.

    A state that nothing enters and nothing leaves holds nothing.
    """
    rows = [[*row, right.get(name, jnp.zeros(()))] for name, row in zip(names, matrix, strict=True)]
    count = len(rows)
    for k in range(count):
        for i in range(k + 1, count):
            share = _ratio(rows[i][k], rows[k][k])
            rows[i] = [
                a - share * b if j > k else a for j, (a, b) in enumerate(zip(rows[i], rows[k], strict=True))
            ]
    found: list[Array] = []
    for k in reversed(range(count)):
        known = sum((rows[k][count - 1 - j] * v for j, v in enumerate(found)), jnp.zeros(()))
        found.append(_ratio(rows[k][-1] - known, rows[k][k]))
    return dict(zip(names, reversed(found), strict=True))


def _ratio(part: Array, whole: Array) -> Array:
    nothing = (whole == 0.0) & (part == 0.0)
    return jnp.where(nothing, 0.0, part / jnp.where(nothing, 1.0, whole))
