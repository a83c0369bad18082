"""How probable the counts of one arm are: x regressions, y alive and z improved among the same n patients.

The counts share their patients, so they depend on each other. With `p[a, b, c]` the outcome table of one
randomly drawn patient (already averaged over patients), their exact probability is a coefficient:

    P(x, y, z) = [u^x v^y w^z] (sum_abc p[a, b, c] u^a v^b w^c)^n.

The z patients with the third event come from `p[:, :, 1]`, the other n - z from `p[:, :, 0]`, each group with
a two-way table of counts whose margins sum to x and y:

    P(x, y, z) = n! sum_tj F(p[:, :, 1]; t, j, z) F(p[:, :, 0]; x - t, y - j, n - z),
    F(q; t, j, m) = sum_s q11^s q10^(t-s) q01^(j-s) q00^(m-t-j+s) / (s! (t-s)! (j-s)! (m-t-j+s)!).

All terms are positive and summed in log space, so nothing cancels: 1e-300 is as accurate as 0.1, where a
Fourier transform of the generating function loses everything below 1e-16.

Tables hold log probabilities; -inf is a valid entry, and the gradient along it is zero, as is the gradient of
a table under which the counts are impossible. Axes are the endpoints, index 1 the event.

References: Johnson NL, Kotz S, Balakrishnan N. Discrete Multivariate Distributions. Wiley 1997, chapter 36.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln
from jaxtyping import Array, Float, Int
from scipy.special import betaincinv
from scipy.special import gammaln as gammaln_static

from pkpd.checks import Findings, fail

Counts = Sequence[int] | Int[np.ndarray, " outcomes"] | Int[Array, " outcomes"]
Whole = int | Int[np.ndarray, "..."] | Int[Array, "..."]
Grid = Any  # integers, numpy where the counts are static and jax where they are traced


def log_joint_counts(log_table: Float[Array, "*outcomes"], counts: Counts, n: int) -> Float[Array, ""]:
    """Exact log probability of the marginal counts of `n` patients; `log_table` has shape (2,) * K, K <= 3.

    Python integers as `counts` make the smallest sum; an integer array may be traced (one compilation for
    many data sets) and costs about (n/2)^3 terms for K = 3. An endpoint that was not reported is left out
    with `marginal`. Raises InputError for a wrong shape, or static counts outside 0 to n.
    """
    _check(log_table, counts, n)
    cube, (x, y, z), most = _canonical(_finite(log_table), counts, n)
    events, others = _log_two_way(cube[..., 1], most, z, n), _log_two_way(cube[..., 0], most, n - z, n)
    t, j = x - np.arange(most[0] + 1)[:, None], y - np.arange(most[1] + 1)[None, :]
    rest = jnp.where((t >= 0) & (j >= 0), others[t, j], _absent(cube))
    return _restore(float(gammaln_static(n + 1.0)) + jax.nn.logsumexp(events + rest))


def log_product_counts(log_table: Float[Array, "*outcomes"], counts: Counts, n: int) -> Float[Array, ""]:
    """Log product of the K marginal binomials: ignores that the endpoints share their patients.

    An option for comparison only: it narrows shared effects. Arguments as in `log_joint_counts`.
    """
    _check(log_table, counts, n)
    margins = [marginal(log_table, (axis,)) for axis in range(log_table.ndim)]
    pieces = [log_binomial(m[1], m[0], count, n) for m, count in zip(margins, list(counts), strict=True)]
    return jnp.sum(jnp.stack(pieces))


def log_binomial(
    log_p: Float[Array, "..."] | float, log_q: Float[Array, "..."] | float, events: Whole, n: Whole
) -> Float[Array, "..."]:
    """`log(C(n, events) p^events q^(n - events))` for 0 <= events <= n, from log p and log q = log(1 - p).

    Both are arguments because neither follows accurately from the other near 0 or 1. `0 log 0 = 0`, in the
    gradient too.
    """
    log_p, log_q = jnp.asarray(log_p), jnp.asarray(log_q)
    k, total = (jnp.asarray(v).astype(jnp.result_type(log_p, log_q)) for v in (events, n))
    log_ways = gammaln(total + 1) - gammaln(k + 1) - gammaln(total - k + 1)
    return log_ways + _times(k, log_p) + _times(total - k, log_q)


def marginal(log_table: Float[Array, "*outcomes"], keep: tuple[int, ...]) -> Float[Array, "*kept"]:
    """Log table of the endpoints `keep`, with its axes in that order; the others are summed out."""
    axes = range(log_table.ndim)
    if len(set(keep)) != len(keep) or not set(keep) <= set(axes):
        raise fail("keep", f"must be different axes among {list(axes)}", keep)
    gone = tuple(axis for axis in axes if axis not in keep)
    summed = _restore(jax.nn.logsumexp(_finite(log_table), axis=gone))
    return jnp.transpose(summed, [sorted(keep).index(axis) for axis in keep])


def clopper_pearson(
    events: Whole, n: Whole, level: float = 0.95
) -> tuple[np.ndarray | float, np.ndarray | float]:
    """Exact (central) confidence interval of a proportion; 0/n starts at 0 and n/n ends at 1.

    References: Clopper CJ, Pearson ES. Biometrika 1934;26:404-413, doi 10.1093/biomet/26.4.404.
    """
    k, total = np.asarray(events), np.asarray(n)
    found = Findings()
    if np.any(total < 1):
        found.add("n", "must be at least 1", n)
    if np.any((k < 0) | (k > total)):
        found.add("events", "must be between 0 and n", events)
    if not 0.0 < level < 1.0:
        found.add("level", "must be between 0 and 1", level)
    found.raise_if_any()
    tail = (1.0 - level) / 2.0
    lower = betaincinv(np.maximum(k, 1), total - k + 1, tail)
    upper = betaincinv(k + 1, np.maximum(total - k, 1), 1.0 - tail)
    return np.where(k == 0, 0.0, lower)[()], np.where(k == total, 1.0, upper)[()]


def _log_two_way(
    log_table: Float[Array, "2 2"], most: tuple[int, int], patients: Grid, n: int
) -> Float[Array, "rows columns"]:
    """Log F(table; t, j, patients) for all margins t and j up to `most`; `patients` is at most `n`."""
    first, second, both = np.broadcast_arrays(*np.ogrid[: most[0] + 1, : most[1] + 1, : most[0] + 1])
    cells = [second - both, first - both, both]
    neither = patients - (first + second - both)
    exists = (neither >= 0) & np.all(np.stack(cells) >= 0, axis=0)
    log_ways = -sum(gammaln_static(np.maximum(k, 0) + 1.0) for k in cells)
    xp = jnp if isinstance(patients, jax.Array) else np
    log_ways -= xp.asarray(gammaln_static(np.arange(n + 1) + 1.0))[xp.clip(neither, 0, n)]
    log_ways = xp.where(exists, log_ways, _absent(log_table)).astype(log_table.dtype)
    sizes = [xp.maximum(k, 0).astype(log_table.dtype) for k in (neither, *cells)]
    terms = [size * log_p for size, log_p in zip(sizes, log_table.ravel(), strict=True)]
    return jax.nn.logsumexp(sum(terms, log_ways), axis=-1)


def _canonical(log_table: Array, counts: Counts, n: int) -> tuple[Array, list[Grid], tuple[int, int]]:
    """Three endpoints in order of count, each counted by its rarer side; a missing one never happens.

    Returns the table, the counts and the largest possible values of the first two, which set the cost.
    """
    folded: list[Grid] = []
    for axis, count in enumerate(list(counts)):
        log_table = jnp.where(2 * count <= n, log_table, jnp.flip(log_table, axis))
        folded.append(
            jnp.minimum(count, n - count) if isinstance(count, jax.Array) else min(count, n - count)
        )
    while len(folded) < 3:
        log_table = jnp.stack([log_table, jnp.full_like(log_table, _never(log_table))])
        folded.insert(0, 0)
    most = [n // 2 if isinstance(count, jax.Array) else int(count) for count in folded]
    order = sorted(range(3), key=most.__getitem__)
    return jnp.transpose(log_table, order), [folded[k] for k in order], (most[order[0]], most[order[1]])


def _never(x: Array) -> float:
    """Stands for log 0: finite, so that 0 log 0 = 0, and its product with any count is finite too."""
    return float(jnp.finfo(x.dtype).min) * 1e-8


def _absent(x: Array) -> float:
    """Log weight of a table that does not exist: below that of any impossible one."""
    return float(jnp.finfo(x.dtype).min) * 1e-2


def _finite(log_table: Array) -> Array:
    return jnp.maximum(log_table, _never(log_table))


def _restore(log_p: Array) -> Array:
    return jnp.where(log_p < _never(log_p) / 2, -jnp.inf, log_p)


def _times(count: Array, log_p: Array) -> Array:
    return count * jnp.where(count > 0, log_p, 0.0)


def _check(log_table: Array, counts: Counts, n: int) -> None:
    found = Findings()
    if log_table.ndim not in (1, 2, 3) or set(log_table.shape) != {2}:
        found.add("log_table", "must have shape (2,), (2, 2) or (2, 2, 2)", log_table.shape)
    elif len(counts) != log_table.ndim:
        found.add("counts", f"must be one per axis of log_table, {log_table.ndim}", len(counts))
    if n < 1:
        found.add("n", "must be at least 1", n)
    for axis, count in enumerate([] if isinstance(counts, jax.Array) else counts):
        if not 0 <= count <= n:
            found.add(f"counts[{axis}]", f"must be between 0 and n = {n}", int(count))
    found.raise_if_any()
