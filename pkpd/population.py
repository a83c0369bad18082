"""How patients differ."""

from collections.abc import Collection, Iterable

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pkpd.checks import fail


class Patients(eqx.Module):
    """Standard-normal effects by parameter path, each [patients].

    The patients form `groups` of equal size, in which the effects that are shared repeat.
    """

    eta: dict[str, Float[Array, " patients"]]
    count: int = eqx.field(static=True)
    groups: int = eqx.field(static=True, default=1)


def draw_patients(
    paths: Iterable[str], count: int, seed: int = 0, shared: Collection[str] = (), groups: int = 1
) -> Patients:
    """`count` patients on scrambled Sobol points, one dimension per path.

    The same seed gives the same patients under any schedule and any parameters (common random
    numbers). Paths take the dimensions in sorted order; the effects `shared`, which repeat in each of
    `groups`, come last, because the first dimensions are the best. Raises `InputError` unless `count` is at
    least 1 and a multiple of `groups`, and `seed` a non-negative integer.
    """
    if count < 1:
        raise fail("patients", "must be at least 1", count)
    if seed < 0:
        raise fail("seed", "must not be negative", seed)
    if count % groups:
        raise fail("patients", f"must be a multiple of the number of groups, {groups}", count)
    from scipy.special import ndtri
    from scipy.stats import qmc

    paths = sorted(paths, key=lambda path: (path in shared, path))
    if not paths:
        return Patients({}, count, groups)
    points = qmc.Sobol(len(paths), scramble=True, rng=np.random.default_rng(seed)).random_base2(
        int(np.ceil(np.log2(count)))
    )[:count]
    normal = ndtri(np.clip(points, 1e-12, 1 - 1e-12))
    few = count // groups
    eta = {p: np.tile(v[:few], groups) if p in shared else v for p, v in zip(paths, normal.T, strict=True)}
    return Patients({path: jnp.asarray(v) for path, v in eta.items()}, count, groups)


def typical_patient() -> Patients:
    """One patient without random effects."""
    return Patients({}, 1)
