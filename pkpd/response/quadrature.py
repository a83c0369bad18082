"""Paths at the nodes of a course's cells, and integrals over the cells."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pkpd.parameters import Scalar
from pkpd.quadrature import INTEGRALS, NODES, basis, gauss, nodes_of

NEIGHBOURS = 4
_FINE, _FINE_WEIGHTS = gauss(8)
_POWERS = np.linalg.inv(np.vander(NODES, increasing=True))


def filled(
    edges: Float[np.ndarray, " edges"], path: Float[Array, "edges patients"]
) -> Float[Array, "times patients"]:
    """A path that is known at the edges of cells, at all nodes: the cubic through the four nearest edges."""
    count = min(NEIGHBOURS, len(edges))
    first = np.clip(np.arange(len(edges) - 1) - (count - 1) // 2, 0, len(edges) - count)
    index = first[:, None] + np.arange(count)
    weights = np.zeros((len(index), len(NODES), len(edges)))
    np.put_along_axis(weights, index[:, None], basis(edges[index], nodes_of(edges)), axis=-1)
    inside = jnp.tensordot(jnp.asarray(weights), path, 1)
    return jnp.concatenate([path[:1], inside.reshape(-1, path.shape[1])])


def integrals(
    edges: Float[np.ndarray, " edges"], path: Float[Array, "times patients"]
) -> Float[Array, "times patients"]:
    """Integral of a path from the first edge to each node."""
    inside = path[1:].reshape(len(edges) - 1, len(NODES), -1)
    within = np.diff(edges)[:, None, None] * jnp.einsum("nm,cmp->cnp", INTEGRALS, inside)
    before = jnp.cumsum(within[:, -1:], axis=0) - within[:, -1:]
    return jnp.concatenate([jnp.zeros_like(path[:1]), (before + within).reshape(-1, path.shape[1])])


def weights_in(edges: Float[np.ndarray, " edges"], power: Scalar) -> Float[Array, "cells nodes"]:
    """Weights of the values at the nodes in the integral over each cell by `time ** power`.

    They integrate cubics in time, exactly over a cell that starts at 0, where the power may be singular, else
    up to the error of a rule of eight points. Edges are not negative.
    """
    warped = jnp.asarray(edges) ** power
    width = jnp.diff(warped)[:, None]
    fine = (warped[:-1, None] + width * _FINE[None]) ** (1.0 / power)
    share = (fine - edges[:-1, None]) / np.diff(edges)[:, None]
    powers = jnp.einsum("f,cfk->ck", _FINE_WEIGHTS, share[:, :, None] ** np.arange(len(NODES)))
    from_zero = (edges[:-1] == 0.0)[:, None]
    exact = (power / (power + np.arange(len(NODES))))[None]
    return width * (jnp.where(from_zero, exact, powers) @ _POWERS)
