"""Nodes of Radau IIA collocation, integrals of the polynomials through them, and points of Gauss.

References: Hairer E, Wanner G. Solving Ordinary Differential Equations II. Springer 1996, section IV.5.
"""

import numpy as np
from jaxtyping import Float
from numpy.polynomial import legendre

STAGES = 4


def _nodes(stages: int) -> np.ndarray:
    """Zeros of the difference of two Legendre polynomials on (0, 1); the last is 1."""
    roots = np.real(legendre.legroots([*([0.0] * (stages - 1)), -1.0, 1.0]))  # complex by type from numpy 2.5
    found = np.sort((roots + 1.0) / 2.0)
    return np.append(found[:-1], 1.0)


def _integrals(nodes: np.ndarray) -> np.ndarray:
    """Integrals up to each node of the polynomials that are 1 at one node and 0 at the others."""
    powers = np.arange(1, len(nodes) + 1)
    return (nodes[:, None] ** powers / powers) @ np.linalg.inv(np.vander(nodes, increasing=True))


NODES = _nodes(STAGES)
INTEGRALS = _integrals(NODES)
WEIGHTS = INTEGRALS[-1]
POWERS = np.linalg.inv(np.vander(np.append(0.0, NODES), increasing=True))  # of the start and the nodes


def gauss(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Points and weights of Gauss's rule on (0, 1)."""
    points, weights = legendre.leggauss(count)
    return (points + 1.0) / 2.0, weights / 2.0


def nodes_of(edges: Float[np.ndarray, " edges"]) -> Float[np.ndarray, "cells nodes"]:
    """The nodes of each cell; the last is its end."""
    found = edges[:-1, None] + np.diff(edges)[:, None] * NODES
    found[:, -1] = edges[1:]
    return found


def basis(nodes: Float[np.ndarray, "*cells nodes"], at: Float[np.ndarray, "*cells points"]) -> np.ndarray:
    """Values at some points of the polynomials that are 1 at one node and 0 at the others."""
    count = nodes.shape[-1]
    found = np.ones((*at.shape, count))
    for k in range(count):
        for m in (m for m in range(count) if m != k):
            found[..., k] *= (at - nodes[..., [m]]) / (nodes[..., [k]] - nodes[..., [m]])
    return found
