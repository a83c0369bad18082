"""Effects that follow their inputs at once."""

import jax.numpy as jnp

from pkpd.component import Component, Port, Values
from pkpd.parameters import Scalar, parameter


class Emax(Component):
    """`effect = emax c / (ec50 + c)`."""

    emax: Scalar = parameter("maximal effect", "1", "nonnegative")
    ec50: Scalar = parameter("concentration of half the maximal effect", "amount/volume")
    inputs = {"c": Port("amount/volume")}
    outputs = {"effect": "1"}
    direct = ("c",)

    def output(self, x: Values, u: Values) -> dict[str, Scalar]:
        return {"effect": self.emax * u["c"] / (self.ec50 + u["c"])}


class SigmoidEmax(Emax):
    """`effect = emax c^hill / (ec50^hill + c^hill)`; its gradient is finite at `c = 0`."""

    hill: Scalar = parameter("Hill coefficient", "1")

    def output(self, x: Values, u: Values) -> dict[str, Scalar]:
        ratio = jnp.maximum(u["c"], 0.0) / self.ec50
        given = ratio > 0.0
        power = jnp.where(given, jnp.where(given, ratio, 1.0) ** self.hill, 0.0)
        return {"effect": self.emax * power / (1.0 + power)}


class Potentiation(Component):
    """A second drug enlarges an effect: `effect = s (1 + pmax m / (ec50 + m))`."""

    pmax: Scalar = parameter("maximal potentiation", "1", "nonnegative")
    ec50: Scalar = parameter("concentration of half the potentiation", "amount/volume")
    inputs = {"s": Port("1"), "m": Port("amount/volume")}
    outputs = {"effect": "1"}
    direct = ("s", "m")

    def output(self, x: Values, u: Values) -> dict[str, Scalar]:
        return {"effect": u["s"] * (1.0 + self.pmax * u["m"] / (self.ec50 + u["m"]))}


class Amplifier(Component):
    """`effect = gain x`."""

    gain: Scalar = parameter("gain", "1", "nonnegative")
    inputs = {"x": Port("1")}
    outputs = {"effect": "1"}
    direct = ("x",)

    def output(self, x: Values, u: Values) -> dict[str, Scalar]:
        return {"effect": self.gain * u["x"]}


class Power(Component):
    """`effect = coefficient (x / reference)^exponent`, for instance a hazard that grows with a size."""

    coefficient: Scalar = parameter("effect at the reference", "*", "nonnegative")
    reference: Scalar = parameter("reference value of the input", "*")
    exponent: Scalar = parameter("exponent", "1", "real", default=1.0)
    inputs = {"x": Port("*")}
    outputs = {"effect": "*"}
    direct = ("x",)

    def output(self, x: Values, u: Values) -> dict[str, Scalar]:
        return {"effect": self.coefficient * (u["x"] / self.reference) ** self.exponent}
