"""Exposures of the typical patient under draws of a posterior, with slopes by the amounts of doses."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from pkpd.devices import jitted
from pkpd.dosing.events import Events
from pkpd.explore.chances import Chances, slots_of, thinned
from pkpd.explore.quantities import Quantity, last_interval
from pkpd.exposures import exposure
from pkpd.model import Model

MOST = 50  # draws over which an exposure is averaged


class Exposed:
    """Exposures averaged over draws, for any schedule; a program is compiled for each timetable."""

    def __init__(self, chances: Chances):
        self._problem, self._arm = chances.problem, chances.arm
        self._points = thinned(chances.points, MOST)
        self._programs: dict[Any, Callable[..., Any]] = {}

    def value(self, quantity: Quantity, course: Events) -> float:
        """An exposure in its unit; 0 where the drug is not given."""
        return self.sloped(quantity, course)[0]

    def sloped(self, quantity: Quantity, course: Events) -> tuple[float, Float[np.ndarray, " doses"]]:
        """An exposure in its unit, and its slopes by the amount of each dose."""
        edges = last_interval(self._problem.model, course, quantity.drug)
        if not edges:
            return 0.0, np.zeros(len(course))
        key = quantity.drug, quantity.metric, tuple(slots_of(course))
        if key not in self._programs:
            self._programs[key] = self._program(quantity, course, edges)
        value, slopes = self._programs[key](self._points, course.amount)
        return float(value) / quantity.factor, np.asarray(slopes) / quantity.factor

    def _program(self, quantity: Quantity, course: Events, edges: tuple[float, ...]) -> Callable[..., Any]:
        problem, arm = self._problem, self._arm

        def mean(amount: Array, points: Array) -> Array:
            doses = dataclasses.replace(course, amount=amount)

            def one(x: Array) -> Array:
                return exposed(problem.in_arm(x, arm), doses, quantity, edges)

            return jax.lax.map(one, points).mean()

        return jitted(lambda points, amount: jax.value_and_grad(mean)(amount, points))


def exposed(model: Model, doses: Events, quantity: Quantity, edges: tuple[float, ...]) -> Float[Array, ""]:
    """An exposure of the typical patient in the model's units; pure JAX in the model and in amounts."""
    name = quantity.metric.removeprefix("total_")
    whole = name != quantity.metric
    bounds = edges if whole else edges[-2:]
    found = exposure(model, doses, f"{quantity.drug}.central", quantities=(name,), edges=bounds)
    return jnp.reshape(found.total[name] if whole else found.values[name][-1], ())
