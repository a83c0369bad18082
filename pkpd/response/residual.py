"""Residual error: how far an observation is from the prediction."""

from collections.abc import Mapping
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from pkpd.component import Port
from pkpd.parameters import Scalar, parameter

Values = Float[Array, "..."]


class AbstractResidual(eqx.Module):
    """The error of observations of one output, the input `prediction`."""

    inputs: ClassVar[Mapping[str, Port]] = {"prediction": Port("*")}

    def sd(self, prediction: Values) -> Values:
        """Standard deviation of an observation about its prediction."""
        raise NotImplementedError

    def observed(self, prediction: Values, noise: Values) -> Values:
        """Observations with standard normal `noise`."""
        return prediction + self.sd(prediction) * noise


class AdditiveError(AbstractResidual):
    """`y = f + add_sd e`."""

    add_sd: Scalar = parameter("standard deviation of the error", "*", "nonnegative")

    def sd(self, prediction: Values) -> Values:
        return self.add_sd + jnp.zeros_like(prediction)


class ProportionalError(AbstractResidual):
    """`y = f (1 + prop_sd e)`."""

    prop_sd: Scalar = parameter("standard deviation of the error over the prediction", "1", "nonnegative")

    def sd(self, prediction: Values) -> Values:
        return self.prop_sd * prediction


class CombinedError(AbstractResidual):
    """`y = f + add_sd e1 + prop_sd f e2`, so that variances add up."""

    add_sd: Scalar = parameter("standard deviation of the additive part", "*", "nonnegative")
    prop_sd: Scalar = parameter("standard deviation of the proportional part over f", "1", "nonnegative")

    def sd(self, prediction: Values) -> Values:
        variance = self.add_sd**2 + (self.prop_sd * prediction) ** 2
        some = variance > 0.0
        return jnp.where(some, jnp.sqrt(jnp.where(some, variance, 1.0)), 0.0)


class LogNormalError(AbstractResidual):
    """`y = f exp(log_sd e)`."""

    log_sd: Scalar = parameter("standard deviation of the logarithm", "1", "nonnegative")

    def sd(self, prediction: Values) -> Values:
        variance = self.log_sd**2
        some = variance > 0.0
        ratio = jnp.where(some, jnp.expm1(variance) / jnp.where(some, variance, 1.0), 1.0)
        return prediction * jnp.exp(variance / 2.0) * self.log_sd * jnp.sqrt(ratio)

    def observed(self, prediction: Values, noise: Values) -> Values:
        return prediction * jnp.exp(self.log_sd * noise)
