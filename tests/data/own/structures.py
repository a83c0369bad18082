"""Structures as a user writes them: a linear one that the package has too, and one without closed form."""

from pkpd import Component, Port, parameter
from pkpd.pk import AbstractDisposition


class Pair(AbstractDisposition):
    """Two compartments by rates of transfer."""

    cl: float = parameter("clearance", "volume/time")
    vc: float = parameter("central volume", "volume")
    q: float = parameter("exchange", "volume/time", "nonnegative")
    vp: float = parameter("peripheral volume", "volume")
    states = ("central_amount", "peripheral1_amount")

    def derivative(self, x, u):
        out = (self.cl * u["factor"] + u["clearance"]) / self.vc * x["central_amount"]
        there = self.q / self.vc * x["central_amount"]
        back = self.q / self.vp * x["peripheral1_amount"]
        return {"central_amount": u["rate"] - out - there + back, "peripheral1_amount": there - back}

    def output(self, x, u):
        return {"central": x["central_amount"] / self.vc}


class Saturable(AbstractDisposition):
    """`A' = rate - vmax C / (km + C)` with `C = A / v`."""

    vmax: float = parameter("largest rate of elimination", "amount/time")
    km: float = parameter("concentration of half of it", "amount/volume")
    v: float = parameter("volume", "volume")
    states = ("central_amount",)

    def derivative(self, x, u):
        c = self.output(x, u)["central"]
        return {"central_amount": u["rate"] - self.vmax * c / (self.km + c)}

    def output(self, x, u):
        return {"central": x["central_amount"] / self.v}


class Delayed(Component):
    """A site that follows a concentration."""

    ke0: float = parameter("rate", "1/time")
    states = ("c",)
    inputs = {"c": Port("amount/volume")}
    outputs = {"level": "amount/volume"}
    scale = "fast"

    def derivative(self, x, u):
        return {"c": self.ke0 * (u["c"] - x["c"])}

    def output(self, x, u):
        return {"level": x["c"]}
