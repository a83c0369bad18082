"""Radau IIA collocation of the states of a block on one panel, for whole batches of patients.

A state that decays at a constant rate is a linear filter of what flows into it, so only the other
states of a block are unknown at the nodes; Newton's method finds them. It is not differentiated: the
derivative is that of the implicit equations at the solution, for first derivatives only.

References: Hairer E, Wanner G. Solving Ordinary Differential Equations II. Springer 1996, section IV.5.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.ad_checkpoint import checkpoint_name
from jax.lax import optimization_barrier as barrier
from jax.lax import stop_gradient
from numpy.polynomial import polynomial

from pkpd.component import Values
from pkpd.model import Model
from pkpd.quadrature import INTEGRALS, NODES, POWERS, STAGES
from pkpd.solve.structure import Block

State = dict[str, Array]
Flow = Callable[[State], State]
STEPS = 4  # of Newton's method with one matrix: 3 leave 6e-5 of the slow pool at 18 MIU, 4 leave 8e-6
KEPT = "nodes"  # what a checkpoint keeps, so that going backwards does not solve the equations again


_INVERSE = np.linalg.inv(INTEGRALS)
_PARABOLA = np.linalg.inv(np.vander(NODES[-3:] - 1.0, increasing=True))


def _resolvent() -> tuple[np.ndarray, np.ndarray]:
    """`(1 + z A)^-1` as polynomial matrix over polynomial in `z`, by the method of Faddeev and LeVerrier."""
    eigenvalues = np.linalg.eigvals(INTEGRALS)
    below = np.real(polynomial.polyfromroots(-1.0 / eigenvalues) * np.prod(eigenvalues))
    above = [np.eye(STAGES)]
    for k in range(1, STAGES):
        above.append(below[k] * np.eye(STAGES) - INTEGRALS @ above[-1])
    return np.stack(above), below


_ABOVE, _BELOW = _resolvent()


class Filter(NamedTuple):
    """What a state that decays at a constant rate is at the nodes of a panel: `start` [nodes, ...] times its
    value at the panel's start, plus `inflow` [nodes, nodes, ...] times `length` times what flows into it."""

    decay: Array
    length: Array
    start: Array
    inflow: Array


def filter_of(decay: Array, length: Array) -> Filter:
    """The filter of a decay rate on panels, as collocation has it."""
    z = decay * length
    scale = 1.0 / _horner(_BELOW, z)
    start = scale[None] * _horner(_ABOVE.sum(-1), z)
    return Filter(decay, length, start, scale[None, None] * _horner(_ABOVE @ INTEGRALS, z))


@jax.custom_jvp
def _follow(by: Filter, start: Array, inflow: Array) -> Array:
    """A filter's state at the nodes. Its derivative is that of its equation, not of the matrices."""
    return by.start * start[None] + contract(by.inflow, by.length[None] * inflow)


@_follow.defjvp
def _follow_slope(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    (by, start, inflow), (change, start_change, inflow_change) = primals, tangents
    value = _follow(by, start, inflow)
    longer = change.length[None] * (inflow - by.decay[None] * value)
    moved = by.length[None] * (inflow_change - change.decay[None] * value) + longer
    return value, by.start * start_change[None] + contract(by.inflow, moved)


def _horner(coefficients: np.ndarray, z: Array) -> Array:
    """Polynomials in `z`, whose coefficients are the leading axis, the constant first."""
    shape = (*coefficients.shape[1:], *(1,) * z.ndim)
    total = jnp.broadcast_to(coefficients[-1].reshape(shape), (*coefficients.shape[1:], *z.shape))
    for c in coefficients[-2::-1]:
        total = total * z.reshape((1,) * (coefficients.ndim - 1) + z.shape) + c.reshape(shape)
    return total


def extrapolated(nodes: Array, ratio: Array) -> Array:
    """The parabola through a panel's last nodes, at the nodes of the next panel, `ratio` times as long."""
    at = ratio[None] * column(NODES, ratio)
    value, slope, bend = contract(_PARABOLA[:, :, None], nodes[-3:])
    return value[None] + at * (slope[None] + at * bend[None])


def between(start: Array, nodes: Array, points: np.ndarray) -> Array:
    """The polynomial through a panel's start [...] and nodes [nodes, ...] at points of it [points, ...]."""
    weights = np.vander(points, STAGES + 1, increasing=True) @ POWERS
    first, rest = jnp.asarray(column(weights[:, 0], start)), column(weights[:, 1:], start)
    return first * start[None] + contract(rest, nodes)


def column(values: np.ndarray, like: Array) -> np.ndarray:
    """Numbers along a leading axis before those of `like`."""
    return np.asarray(values).reshape(*np.shape(values), *(1,) * like.ndim)


def contract(weights: Array | np.ndarray, values: Array) -> Array:
    """Sum over j of `weights[:, j] values[j]`, which the compiler can fuse."""
    terms = [jnp.asarray(weights[:, j] * values[j][None]) for j in range(len(values))]
    return sum(terms[1:], terms[0])


def rates_of(
    model: Model,
    block: Block,
    needs: frozenset[str],
    nodes: State,
    ticks: Values,
    inflow: State,
    signals: State | None = None,
) -> Flow:
    """The derivative of a block's states at the nodes, given all other states there and some signals."""

    def flow(own: State) -> State:
        change = model.derivative({**nodes, **own}, ticks, block.owners, needs, signals)
        return {s: jnp.asarray(change[s] + inflow[s] if s in inflow else change[s]) for s in block.states}

    return flow


def collocate(
    flow: Flow,
    block: Block,
    start: State,
    length: Array,
    filters: Mapping[str, Filter],
    guess: State,
) -> State:
    """States of a block at the nodes [nodes, ...], of those at the start [...].

    `flow` is their derivative at the nodes, `guess` [nodes, ...] is where Newton's method starts.
    """
    shape = (STAGES, *next(iter(start.values())).shape)

    def rates(own: State) -> State:
        return {s: jnp.broadcast_to(v, shape) for s, v in flow(own).items()}

    if not block.unknown:
        return _filtered(rates, block, start, filters, {})
    residual = partial(_residual, rates, block, start, length, filters)
    slope = partial(_matrix, rates, block, start, length, filters)
    found = _by_newton(residual, slope, guess)
    found = {s: checkpoint_name(v, KEPT) for s, v in stop_gradient(found).items()}
    a = dict(zip(found, _implicit(tuple(found.values()), residual(found), slope(found)), strict=True))
    return _filtered(rates, block, start, filters, a)


def _by_newton(residual: Callable[[State], Array], slope: Callable[[State], Array], guess: State) -> State:
    """Newton's method with the matrix of the guess."""
    inverse = _inverse(barrier(slope(guess)))
    a = guess
    for _ in range(STEPS):
        change = contract(inverse, barrier(residual(a)))
        a = {n: barrier(v - change[i * STAGES : (i + 1) * STAGES]) for i, (n, v) in enumerate(a.items())}
    return a


@jax.custom_jvp
def _implicit(a: tuple[Array, ...], residual: Array, slope: Array) -> tuple[Array, ...]:
    """The node values, where the residual is zero; its derivative is that of the equations there."""
    return a


@_implicit.defjvp
def _implicit_slope(primals: tuple, tangents: tuple) -> tuple[tuple, tuple]:
    a, _, slope = primals
    _, change, _ = tangents
    moved = -contract(_inverse(slope), change)
    return a, tuple(moved[i * STAGES : (i + 1) * STAGES] for i in range(len(a)))


def _filtered(flow: Flow, block: Block, start: State, filters: Mapping[str, Filter], own: State) -> State:
    """Adds the states of filters, one after the other, to the unknown ones at the nodes."""
    for s in block.filters:
        absent = {other: jnp.zeros(()) for other in block.filters if other not in own}
        inflow = flow({**absent, **own})[s]
        own = {**own, s: barrier(_follow(filters[s], start[s], inflow))}
    return own


def _residual(
    flow: Flow, block: Block, start: State, length: Array, filters: Mapping[str, Filter], a: State
) -> Array:
    """What is left of the collocation equations [rows, ...]."""
    rates = flow(_filtered(flow, block, start, filters, a))
    rows = [
        contract(column(_INVERSE, length), v - start[n][None]) - length[None] * rates[n] for n, v in a.items()
    ]
    return jnp.concatenate(rows)


def _matrix(
    flow: Flow, block: Block, start: State, length: Array, filters: Mapping[str, Filter], a: State
) -> Array:
    """The derivative of the residual by the unknown node values [rows, columns, ...], through the filters."""
    slope = barrier(_slopes(flow, block, _filtered(flow, block, start, filters, a)))
    inflows = {s: filters[s].inflow * length[None, None] for s in block.filters}
    unit, inverse = column(np.eye(STAGES), length), column(_INVERSE, length)
    follows: dict[tuple[str, str], Array] = {}
    for s in block.filters:
        for m in block.unknown:
            inflow = [
                slope[s, other][:, None] * follows[other, m]
                for other in block.filters
                if (s, other) in slope and (other, m) in follows
            ]
            terms = [jnp.stack([contract(inflows[s], v[:, k]) for k in range(STAGES)], 1) for v in inflow]
            if (s, m) in slope:
                terms.append(inflows[s] * slope[s, m][None])
            if terms:
                follows[s, m] = sum(terms[1:], terms[0])

    def entry(n: str, m: str) -> Array:
        effects = [unit * slope[n, m][:, None]] if (n, m) in slope else []
        effects += [
            slope[n, s][:, None] * follows[s, m]
            for s in block.filters
            if (n, s) in slope and (s, m) in follows
        ]
        whole = jnp.broadcast_to(inverse if n == m else 0.0 * inverse, (STAGES, STAGES, *length.shape))
        return whole - length[None, None] * sum(effects[1:], effects[0]) if effects else whole

    rows = [jnp.concatenate([entry(n, m) for m in block.unknown], axis=1) for n in block.unknown]
    return jnp.concatenate(rows)


def _slopes(flow: Flow, block: Block, own: State) -> dict[tuple[str, str], Array]:
    """Entries of the Jacobian at the nodes, without the decays of filters."""
    found: dict[tuple[str, str], Array] = {}
    for source in block.states:
        _, tangent = jax.jvp(
            lambda v, source=source: flow({**own, source: v}), (own[source],), (jnp.ones_like(own[source]),)
        )
        for target in block.states:
            decays = target == source and source in block.filters
            if (target, source) in block.coupled and not decays:
                found[target, source] = tangent[target]
    return found


def _inverse(matrix: Array) -> Array:
    """Inverse of matrices [rows, columns, ...] by halves, without pivoting.

    Whole blocks throughout: a compiler does not vectorise rows that are put together one by one.
    """
    size = len(matrix)
    if size == 1:
        return 1.0 / matrix
    half = size // 2
    a, b, c, d = matrix[:half, :half], matrix[:half, half:], matrix[half:, :half], matrix[half:, half:]
    first = _inverse(a)
    left = barrier(_product(c, first))
    last = barrier(_inverse(barrier(d - _product(left, b))))
    right = barrier(_product(first, b))
    lower = barrier(-_product(last, left))
    upper = barrier(-_product(right, last))
    corner = barrier(first - _product(right, lower))
    return jnp.concatenate([jnp.concatenate([corner, upper], 1), jnp.concatenate([lower, last], 1)])


def _product(a: Array, b: Array) -> Array:
    """Matrix product [rows, columns, ...], which the compiler can fuse."""
    terms = [a[:, j, None] * b[None, j] for j in range(len(b))]
    return sum(terms[1:], terms[0])
