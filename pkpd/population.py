"""How patients differ."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pkpd.checks import fail
from pkpd.parameters import Scalar

FORMS = ("power", "exponential", "linear")


@dataclass(frozen=True)
class CovariateEffect:
    """How a covariate acts on a parameter, by the coefficient `e_<covariate>_<parameter>`.

    With the covariate `c` and its `reference`: `power` multiplies by `(c / reference)^e`, `exponential` by
    `exp(e (c - reference))`, `linear` by `1 + e (c - reference)`.
    """

    parameter: str
    covariate: str
    form: str
    reference: float

    @property
    def path(self) -> str:
        """The path of the coefficient."""
        owner, _, symbol = self.parameter.rpartition(".")
        return f"{owner}.e_{self.covariate}_{symbol}"

    def factor(self, coefficient: Scalar, value: Scalar) -> Array:
        """What the parameter is multiplied by."""
        if self.form == "power":
            return jnp.asarray(value / self.reference) ** coefficient
        change = coefficient * (value - self.reference)
        return jnp.exp(change) if self.form == "exponential" else 1.0 + jnp.asarray(change)


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
