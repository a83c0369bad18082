"""How patients differ."""

from collections.abc import Iterable

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pkpd.checks import fail


class Patients(eqx.Module):
    """Standard-normal effects by parameter path, each [patients]; equal paths share nothing."""

    eta: dict[str, Float[Array, " patients"]]
    count: int = eqx.field(static=True)


def draw_patients(paths: Iterable[str], count: int, seed: int = 0) -> Patients:
    """`count` patients on scrambled Sobol points, one dimension per path in sorted order.

    The same seed gives the same patients under any schedule and any parameters (common random
    numbers). Raises `InputError` unless `count` is at least 1 and `seed` a non-negative integer.
    """
    if count < 1:
        raise fail("patients", "must be at least 1", count)
    if seed < 0:
        raise fail("seed", "must not be negative", seed)
    from scipy.special import ndtri
    from scipy.stats import qmc

    paths = sorted(paths)
    if not paths:
        return Patients({}, count)
    points = qmc.Sobol(len(paths), scramble=True, rng=np.random.default_rng(seed)).random_base2(
        int(np.ceil(np.log2(count)))
    )[:count]
    normal = ndtri(np.clip(points, 1e-12, 1 - 1e-12))
    return Patients({path: jnp.asarray(normal[:, i]) for i, path in enumerate(paths)}, count)


def typical_patient() -> Patients:
    """One patient without random effects."""
    return Patients({}, 1)
