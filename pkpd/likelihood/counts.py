"""How probable the counts of one arm are: how many of the same n patients had each of the endpoints.

The counts share their patients, so they depend on each other. With `p[a, b, c]` the outcome table of one
randomly drawn patient (already averaged over patients), the exact probability of y patients with the second
event, z with the third and k[a] in each category of the first axis is a coefficient:

    P = [u^k v^y w^z] (sum_abc p[a, b, c] u[a] v^b w^c)^n
      = n! [v^y w^z] prod_a (sum_bc p[a, b, c] v^b w^c)^k[a] / k[a]!

The patients of each category have a two-way table of their own, whose margins t and j sum to y and z:

    P = n! sum prod_a F(p[a]; t[a], j[a], k[a])    over t, j with sum_a t[a] = y and sum_a j[a] = z,
    F(q; t, j, m) = sum_s q11^s q10^(t-s) q01^(j-s) q00^(m-t-j+s) / (s! (t-s)! (j-s)! (m-t-j+s)!).

The sums over categories are convolutions, the smallest categories first, each as wide as its patients and
the counts allow. All terms are positive and summed in log space, so nothing cancels: 1e-300 is as accurate
as 0.1, where a Fourier transform of the generating function loses everything below 1e-16.

Tables hold log probabilities; -inf is a valid entry, and the gradient along it is zero, as is the gradient of
a table under which the counts are impossible. Along an axis index 0 is no event; the others are the event, or
the categories that exclude each other.

References: Johnson NL, Kotz S, Balakrishnan N. Discrete Multivariate Distributions. Wiley 1997, chapter 36.
"""

from collections.abc import Sequence
from functools import partial, reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln
from jaxtyping import Array, Float, Int
from scipy.special import betaincinv
from scipy.special import gammaln as gammaln_static

from pkpd.checks import Findings, fail
from pkpd.likelihood.zero import absent, finite, log_sum, log_sum_and_mean, never, restore, times

Single = int | Int[Array, ""]
Count = Single | Sequence[Single]
Counts = Sequence[Count] | Int[np.ndarray, " outcomes"] | Int[Array, " outcomes"]
Whole = int | Int[np.ndarray, "..."] | Int[Array, "..."]
Grid = Any  # integers, numpy where the counts are static and jax where they are traced
Group = tuple[Grid, int]  # patients of one category, and the most that they can be

MOST_AXES = 3


def log_joint_counts(log_table: Float[Array, "*outcomes"], counts: Counts, n: int) -> Float[Array, ""]:
    """Exact log probability of the marginal counts of `n` patients.

    `log_table` has at most three axes, of which at most one has more than two categories. `counts` has an
    entry per axis: the events, or the tuple of the counts of categories 1, 2, ...; category 0 has the other
    patients. Python integers make the smallest sum; JAX's may be traced (one compilation for many data sets)
    and cost about (n/2)^3 terms for three axes of two categories. An axis that was not reported is left out
    with `marginal`.
    Raises InputError for a wrong shape, or static counts outside 0 to n.
    """
    _check(log_table, counts, n, MOST_AXES, 1)
    cube, wanted, most, groups = _canonical(finite(log_table), counts, n)
    order = sorted(range(len(groups)), key=lambda k: groups[k][1])
    *few, many = (_log_two_way(cube[..., k], most, groups[k], n) for k in order)
    rest = reduce(partial(_convolved, most), few)
    return restore(float(gammaln_static(n + 1.0)) + _coefficient(rest, many, wanted))


def log_product_counts(log_table: Float[Array, "*outcomes"], counts: Counts, n: int) -> Float[Array, ""]:
    """Log product of the axes' marginal multinomials: ignores that the axes share their patients.

    An option for comparison only: it narrows shared effects. Arguments as in `log_joint_counts`, with any
    number of axes and categories.
    """
    _check(log_table, counts, n, log_table.ndim, log_table.ndim)
    margins = [marginal(log_table, (axis,)) for axis in range(log_table.ndim)]
    pieces = [_log_multinomial(m, count, n) for m, count in zip(margins, list(counts), strict=True)]
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
    return log_ways + times(k, log_p) + times(total - k, log_q)


def marginal(log_table: Float[Array, "*outcomes"], keep: tuple[int, ...]) -> Float[Array, "*kept"]:
    """Log table of the endpoints `keep`, with its axes in that order; the others are summed out."""
    axes = range(log_table.ndim)
    if len(set(keep)) != len(keep) or not set(keep) <= set(axes):
        raise fail("keep", f"must be different axes among {list(axes)}", keep)
    gone = tuple(axis for axis in axes if axis not in keep)
    summed = restore(log_sum(finite(log_table), axis=gone))
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


def _log_multinomial(log_p: Float[Array, " categories"], count: Any, n: int) -> Float[Array, ""]:
    events = [*count] if _wide(count) else [count]
    sizes = jnp.stack([jnp.asarray(k).astype(log_p.dtype) for k in (n - sum(events), *events)])
    return float(gammaln_static(n + 1.0)) + jnp.sum(times(sizes, log_p) - gammaln(sizes + 1))


def _log_two_way(
    log_table: Float[Array, "2 2"], most: tuple[int, int], group: Group, n: int
) -> Float[Array, "rows columns"]:
    """Log F(table; t, j, patients of the group) for all margins t and j that the group can have up to `most`.

    The group are at most `n` patients.
    """
    rows, columns = (min(k, group[1]) for k in most)
    return _two_way(_Sizes(rows, columns, n, isinstance(group[0], jax.Array)), log_table, group[0])


class _Sizes(NamedTuple):
    """The largest margins and group, and whether rows are computed one after the other: many tables at once
    then stay in the processor's cache."""

    rows: int
    columns: int
    patients: int
    one_by_one: bool


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _two_way(sizes: _Sizes, log_table: Array, patients: Grid) -> Array:
    return _with_both(sizes, log_table, patients)[0]


@_two_way.defjvp
def _(sizes: _Sizes, at: tuple[Array, Grid], change: tuple[Array, Any]) -> tuple[Array, Array]:
    """Along each log probability the slope is the expected number of patients in its cell."""
    log_table, patients = at
    value, both = _with_both(sizes, log_table, patients)
    first, second = np.ogrid[: sizes.rows + 1, : sizes.columns + 1]
    expected = [patients - first - second + both, second - both, first - both, both]
    slopes = [cell * along for cell, along in zip(expected, change[0].ravel(), strict=True)]
    return value, sum(slopes, jnp.zeros_like(value))


def _with_both(sizes: _Sizes, log_table: Array, patients: Grid) -> tuple[Array, Array]:
    """Log F for all margins, and how many patients are expected to have both events."""
    log_ways = -gammaln_static(np.arange(sizes.patients + 1) + 1.0).astype(log_table.dtype)
    second, both = np.ogrid[: sizes.columns + 1, : sizes.rows + 1]
    neither_p, second_p, first_p, both_p = log_table.ravel()

    def cell(count: Any, log_p: Array) -> Array:
        size = jnp.clip(count, 0, sizes.patients)
        return size.astype(log_table.dtype) * log_p + jnp.asarray(log_ways)[size]

    fixed = cell(second - both, second_p) + cell(both, both_p)

    def row(first: Array) -> tuple[Array, Array]:
        neither = patients - (first + second - both)
        exists = (neither >= 0) & (second >= both) & (first >= both)
        terms = fixed + cell(first - both, first_p) + cell(neither, neither_p)
        return log_sum_and_mean(jnp.where(exists, terms, absent(log_table)), both)

    firsts = jnp.arange(sizes.rows + 1)
    return jax.lax.map(row, firsts) if sizes.one_by_one else jax.vmap(row)(firsts)


def _convolved(
    most: tuple[int, int], one: Float[Array, "rows columns"], other: Float[Array, "..."]
) -> Float[Array, "..."]:
    """Log coefficients up to `most` of the product of two polynomials in v and w; by rows, to save memory."""
    few, many = sorted((one, other), key=lambda x: x.size)
    rows, columns = (min(sum(k) - 1, m + 1) for *k, m in zip(few.shape, many.shape, most, strict=True))
    down, right = np.ogrid[: few.shape[0], : few.shape[1], :1][:2]

    @jax.checkpoint
    def row(t: Array) -> Array:
        return log_sum(few[..., None] + _at(many, t - down, np.arange(columns) - right), axis=(0, 1))

    return jax.lax.map(row, jnp.arange(rows))


def _coefficient(one: Array, other: Array, wanted: tuple[Grid, Grid]) -> Float[Array, ""]:
    """A single coefficient of such a product."""
    row, column = np.ogrid[: one.shape[0], : one.shape[1]]
    return log_sum(one + _at(other, wanted[0] - row, wanted[1] - column))


def _at(table: Array, row: Grid, column: Grid) -> Array:
    """Entries of a table of log weights; outside it there are none."""
    inside = (row >= 0) & (row < table.shape[0]) & (column >= 0) & (column < table.shape[1])
    return jnp.where(inside, table.at[row, column].get(mode="clip"), absent(table))


def _canonical(
    log_table: Array, counts: Counts, n: int
) -> tuple[Array, tuple[Grid, Grid], tuple[int, int], list[Group]]:
    """Three axes in order of cost, those of two categories counted by the rarer; a missing one never happens.

    Returns the table, the counts of the first two axes, the largest that they can be, and the patients in
    each category of the last axis, which is the one of more than two categories if there is any.
    """
    folded: list[Grid] = []
    for axis, count in enumerate(list(counts)):
        if log_table.shape[axis] == 2:
            log_table = jnp.where(2 * count <= n, log_table, jnp.flip(log_table, axis))
            count = jnp.minimum(count, n - count) if isinstance(count, jax.Array) else min(count, n - count)
        folded.append(count)
    while len(folded) < MOST_AXES:
        log_table = jnp.stack([log_table, jnp.full_like(log_table, never(log_table))])
        folded.insert(0, 0)
    most = [n if _wide(k) else n // 2 if isinstance(k, jax.Array) else int(k) for k in folded]
    first, second, last = sorted(range(MOST_AXES), key=lambda axis: (_wide(folded[axis]), most[axis]))
    events = [*folded[last]] if _wide(folded[last]) else [folded[last]]
    groups = [(k, n if isinstance(k, jax.Array) else int(k)) for k in (n - sum(events), *events)]
    cube = jnp.transpose(log_table, (first, second, last))
    return cube, (folded[first], folded[second]), (most[first], most[second]), groups


def _wide(count: Any) -> bool:
    """Whether a count is those of more than two categories."""
    return isinstance(count, tuple | list) or np.ndim(count) > 0


def _check(log_table: Array, counts: Counts, n: int, axes: int, large: int) -> None:
    """Faults of a table of at most some `axes`, of which some are `large`, and of its counts."""
    found = Findings()
    shape = log_table.shape
    if not 1 <= len(shape) <= axes or min(shape) < 2 or sum(size > 2 for size in shape) > large:
        rule = f"must have 1 to {axes} axes of two categories, of which {large} may have more"
        found.add("log_table", rule, shape)
    elif len(counts) != len(shape):
        found.add("counts", f"must be one per axis of log_table, {len(shape)}", len(counts))
    if n < 1:
        found.add("n", "must be at least 1", n)
    for axis, (count, size) in enumerate(zip(list(counts), shape, strict=False)):
        _check_count(f"counts[{axis}]", count, size, n, found)
    found.raise_if_any()


def _check_count(place: str, count: Any, size: int, n: int, found: Findings) -> None:
    wide = _wide(count)
    parts = list(count) if wide else [count]
    if wide != (size > 2) or len(parts) != size - 1:
        rule = f"must be the counts of categories 1 to {size - 1}" if size > 2 else "must be one count"
        found.add(place, rule, count)
    elif any(isinstance(k, jax.Array) for k in parts):
        return
    elif min(parts) < 0 or sum(parts) > n:
        found.add(place, f"must be between 0 and n = {n}" + ", their sum too" * (size > 2), count)
