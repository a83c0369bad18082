"""Jumps and wanted times in one order in time, per patient and of fixed shape."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from pkpd.dosing.events import Jumps

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


Merged = tuple[Array, dict[str, Array], dict[str, Array], Array]


def merge(jumps: Jumps, times: Sequence[float]) -> Merged:
    """Breaks in time order [breaks, patients], amounts and rate changes at them by state, and the
    places of `times` among them [times, patients]; at one time a wanted time comes before a jump."""
    patients = jumps.time.shape[1]
    marks = jnp.broadcast_to(jnp.asarray(times, float)[:, None], (len(times), patients))
    breaks = jax.lax.optimization_barrier(jnp.concatenate([marks, jumps.time]))  # not sorted when compiled
    place = ranks(jax.lax.stop_gradient(breaks))
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
