"""Tumour size."""

import math

import jax.numpy as jnp

from pkpd.component import Component, Port, Values
from pkpd.parameters import Scalar, parameter


class TumourGrowth(Component):
    """Exponential or logistic growth and a kill that resistance wears off.

    `dln T/dt = kg (1 - T / capacity) - kkill excess exp(-lambda_res since)`, with `T` the sum of
    diameters (`size0` at the start) and `since` the time since the first dose.

    References: Claret L, et al. J Clin Oncol 2009;27:4103-4108, doi 10.1200/JCO.2008.21.0807.
    """

    kg: Scalar = parameter("growth rate", "1/time", "real")
    kkill: Scalar = parameter("kill rate per unit of excess", "1/time", "nonnegative", multiplies="excess")
    lambda_res: Scalar = parameter("rate at which the kill wears off", "1/time", "nonnegative", default=0.0)
    size0: Scalar = parameter("size at the start", "length", default=1.0)
    capacity: Scalar = parameter("largest size", "length", default=math.inf)
    states = ("log_ratio",)
    inputs = {"excess": Port("1"), "since": Port("time", 0.0)}
    outputs = {"log_ratio": "1", "size": "length"}
    linear = ("excess",)

    def derivative(self, x: Values, u: Values) -> dict[str, Scalar]:
        growth = self.kg * (1.0 - self.size0 * jnp.exp(x["log_ratio"]) / self.capacity)
        kill = self.kkill * u["excess"] * jnp.exp(-self.lambda_res * u["since"])
        return {"log_ratio": growth - kill}

    def output(self, x: Values, u: Values) -> dict[str, Scalar]:
        return {"log_ratio": x["log_ratio"], "size": self.size0 * jnp.exp(x["log_ratio"])}
