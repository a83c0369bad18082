"""The base of everything that can be wired into a model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import equinox as eqx
import jax.numpy as jnp

from pkpd.parameters import Scalar

Values = Mapping[str, Scalar]


@dataclass(frozen=True)
class Port:
    """An input: its dimension and the value it has where nothing is wired (None: it must be wired)."""

    dimension: str
    default: float | None = None


class Component(eqx.Module):
    """A part of a model: parameters as fields, and states, inputs and outputs by name.

    `direct` names the inputs that act on the outputs at once; all other inputs act through states.
    `scale` says whether the states follow the dosing interval (`fast`) or days and weeks (`slow`).
    `linear` names the inputs in which the derivative is affine, so that a solver may average them.
    All methods are elementwise in their arguments, whatever the shape: patients, nodes and
    scenarios are axes of the arrays.
    """

    states: ClassVar[tuple[str, ...]] = ()
    inputs: ClassVar[Mapping[str, Port]] = {}
    outputs: ClassVar[Mapping[str, str]] = {}
    direct: ClassVar[tuple[str, ...]] = ()
    linear: ClassVar[tuple[str, ...]] = ()
    scale: ClassVar[Literal["fast", "slow"]] = "slow"

    def initial(self) -> dict[str, Scalar]:
        """States before any dose."""
        return {state: jnp.zeros(()) for state in self.states}

    def derivative(self, x: Values, u: Values) -> dict[str, Scalar]:
        """Time derivative of each state, given states `x` and inputs `u`."""
        return {}

    def output(self, x: Values, u: Values) -> dict[str, Scalar]:
        """Each output, given states `x` and the `direct` inputs `u`."""
        return {}
