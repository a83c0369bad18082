"""From jumps and wanted times to a sequence of panels, per patient and of fixed shape."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from pkpd.dosing.events import Jumps


class Panels(eqx.Module):
    """Panels in time order; `start`, `length` [panels, patients]; `amount`, `rate` by entry state.

    `amount[state]` enters at a panel's start, `rate[state]` flows during it. `last[i]` [patients]
    is the panel that ends at the i-th wanted time.
    """

    start: Float[Array, "panels patients"]
    length: Float[Array, "panels patients"]
    amount: dict[str, Float[Array, "panels patients"]]
    rate: dict[str, Float[Array, "panels patients"]]
    last: Int[Array, "times patients"]


MOST_COUNTED = 512


def ranks(breaks: Float[Array, "breaks patients"]) -> Int[Array, "breaks patients"]:
    """Place of each break in time order, ties in the given order; patients may differ.

    Counting what comes before costs the square of the number of breaks, in memory too, and is still
    several times faster than a sort, which runs element by element, up to some hundreds of them.
    """
    index = jnp.arange(len(breaks))
    if len(breaks) > MOST_COUNTED:
        order = jnp.argsort(breaks, axis=0, stable=True)
        places = jnp.broadcast_to(index[:, None], order.shape)
        return jnp.zeros_like(order).at[order, jnp.arange(breaks.shape[1])].set(places, unique_indices=True)
    earlier = breaks[None] < breaks[:, None]
    tied = (breaks[None] == breaks[:, None]) & (index[None, :, None] < index[:, None, None])
    return jnp.sum(earlier | tied, axis=1)


def graded(length: float, panels: int, inner: float, outer: float) -> np.ndarray:
    """Panel ends as fractions of a segment, dense after its start: density 1/(t + inner) + 1/outer."""
    if length <= 0.0 or panels == 1:
        return np.linspace(0.0, 1.0, panels + 1)
    grid = np.linspace(0.0, length, 4001)
    count = np.log1p(grid / inner) + grid / outer
    return np.interp(np.linspace(0.0, count[-1], panels + 1), count, grid) / length


def layout(
    jumps: Jumps,
    times: Sequence[float],
    per_day: float,
    inner: float,
    outer: float,
    day: float,
    quiet: float,
    since: float = -np.inf,
) -> list[np.ndarray]:
    """How each segment is cut, decided on the nominal times, so that the shape is static.

    `per_day` panels cover a day that starts with a dose; when no dose was given for `quiet`, a
    panel lasts two days. `since` is the time of the last dose before.
    """
    breaks = np.concatenate([np.asarray(times, float), jumps.nominal])
    kinds = np.concatenate([np.zeros(len(times), bool), np.ones(len(jumps.nominal), bool)])
    order = np.argsort(breaks, kind="stable")
    breaks, kinds = breaks[order], kinds[order]
    total = np.log1p(day / inner) + day / outer
    cuts = []
    for i in range(len(breaks) - 1):
        since = breaks[i] if kinds[i] else since
        length = breaks[i + 1] - breaks[i]
        if breaks[i] - since > quiet:
            cuts.append(np.linspace(0.0, 1.0, max(1, int(np.ceil(length / (2 * day)))) + 1))
            continue
        offset = breaks[i] - since
        count = np.log1p((offset + length) / inner) + length / outer - np.log1p(offset / inner)
        panels = max(1, int(np.ceil(per_day * count / total)))
        cuts.append(graded(length, panels, inner + offset, outer))
    return cuts


Merged = tuple[Array, dict[str, Array], dict[str, Array], Array]


def merge(jumps: Jumps, times: Sequence[float]) -> Merged:
    """Breaks in time order [breaks, patients], amounts and rate changes at them by state, and the
    places of `times` among them [times, patients]; at one time a wanted time comes before a jump."""
    patients = jumps.time.shape[1]
    marks = jnp.broadcast_to(jnp.asarray(times, float)[:, None], (len(times), patients))
    place = ranks(jax.lax.stop_gradient(jnp.concatenate([marks, jumps.time])))
    column = jnp.arange(patients)

    def ordered(values: Array) -> Array:
        return jnp.zeros(place.shape).at[place, column].set(values, unique_indices=True)

    amount, rate = {}, {}
    for state in sorted(set(jumps.state)):
        mine = np.array([s == state for s in jumps.state])[:, None]
        absent = jnp.zeros((len(times), patients))
        amount[state] = ordered(jnp.concatenate([absent, jnp.where(mine, jumps.amount, 0.0)]))
        rate[state] = ordered(jnp.concatenate([absent, jnp.where(mine, jumps.rate, 0.0)]))
    return ordered(jnp.concatenate([marks, jumps.time])), amount, rate, place[: len(times)]


def panels(jumps: Jumps, times: Sequence[float], cuts: list[np.ndarray]) -> Panels:
    """The panels of all patients; `times[0]` is the start and must not come after a jump."""
    breaks, amount, rate, place = merge(jumps, times)
    segment = np.concatenate([np.full(len(c) - 1, i) for i, c in enumerate(cuts)])
    low = np.concatenate([c[:-1] for c in cuts])[:, None]
    high = np.concatenate([c[1:] for c in cuts])[:, None]
    width = (breaks[1:] - breaks[:-1])[segment]
    begins = jnp.asarray(low == 0.0)
    ends = np.cumsum([len(c) - 1 for c in cuts]) - 1
    last = jnp.where(place > 0, jnp.asarray(ends)[jnp.maximum(place - 1, 0)], -1)
    return Panels(
        breaks[segment] + low * width,
        jnp.asarray(high - low) * width,
        {s: jnp.where(begins, v[segment], 0.0) for s, v in amount.items()},
        {s: jnp.cumsum(v, axis=0)[segment] for s, v in rate.items()},
        last,
    )
