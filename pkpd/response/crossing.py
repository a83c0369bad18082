"""Integrals over the cell in which a path first rises through a limit, where the integrand has a kink."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.lax import stop_gradient
from jaxtyping import Array, Bool, Float, Int

from pkpd.parameters import Scalar
from pkpd.quadrature import NODES, POWERS, gauss

Path = Float[Array, "times patients"]
Integrand = Callable[..., Float[Array, "points patients"]]
_POINTS, _WEIGHTS = gauss(6)
_STEPS = 6  # of Newton's method for the share of the cell at which the path crosses


class Crossing(NamedTuple):
    """The cell of each patient [patients], the share of it before the crossing, and whether there is one."""

    cell: Int[Array, " patients"]
    share: Float[Array, " patients"]
    found: Bool[Array, " patients"]


def first_rise(path: Path, limit: Scalar) -> Crossing:
    """Where a path first rises through a limit."""
    path = stop_gradient(path)
    at_edges = path[:: len(NODES)]
    rises = (at_edges[:-1] < limit) & (at_edges[1:] > limit)
    cell, found = jnp.argmax(rises, axis=0), rises.any(axis=0)
    powers = _powers(path, cell)
    gap = powers[0] - limit
    share = jnp.where(found, -gap / jnp.where(found, powers[1:].sum(0), 1.0), 0.5)
    for _ in range(_STEPS):
        slope = _horner(powers[1:] * np.arange(1, len(powers))[:, None], share)
        step = (_horner(powers, share) - limit) / jnp.where(found, slope, 1.0)
        share = jnp.clip(share - jnp.where(found, step, 0.0), 0.0, 1.0)
    return Crossing(cell, stop_gradient(share), found)


def integral_by_parts(
    edges: Float[np.ndarray, " edges"], power: Scalar, at: Crossing, function: Integrand, *paths: Path
) -> Float[Array, " patients"]:
    """Integral by `time ** power` of a function of paths over the cell of a crossing, before and after it.

    The function is continuous there, so the integral does not change with the place where it is split.
    """
    powers = [_powers(path, at.cell) for path in paths]
    start, length = jnp.asarray(edges)[at.cell], jnp.asarray(np.diff(edges))[at.cell]
    total = jnp.zeros_like(start)
    for low, high in ((jnp.zeros_like(at.share), at.share), (at.share, jnp.ones_like(at.share))):
        share = low[None] + (high - low)[None] * _POINTS[:, None]
        density = power * length[None] * (start[None] + length[None] * share) ** (power - 1.0)
        values = function(*(_horner(p[:, None], share) for p in powers)) * density
        total = total + (high - low) * (values * _WEIGHTS[:, None]).sum(0)
    return total


def _powers(path: Path, cell: Int[Array, " patients"]) -> Float[Array, "powers patients"]:
    """The polynomial of each patient's cell, the constant first."""
    rows = len(NODES) * cell + np.arange(len(NODES) + 1)[:, None]
    return jnp.tensordot(POWERS, jnp.take_along_axis(path, rows, axis=0), 1)


def _horner(powers: Array, at: Array) -> Array:
    total = jnp.broadcast_to(powers[-1], at.shape)
    for p in powers[-2::-1]:
        total = total * at + p
    return total
