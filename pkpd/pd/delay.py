"""Effects that outlast their cause."""

from pkpd.component import Component, Port, Values
from pkpd.parameters import Scalar, parameter


class Memory(Component):
    """What an excess leaves behind: `value' = excess - kmem value`; `kmem = 0` is the integral."""

    kmem: Scalar = parameter("rate of forgetting", "1/time", "nonnegative")
    states = ("value",)
    inputs = {"excess": Port("1")}
    outputs = {"value": "time"}
    linear = ("excess",)

    def derivative(self, x: Values, u: Values) -> dict[str, Scalar]:
        return {"value": u["excess"] - self.kmem * x["value"]}

    def output(self, x: Values, u: Values) -> dict[str, Scalar]:
        return {"value": x["value"]}
