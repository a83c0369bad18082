"""Log probabilities of zero, such that nothing that is multiplied, added or differentiated becomes NaN."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def never(x: Float[Array, "..."]) -> float:
    """Stands for log 0: finite, so that 0 log 0 = 0, and its product with any count is finite too."""
    return float(jnp.finfo(x.dtype).min) * 1e-8


def absent(x: Float[Array, "..."]) -> float:
    """Log weight of a term that does not exist: below that of any impossible one."""
    return float(jnp.finfo(x.dtype).min) * 1e-2


def finite(log_p: Float[Array, "..."]) -> Float[Array, "..."]:
    """Log probabilities with `never` in place of -inf; the gradient along it is zero."""
    return jnp.maximum(log_p, never(log_p))


def restore(log_p: Float[Array, "..."]) -> Float[Array, "..."]:
    """Log probabilities with -inf in place of `never`, or of any multiple of it."""
    return jnp.where(log_p < never(log_p) / 2, -jnp.inf, log_p)


def times(count: Float[Array, "..."], log_p: Float[Array, "..."]) -> Float[Array, "..."]:
    """`count log_p` with `0 log 0 = 0`, in the gradient too."""
    return count * jnp.where(count > 0, log_p, 0.0)


def log_sum(log_p: Float[Array, "..."], axis: int | tuple[int, ...] | None = None) -> Float[Array, "..."]:
    """`log(sum(exp(log_p)))` of finite terms over `axis` (all by default)."""
    top, shares = _shares(log_p, axis)
    total = _total(shares, axis)
    return jnp.log(total) + top.reshape(total.shape)


def log_sum_and_mean(
    log_p: Float[Array, "*rest terms"], values: Any
) -> tuple[Float[Array, "*rest"], Float[Array, "*rest"]]:
    """`log_sum` over the last axis, and the mean there of `values` with the terms as weights."""
    top, shares = _shares(log_p, -1)
    total = _total(shares, -1)
    return jnp.log(total) + top[..., 0], jnp.sum(shares * values, axis=-1) / total


def _shares(log_p: Array, axis: Any) -> tuple[Array, Array]:
    """The largest term, and all as shares of it.

    A compiler may compute a term twice and round it differently. Next to `never` such a difference is no
    small number: the largest term is held at its own height, and its share at 1, whatever the rounding.
    """
    top = jax.lax.stop_gradient(jnp.max(log_p, axis=axis, keepdims=True))
    below = log_p - top
    return top, jnp.exp(_held(below, jnp.minimum(below, 0.0)))


def _total(shares: Array, axis: Any) -> Array:
    total = jnp.sum(shares, axis=axis)
    return _held(total, jnp.maximum(total, 1.0))


@jax.custom_jvp
def _held(x: Array, bounded: Array) -> Array:
    """x within a bound that only rounding can make it pass."""
    return bounded


@_held.defjvp
def _(at: tuple[Array, Array], change: tuple[Array, Array]) -> tuple[Array, Array]:
    return _held(*at), change[0]
