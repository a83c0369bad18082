"""Log probabilities of zero, such that nothing that is multiplied, added or differentiated becomes NaN.

What stands for minus infinity is below any log probability of counts that can be, and no further: a compiler
may compute a sum twice and round it differently, and the exponential of that difference must be finite.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

NEVER = {8: -1e10, 4: -1e6}  # by the bytes of a number
ABSENT = {8: -1e18, 4: -5e8}


def never(x: Float[Array, "..."]) -> float:
    """Stands for log 0: finite, so that 0 log 0 = 0, and its product with any count is finite too."""
    return NEVER[x.dtype.itemsize]


def absent(x: Float[Array, "..."]) -> float:
    """Log weight of a term that does not exist: below that of any impossible one."""
    return ABSENT[x.dtype.itemsize]


def finite(log_p: Float[Array, "..."]) -> Float[Array, "..."]:
    """Log probabilities with `never` in place of -inf; the gradient along it is zero."""
    return jnp.maximum(log_p, never(log_p))


def restore(log_p: Float[Array, "..."]) -> Float[Array, "..."]:
    """Log probabilities with -inf in place of `never`, or of any multiple of it."""
    return jnp.where(log_p < never(log_p) / 2, -jnp.inf, log_p)


def times(count: Float[Array, "..."], log_p: Float[Array, "..."]) -> Float[Array, "..."]:
    """`count log_p` with `0 log 0 = 0`, in the gradient too."""
    return count * jnp.where(count > 0, log_p, 0.0)
