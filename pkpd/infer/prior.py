"""Priors as maps from a standard normal number to a parameter."""

import math
from dataclasses import dataclass
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import log_ndtr, ndtr, ndtri
from jaxtyping import Array, Float

from pkpd.checks import fail
from pkpd.parameters import Declaration, Domain

Family = Literal["lognormal", "normal", "logitnormal", "beta1", "halfnormal"]
_Z95 = 1.959963984540054
_SUPPORT: dict[str, tuple[Domain, ...]] = {
    "lognormal": ("positive", "nonnegative", "real"),
    "normal": ("real",),
    "logitnormal": ("unit", "nonnegative", "positive", "real"),
    "beta1": ("unit", "nonnegative", "real"),
    "halfnormal": ("nonnegative", "real"),
}


@dataclass(frozen=True)
class Prior:
    """`lognormal(median, log SD)`, `normal(mean, SD)`, `logitnormal(median, logit SD)`, `beta1(b)`, the
    distribution Beta(1, b), whose density falls from zero, or `halfnormal(scale)`."""

    family: Family
    centre: float
    spread: float = 0.0

    def natural(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """The parameter that belongs to the standard normal number `x`."""
        if self.family == "lognormal":
            return self.centre * jnp.exp(self.spread * x)
        if self.family == "normal":
            return self.centre + self.spread * x
        if self.family == "logitnormal":
            odds = math.log(self.centre / (1.0 - self.centre)) + self.spread * x
            return 1.0 / (1.0 + jnp.exp(-odds))
        if self.family == "halfnormal":
            return -self.centre * ndtri(0.5 * ndtr(-x))
        return -jnp.expm1(log_ndtr(-x) / self.centre)

    def interval(self) -> tuple[float, float]:
        """The central 95 % of the prior, in the parameter's unit."""
        low, high = np.asarray(self.natural(jnp.asarray([-_Z95, _Z95])))
        return float(low), float(high)

    def sd(self) -> float:
        """The standard deviation of the prior, in the parameter's unit (by quadrature)."""
        nodes, weights = np.polynomial.hermite_e.hermegauss(61)
        values, weights = np.asarray(self.natural(jnp.asarray(nodes))), weights / weights.sum()
        return float(np.sqrt(weights @ (values - weights @ values) ** 2))

    def check(self, place: str, declaration: Declaration) -> None:
        """Raises `InputError` where the prior can leave the parameter's domain or has no width."""
        if declaration.domain not in _SUPPORT[self.family]:
            hint = "Use lognormal for positive parameters, logitnormal or beta1 for probabilities."
            raise fail(place, f"must stay in the domain ({declaration.rule})", self.family, hint)
        if self.family not in ("beta1", "halfnormal") and not self.spread > 0.0:
            raise fail(place, "must have a spread greater than 0", self.spread)


def beta1_below(upper: float, mass: float = 0.95) -> Prior:
    """Beta(1, b) with `mass` below `upper`."""
    return Prior("beta1", math.log1p(-mass) / math.log1p(-upper))
