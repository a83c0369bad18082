"""From the site of administration to the blood: amounts in, an input rate out."""

import math
from typing import ClassVar

from pkpd.component import Component, Values
from pkpd.parameters import Scalar, parameter


class AbstractAbsorption(Component):
    """A route. A dose enters the state `entry` (`bioav` of it, `tlag` after it is given).

    `rate` and `duration` are those of infusions that leave one of them to the model.
    """

    bioav: Scalar = parameter("bioavailability", "1", "nonnegative", default=1.0)
    tlag: Scalar = parameter("lag", "time", "nonnegative", default=0.0)
    rate: Scalar = parameter(
        "rate of an infusion that leaves it to the model", "amount/time", default=math.inf
    )
    duration: Scalar = parameter(
        "duration of an infusion that leaves it to the model", "time", "nonnegative", default=0.0
    )
    entry: ClassVar[str | None] = None
    scale = "fast"


class Bolus(AbstractAbsorption):
    """Straight into the central compartment (intravenous); with a duration, an infusion."""


class FirstOrder(AbstractAbsorption):
    """First-order absorption from a depot: `depot' = -ka depot`, rate `ka depot`."""

    ka: Scalar = parameter("absorption rate", "1/time")
    entry = "depot"
    states = ("depot",)
    outputs = {"rate": "amount/time"}

    def derivative(self, x: Values, u: Values) -> dict[str, Scalar]:
        return {"depot": -self.ka * x["depot"]}

    def output(self, x: Values, u: Values) -> dict[str, Scalar]:
        return {"rate": self.ka * x["depot"]}


class LymphTransit(AbstractAbsorption):
    """Depot, then lymph or interstitium: `depot' = -ka depot`, `lymph' = ka depot - ktr lymph`."""

    ka: Scalar = parameter("absorption rate", "1/time")
    ktr: Scalar = parameter("transit rate", "1/time")
    entry = "depot"
    states = ("depot", "lymph")
    outputs = {"rate": "amount/time"}

    def derivative(self, x: Values, u: Values) -> dict[str, Scalar]:
        released = self.ka * x["depot"]
        return {"depot": -released, "lymph": released - self.ktr * x["lymph"]}

    def output(self, x: Values, u: Values) -> dict[str, Scalar]:
        return {"rate": self.ktr * x["lymph"]}
