"""Distribution and linear elimination of a drug in the body."""

from typing import ClassVar

from pkpd.component import Component, Port, Values
from pkpd.parameters import Scalar, parameter


class AbstractDisposition(Component):
    """Amounts in compartments; `central` is the concentration.

    The reciprocals of volumes are taken before they meet a state, because a division by state and node costs
    more than all the rest of the arithmetic.

    Inputs: `rate` (from the routes), `clearance` (added to `cl`, for instance by a receptor) and
    `factor` (multiplies `cl`, for instance an induced enzyme).
    """

    central: ClassVar[str] = "central_amount"
    inputs = {
        "rate": Port("amount/time", 0.0),
        "clearance": Port("volume/time", 0.0),
        "factor": Port("1", 1.0),
    }
    outputs = {"central": "amount/volume"}
    scale = "fast"


class OneCompartment(AbstractDisposition):
    """`A' = rate - (cl factor + clearance) A / v`, concentration `A / v`."""

    cl: Scalar = parameter("clearance", "volume/time")
    v: Scalar = parameter("volume", "volume")
    states = ("central_amount",)

    def derivative(self, x: Values, u: Values) -> dict[str, Scalar]:
        cleared = (self.cl * u["factor"] + u["clearance"]) * self.output(x, u)["central"]
        return {"central_amount": u["rate"] - cleared}

    def output(self, x: Values, u: Values) -> dict[str, Scalar]:
        return {"central": x["central_amount"] * (1.0 / self.v)}


class TwoCompartment(AbstractDisposition):
    """Central and peripheral compartment exchanging by the inter-compartmental clearance `q`."""

    cl: Scalar = parameter("clearance", "volume/time")
    vc: Scalar = parameter("central volume", "volume")
    q: Scalar = parameter("inter-compartmental clearance", "volume/time", "nonnegative")
    vp: Scalar = parameter("peripheral volume", "volume")
    states = ("central_amount", "peripheral1_amount")

    def derivative(self, x: Values, u: Values) -> dict[str, Scalar]:
        central, peripheral = self.output(x, u)["central"], x["peripheral1_amount"] * (1.0 / self.vp)
        exchange = self.q * (central - peripheral)
        cleared = (self.cl * u["factor"] + u["clearance"]) * central
        return {"central_amount": u["rate"] - cleared - exchange, "peripheral1_amount": exchange}

    def output(self, x: Values, u: Values) -> dict[str, Scalar]:
        return {"central": x["central_amount"] * (1.0 / self.vc)}
