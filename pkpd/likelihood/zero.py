"""Log probabilities of zero, such that nothing that is multiplied, added or differentiated becomes NaN."""

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
