"""Pools that are produced and lost."""

import jax.numpy as jnp

from pkpd.component import Component, Port, Values
from pkpd.parameters import Scalar, parameter


class Turnover(Component):
    """Indirect response with stimulated production: `level' = kout (base (1 + stimulus) - level)`.

    References: Dayneka NL, et al. J Pharmacokinet Biopharm 1993;21:457-478 (model III).
    """

    kout: Scalar = parameter("loss rate", "1/time")
    base: Scalar = parameter("level without stimulus", "*", default=1.0)
    states = ("level",)
    inputs = {"stimulus": Port("1", 0.0)}
    outputs = {"level": "*", "excess": "1"}
    linear = ("stimulus",)

    def initial(self) -> dict[str, Scalar]:
        return {"level": jnp.asarray(self.base)}

    def derivative(self, x: Values, u: Values) -> dict[str, Scalar]:
        return {"level": self.kout * (self.base * (1.0 + u["stimulus"]) - x["level"])}

    def output(self, x: Values, u: Values) -> dict[str, Scalar]:
        return {"level": x["level"], "excess": x["level"] / self.base - 1.0}


class Accumulator(Component):
    """The integral of its input since the start, for instance an exposure or a cumulative hazard."""

    states = ("total",)
    inputs = {"rate": Port("*")}
    outputs = {"total": "*"}
    linear = ("rate",)

    def derivative(self, x: Values, u: Values) -> dict[str, Scalar]:
        return {"total": u["rate"] + 0.0 * x["total"]}

    def output(self, x: Values, u: Values) -> dict[str, Scalar]:
        return {"total": x["total"]}
