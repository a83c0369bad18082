"""From the site of administration to the blood: amounts in, an input rate out."""

import math
from itertools import pairwise
from typing import ClassVar, NamedTuple

import jax.numpy as jnp

from pkpd.component import Component, Values, numbered
from pkpd.parameters import Scalar, count, parameter


class Inlet(NamedTuple):
    """Where a `share` of a dose enters: a state of the route, or the central compartment where none is named,
    `lag` after it is given; over a time that it `lasts`, where that is stated and the dose does not say."""

    state: str | None
    share: Scalar
    lag: Scalar
    lasts: Scalar | None = None


class AbstractAbsorption(Component):
    """A route. A dose enters by its `inlets`: all of it the state `entry`, unless they say otherwise.

    `bioav` of a dose arrives, `tlag` after it is given. `rate` and `duration` are those of infusions that
    leave one of them to the model.
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

    def inlets(self) -> tuple[Inlet, ...]:
        """By which ways a dose enters."""
        return (Inlet(self.entry, self.bioav, self.tlag),)


class Bolus(AbstractAbsorption):
    """Straight into the central compartment (intravenous); with a duration, an infusion."""


class ZeroOrder(AbstractAbsorption):
    """Into the central compartment at a constant rate for the `duration`, unless the dose says how long."""

    duration: Scalar = parameter("duration of absorption", "time")

    def inlets(self) -> tuple[Inlet, ...]:
        return (Inlet(None, self.bioav, self.tlag, self.duration),)


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


class SequentialAbsorption(FirstOrder):
    """Zero order, then first: a dose enters the depot at a constant rate for the `duration`.

    References: Holford NH, et al. J Pharmacokinet Biopharm 1992;20:421-442, doi 10.1007/BF01061465.
    """

    duration: Scalar = parameter("duration of the release into the depot", "time")

    def inlets(self) -> tuple[Inlet, ...]:
        return (Inlet("depot", self.bioav, self.tlag, self.duration),)


class ParallelAbsorption(FirstOrder):
    """A `fraction` by first order, the rest at a constant rate for the `duration`, from `delay` later on.

    References: Zhou H. J Clin Pharmacol 2003;43:211-227, doi 10.1177/0091270002250613.
    """

    fraction: Scalar = parameter("share that is absorbed by first order", "1", "unit")
    duration: Scalar = parameter("duration of the absorption by zero order", "time")
    delay: Scalar = parameter("lag of that absorption after the other's", "time", "nonnegative", default=0.0)

    def inlets(self) -> tuple[Inlet, ...]:
        rest, later = self.bioav * (1.0 - self.fraction), self.tlag + self.delay
        return (
            Inlet("depot", self.bioav * self.fraction, self.tlag),
            Inlet(None, rest, later, self.duration),
        )


class DualAbsorption(AbstractAbsorption):
    """From the depot into blood and lymph at once.

    `depot' = -(ka + kl) depot` and `lymph' = kl depot - ktr lymph`; rate `ka depot + ktr lymph`.

    References: Kagan L. Drug Metab Dispos 2014;42:1890-1905, doi 10.1124/dmd.114.059121.
    """

    ka: Scalar = parameter("rate of absorption into blood", "1/time")
    kl: Scalar = parameter("rate of absorption into lymph", "1/time")
    ktr: Scalar = parameter("rate from lymph to blood", "1/time")
    entry = "depot"
    states = ("depot", "lymph")
    outputs = {"rate": "amount/time"}

    def derivative(self, x: Values, u: Values) -> dict[str, Scalar]:
        into_lymph = self.kl * x["depot"]
        return {"depot": -self.ka * x["depot"] - into_lymph, "lymph": into_lymph - self.ktr * x["lymph"]}

    def output(self, x: Values, u: Values) -> dict[str, Scalar]:
        return {"rate": self.ka * x["depot"] + self.ktr * x["lymph"]}


class TransitAbsorption(AbstractAbsorption):
    """A dose that passes through like stages to the site of absorption: its delay has no sharp end.

    `depot' = -ktr depot`, `transit1' = ktr (depot - transit1)` and so on through the `stages`, then
    `site' = ktr transit_n - ka site`, with `ktr = (stages + 1) / mtt`; rate `ka site`.

    References: Savic RM, et al. J Pharmacokinet Pharmacodyn 2007;34:711-726, doi 10.1007/s10928-007-9066-0.
    """

    mtt: Scalar = parameter("mean transit time", "time")
    ka: Scalar = parameter("absorption rate", "1/time")
    stages: int = count("stages between depot and site", default=3)
    entry = "depot"
    outputs = {"rate": "amount/time"}

    @property
    def states(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return ("depot", *numbered("transit", self.stages), "site")

    def derivative(self, x: Values, u: Values) -> dict[str, Scalar]:
        ktr = (self.stages + 1) / jnp.asarray(self.mtt)
        left = {s: (self.ka if s == "site" else ktr) * x[s] for s in self.states}
        change = {s: left[before] - left[s] for before, s in pairwise(self.states)}
        return {"depot": -left["depot"], **change}

    def output(self, x: Values, u: Values) -> dict[str, Scalar]:
        return {"rate": self.ka * x["site"]}


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
