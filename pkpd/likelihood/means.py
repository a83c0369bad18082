"""How probable printed means are."""

import math

from jaxtyping import Array, Float

from pkpd.checks import fail


def log_mean(value: Float[Array, "..."], printed: float, se: float) -> Float[Array, "..."]:
    """Log density of a printed mean, normal about the model's `value` with the standard error `se`.

    `-((printed - value) / se)^2 / 2 - log(se sqrt(2 pi))`, in the unit of the three. Raises InputError for a
    standard error that is not positive.
    """
    if not se > 0.0:
        raise fail("se", "must be positive", se)
    return -0.5 * ((printed - value) / se) ** 2 - math.log(se * math.sqrt(2.0 * math.pi))
