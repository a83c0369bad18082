"""What is known of a patient: how it acts on parameters, and how it is spread among virtual patients."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float
from scipy.special import ndtr, ndtri

from pkpd.parameters import Scalar
from pkpd.population.variability import varied

FORMS = ("power", "exponential", "linear", "factor")


@dataclass(frozen=True)
class CovariateEffect:
    """How a covariate acts on a parameter, by the coefficient `e_<covariate>_<parameter>`.

    With the covariate `c` and its `reference`: `power` multiplies by `(c / reference)^e`, `exponential` by
    `exp(e (c - reference))`, `linear` by `1 + e (c - reference)`, `factor` by `e^(c - reference)`.
    With a `level`, a name and its number, `c` is 1 where the covariate has that number, else 0, the reference
    is 0, and the coefficient is `e_<covariate>_<level>_<parameter>`.
    """

    parameter: str
    covariate: str
    form: str
    reference: float
    level: tuple[str, float] | None = None

    @property
    def path(self) -> str:
        """The path of the coefficient."""
        owner, _, symbol = self.parameter.rpartition(".")
        level = f"_{self.level[0]}" if self.level else ""
        return f"{owner}.e_{self.covariate}{level}_{symbol}"

    def factor(self, coefficient: Scalar, value: Scalar) -> Array:
        """What the parameter is multiplied by."""
        if self.form == "power":
            return jnp.asarray(value / self.reference) ** coefficient
        change = jnp.asarray(value - self.reference)
        if self.level:
            change = jnp.where(jnp.asarray(value) == self.level[1], 1.0, 0.0)
        if self.form == "factor":
            return jnp.asarray(coefficient) ** change
        return jnp.exp(coefficient * change) if self.form == "exponential" else 1.0 + coefficient * change


@dataclass(frozen=True)
class Covariate:
    """A covariate: its reference and, for virtual patients, how it is spread, in the model's units.

    By a standard normal effect times `spread` on the `median`, as a parameter of this `form`, cut off outside
    `within`; or by `levels`, each a name, its number and its share of the patients. Without either all
    patients have the reference.
    """

    name: str
    reference: float
    median: float
    form: str = "lognormal"
    spread: float = 0.0
    within: tuple[float, float] = (-np.inf, np.inf)
    levels: tuple[tuple[str, float, float], ...] = ()

    @property
    def spreads(self) -> bool:
        """Whether virtual patients differ in it."""
        return self.spread > 0.0 or any(share > 0.0 for _, _, share in self.levels)

    @property
    def numbers(self) -> tuple[float, ...]:
        """The numbers of its levels."""
        return tuple(number for _, number, _ in self.levels)

    @property
    def told(self) -> str:
        """Its levels in words."""
        return ", ".join(f"{number:g} ({name})" for name, number, _ in self.levels)

    def values(self, normal: Float[np.ndarray, " patients"]) -> Float[np.ndarray, " patients"]:
        """Values of patients with standard normal effects."""
        if self.levels:
            shares = [share for _, _, share in self.levels]
            place = np.searchsorted(np.cumsum(shares)[:-1], ndtr(normal), side="right")
            return np.array(self.numbers, float)[place]
        low, high = (ndtr(self._effect(end)) for end in self.within)
        effect = ndtri(low + (high - low) * ndtr(normal))
        return np.asarray(varied(self.median, self.form, self.spread * effect), float)

    def _effect(self, value: float) -> float:
        """The effect of a patient with a value."""
        if self.form == "normal" or not np.isfinite(value):
            return (value - self.median) / self.spread
        return np.log(value / self.median) / self.spread if value > 0.0 else -np.inf
