"""Pools that are produced and lost."""

import jax.numpy as jnp

from pkpd.component import Component, Port, Values
from pkpd.parameters import Scalar, parameter


class Turnover(Component):
    """Indirect response: `level' = kout (base (1 + stimulus) - (1 + loss) level)`.

    Models I to IV of the reference inhibit production (a negative `stimulus`), inhibit loss (a negative
    `loss`), stimulate production and stimulate loss.

    References: Dayneka NL, et al. J Pharmacokinet Biopharm 1993;21:457-478, doi 10.1007/BF01061691.
    """

    kout: Scalar = parameter("loss rate", "1/time")
    base: Scalar = parameter("level without stimulus", "*", default=1.0)
    states = ("level",)
    inputs = {"stimulus": Port("1", 0.0), "loss": Port("1", 0.0)}
    outputs = {"level": "*", "excess": "1"}
    linear = ("stimulus", "loss")

    def initial(self) -> dict[str, Scalar]:
        return {"level": jnp.asarray(self.base)}

    def derivative(self, x: Values, u: Values) -> dict[str, Scalar]:
        lost = (1.0 + u["loss"]) * x["level"]
        return {"level": self.kout * (self.base * (1.0 + u["stimulus"]) - lost)}

    def output(self, x: Values, u: Values) -> dict[str, Scalar]:
        return {"level": x["level"], "excess": x["level"] / self.base - 1.0}


class PrecursorTurnover(Turnover):
    """A pool that fills from a precursor pool, whose depletion makes tolerance and rebound.

    `precursor' = kout base (1 + stimulus) - kp (1 + release) precursor` and
    `level' = kp (1 + release) precursor - kout (1 + loss) level`, both at rest without inputs.

    References: Sharma A, Ebling WF, Jusko WJ. J Pharm Sci 1998;87:1577-1584, doi 10.1021/js980124j.
    """

    kp: Scalar = parameter("rate at which the precursor turns", "1/time")
    states = ("precursor", "level")
    inputs = {"stimulus": Port("1", 0.0), "release": Port("1", 0.0), "loss": Port("1", 0.0)}
    linear = ("stimulus", "release", "loss")

    def initial(self) -> dict[str, Scalar]:
        return {"precursor": self.kout * self.base / self.kp, "level": jnp.asarray(self.base)}

    def derivative(self, x: Values, u: Values) -> dict[str, Scalar]:
        turned = self.kp * (1.0 + u["release"]) * x["precursor"]
        return {
            "precursor": self.kout * self.base * (1.0 + u["stimulus"]) - turned,
            "level": turned - self.kout * (1.0 + u["loss"]) * x["level"],
        }


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
