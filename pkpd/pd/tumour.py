"""Tumour size."""

import math

import jax
import jax.numpy as jnp

from pkpd.component import Component, Port, Values
from pkpd.parameters import Scalar, parameter

_PSI = 20.0  # of Simeoni's switch from exponential to linear growth


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


class SteinFojo(Component):
    """Tumour whose sensitive part decays while another grows: `size = size0 (e^(-ks t) + e^(kg t) - 1)`.

    As states: `sensitive' = -ks drive sensitive` and `growing' = kg growing`, both 1 at the start; `drive` is
    1 under treatment.

    References: Stein WD, et al. Oncologist 2008;13:1046-1054, doi 10.1634/theoncologist.2008-0075.
    """

    kg: Scalar = parameter("growth rate", "1/time", "nonnegative")
    ks: Scalar = parameter("rate at which the sensitive part decays", "1/time", "nonnegative")
    size0: Scalar = parameter("size at the start", "length", default=1.0)
    states = ("sensitive", "growing")
    inputs = {"drive": Port("1", 1.0)}
    outputs = {"log_ratio": "1", "size": "length"}
    linear = ("drive",)

    def initial(self) -> dict[str, Scalar]:
        return {state: jnp.ones(()) for state in self.states}

    def derivative(self, x: Values, u: Values) -> dict[str, Scalar]:
        return {"sensitive": -self.ks * u["drive"] * x["sensitive"], "growing": self.kg * x["growing"]}

    def output(self, x: Values, u: Values) -> dict[str, Scalar]:
        ratio = x["sensitive"] + (x["growing"] - 1.0)
        return {"log_ratio": jnp.log(ratio), "size": self.size0 * ratio}


class Simeoni(Component):
    """Exponential, then linear growth; cells that a drug hits die in three stages.

    `x1' = g - k2 c x1`, `x2' = k2 c x1 - k1 x2`, `x3' = k1 (x2 - x3)` and `x4' = k1 (x3 - x4)`, with
    `w = x1 + x2 + x3 + x4` and `g = lambda0 x1 (1 + (lambda0 w / lambda1)^psi)^(-1 / psi)`, `psi = 20`.

    References: Simeoni M, et al. Cancer Res 2004;64:1094-1101, doi 10.1158/0008-5472.CAN-03-2524.
    """

    lambda0: Scalar = parameter("rate of exponential growth", "1/time")
    lambda1: Scalar = parameter("rate of linear growth", "*")
    k1: Scalar = parameter("rate of dying", "1/time")
    k2: Scalar = parameter("potency of the drug", "volume/amount/time", "nonnegative")
    w0: Scalar = parameter("weight at the start", "*")
    states = ("x1", "x2", "x3", "x4")
    inputs = {"c": Port("amount/volume")}
    outputs = {"weight": "*", "log_ratio": "1"}
    linear = ("c",)

    def initial(self) -> dict[str, Scalar]:
        return {"x1": jnp.asarray(self.w0), **dict.fromkeys(self.states[1:], jnp.zeros(()))}

    def derivative(self, x: Values, u: Values) -> dict[str, Scalar]:
        hit = self.k2 * u["c"] * x["x1"]
        excess = jnp.log(self.lambda0 * self._weight(x) / self.lambda1)
        slowed = jnp.exp(-jax.nn.softplus(_PSI * excess) / _PSI)
        return {
            "x1": self.lambda0 * x["x1"] * slowed - hit,
            "x2": hit - self.k1 * x["x2"],
            "x3": self.k1 * (x["x2"] - x["x3"]),
            "x4": self.k1 * (x["x3"] - x["x4"]),
        }

    def output(self, x: Values, u: Values) -> dict[str, Scalar]:
        weight = self._weight(x)
        return {"weight": weight, "log_ratio": jnp.log(weight / self.w0)}

    def _weight(self, x: Values) -> Scalar:
        return x["x1"] + x["x2"] + x["x3"] + x["x4"]
