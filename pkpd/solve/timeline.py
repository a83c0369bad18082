"""Jumps and wanted times in one order in time, per patient and of fixed shape."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from pkpd.dosing.events import Jumps

MOST_COUNTED = 512
Breaks = Float[Array, "breaks patients"]


class Covariates(NamedTuple):
    """Covariates between breaks [breaks - 1, patients]: where each time begins, and, where they change in it,
    where it ends."""

    begin: dict[str, Breaks]
    end: dict[str, Breaks] | None = None


class Timeline(NamedTuple):
    """Breaks in time order, the amounts and changes of rate at them by state, and the places of the wanted
    times among them; and what covariates do."""

    breaks: Breaks
    amount: dict[str, Breaks]
    rate: dict[str, Breaks]
    place: Int[Array, "times patients"]
    covariates: Covariates = Covariates({})


def ranks(breaks: Breaks, order: Breaks | None = None) -> Int[Array, "breaks patients"]:
    """Place of each break in time order, ties by their `order`, then as given; patients may differ.

    Counting what comes before costs the square of the number of breaks, in memory too, and is still
    several times faster than a sort, which runs element by element, up to some hundreds of them.
    """
    index = jnp.arange(len(breaks))
    keys = [breaks] if order is None else [breaks, order]
    if len(breaks) > MOST_COUNTED:
        found = jnp.lexsort(keys[::-1], axis=0)
        places = jnp.broadcast_to(index[:, None], found.shape)
        return jnp.zeros_like(found).at[found, jnp.arange(breaks.shape[1])].set(places, unique_indices=True)
    before = index[None, :, None] < index[:, None, None]
    for key in reversed(keys):
        before = (key[None] < key[:, None]) | ((key[None] == key[:, None]) & before)
    return jnp.sum(before, axis=1)


def merge(
    jumps: Jumps, times: Float[Array, "times patients"], order: Float[Array, "times patients"] | None = None
) -> Timeline:
    """Jumps and wanted times; where neither has an `order`, a wanted time comes before a jump at the time."""
    patients = jumps.time.shape[1]
    breaks = jax.lax.optimization_barrier(jnp.concatenate([times, jumps.time]))  # not sorted when compiled
    keys = None if order is None else jnp.concatenate([order, _order(jumps)])
    place = ranks(jax.lax.stop_gradient(breaks), keys)
    column = jnp.arange(patients)

    def ordered(values: Array) -> Array:
        return jnp.zeros(place.shape).at[place, column].set(values, unique_indices=True)

    amount, rate = {}, {}
    for state in sorted(set(jumps.state)):
        mine = np.array([s == state for s in jumps.state])[:, None]
        absent = jnp.zeros((len(times), patients))
        amount[state] = ordered(jnp.concatenate([absent, jnp.where(mine, jumps.amount, 0.0)]))
        rate[state] = ordered(jnp.concatenate([absent, jnp.where(mine, jumps.rate, 0.0)]))
    return Timeline(ordered(jnp.concatenate([times, jumps.time])), amount, rate, place[: len(times)])


def _order(jumps: Jumps) -> Array:
    return jnp.zeros_like(jumps.time) if jumps.order is None else jumps.order
