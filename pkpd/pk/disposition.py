"""Distribution and linear elimination of a drug in the body."""

from abc import abstractmethod
from typing import ClassVar

from pkpd.component import Component, Port, Values
from pkpd.parameters import Scalar, parameter


class AbstractDisposition(Component):
    """Amounts in compartments; `central` is the concentration.

    The reciprocals of volumes are taken before they meet a state, because a division by state and node costs
    more than all the rest of the arithmetic.

    Inputs: `rate` (from the routes), `production` (what the body makes itself), `clearance` (added to `cl`,
    for instance by a receptor) and `factor` (multiplies `cl`, for instance an induced enzyme).
    """

    central: ClassVar[str] = "central_amount"
    inputs = {
        "rate": Port("amount/time", 0.0),
        "production": Port("amount/time", 0.0),
        "clearance": Port("volume/time", 0.0),
        "factor": Port("1", 1.0),
    }
    outputs = {"central": "amount/volume"}
    scale = "fast"


class OneCompartment(AbstractDisposition):
    """`A' = rate - (cl factor + clearance) A / v`, concentration `A / v`."""

    cl: Scalar = parameter("clearance", "volume/time", "nonnegative")
    v: Scalar = parameter("volume", "volume")
    states = ("central_amount",)

    def derivative(self, x: Values, u: Values) -> dict[str, Scalar]:
        cleared = (self.cl * u["factor"] + u["clearance"]) * self.output(x, u)["central"]
        return {"central_amount": u["rate"] + u["production"] - cleared}

    def output(self, x: Values, u: Values) -> dict[str, Scalar]:
        return {"central": x["central_amount"] * (1.0 / self.v)}


class AbstractMammillary(AbstractDisposition):
    """A central compartment and peripheral ones that exchange with it alone."""

    cl: Scalar = parameter("clearance", "volume/time", "nonnegative")
    vc: Scalar = parameter("central volume", "volume")
    q: Scalar = parameter("inter-compartmental clearance", "volume/time", "nonnegative")
    vp: Scalar = parameter("peripheral volume", "volume")

    @abstractmethod
    def peripherals(self) -> tuple[tuple[Scalar, Scalar], ...]:
        """Inter-compartmental clearance and volume of each peripheral compartment."""

    def derivative(self, x: Values, u: Values) -> dict[str, Scalar]:
        central = self.output(x, u)["central"]
        cleared = (self.cl * u["factor"] + u["clearance"]) * central
        change = {"central_amount": u["rate"] + u["production"] - cleared}
        for k, (q, vp) in enumerate(self.peripherals(), 1):
            state = f"peripheral{k}_amount"
            exchange = q * (central - x[state] * (1.0 / vp))
            change["central_amount"] = change["central_amount"] - exchange
            change[state] = exchange
        return change

    def output(self, x: Values, u: Values) -> dict[str, Scalar]:
        return {"central": x["central_amount"] * (1.0 / self.vc)}


class TwoCompartment(AbstractMammillary):
    """Central and peripheral compartment exchanging by the inter-compartmental clearance `q`.

    `A' = rate - (cl factor + clearance) C - q (C - P / vp)` and `P' = q (C - P / vp)`, with `C = A / vc`.
    """

    states = ("central_amount", "peripheral1_amount")

    def peripherals(self) -> tuple[tuple[Scalar, Scalar], ...]:
        return ((self.q, self.vp),)


class ThreeCompartment(AbstractMammillary):
    """Central and two peripheral compartments; each exchanges with the central one by its own clearance.

    `A' = rate - (cl factor + clearance) C - q (C - P1 / vp) - q2 (C - P2 / vp2)`, `P1' = q (C - P1 / vp)` and
    `P2' = q2 (C - P2 / vp2)`, with `C = A / vc`.
    """

    q2: Scalar = parameter("second inter-compartmental clearance", "volume/time", "nonnegative")
    vp2: Scalar = parameter("second peripheral volume", "volume")
    states = ("central_amount", "peripheral1_amount", "peripheral2_amount")

    def peripherals(self) -> tuple[tuple[Scalar, Scalar], ...]:
        return (self.q, self.vp), (self.q2, self.vp2)
