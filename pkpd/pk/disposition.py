"""Distribution and linear elimination of a drug in the body."""

from typing import ClassVar

from pkpd.component import Component, Port, Values
from pkpd.parameters import Scalar, parameter


class AbstractDisposition(Component):
    """Amounts in compartments; `central` is the concentration.

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
        loss = (self.cl * u["factor"] + u["clearance"]) / self.v
        return {"central_amount": u["rate"] - loss * x["central_amount"]}

    def output(self, x: Values, u: Values) -> dict[str, Scalar]:
        return {"central": x["central_amount"] / self.v}


class TwoCompartment(AbstractDisposition):
    """Central and peripheral compartment exchanging by the inter-compartmental clearance `q`."""

    cl: Scalar = parameter("clearance", "volume/time")
    vc: Scalar = parameter("central volume", "volume")
    q: Scalar = parameter("inter-compartmental clearance", "volume/time", "nonnegative")
    vp: Scalar = parameter("peripheral volume", "volume")
    states = ("central_amount", "peripheral1_amount")

    def derivative(self, x: Values, u: Values) -> dict[str, Scalar]:
        central, peripheral = x["central_amount"], x["peripheral1_amount"]
        loss = (self.cl * u["factor"] + u["clearance"]) / self.vc
        exchange = self.q / self.vc * central - self.q / self.vp * peripheral
        return {
            "central_amount": u["rate"] - loss * central - exchange,
            "peripheral1_amount": exchange,
        }

    def output(self, x: Values, u: Values) -> dict[str, Scalar]:
        return {"central": x["central_amount"] / self.vc}
