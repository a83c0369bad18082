"""The base of everything that can be wired into a model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import equinox as eqx
import jax.numpy as jnp

from pkpd.checks import fail
from pkpd.parameters import Scalar, count_rule, counts, is_count

Values = Mapping[str, Scalar]


def saturation(ratio: Scalar, hill: Scalar) -> Scalar:
    """`r^hill / (1 + r^hill)`, none below zero; its gradient is finite at `r = 0`."""
    above = jnp.maximum(ratio, 0.0)
    given = above > 0.0
    power = jnp.where(given, jnp.where(given, above, 1.0) ** hill, 0.0)
    return power / (1.0 + power)


def numbered(word: str, count: int) -> tuple[str, ...]:
    """Names of so many like states, from 1 on."""
    return tuple(f"{word}{k}" for k in range(1, count + 1))


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

    def __check_init__(self) -> None:
        for name, (_, most) in counts(self).items():
            value = getattr(self, name)
            if not is_count(value, most):
                raise fail(f"{type(self).__name__}.{name}", count_rule(most), value)

    def initial(self) -> dict[str, Scalar]:
        """States before any dose."""
        return {state: jnp.zeros(()) for state in self.states}

    def derivative(self, x: Values, u: Values) -> dict[str, Scalar]:
        """Time derivative of each state, given states `x` and inputs `u`."""
        return {}

    def output(self, x: Values, u: Values) -> dict[str, Scalar]:
        """Each output, given states `x` and the `direct` inputs `u`."""
        return {}
