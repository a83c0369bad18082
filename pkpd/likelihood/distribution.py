"""How probable all counts of an arm are, or many of them: the likelihoods of data that nobody has seen yet.

With `p[a, b, ...]` the outcome table of one patient, the probabilities of all counts of n patients are the
coefficients of a polynomial, found from its values on the unit circles (a characteristic function):

    g(u, v, ...) = (sum p[a, b, ...] u[a] v[b] ...)^n,    u[0] = v[0] = ... = 1,
    P(y) = mean over the grid of g(exp(2 pi i k / L)) exp(-2 pi i k . y / L).

A grid of L < n + 1 points adds up counts that are L apart. Of counts about their means, and more than
`TAILS` standard deviations from the next such sum, the rest is far below rounding, so that the grid need not
be longer than that; counts further off get probability 0.

Errors are absolute and about 1e-16: fit for expectations over counts, not for the tail of a likelihood, of
which `pkpd.likelihood.counts` keeps all digits.

References: Abate J, Whitt W. Queueing Syst 1992;10:5-87, doi 10.1007/BF01158520 (inversion by lattice sums).
"""

from collections.abc import Sequence

import numpy as np
import scipy.fft
from jaxtyping import Complex, Float, Int

TAILS = 7.0  # standard deviations on either side of a mean
FEW = 12  # and counts more: few events fall off as a Poisson law does


def counted(shape: Sequence[int]) -> list[tuple[int, int]]:
    """The counts of a table of this shape, in order: each a category of an axis, category 0 of which is not
    counted."""
    return [(axis, category) for axis, size in enumerate(shape) for category in range(1, size)]


def chances(tables: Float[np.ndarray, "draws *axes"]) -> Float[np.ndarray, "draws counts"]:
    """The probability of what each count counts, of one patient."""
    axes = range(1, tables.ndim)
    found = []
    for axis, category in counted(tables.shape[1:]):
        rest = tuple(k for k in axes if k != axis + 1)
        found.append(tables.sum(axis=rest)[:, category])
    return np.stack(found, axis=1)


def covariances(tables: Float[np.ndarray, "draws *axes"]) -> Float[np.ndarray, "draws counts counts"]:
    """The covariance of what is counted of one patient."""
    size, shape = len(tables), tables.shape[1:]
    cells = np.stack(np.unravel_index(np.arange(np.prod(shape)), shape))
    events = np.stack([cells[axis] == category for axis, category in counted(shape)]).astype(float)
    mean = tables.reshape(size, -1) @ events.T
    both = (tables.reshape(size, 1, -1) * events) @ events.T
    return both - mean[:, :, None] * mean[:, None, :]


def all_counts(tables: Float[np.ndarray, "draws *axes"], n: int) -> Float[np.ndarray, "draws *counts"]:
    """The probability of every combination of counts of n patients, by draw of the table.

    An axis of the result for each of `counted`, from 0 to n; counts that cannot be have 0.
    """
    length = [n + 1] * len(counted(tables.shape[1:]))
    return np.stack([_folded(table, n, length) for table in tables])


def grid_size(tables: Float[np.ndarray, "draws *axes"], n: int) -> int:
    """How many numbers `some_counts` needs for each draw."""
    return int(np.prod(_lengths(tables, n), dtype=float))


def some_counts(
    tables: Float[np.ndarray, "draws *axes"], n: int, counts: Int[np.ndarray, "data counts"]
) -> Float[np.ndarray, "draws data"]:
    """The probability of each of some `counts` of n patients, by draw of the table."""
    length = _lengths(tables, n)
    sizes = np.array(length)
    first = np.rint(n * chances(tables)).astype(int) - sizes // 2
    first = np.clip(first, 0, n + 1 - sizes)
    found = np.zeros((len(tables), len(counts)))
    places = tuple((counts % sizes).T)
    for row, (table, start) in enumerate(zip(tables, first, strict=True)):
        near = ((counts >= start) & (counts < start + sizes)).all(axis=1)
        found[row] = np.where(near, _folded(table, n, length)[places], 0.0)
    return found


def _lengths(tables: np.ndarray, n: int) -> list[int]:
    """How long the grid must be for each count, for all draws."""
    p = chances(tables)
    spread = np.sqrt(n * np.max(p * (1.0 - p), axis=0, initial=0.0))
    wanted = np.ceil(2.0 * (TAILS * spread + FEW)).astype(int)
    return [
        n + 1 if size >= n + 1 else min(n + 1, int(scipy.fft.next_fast_len(int(size)) or size))
        for size in wanted
    ]


def _folded(table: Float[np.ndarray, "*axes"], n: int, length: Sequence[int]) -> np.ndarray:
    """Probabilities of counts modulo the lengths of the grid."""
    values = np.conj(_polynomial(table, length)) ** n
    return np.maximum(np.fft.irfftn(values, s=tuple(length), axes=range(len(length))), 0.0)


def _polynomial(table: Float[np.ndarray, "*axes"], length: Sequence[int]) -> Complex[np.ndarray, "..."]:
    """The polynomial of one patient on the grid, of whose last axis one half tells the other."""
    circles = [np.exp(2j * np.pi * np.arange(size) / size) for size in length]
    circles[-1] = circles[-1][: length[-1] // 2 + 1]
    found, done = table.astype(complex), 0
    for size in table.shape:
        new = size - 1
        total = found[0][(..., *(None,) * new)]
        for k in range(new):
            place = [1] * new
            place[k] = -1
            total = total + found[1 + k][(..., *(None,) * new)] * circles[done + k].reshape(place)
        found, done = total, done + new
    return found
