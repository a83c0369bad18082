"""Effects that follow their inputs at once."""

from pkpd.component import Component, Port, Values, saturation
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
        return {"effect": self.emax * saturation(u["c"] / self.ec50, self.hill)}


class Imax(Component):
    """`effect = -imax c / (ic50 + c)`: an inhibition, for what is multiplied by `1 + effect`."""

    imax: Scalar = parameter("maximal inhibition", "1", "unit")
    ic50: Scalar = parameter("concentration of half the maximal inhibition", "amount/volume")
    inputs = {"c": Port("amount/volume")}
    outputs = {"effect": "1"}
    direct = ("c",)

    def output(self, x: Values, u: Values) -> dict[str, Scalar]:
        return {"effect": -self.imax * u["c"] / (self.ic50 + u["c"])}


class SigmoidImax(Imax):
    """`effect = -imax c^hill / (ic50^hill + c^hill)`; its gradient is finite at `c = 0`."""

    hill: Scalar = parameter("Hill coefficient", "1")

    def output(self, x: Values, u: Values) -> dict[str, Scalar]:
        return {"effect": -self.imax * saturation(u["c"] / self.ic50, self.hill)}


class Linear(Component):
    """`effect = slope c`."""

    slope: Scalar = parameter("effect per concentration", "volume/amount", "real")
    inputs = {"c": Port("amount/volume")}
    outputs = {"effect": "1"}
    direct = ("c",)

    def output(self, x: Values, u: Values) -> dict[str, Scalar]:
        return {"effect": self.slope * u["c"]}


class Response(Component):
    """What is measured follows an effect at once: `level = e0 (1 + effect)`."""

    e0: Scalar = parameter("level without effect", "*")
    inputs = {"effect": Port("1")}
    outputs = {"level": "*"}
    direct = ("effect",)

    def output(self, x: Values, u: Values) -> dict[str, Scalar]:
        return {"level": self.e0 * (1.0 + u["effect"])}


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
